"""How a student is trained: base model, objective, LoRA, steps. The defaults are those that the papers share."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ostensive.settings import Operational, Settings
from ostensive.user_paths import PathMark
from students.data.settings import DEFAULT as DEFAULT_AUGMENTATION
from students.data.settings import AugmentationSettings

Objective = Literal["sft", "dpo"]
"""Supervised on what the assistant says, or direct preference optimisation on pairs."""


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
    """null trains all weights of the language model."""
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
    def _augmentation_is_of_use(self) -> Self:
        if self.regions != "augmented" and self.augmentation != DEFAULT_AUGMENTATION:
            raise ValueError("augmentation: is of no use without regions=augmented; set that too")
        return self
