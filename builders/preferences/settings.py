"""The `preferences` section of a recipe: how many pairs, and how the rejected side is spoilt."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ostensive.settings import Settings
from ostensive.user_paths import PathMark

Corruption = Literal["resize", "colour", "blur", "crop", "noise", "swap"]


def prompt_sets() -> Traversable:
    """The folder of the prompt sets that ship with the recipe."""
    return files("builders.preferences") / "templates"


class ResizeSettings(Settings):
    """A picture of few pixels, enlarged again."""

    shorter_side_px: int = Field(default=20, ge=1, le=512)
    """Shorter side to which the picture is reduced, in pixels; STIC: 20. One that is not twice as large is halved."""


class ColourSettings(Settings):
    """Other light and other hues, as torchvision's `ColorJitter` draws them."""

    brightness: float = Field(default=0.5, ge=0, le=1)
    """The light is multiplied by a number drawn from 1 minus this to 1 plus this; STIC: 0.5."""
    hue: float = Field(default=0.3, ge=0, le=0.5)
    """Hues are turned by a share of the circle drawn from minus this to plus this; STIC: 0.3."""


class BlurSettings(Settings):
    """A picture out of focus."""

    radius_share: float = Field(default=0.04, gt=0, le=0.5)
    """Standard deviation of the Gaussian, as a share of the picture's shorter side. Not in STIC."""


class CropSettings(Settings):
    """A part of the picture, enlarged to the size of the whole."""

    side_share: float = Field(default=0.4, gt=0, lt=1)
    """Share of each side that is left; where it lies is drawn. Not in STIC."""


class NoiseSettings(Settings):
    """A picture under noise."""

    deviation: float = Field(default=0.3, gt=0, le=2)
    """Standard deviation of the Gaussian noise on each channel, whose range is 0-1. Not in STIC."""


class PreferencesSettings(Settings):
    """How pairs are made of each image. STIC, section 4, stage 1, algorithm 1."""

    pairs: int = Field(default=1, ge=1, le=8)
    """Pairs for each image, two requests each; STIC: 1."""
    corruption_share: float = Field(default=0.5, ge=0, le=1)
    """Share of pairs whose rejected side is written about a corrupted picture; the others are asked to make things up.
    STIC: 0.5."""
    corruptions: tuple[Corruption, ...] = Field(default=("resize", "colour"), min_length=1)
    """Corruptions, one of which is drawn for a pair, each as often: `resize` and `colour` are STIC's; also `blur`,
    `crop`, `noise`, and `swap` (the picture of another image)."""
    resize: ResizeSettings = ResizeSettings()
    colour: ColourSettings = ColourSettings()
    blur: BlurSettings = BlurSettings()
    crop: CropSettings = CropSettings()
    noise: NoiseSettings = NoiseSettings()
    min_change: float = Field(default=0.005, ge=0, le=1)
    """Least mean difference between the clean and the corrupted picture (0-1, over pixels and channels): what says
    hardly less of the picture makes no worse description. Such a pair is dropped before anything is asked. STIC: 0."""
    prompt_set: Annotated[str, PathMark(or_name="folder", names=("preferences",))] = "preferences"
    """A built-in prompt set, or a folder of your own templates; start from a copy of the built-in one."""

    @field_validator("corruptions")
    @classmethod
    def _distinct(cls, value: tuple[Corruption, ...]) -> tuple[Corruption, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each corruption at most once is expected")
        return value
