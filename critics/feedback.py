"""The critic `feedback`: what people said of a candidate is its score.

A label counts 1 or 0; a rating from 1 (excellent) to 5 (useless), as ILLUME asks for it, is spread evenly over 1 to 0,
so that its "fitting", 1 or 2, is a threshold like any other. Where several people rated, the worst rating counts, as
one rejection is enough for a label. A candidate that nobody looked at has the score 0: a corpus of what people
accepted holds nothing else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, Self

from pydantic import Field

from critics.critic import Critic, CriticContext, Score, ScoringSettings
from critics.row_files import TableRow, content_hash, read_rows, text_in
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.models.needs import ModelNeed
from ostensive.records import Candidate
from ostensive.run.services import Services
from ostensive.stage import Evidence
from ostensive.user_paths import UserPath

REJECTED: Final = "rejected by people"
UNRATED: Final = "not rated"
CODE_VERSION: Final = 1
"""Goes up when the same ratings would give another score."""
RATINGS: Final = {1: 1.0, 2: 0.75, 3: 0.5, 4: 0.25, 5: 0.0}
"""ILLUME, its study with people: 1 excellent, 2 sufficient, 3 weak, 4 poor, 5 no language; 1 and 2 are fitting."""


class FeedbackSettings(ScoringSettings):
    """What people said of a candidate: its label, or a rating from 1 (excellent) to 5."""

    kind: Literal["feedback"] = "feedback"
    min_accept_probability: float = Field(default=0.75, ge=0, le=1)
    """Ratings 1 to 5 are 1, 0.75, 0.5, 0.25 and 0; ILLUME: 1 and 2 are fitting. A label is 1 or 0."""
    ratings: UserPath
    """A Parquet or JSON Lines file with `row_id` and `accepted` or `rating`, such as the labels and judgements that
    `ostensive annotate` exports."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file of ratings."""
        return (ModelNeed(role="ratings", kind="file", name=self.ratings),)


def read_ratings(path: str) -> dict[str, float]:
    """The worst rating of each row, 0-1 (1 is accept); raises `SettingsError` for what is no rating.

    Knows the labels that `ostensive annotate` exports, its judgements of rationales, and rows of `row_id` and `rating`.
    """
    found: dict[str, float] = {}
    for row in read_rows(path):
        if row.values.get("task", "rating") != "rating":
            continue  # judgements of other kinds in the same export
        row_id = text_in(row, "item_id" if "item_id" in row.values else "row_id")
        if row_id is None:
            raise SettingsError(f"{row.place}: row_id is missing; it says which candidate was rated")
        found[row_id] = min(found.get(row_id, 1.0), _probability(row))
    return found


def _probability(row: TableRow) -> float:
    accepted = row.values.get("accepted")
    if isinstance(accepted, bool):
        return float(accepted)
    rating = row.values.get("rating", row.values.get("answer"))
    if isinstance(rating, str) and rating.isdecimal():
        rating = int(rating)
    if isinstance(rating, bool) or not isinstance(rating, int | float) or rating not in RATINGS:
        raise SettingsError(f"{row.place}: accepted (true or false) or rating (1 to 5) is expected, not {rating!r:.40}")
    return RATINGS[int(rating)]


class FeedbackCritic(Critic[FeedbackSettings]):
    """The critic `feedback`: people's ratings."""

    def __init__(self, settings: FeedbackSettings, context: CriticContext) -> None:
        super().__init__(settings, context)
        self._ratings: dict[str, float] | None = None

    @property
    def version(self) -> str:
        return fingerprint({"code": CODE_VERSION, "ratings": content_hash(self.settings.ratings)})[:12]

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - of a critic
        self._ratings = read_ratings(self.settings.ratings)
        yield self
        self._ratings = None

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score]:  # noqa: ARG002 - of a critic
        ratings = self._ratings
        assert ratings is not None, "a critic is opened before it is asked"
        return [Score(ratings[row.row_id], REJECTED) if row.row_id in ratings else Score(0.0, UNRATED) for row in rows]
