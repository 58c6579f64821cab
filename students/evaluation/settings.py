"""How a student is evaluated."""

from typing import Annotated, Literal

from pydantic import Field

from ostensive.settings import Operational, Settings
from ostensive.user_paths import ModelName, UserPath
from students.evaluation.models import Scoring
from students.evaluation.reading import ReadOptions, Regions
from students.evaluation.scoring import Per


class EvaluationSettings(Settings):
    """An evaluation of one model on one benchmark."""

    scoring: Scoring | None = None
    """None takes the model's own way: see `students.evaluation.models`."""
    per: Per = "token"
    """A likelihood is the mean over a choice's tokens, or their sum."""
    question: Literal["auto", "keep", "drop"] = "auto"
    """Whether the question stands before a choice that is compared with a picture; auto drops it for CLIP (LSKD)."""
    regions: Regions = "mentioned"
    """Which boxes are drawn, where a benchmark points at boxes."""
    split: str | None = None
    """Of a file that holds several; None takes the usual one."""
    describe: bool = False
    """Describe and respond: the model describes the picture first and answers under its description (STIC)."""
    max_tokens: int = Field(default=256, ge=1)
    """Longest reply, in tokens."""
    meteor: bool = True
    """Whether replies are scored by METEOR too, where Java is; it takes the longest."""
    objects: UserPath | None = None
    """A vocabulary of things, for CHAIR."""
    fluency_model: ModelName | None = None
    """The language model whose perplexity of a reply is its fluency."""
    limit: int | None = Field(default=None, ge=1)
    """Takes only the first so many items."""
    seed: int = Field(default=0, ge=0)
    """By which candidates are drawn and choices put in order, where a benchmark leaves that open."""
    revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    device: Operational[Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]] = "auto"
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 16
    """Texts at a time; halved when memory runs out."""

    @property
    def reading(self) -> ReadOptions:
        """What of this is about the benchmark's files."""
        return ReadOptions(self.regions, self.split, self.seed)

    @property
    def has_lead(self) -> bool | None:
        """See `students.evaluation.scoring.open_scorer`."""
        return None if self.question == "auto" else self.question == "keep"
