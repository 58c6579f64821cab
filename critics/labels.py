"""From what people said of candidates to what a critic is trained on: one label a candidate, one polarity, 1 is accept.

LSKD's rule (its section on the critic's annotation): a candidate is accepted unless at least one annotator rejects it
on at least one of the criteria; the regression target of a criterion is 0 where an annotator rejects it, else the mean
of the ratings, with reject, maybe and accept counted as 1, 2 and 3. Targets are therefore 0 or lie in 2 to 3. The paper
says "if any reject" and not of which criterion; here each target looks at its own criterion alone, so that a triple
with a right answer and a bad rationale has a high first target and a second one of 0. The published code trains the
second head on the first one's label, and turns the polarity round when a label is a list; neither can happen here,
because targets have names and there is one `accepted`.
"""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.files import replacing

Rating = Literal["accept", "maybe", "reject"]
RATINGS: Final[tuple[Rating, ...]] = get_args(Rating)
POINTS: Final[dict[Rating, int]] = {"reject": 1, "maybe": 2, "accept": 3}
"""What a rating counts in a mean, and its rank where agreement is measured by order."""
Drawn = Literal["random", "differing", "doubt", "disagreement", "elsewhere"]
DRAWN: Final[tuple[Drawn, ...]] = get_args(Drawn)
BY_SCORES: Final[frozenset[str]] = frozenset({"doubt", "disagreement"})
"""Ways of choosing what is judged that look at scores: what is found there says nothing of all candidates."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How a candidate came to be judged."""

    drawn: Drawn = "elsewhere"  # by lot, by how it was chosen, or not known
    held_out: bool = False  # of an image that no critic learns from
    round_number: int = 0  # from 1; 0 where it is not known


UNKNOWN_DRAW: Final = Draw()
"""What is said of labels that come without: by whom they were chosen, and how, is not known."""


@dataclass(frozen=True, slots=True)
class CriterionRating:
    """What an annotator says of a candidate by one criterion."""

    name: str
    rating: Rating


@dataclass(frozen=True, slots=True)
class CriteriaJudgement:
    """What one annotator says of one candidate, by each criterion of a task; anything else raises `ValueError`."""

    row_id: str
    image_id: str
    annotator: str
    ratings: tuple[CriterionRating, ...]
    draw: Draw = UNKNOWN_DRAW

    def __post_init__(self) -> None:
        for one in self.ratings:
            if one.rating not in POINTS:
                expected = ", ".join(RATINGS)
                raise ValueError(f"row {self.row_id}: {one.name} is {one.rating!r}; one of {expected} is expected")


@dataclass(frozen=True, slots=True)
class CriterionTarget:
    """What a critic learns of a candidate by one criterion: 0 (rejected), or a mean rating from 2 to 3."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Label:
    """What a critic learns of one candidate."""

    row_id: str
    image_id: str
    accepted: bool
    targets: tuple[CriterionTarget, ...]  # in the order of the task's criteria
    drawn: str = UNKNOWN_DRAW.drawn  # one of `DRAWN`
    held_out: bool = False  # of an image that no critic learns from: critics are measured by it
    round_number: int = 0  # in which it was put up to be judged, from 1; 0 where it is not known

    @property
    def is_fair(self) -> bool:
        """Whether what is found of such labels holds for all candidates: no score had a part in choosing them."""
        return self.drawn not in BY_SCORES

    def target(self, name: str) -> float:
        """The target of the criterion of that name; raises `KeyError`."""
        for one in self.targets:
            if one.name == name:
                return one.value
        raise KeyError(name)


def labels_from(judgements: Iterable[CriteriaJudgement]) -> list[Label]:
    """The label of each row that was judged, by row id; the order of the judgements does not matter.

    Raises `SettingsError` where one annotator judges a row twice, or a row is said to be of two images or judged by
    different criteria.
    """
    by_row: dict[str, dict[str, CriteriaJudgement]] = {}
    for judgement in judgements:
        row = by_row.setdefault(judgement.row_id, {})
        if judgement.annotator in row:
            raise SettingsError(
                f"row {judgement.row_id} is judged twice by {judgement.annotator!r}; keep one of the two judgements"
            )
        row[judgement.annotator] = judgement
    return [_label(list(by_row[row_id].values())) for row_id in sorted(by_row)]


def target(ratings: Iterable[Rating]) -> float:
    """The regression target of one criterion: 0 where one rating is a rejection, else the mean of the ratings (2-3)."""
    points = [POINTS[rating] for rating in ratings]
    assert points, "a label has at least one rating"
    return 0.0 if POINTS["reject"] in points else sum(points) / len(points)


def _label(judgements: list[CriteriaJudgement]) -> Label:
    first = judgements[0]
    images = sorted({judgement.image_id for judgement in judgements})
    if len(images) > 1:
        raise SettingsError(f"row {first.row_id} is judged as one of {len(images)} images ({', '.join(images)})")
    names = [one.name for one in first.ratings]
    if any([one.name for one in judgement.ratings] != names for judgement in judgements):
        raise SettingsError(f"row {first.row_id} is judged by different criteria; keep the judgements of one task")
    by_criterion = [[judgement.ratings[place].rating for judgement in judgements] for place in range(len(names))]
    return Label(
        row_id=first.row_id,
        image_id=first.image_id,
        accepted=not any("reject" in ratings for ratings in by_criterion),
        targets=tuple(CriterionTarget(*one) for one in zip(names, map(target, by_criterion), strict=True)),
        drawn=first.draw.drawn,
        held_out=first.draw.held_out,
        round_number=first.draw.round_number,
    )


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Replaces `path` by a Parquet file with one row a label; raises `StorageError`."""

    with replacing(path) as temporary:
        arrow.write_parquet(arrow.to_table(list(labels), Label), temporary)


def read_labels(path: Path) -> list[Label]:
    """The labels in a Parquet file; raises `SettingsError` where there is none or its columns are not those of one.

    Of labels without the columns `drawn`, `held_out` and `round_number` it is not known how they were chosen: they
    count as fair, and none as held out.
    """
    import pyarrow as pa

    from ostensive.images.whole_parquet import read_whole_parquet

    try:
        table = read_whole_parquet(path, "a Parquet file of labels")
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: no such file; label with `ostensive annotate RUN`, which writes labels with --export"
        ) from error
    wanted = arrow.schema_of(Label)
    defaults = {field.name: field.default for field in fields(Label) if field.default is not MISSING}
    missing = [name for name in wanted.names if name not in {*table.column_names, *defaults}]
    if missing:
        raise SettingsError(f"{path} is not a file of labels: it has no column {missing[0]}")
    for name in defaults.keys() - set(table.column_names):
        table = table.append_column(name, pa.array([defaults[name]] * len(table), wanted.field(name).type))
    try:
        labels = arrow.from_table(table.select(wanted.names).cast(wanted), Label)
    except (pa.ArrowException, ValueError) as error:
        raise SettingsError(f"{path} is not a file of labels: {' '.join(str(error).split())[:200]}") from error
    strange = next((label for label in labels if label.drawn not in DRAWN), None)
    if strange is not None:
        raise SettingsError(
            f"{path}: row {strange.row_id}: drawn is {strange.drawn!r:.40}; one of {', '.join(DRAWN)} is expected"
        )
    return labels
