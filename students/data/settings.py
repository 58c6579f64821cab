"""How a row is changed each time that it is seen. The defaults are those of LSKD's published code where it has them."""

from typing import Annotated, Final

from pydantic import Field

from ostensive.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class AugmentationSettings(Settings):
    """What is drawn by lot for a row: the cut-out, a flip, which regions are shown, and their numbers."""

    renumber: bool = True
    """Numbers of regions are given anew, in picture and text alike, so that a student does not learn that low ones are
    large (LSKD, section 4: random assignment of ids)."""
    mentioned_only: Share = 0.5
    """How often nothing but what the row mentions is shown; otherwise some of the other regions are too."""
    min_crop_area: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The least share of the picture that is cut out; 1 cuts nothing. What a text says without a number, such as how
    many there are, may be cut away."""
    max_stretch: Annotated[float, Field(ge=1, le=4)] = 4 / 3
    """How much wider or higher than the picture a cut-out may be in proportion; the usual value of random resized
    crops (Szegedy et al. 2015, section 6: aspect ratios of 3/4 to 4/3)."""
    flip: Share = 0.5
    """How often a picture is mirrored, of rows whose texts say nothing of sides, directions or writing."""
    max_side: Annotated[int, Field(ge=16)] | None = None
    """The longer side in pixels that a larger cut-out is made smaller to; null leaves that to the model's processor.
    Reading is several times as fast where it is well below the size of the pictures."""


DEFAULT: Final = AugmentationSettings()
PLAIN: Final = AugmentationSettings(renumber=False, mentioned_only=1.0, min_crop_area=1.0, max_stretch=1.0, flip=0.0)
"""Nothing by lot: the whole picture with the regions that a row mentions, under their own numbers."""
