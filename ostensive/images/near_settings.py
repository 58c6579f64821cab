"""What a recipe may say about images that count as near duplicates: for splits, and against benchmarks."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ostensive.images.near_pairs import MAX_DISTANCE
from ostensive.models.files import PACKAGED
from ostensive.models.needs import ModelNeed
from ostensive.settings import Operational, Settings
from ostensive.user_paths import PathMark

_FOLDER = "local-dir:"
_SCHEMES = ("hf-hub:", _FOLDER, PACKAGED)  # of model names that name their weights themselves


class OnlyEqualSettings(Settings):
    """Only images of the same bytes are one."""

    kind: Literal["none"] = "none"


class PerceptualSettings(Settings):
    """Images whose perceptual hashes are near: other sizes, formats, brightness, borders, the middle cut out."""

    kind: Literal["perceptual"] = "perceptual"
    max_distance: int = Field(default=7, ge=0, le=MAX_DISTANCE)
    """Most bits of 64 in which hashes of near duplicates differ. Measured, see docs/splits.md."""
    max_group: int = Field(default=1_000, ge=2)
    """A group of more images is taken apart, its farthest pairs first: pictures with little in them make chains."""


class EmbeddingSettings(Settings):
    """Images that are near by perceptual hash or by the features of a contrastive image-text model."""

    kind: Literal["embedding"] = "embedding"
    max_distance: int = Field(default=7, ge=0, le=MAX_DISTANCE)
    """As of `perceptual`."""
    max_group: int = Field(default=1_000, ge=2)
    """As of `perceptual`; pairs that only the model sees are left out first."""
    model: Annotated[str, PathMark(prefix=_FOLDER)] = "ViT-B-32"
    """A model as open_clip names it, `hf-hub:NAME` or `local-dir:FOLDER`."""
    pretrained: Annotated[str, PathMark(or_name="file")] | None = None
    """The weights of a model that open_clip names: one of its tags, or a file; None takes `openai`."""
    min_cosine: float = Field(default=0.95, gt=0, le=1)
    """Least cosine of the features of near duplicates. Each model has a scale of its own: look at pairs first."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the model."""
    device: Operational[Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]] = "auto"
    """auto, cpu, mps, cuda or cuda:1; auto takes the first there is of cuda, mps, cpu."""
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 32
    """Images encoded at a time; halved when the device runs out of memory."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pretrained is not None and self.model.startswith(_SCHEMES):
            raise ValueError("pretrained goes with a model that open_clip names, not with hf-hub: or local-dir:")
        return self

    @property
    def weights(self) -> str | None:
        """The tag or file that is loaded; None where the model's name says it all."""
        return None if self.model.startswith(_SCHEMES) else self.pretrained or "openai"

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model."""
        device = None if self.device == "auto" else self.device
        return (
            ModelNeed(role="near duplicates", kind="open_clip", name=self.model, weights=self.weights, device=device),
        )


def _with_kind(value: object) -> object:
    """What a recipe says, with the default kind where it says none: one setting may be given alone."""
    return {"kind": "perceptual", **value} if isinstance(value, Mapping) else value


NearSettings = Annotated[
    OnlyEqualSettings | PerceptualSettings | EmbeddingSettings,
    Field(discriminator="kind"),
    BeforeValidator(_with_kind),
]
"""Which images are near duplicates, by `kind`; `perceptual` where none is said."""
