"""The lineage of a row: from the image it is about to its place in the corpus, or to why it has none.

Pure functions over what the run folder, the journal and the corpus say, which `cards.explaining` reads. A row that was
dropped or that failed has its lineage as much as one that was kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar  # Any: candidates of any recipe, as plain values

from cards.corpus_places import CorpusPlace
from cards.run_rows import KEPT, ImageLoss, ImageTrail, RowLine
from ostensive.arrow import plain_maker
from ostensive.chat.journaled import JournaledExchange
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Annotation, CriticScore, ImageRecord, Judgement, Verbalization
from ostensive.run.summary import PUBLISHING

T = TypeVar("T")
State = Literal["kept", "dropped", "failed", "waiting", "not published"]
STATES: Final[tuple[State, ...]] = ("kept", "dropped", "failed", "waiting", "not published")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a row: where it ended, and why. One that waits does so for `stage`."""

    state: State
    stage: str
    reason: str = ""
    detail: str = ""

    @property
    def cause(self) -> str:
        """Where it ended and why, beside the state; empty where it was kept."""
        if self.state == "kept":
            return ""
        return f"for {self.stage}" if self.state == "waiting" else f"by {self.stage}: {self.reason}"

    @property
    def words(self) -> str:
        """The same in a few words."""
        words = {
            "kept": "kept",
            "waiting": f"waiting for {self.stage}",
            "not published": f"accepted, but not published: {self.reason}",
        }
        return words.get(self.state, f"{self.state} by {self.stage}: {self.reason}")


@dataclass(frozen=True, slots=True)
class Step:
    """What a stage said of a row. `repeats` is the row that it says the same as, where the stage told so."""

    stage: str
    outcome: str
    reason: str
    detail: str
    repeats: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request behind a row: the candidate's field that names it, its key, and what the journal has of it."""

    field: str
    key: str
    exchange: JournaledExchange | None


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A row beside the one that is looked at."""

    row_id: str
    fate: Fate
    text: str  # the first that people are shown


@dataclass(frozen=True, slots=True)
class Made:
    """By what the rows of a run were made."""

    recipe: str
    recipe_hash: str
    version: str  # of Ostensive; empty where the run does not say
    thresholds: Mapping[str, float]  # by critic


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that is known of a row."""

    row_id: str
    noun: str  # what people call a row of the recipe
    fate: Fate
    made: Made
    teacher: str
    prompt_hash: str  # of the prompt templates
    image: ImageRecord
    split: str | None
    verbalization: Verbalization | None
    annotations: tuple[Annotation, ...]
    texts: tuple[ShownText, ...]
    questions: tuple[str, ...]  # that it asks
    candidate: Mapping[str, Any]  # all of its fields
    steps: tuple[Step, ...]
    scores: tuple[CriticScore, ...]
    judgements: tuple[Judgement, ...]
    requests: tuple[Request, ...]
    journal_note: str  # why a request has no exchange; empty where all have
    same_reply: tuple[OtherRow, ...]  # other rows that one of the requests gave
    place: CorpusPlace | None


@dataclass(frozen=True, slots=True)
class ImageRows:
    """An image and what became of each row about it."""

    image: ImageRecord
    noun: str
    split: str | None
    rows: tuple[OtherRow, ...]
    losses: tuple[ImageLoss, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a run besides what its stages say of images and rows."""

    kind: RecipeKind
    made: Made
    exchanges: Mapping[str, JournaledExchange] = field(default_factory=dict)  # by request key
    journal_note: str = ""
    places: Mapping[str, CorpusPlace] = field(default_factory=dict)  # by row id
    unpublished: Mapping[str, Fate] = field(default_factory=dict)  # by image id


def lineage_of(trail: ImageTrail, row_id: str, known: Known) -> Lineage:
    """The lineage of a row about the image of `trail`; raises `KeyError` for a row that is not about it."""
    lines, kind = trail.lines[row_id], known.kind
    candidate: Any = _candidate(lines)
    record: Any = kind.candidate
    keys = request_keys(candidate, kind)
    requests = tuple(Request(name, key, known.exchanges.get(key)) for name, key in keys.items())
    others = [
        other_row(trail, other, known)
        for other, of_other in trail.lines.items()
        if other != row_id and set(keys.values()) & set(request_keys(_candidate(of_other), kind).values())
    ]
    return Lineage(
        row_id=row_id,
        noun=kind.noun,
        fate=fate_of(trail, row_id, known),
        made=known.made,
        teacher=candidate.teacher,
        prompt_hash=candidate.prompt_hash,
        image=trail.image,
        split=trail.split,
        verbalization=trail.verbalization,
        annotations=trail.annotations,
        texts=kind.shown(candidate),
        questions=tuple(kind.questions(candidate)) if kind.questions else (),
        candidate=plain_maker(record)(candidate),
        steps=tuple(_step(line, trail) for line in lines),
        scores=_last(line.scores for line in lines),
        judgements=_last(line.judgements for line in lines),
        requests=requests,
        journal_note=known.journal_note if any(one.exchange is None for one in requests) else "",
        same_reply=tuple(others),
        place=known.places.get(row_id),
    )


def image_rows(trail: ImageTrail, known: Known) -> ImageRows:
    """What became of each row about an image, in the order in which they were made."""
    rows = tuple(other_row(trail, row_id, known) for row_id in trail.lines)
    return ImageRows(trail.image, known.kind.noun, trail.split, rows, trail.losses)


def other_row(trail: ImageTrail, row_id: str, known: Known) -> OtherRow:
    """A row in short."""
    shown = known.kind.shown(_candidate(trail.lines[row_id]))
    return OtherRow(row_id, fate_of(trail, row_id, known), shown[0].text if shown else "")


def fate_of(trail: ImageTrail, row_id: str, known: Known) -> Fate:
    """What became of a row."""
    last = trail.lines[row_id][-1]
    if last.outcome != KEPT:
        return Fate("failed" if last.outcome == "failed" else "dropped", last.stage, last.reason, last.detail)
    if trail.missing_stages:
        return Fate("waiting", trail.missing_stages[0])
    if row_id in known.places:
        return Fate("kept", last.stage)
    return known.unpublished.get(trail.image.image_id, Fate("waiting", PUBLISHING))


def request_keys(candidate: Any, kind: RecipeKind) -> dict[str, str]:
    """The keys of the journal's entries behind a candidate by its fields; a field may be empty."""
    found = {name: getattr(candidate, name) for name in kind.request_fields}
    return {name: key for name, key in found.items() if key}


def _candidate(lines: Iterable[RowLine]) -> Any:
    """As the last stage that had it left it."""
    return [line.candidate for line in lines if line.candidate is not None][-1]


def _last(found: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return next((some for some in reversed(list(found)) if some), ())


def _step(line: RowLine, trail: ImageTrail) -> Step:
    """A stage that drops a row for another begins its detail with that row's id."""
    first = line.detail.split(maxsplit=1)[:1]
    repeats = first[0] if line.outcome == "dropped" and first and first[0] in trail.lines else ""
    return Step(line.stage, line.outcome, line.reason, line.detail, "" if repeats == line.row_id else repeats)
