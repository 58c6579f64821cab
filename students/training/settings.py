"""How a student is trained: base model, objective, LoRA, steps. The defaults are those that the papers share."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ostensive.settings import Operational, Settings
from ostensive.user_paths import PathMark, UserPath
from students.data.settings import DEFAULT as DEFAULT_AUGMENTATION
from students.data.settings import AugmentationSettings

Objective = Literal["sft", "dpo"]
"""Supervised on what the assistant says, or direct preference optimisation on pairs."""


TrainedPart = Literal["language", "projector", "qformer", "vision"]
"""A part of a model that may be trained whole; `projector` is what brings pictures into the language model."""


class LoraSettings(Settings):
    """Low-rank adapters on the linear layers of the language model (Hu et al. 2022, "LoRA")."""

    rank: int = Field(default=128, ge=1)
    """STIC and SelfSynthX: 128."""
    alpha: int = Field(default=256, ge=1)
    """What an adapter adds is multiplied by alpha / rank; STIC and SelfSynthX: 256."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """STIC and SelfSynthX: 0.05."""
    also_train: tuple[str, ...] = ()
    """Modules that are trained whole beside the adapters, by the end of their names; SelfSynthX: the projector
    (`multi_modal_projector` of LLaVA)."""


class ReplaySettings(Settings):
    """General data that is trained on beside the corpus, so that a student keeps what it could do."""

    data: UserPath
    """A JSON, JSON Lines or Parquet file, or a folder of Parquet files, with rows of `messages`, of `prompt` and
    `completion` (TRL) or of `conversations` (LLaVA); or the folder of another run."""
    images: UserPath | None = None
    """The folder from which files of pictures are meant; null takes the folder of `data`."""
    ratio: float = Field(default=1.0, gt=0)
    """Replayed rows for each row of the corpus that is trained on; SelfSynthX: 1."""


class RationaleLossSettings(Settings):
    """ILLUME's loss, equation 1: that of answers, and `weight` times that of rationales, a mean each in every step."""

    weight: float | None = Field(default=None, gt=0)
    """b of the paper; null takes its own: questions without a rationale for each one with."""
    replay: float = Field(default=10.0, ge=0)
    """Questions without a rationale that are drawn for each rationale; ILLUME: about 10."""
    items: UserPath | None = None
    """Where those questions are from: a file or folder as of `replay.data`; null takes the run's own annotations."""
    images: UserPath | None = None
    """The folder from which the pictures that `items` names are meant; null takes the folder of `items`."""
    rationales_a_step: int | None = Field(default=None, ge=1)
    """How many of the rows of a step are rationales; null takes their share of all rows, at least 1."""


class StudentSettings(Settings):
    """A training of one student."""

    base: Annotated[str, PathMark(or_name="folder")]
    """A folder or name of an image-text-to-text model of transformers; a student of an earlier round is one."""
    revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    objective: Objective = "sft"
    """`dpo` where the corpus has pairs."""
    regions: Literal["mentioned", "all", "none", "augmented"] | None = None
    """Which regions are drawn on a picture: those that its row mentions (null, where there are any), all, none; or
    `augmented`: others with the mentioned ones, under other numbers and on another cut-out each time."""
    augmentation: AugmentationSettings = DEFAULT_AUGMENTATION
    """Of `regions=augmented`."""
    lora: LoraSettings | None = LoraSettings()
    """null trains weights themselves: those that `train` names, or the language model."""
    train: tuple[TrainedPart, ...] = ()
    """Parts that are trained whole: `language`, `projector`, `qformer`, `vision`; with `lora` beside its adapters."""
    replay: ReplaySettings | None = None
    """Of `sft`: general data between the rows of the corpus."""
    rationale_loss: RationaleLossSettings | None = None
    """Of `sft` on rows with a rationale: ILLUME's loss. null counts every token alike."""
    epochs: float = Field(default=1.0, gt=0)
    """How often each row is seen; STIC: 1, SelfSynthX: 2 a round."""
    max_steps: int | None = Field(default=None, ge=1)
    """Ends the training after so many steps, whatever `epochs` says."""
    batch_size: int = Field(default=8, ge=1)
    """Rows at a time."""
    accumulate: int = Field(default=1, ge=1)
    """Batches a step: `batch_size` times this is what a step learns from; STIC: 8 in stage 1, 32 in stage 2."""
    learning_rate: float | None = Field(default=None, gt=0)
    """The highest; null takes 1e-5 for `sft` (SelfSynthX) and 1e-7 for `dpo` (STIC, stage 1)."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """The share of steps in which the rate rises, before it falls by a cosine; STIC: 0.03, SelfSynthX: 0.05."""
    beta: float = Field(default=0.1, gt=0)
    """Of `dpo`: how strongly log-ratios are scaled; the published code of STIC: 0.1."""
    alpha: float = Field(default=1 / 1024, ge=0)
    """Of `dpo`: weight of the log-probability of the chosen text, summed over its tokens; the published code of STIC:
    1/1024. 0 is plain DPO."""
    chosen_loss: Literal["sum", "mean"] = "sum"
    """Of `dpo`: `alpha` weighs a sum over the tokens of a chosen text (STIC), or TRL's mean over those of a batch."""
    seed: int = 0
    """By which rows are shuffled and adapters begun."""
    save_every: Operational[Annotated[int, Field(ge=1)]] = 100
    """Steps between checkpoints; a training that was killed goes on from the last one."""
    device: Operational[str] = "auto"
    """cpu, cuda, mps; auto takes a GPU where there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights; bfloat16 takes half the memory and needs a GPU that has it."""
    gradient_checkpointing: Operational[bool] = False
    """Takes less memory and more time; changes no weight."""

    @model_validator(mode="before")
    @classmethod
    def _rate_of_the_objective(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("learning_rate") is None:
            return {**values, "learning_rate": 1e-7 if values.get("objective") == "dpo" else 1e-5}
        return values

    @model_validator(mode="after")
    def _fits_the_objective(self) -> Self:
        if self.objective == "dpo":
            for name in ("replay", "rationale_loss"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} goes with objective=sft; pairs have no such rows")
        if self.lora is not None and "language" in self.train:
            raise ValueError("train: language and lora exclude each other; set lora=null to train the model itself")
        loss = self.rationale_loss
        if loss is not None and loss.images is not None and loss.items is None:
            raise ValueError("rationale_loss.images goes with rationale_loss.items; the run knows where its own are")
        if self.regions != "augmented" and self.augmentation != DEFAULT_AUGMENTATION:
            raise ValueError("augmentation: is of no use without regions=augmented; set that too")
        return self
