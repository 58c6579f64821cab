"""The critic of kind `trained`: a folder that `ostensive critic train` wrote, asked about candidates."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from critics.critic import Critic, CriticContext, NoScore, Score
from critics.trained.folder import CriticFile, critic_version, load_critic, read_critic
from critics.trained.inputs import CriticInput, Pictures
from critics.trained.read_critics import check_versions, read_scores, reading_critics
from critics.trained.scoring import Prediction, Scorer, TooLong, Unseen
from critics.trained.settings import TrainedSettings
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.models.batching import BatchSize
from ostensive.models.devices import give_back_memory
from ostensive.records import Candidate
from ostensive.run.services import Services
from ostensive.stage import Evidence

UNLIKELY: Final = "unlikely to be accepted by people"
TOO_LONG: Final = "too long for the critic"
NO_NUMBER: Final = "score is no number"
IMAGE_UNREADABLE: Final = "image cannot be read"
CODE_VERSION: Final = 1
"""Goes up when the same critic would give other scores."""

_log = logging.getLogger(__name__)


class TrainedCritic(Critic[TrainedSettings]):
    """A critic by a trained model."""

    def __init__(self, settings: TrainedSettings, context: CriticContext) -> None:
        """Raises `SettingsError` for a folder that holds no critic, or one of other texts; loads nothing."""
        super().__init__(settings, context)
        self._file = read_critic(Path(settings.model))
        if self._file.parts != context.kind.parts:
            raise SettingsError(
                f"{settings.model}: reads {', '.join(self._file.parts)}, and {context.kind.one} of the recipe"
                f" {context.kind.name} has {', '.join(context.kind.parts)}; train one on labels of such"
            )
        self._read = reading_critics([one.kind for one in self._file.scores_of], context.kind)
        check_versions(self._read, self._file.scores_of, settings.model)
        self._scorer: Scorer | None = None
        self._has_warned = False

    @property
    def version(self) -> str:
        own = critic_version(Path(self.settings.model))
        return fingerprint([CODE_VERSION, own, self.settings.precision])[:16]

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        """With its model; raises `SettingsError` when it cannot be loaded."""
        model = load_critic(self.settings)
        pictures = Pictures(services.images.load, self._file.show.image_side_px)
        self._scorer = Scorer(model, pictures, BatchSize(self.settings.batch_size, self.settings.model))
        self._has_warned = False
        try:
            yield self
        finally:
            self._scorer = None
            give_back_memory()

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score | NoScore]:
        """One score for each row, in order; none for a text that the model cannot take, or an image that is gone.

        Raises `CriticFailedError` when the model fails with a row alone.
        """
        assert self._scorer is not None, "a critic is opened before it is asked"
        inputs, shown = self._file.inputs, self.context.kind.shown
        made: list[Score | NoScore | None] = []
        given = []
        for row, scores in zip(rows, read_scores(self._read, rows, evidence), strict=True):
            made.append(scores if isinstance(scores, NoScore) else None)
            if isinstance(scores, NoScore):
                continue
            known = evidence[row.image_id]
            regions = known.verbalization.regions if known.verbalization is not None else ()
            given.append(inputs.input_of(row.record_id, shown(row), known.image, regions, scores=scores))
        self._warn_of_unknown_regions(given)
        found = iter(self._scorer.predict(given))
        return [score_of(next(found), self._file) if one is None else one for one in made]

    def _warn_of_unknown_regions(self, rows: Sequence[CriticInput]) -> None:
        """Says once that regions are drawn as the critic never saw them, and what to do."""
        known = self._file.known
        numbers = [region.number for row in rows for region in row.regions]
        most = max((len(row.regions) for row in rows), default=0)
        if self._has_warned or not (max(numbers, default=-1) > known.highest_number or most > known.most_regions):
            return
        self._has_warned = True
        strange = sum(
            len(row.regions) > known.most_regions or any(region.number > known.highest_number for region in row.regions)
            for row in rows
        )
        _log.warning(
            "%s: in %d of %d rows regions are drawn that this critic never saw: up to %d at a time with numbers up to"
            " %d, and it was trained on at most %d with numbers up to %d. Its scores there are guesses: train it on"
            " labels of this corpus, or let fewer regions be chosen",
            self.settings.model,
            strange,
            len(rows),
            most,
            max(numbers, default=-1),
            known.most_regions,
            known.highest_number,
        )


def score_of(found: Prediction | TooLong | Unseen, file: CriticFile) -> Score | NoScore:
    """The score that follows from what the model found."""
    if isinstance(found, Unseen):
        return NoScore(IMAGE_UNREADABLE, found.detail)
    if isinstance(found, TooLong):
        return NoScore(TOO_LONG, f"{found.tokens} tokens; the model takes {found.max_tokens}")
    if math.isnan(found.accept_logit):  # weights that are damaged, or of a precision that the device cannot count in
        return NoScore(NO_NUMBER, "the model gives nan")
    ratings = [f"{name} {rating:.2f}" for name, rating in zip(file.criteria, found.ratings, strict=True)]
    detail = f"ratings: {', '.join(ratings)}" if ratings else ""
    return Score(file.calibration.probability(found.accept_logit), UNLIKELY, detail)
