"""The critic of kind `trained`: a folder that `ostensive critic train` wrote, asked about candidates."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self  # Any: a candidate

from critics.critic import Critic, CriticContext, NoScore, Score
from critics.trained.calibration import Calibration
from critics.trained.folder import CriticFile, critic_version, load_critic, read_critic
from critics.trained.scoring import Found, Scorer, TooLong
from critics.trained.settings import TrainedSettings
from critics.trained.showing import Pictures, Shown
from ostensive.fingerprint import fingerprint
from ostensive.models.batching import BatchSize
from ostensive.models.devices import give_back_memory
from ostensive.run.services import Services
from ostensive.stage import Evidence

UNLIKELY: Final = "unlikely to be accepted by people"
TOO_LONG: Final = "too long for the critic"
CODE_VERSION: Final = 1
"""Goes up when the same critic would give other scores."""

_log = logging.getLogger(__name__)


class TrainedCritic(Critic[TrainedSettings]):
    """The critic `trained`: by a trained model."""

    def __init__(self, settings: TrainedSettings, context: CriticContext) -> None:
        """Raises `SettingsError` for a folder that holds no critic; loads nothing."""
        super().__init__(settings, context)
        self._file: CriticFile = read_critic(Path(settings.model))
        self._scorer: Scorer | None = None
        self._has_warned = False

    @property
    def version(self) -> str:
        own = critic_version(Path(self.settings.model))
        return fingerprint([CODE_VERSION, own, self.settings.precision])[:16]

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        """With the model; raises `SettingsError` when it cannot be loaded."""
        learner = load_critic(self.settings)
        pictures = Pictures(services.images.load, self._file.show.image_side_px)
        self._scorer = Scorer(learner, pictures, BatchSize(self.settings.batch_size, self.settings.model))
        self._has_warned = False
        try:
            yield self
        finally:
            del learner
            self._scorer = None
            give_back_memory()

    def score(self, rows: Sequence[Any], evidence: Evidence) -> list[Score | NoScore]:
        """One score for each row, in order, and none for a text that the model cannot take.

        Raises `CriticFailedError` when the model fails with a row alone, `ImageChangedError` for an image that is no
        longer what was taken in.
        """
        assert self._scorer is not None, "a critic is opened before it is asked"
        showing = self._file.showing
        shown = []
        for row in rows:
            known = evidence[row.image_id]
            regions = known.verbalization.regions if known.verbalization is not None else ()
            shown.append(showing.show(row, known.image, regions))
        self._warn_of_strange(shown)
        return [score_of(found, self._file.calibration) for found in self._scorer.find(shown)]

    def _warn_of_strange(self, shown: Sequence[Shown]) -> None:
        """Says once that regions are drawn as the critic never saw them, and what to do."""
        known = self._file.known
        numbers = [region.number for row in shown for region in row.regions]
        most = max((len(row.regions) for row in shown), default=0)
        if self._has_warned or not (max(numbers, default=-1) > known.highest_number or most > known.most_regions):
            return
        self._has_warned = True
        strange = sum(
            len(row.regions) > known.most_regions or any(region.number > known.highest_number for region in row.regions)
            for row in shown
        )
        _log.warning(
            "%s: in %d of %d rows regions are drawn that this critic never saw: up to %d at a time with numbers up to"
            " %d, and it was trained on at most %d with numbers up to %d. Its scores there are guesses: train it on"
            " labels of this corpus, or let fewer regions be chosen",
            self.settings.model,
            strange,
            len(shown),
            most,
            max(numbers, default=-1),
            known.most_regions,
            known.highest_number,
        )


def score_of(found: Found | TooLong, calibration: Calibration) -> Score | NoScore:
    """The score that follows from what the model said."""
    if isinstance(found, TooLong):
        return NoScore(TOO_LONG, f"{found.tokens} tokens; the model takes {found.max_tokens}")
    ratings = f"ratings {found.qa_rating:.2f} of the answer, {found.rationale_rating:.2f} of the rationale"
    return Score(calibration.probability(found.accept_logit), UNLIKELY, ratings)
