"""The choice of regions as a part uses it: its settings and its prior read once, then a call an image.

Every part that proposes has one of these, so that a detector's regions and those from pixels are chosen alike.
"""

from collections.abc import Iterable

from verbalizers.choice import Proposal, choose
from verbalizers.choice_settings import ChoiceSettings
from verbalizers.frequencies import NO_FREQUENCIES, load_frequencies

CHOICE_VERSION = "choice-2"


class Chooser:
    """`choose` with settings; may be called from several threads."""

    def __init__(self, settings: ChoiceSettings) -> None:
        """Raises `SettingsError` for a file of frequencies that cannot be used."""
        self._settings = settings
        self._frequencies = NO_FREQUENCIES if settings.frequencies is None else load_frequencies(settings.frequencies)

    @property
    def version(self) -> str:
        """Changes with the content of the file of frequencies; belongs into the version of the part that chooses."""
        if self._settings.frequencies is None:
            return CHOICE_VERSION
        return f"{CHOICE_VERSION}:{self._frequencies.fingerprint[:16]}"

    def __call__(self, proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
        """The proposals to keep, in the order of their numbers: at least one."""
        return choose(proposals, self._settings, self._frequencies)
