"""Which image-text model generates, and how it is run.

Sections of a recipe that use one derive from `GeneratorSettings`, so that a user writes `narratives.model` as for any
other kind.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ostensive.chat.settings import ChatModelSettings
from ostensive.models.needs import ModelNeed
from ostensive.settings import Operational
from ostensive.user_paths import ModelName, without_folder


class GeneratorSettings(ChatModelSettings):
    """An image-text-to-text model of `transformers`. Sections with equal settings share one loaded model."""

    role: ClassVar[str] = "image-text model"  # as `ostensive doctor` names it

    model: ModelName = Field(min_length=1)
    """A name on the Hugging Face Hub or a folder: LLaVA, SmolVLM, Qwen-VL, BLIP-2, InstructBLIP, Florence-2, ..."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None takes the main branch. A commit keeps a run repeatable."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Precision; auto takes that of the weights, and float32 on a CPU."""
    device: Operational[Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]] = "auto"
    """auto, cpu, mps, cuda or cuda:1; auto takes the first there is of cuda, mps, cpu."""
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 16
    """Most texts generated at a time; halved, and said so, when memory runs out."""

    @property
    def model_name(self) -> str:
        return without_folder(self.model)

    @property
    def generator(self) -> "GeneratorSettings":
        """These settings without the further ones of a section: equal ones share a model."""
        return GeneratorSettings(
            model=self.model,
            revision=self.revision,
            dtype=self.dtype,
            device=self.device,
            batch_size=self.batch_size,
        )

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model."""
        device = None if self.device == "auto" else self.device
        return (ModelNeed(role=self.role, kind="hub", name=self.model, revision=self.revision, device=device),)
