"""From what people said of triples to what a critic is trained on: one label a triple, one polarity, 1 is accept.

LSKD's rule (its section on the critic's annotation): a triple is accepted unless at least one annotator rejects it on
at least one of the two criteria; the regression target of a criterion is 0 where an annotator rejects it, else the mean
of the ratings, with reject, maybe and accept counted as 1, 2 and 3. Targets are therefore 0 or lie in 2 to 3. The paper
says "if any reject" and not of which criterion; here each target looks at its own criterion alone, so that a triple
with a right answer and a bad rationale has a high first target and a second one of 0. The published code trains the
second head on the first one's label, and turns the polarity round when a label is a list; neither can happen here,
because the targets are two named fields and there is one `accepted`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.files import replacing

Rating = Literal["accept", "maybe", "reject"]
RATINGS: Final[tuple[Rating, ...]] = get_args(Rating)
POINTS: Final[dict[Rating, int]] = {"reject": 1, "maybe": 2, "accept": 3}
"""What a rating counts in a mean, and its rank where agreement is measured by order."""


@dataclass(frozen=True, slots=True)
class TripleJudgement:
    """What one annotator says of one triple: is the question with its answer right, does the rationale justify it.

    A rationale for a wrong answer is rejected with it; anything else raises `ValueError`.
    """

    row_id: str
    image_id: str
    annotator: str
    qa: Rating
    rationale: Rating

    def __post_init__(self) -> None:
        for name, rating in (("qa", self.qa), ("rationale", self.rationale)):
            if rating not in POINTS:
                raise ValueError(f"row {self.row_id}: {name} is {rating!r}; one of {', '.join(RATINGS)} is expected")
        if self.qa == "reject" and self.rationale != "reject":
            raise ValueError(
                f"row {self.row_id}: qa is rejected and rationale is {self.rationale!r}; the rationale of a rejected"
                " answer is rejected too"
            )


@dataclass(frozen=True, slots=True)
class Label:
    """What a critic learns of one triple. Targets are 0 (rejected) or a mean rating from 2 to 3."""

    row_id: str
    image_id: str
    accepted: bool
    qa_target: float
    rationale_target: float
    annotators: int  # how many judged it


def labels_from(judgements: Iterable[TripleJudgement]) -> list[Label]:
    """The label of each row that was judged, by row id; the order of the judgements does not matter.

    Raises `SettingsError` where one annotator judges a row twice, or a row is said to be of two images.
    """
    by_row: dict[str, dict[str, TripleJudgement]] = {}
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


def _label(judgements: list[TripleJudgement]) -> Label:
    first = judgements[0]
    images = sorted({judgement.image_id for judgement in judgements})
    if len(images) > 1:
        raise SettingsError(f"row {first.row_id} is judged as one of {len(images)} images ({', '.join(images)})")
    return Label(
        row_id=first.row_id,
        image_id=first.image_id,
        accepted=not any("reject" in (judgement.qa, judgement.rationale) for judgement in judgements),
        qa_target=target(judgement.qa for judgement in judgements),
        rationale_target=target(judgement.rationale for judgement in judgements),
        annotators=len(judgements),
    )


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Replaces `path` by a Parquet file with one row a label; raises `StorageError`."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(arrow.to_table(list(labels), Label), temporary, compression="zstd")


def read_labels(path: Path) -> list[Label]:
    """The labels in a Parquet file; raises `SettingsError` where there is none or its columns are not those of one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: no such file; label with `ostensive annotate RUN`, which writes labels with --export"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise SettingsError(f"{path} cannot be read as a Parquet file of labels") from error
    wanted = arrow.schema_of(Label)
    missing = [name for name in wanted.names if name not in table.column_names]
    if missing:
        raise SettingsError(f"{path} is not a file of labels: it has no column {missing[0]}")
    try:
        return arrow.from_table(table.select(wanted.names).cast(wanted), Label)
    except (pa.ArrowException, ValueError) as error:
        raise SettingsError(f"{path} is not a file of labels: {' '.join(str(error).split())[:200]}") from error
