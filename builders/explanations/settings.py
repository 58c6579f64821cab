"""The `explanations` section of a recipe: descriptions, concepts, questions and answers."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

from pydantic import Field

from builders.embeddings import PACKAGED_MODEL, PACKAGED_MODULE, SentenceEmbedder
from ostensive.models.needs import ModelNeed
from ostensive.settings import Operational, Settings
from ostensive.user_paths import PathMark, UserPath


def prompt_sets() -> Traversable:
    """The folder of the prompt sets that ship with the recipe."""
    return files("builders.explanations") / "templates"


class EmbeddingSettings(Settings):
    """The sentence embeddings by which descriptions and concepts are compared."""

    model: Annotated[str, PathMark(or_name="folder", names=(PACKAGED_MODEL,))] = PACKAGED_MODEL
    """`packaged` (all-MiniLM-L6-v2, offline), or a folder or name of a sentence-transformers model; SelfSynthX:
    intfloat/e5-large-v2."""
    revision: str | None = None
    """Commit, branch or tag of a model on the Hub; None takes its main branch."""
    prefix: str = ""
    """Put before every text, as models of the E5 family want it (`query: `); the published code puts nothing."""
    batch_size: Operational[Annotated[int, Field(ge=1)]] = 64
    """Texts embedded at a time."""
    device: Operational[str | None] = None
    """Where to compute embeddings: cpu, cuda, cuda:1, mps; None takes a GPU where there is one."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The embedding model."""
        if self.model == PACKAGED_MODEL:
            return (ModelNeed(role="concepts", kind="packaged", name=PACKAGED_MODULE, device=self.device),)
        return (ModelNeed(role="concepts", kind="hub", name=self.model, revision=self.revision, device=self.device),)

    def embedder(self) -> SentenceEmbedder:
        """The embedding model, not loaded yet."""
        return SentenceEmbedder(self.model, revision=self.revision, batch_size=self.batch_size, device=self.device)


class CandidateSettings(Settings):
    """How several answers to a question are drawn, of which the best is kept: from the second round on."""

    samples: int = Field(default=3, ge=1, le=100)
    """Answers to each question; SelfSynthX: 3."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """SelfSynthX: 0.7. At 0 all answers to a question are alike."""
    top_p: float = Field(default=0.6, gt=0, le=1)
    """SelfSynthX: 0.6."""
    max_tokens: int = Field(default=196, ge=1)
    """Longest answer; SelfSynthX: 196. A teacher that reasons first needs more."""


class ExplanationsSettings(Settings):
    """How images are described, concepts chosen, questions drawn and answers asked for. SelfSynthX, round 1."""

    concepts: UserPath | None = None
    """A JSON file with the concepts of each label. Without one nothing is built; `ostensive concepts` asks for one."""
    prompt_set: Annotated[str, PathMark(or_name="folder", names=("explanations",))] = "explanations"
    """A built-in prompt set, or a folder of your own templates; start from a copy of the built-in one."""
    draws: int = Field(default=10, ge=1, le=100)
    """Descriptions asked for with each `describe_*` template; SelfSynthX: 10 with each of 3."""
    describe_temperature: float = Field(default=1.0, ge=0, le=2)
    """Of descriptions; SelfSynthX: 1.0. At 0 all draws are alike."""
    describe_max_tokens: int = Field(default=256, ge=1)
    """Longest description; SelfSynthX: 256. A teacher that reasons first needs more."""
    embedding: EmbeddingSettings = EmbeddingSettings()
    score_temperature: float = Field(default=0.1, ge=0.001, le=100)
    """By which cosines are divided; SelfSynthX: 0.1, with the remark that it should be 0.01."""
    exclude_same_class: bool = False
    """Take only descriptions of images with other labels as negatives; SelfSynthX takes those of all other images."""
    threshold_std: float = Field(default=0.4, ge=0, le=10)
    """A concept is kept when its score is so many standard deviations above the mean of its label; SelfSynthX: 0.4."""
    min_concepts: int = Field(default=3, ge=1, le=100)
    """At least so many concepts are kept, where the label has as many; SelfSynthX: 3."""
    queries: int = Field(default=4, ge=1, le=25)
    """Questions an image; SelfSynthX: 8."""
    simple_share: float = Field(default=0.4, ge=0, le=1)
    """The share of questions for the name alone. The rest are for an explanation or step by step, half each. SelfSynthX
    draws twice where once was meant: 40 % simple, 19.2 % explain, 40.8 % step by step."""
    answer_temperature: float = Field(default=0.3, ge=0, le=2)
    """Of answers; SelfSynthX: 0.3."""
    answer_max_tokens: int = Field(default=128, ge=1)
    """Longest answer; SelfSynthX: 128. A teacher that reasons first needs more."""
    candidates: CandidateSettings = CandidateSettings()
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other names by which an answer may name a label: {label: [name, ...]}."""
    fallback: bool = True
    """Where an answer does not name the label, take a plain question with the label as its answer, as SelfSynthX says;
    false drops the pair."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The list of concepts."""
        hint = "explanations.concepts is not set; `ostensive concepts` asks a teacher for a list"
        return (ModelNeed(role="list of concepts", kind="file", name=self.concepts or "", hint=hint),)
