"""What moves between the stages of the recipe `explanations`, and what it proposes."""

from dataclasses import dataclass
from typing import Literal

Way = Literal["explained", "label only"]
QueryKind = Literal["explain", "step", "simple"]


@dataclass(frozen=True, slots=True)
class Described:
    """What the teacher says of an image without knowing its label, several times over."""

    image_id: str
    label: str
    descriptions: tuple[str, ...]

    @property
    def record_id(self) -> str:
        return self.image_id


@dataclass(frozen=True, slots=True)
class Compared:
    """How the descriptions of an image fit its own label's concepts, and, in sum, the concepts of all labels."""

    image_id: str
    label: str
    concepts: tuple[str, ...]  # of the label, in the order of the list
    cosines: tuple[float, ...]  # of each description with each of `concepts`, description by description
    # For each concept of every label, in the order of the list: the logarithm of the sum of exp(cosine / temperature)
    # over the descriptions.
    log_masses: tuple[float, ...]

    @property
    def record_id(self) -> str:
        return self.image_id

    def __str__(self) -> str:
        descriptions = len(self.cosines) // len(self.concepts)
        return f"{self.label}: {descriptions} descriptions beside {len(self.log_masses)} concepts"


@dataclass(frozen=True, slots=True)
class Selected:
    """The concepts of its label that an image shows."""

    image_id: str
    label: str
    concepts: tuple[str, ...]  # best first
    log_scores: tuple[float, ...]  # of `concepts`: 0 at most, and the nearer to it the better

    @property
    def record_id(self) -> str:
        return self.image_id


@dataclass(frozen=True, slots=True)
class Explanation:
    """A candidate of the recipe `explanations`: a question about a labelled image, and an answer that names the label.

    `way` is "explained" where the teacher wrote the answer from `concepts`; where that did not name the label it is
    "label only", and question and answer are the plain ones.
    """

    row_id: str  # from the image, the request that wrote it and its place among the image's questions
    image_id: str
    label: str
    query: str
    answer: str
    concepts: tuple[str, ...]  # that the teacher was given
    way: str
    query_kind: str  # "explain", "step" or "simple"
    teacher: str  # the model's name as the reply gave it
    prompt_hash: str  # of the prompt templates, see `ostensive.prompts`
    request_key: str  # of the journal's entry that holds the request and the reply
    round: int = 0  # which round made it
    # Of `answer`, with `concepts`, by `measures`; what an unanswerable item should not do is None.
    explains: bool | None = None
    concept_share: float | None = None  # 0-1
    distinct_trigrams: float = 1.0  # 0-1
    unanswerable: str = ""  # "picture" or "region" where it was put where it does not hold; else empty

    @property
    def record_id(self) -> str:
        return self.row_id
