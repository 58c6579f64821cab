"""The critic `overlap`: how like a text of a candidate is to texts that people wrote, by ROUGE-L.

ROUGE-L (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 3.1) is the F-measure of the
longest common subsequence of two texts' words. ILLUME stands it in for people's feedback, from 0.7 on. Where a
candidate has several references the best one counts; the COCO caption metrics take the best precision and the best
recall of different references, which no one of them need bear out. The package `rouge-score` has no weight for recall,
and brings nltk along for twenty lines.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from pydantic import Field

from critics.critic import Critic, CriticContext, Score, ScoringSettings
from critics.lexicon import words_of
from critics.row_files import TableRow, content_hash, read_rows, text_in
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.models.needs import ModelNeed
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, Candidate
from ostensive.run.services import Services
from ostensive.stage import Evidence
from ostensive.user_paths import UserPath

UNLIKE: Final = "unlike the references"
NO_REFERENCE: Final = "no reference"
TOO_SHORT: Final = "too short to compare"
MIN_CHARACTERS: Final = 3  # ILLUME's repository: shorter hypotheses score 0
_BESIDE: Final = "rationales"  # the field of annotations that has references
CODE_VERSION: Final = 1
"""Goes up when the same texts would give another score."""


class OverlapSettings(ScoringSettings):
    """Likeness to reference texts: ROUGE-L, as ILLUME simulates people's feedback with it."""

    kind: Literal["overlap"] = "overlap"
    min_accept_probability: float = Field(default=0.7, ge=0, le=1)
    """ILLUME, section 4: a rationale from 0.7 on counts as fitting."""
    references: UserPath | None = None
    """A Parquet or JSON Lines file: `reference` or `references`, and `row_id`, `image_id` with `question`, or
    `image_id` alone. None takes the `rationales` that came in beside the image: those of the very item that a candidate
    is about, where it names one."""
    compare: str = "rationale"
    """Which text of a candidate is compared, by its name."""
    recall_weight: float = Field(default=1.2, gt=0)
    """Beta of the F-measure: what recall counts beside precision. 1.2 is that of the COCO caption metrics, by which
    ILLUME was measured; 1 counts both alike."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file of references, where there is one."""
        if self.references is None:
            return ()
        return (ModelNeed(role="references", kind="file", name=self.references),)

    def lacking(self, kind: RecipeKind) -> str:
        """The text that is compared, and references."""
        if self.compare not in kind.parts:
            return f"the text {self.compare}, which compare names"
        is_read = _BESIDE in (*kind.annotations_required, *kind.annotations_optional)
        return "" if self.references is not None or is_read else "rationales beside images, or a file in references"


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, in time and memory of a row of the usual table."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def rouge_l(text: str, reference: str, *, recall_weight: float = 1.0) -> float:
    """ROUGE-L of a text, 0-1: ((1 + b^2) P R) / (R + b^2 P) with b the `recall_weight`; 0 where nothing is shared."""
    written, wanted = words_of(text), words_of(reference)
    shared = common_length(written, wanted)
    if shared == 0:
        return 0.0
    precision, recall = shared / len(written), shared / len(wanted)
    weight = recall_weight**2
    # Rounding may carry the quotient of equal texts a hair beyond 1.
    return min(1.0, (1 + weight) * precision * recall / (recall + weight * precision))


@dataclass(frozen=True, slots=True)
class References:
    """Reference texts by what they belong to; the closest thing that is known of a candidate counts."""

    by_row: dict[str, list[str]] = field(default_factory=dict)
    by_question: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # image id, question
    by_image: dict[str, list[str]] = field(default_factory=dict)

    def add(self, row: TableRow) -> None:
        """Takes the texts of one row of a file; raises `SettingsError` for one that says not whose they are."""
        texts = _texts(row)
        row_id, image_id, question = (text_in(row, name) for name in ("row_id", "image_id", "question"))
        if row_id is not None:
            self.by_row.setdefault(row_id, []).extend(texts)
        elif image_id is not None and question is not None:
            self.by_question.setdefault((image_id, " ".join(words_of(question))), []).extend(texts)
        elif image_id is not None:
            self.by_image.setdefault(image_id, []).extend(texts)
        else:
            raise SettingsError(f"{row.place}: row_id, or image_id with or without question, is expected")

    def of(self, row: Candidate, question: str) -> Sequence[str]:
        """The references of a candidate: its own, else those of its image and question, else those of its image."""
        by_question = self.by_question.get((row.image_id, " ".join(words_of(question))))
        return self.by_row.get(row.row_id) or by_question or self.by_image.get(row.image_id) or ()


def references_beside(annotations: Sequence[Annotation], annotation_id: str | None, question: str) -> tuple[str, ...]:
    """The rationales that came in beside an image and are of what a candidate is about, each once.

    Those of the item that it names and of items with the same question and answers, which may have come in one by one;
    of a candidate that names none, those of its question, or of the image where the question is not asked there.
    """
    own = [item for item in annotations if item.annotation_id == annotation_id]
    if own:
        wanted = [(item.question, item.answers, item.label) for item in own]
        chosen = [item for item in annotations if (item.question, item.answers, item.label) in wanted]
    else:
        words = words_of(question)
        chosen = [item for item in annotations if words and words_of(item.question or "") == words] or list(annotations)
    return tuple(dict.fromkeys(text for item in chosen for text in item.rationales))


def _texts(row: TableRow) -> list[str]:
    if "references" in row.values:
        given = row.values["references"]
    else:
        given = [row.values["reference"]] if "reference" in row.values else None
    if not isinstance(given, list) or not given or not all(isinstance(text, str) for text in given):
        raise SettingsError(f"{row.place}: reference (a text) or references (a list of texts) is expected")
    return given


def read_references(path: str) -> References:
    """The references in a file; raises `SettingsError` for one that cannot be read or says not whose they are."""
    references = References()
    for row in read_rows(path):
        references.add(row)
    return references


class OverlapCritic(Critic[OverlapSettings]):
    """The critic `overlap`: likeness to references."""

    def __init__(self, settings: OverlapSettings, context: CriticContext) -> None:
        super().__init__(settings, context)
        self._references: References | None = None

    @property
    def version(self) -> str:
        path = self.settings.references
        settings = {**self.settings.scoring_identity(), "references": None if path is None else content_hash(path)}
        return fingerprint({"code": CODE_VERSION, "settings": settings})[:12]

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - of a critic
        path = self.settings.references
        self._references = None if path is None else read_references(path)
        yield self
        self._references = None

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score]:
        return [self._score(row, evidence) for row in rows]

    def _references_of(self, row: Candidate, question: str, evidence: Evidence) -> Sequence[str]:
        if self.settings.references is None:
            known = evidence.get(row.image_id)
            named = getattr(row, "annotation_id", None)  # candidates of some recipes alone have one
            return () if known is None else references_beside(known.annotations, named, question)
        assert self._references is not None, "a critic is opened before it is asked"
        return self._references.of(row, question)

    def _score(self, row: Candidate, evidence: Evidence) -> Score:
        texts = {shown.name: shown.text for shown in self.context.kind.shown(row)}
        text = texts[self.settings.compare]
        references = self._references_of(row, texts.get("question", ""), evidence)
        if not references:
            return Score(0.0, NO_REFERENCE)
        if len(text.strip()) < MIN_CHARACTERS:
            return Score(0.0, TOO_SHORT)
        weight = self.settings.recall_weight
        best, nearest = max((rouge_l(text, reference, recall_weight=weight), reference) for reference in references)
        return Score(best, UNLIKE, f"nearest: {nearest}")
