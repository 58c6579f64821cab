"""`ostensive doctor`: what a recipe needs, whether it is on this machine, and on what device it would run.

Nothing is loaded, downloaded or spent. The sections of the recipe say what they need; equal needs are told once.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ostensive.chat.key_permits import KeyPermit
from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.lookup import Found, look_up
from ostensive.models.needs import ModelNeed
from ostensive.recipe import Recipe
from ostensive.settings import Settings

_ON_A_DEVICE = ("hub", "open_clip", "torchvision", "folder", "packaged")


@dataclass(frozen=True, slots=True)
class Finding:
    """One need and what there is of it."""

    need: ModelNeed
    settings: tuple[str, ...]  # the sections of the recipe that have it, dotted
    found: Found
    device: str | None  # where it would run; None where it runs on no device of this machine


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that a recipe needs, in the order of its sections."""

    recipe: str
    profile: str
    findings: tuple[Finding, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return all(finding.found.problem is None for finding in self.findings)


def doctor(
    recipe: Recipe, environment: Mapping[str, str] | None = None, permits: Sequence[KeyPermit] = ()
) -> Diagnosis:
    """What `recipe` needs, and what there is of it here; `environment` None is the process's.

    `permits` say which keys may go to servers that the recipe names.
    """
    known = os.environ if environment is None else environment
    wanted: dict[ModelNeed, list[tuple[str, str]]] = {}
    for path, section in sections(recipe):
        for need in section.needs():
            # One model may be needed in several roles; it is one thing to have all the same.
            wanted.setdefault(replace(need, role=""), []).append((need.role, path))
    findings = tuple(_finding(need, users, known, permits) for need, users in wanted.items())
    return Diagnosis(recipe.recipe, recipe.profile, findings)


def sections(settings: Settings, path: str = "") -> Iterator[tuple[str, Settings]]:
    """`settings` and every section in it, with its dotted path; the places in a list count from 0."""
    yield path or "recipe", settings
    for name in type(settings).model_fields:
        below = f"{path}.{name}" if path else name
        value = getattr(settings, name)
        items = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
        for place, item in items:
            if isinstance(item, Settings):
                yield from sections(item, below if place is None else f"{below}.{place}")


def _finding(
    need: ModelNeed, users: Sequence[tuple[str, str]], environment: Mapping[str, str], permits: Sequence[KeyPermit]
) -> Finding:
    found = look_up(need, environment, permits)
    device = None
    if need.kind in _ON_A_DEVICE:
        try:
            device = resolve_device(need.device or "auto")
        except SettingsError as error:
            found = replace(found, problem=found.problem or str(error))
    roles = ", ".join(dict.fromkeys(role for role, _ in users))
    return Finding(replace(need, role=roles), tuple(path for _, path in users), found, device)
