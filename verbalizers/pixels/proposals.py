"""Region proposals from pixels: segments that stand out, and faces.

Faces are looked for with the local-binary-pattern cascade that ships with scikit-image, upright and frontal, from 24
pixels of the working image up (15 percent of the side of a square image at the default 160). The cascade alone
is mistaken now and then; a find counts only if it is found again in the mirror image, which costs nothing where there
is none. Figures are in `find_faces`.
"""

from typing import Any, Literal, Self  # Any: scikit-image is untyped

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ostensive.records import AREA_LABEL, Box
from ostensive.settings import Settings
from verbalizers.choice import ChoiceSettings, Proposal
from verbalizers.pixels.raster import Raster
from verbalizers.pixels.segments import Segment, find_segments

_MIN_FACE_PX = 24  # the cascade's own window
_SCALE_STEP, _STRIDE, _MIN_NEIGHBOURS = 1.2, 1.25, 4
_MIRROR_OVERLAP = 0.4
_FULL_CONTRAST, _FULL_PERSISTENCE = 40.0, 4.0  # from which more counts no more
_SIDE_FACTOR = 0.75


class PixelRegionSettings(Settings):
    """Regions by segmentation and by the face cascade of scikit-image."""

    kind: Literal["pixels"] = "pixels"
    segments: int = Field(default=150, ge=4, le=2000)
    """Superpixels that merging starts from."""
    min_area: float = Field(default=0.006, ge=0, le=1)
    """Smallest box, as a share of the image."""
    max_area: float = Field(default=0.85, gt=0, le=1)
    """Largest box, as a share of the image; more is background."""
    min_fill: float = Field(default=0.45, ge=0, le=1)
    """Least share of its box that a segment fills; less and the box shows something else."""
    min_contrast: float = Field(default=6.0, ge=0)
    """Least difference in CIELAB between a segment and its neighbours; about 2 can be seen at all."""
    faces: bool = True
    """Look for faces."""
    choice: ChoiceSettings = ChoiceSettings()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError("min_area is at most max_area")
        return self


def load_cascade() -> Any:
    """The face cascade; safe to use from several threads, for it is only read."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    path: str = lbp_frontal_face_cascade_filename()  # type: ignore[no-untyped-call]  # scikit-image is untyped
    return Cascade(path)


def find_faces(cascade: Any, grey: NDArray[np.uint8]) -> list[Box]:
    """Boxes of what looks like an upright face seen from the front, in `(height, width)` grey levels.

    At the default settings: none in 24 photographs without one that ship with scikit-image and scikit-learn and in 15
    random crops of each (the cascade alone: one of 384 views); 39 of 52 crops of the astronaut; 76 of 100 small
    portraits of `skimage.data.lfw_subset` on a plain ground, and none of its 100 other patches.
    """
    height, width = grey.shape
    if min(height, width) < _MIN_FACE_PX:
        return []
    found = _detect(cascade, grey)
    if not found:
        return []
    mirrored = [Box(1 - box.x2, box.y1, 1 - box.x1, box.y2) for box in _detect(cascade, grey[:, ::-1])]
    return [box for box in found if any(box.overlap(other) >= _MIRROR_OVERLAP for other in mirrored)]


def _detect(cascade: Any, grey: NDArray[np.uint8]) -> list[Box]:
    height, width = grey.shape
    longest = min(height, width)
    found = cascade.detect_multi_scale(
        img=np.ascontiguousarray(grey),
        scale_factor=_SCALE_STEP,
        step_ratio=_STRIDE,
        min_size=(_MIN_FACE_PX, _MIN_FACE_PX),
        max_size=(longest, longest),
        min_neighbor_number=_MIN_NEIGHBOURS,
    )
    boxes = []
    for item in found:
        left, top = max(int(item["c"]), 0), max(int(item["r"]), 0)
        right, bottom = min(left + int(item["width"]), width), min(top + int(item["height"]), height)
        if left < right and top < bottom:
            boxes.append(Box(left / width, top / height, right / width, bottom / height))
    return boxes


def propose(raster: Raster, cascade: Any | None, settings: PixelRegionSettings) -> list[Proposal]:
    """Faces (where a cascade is given) and segments that stand out."""
    proposals = []
    if cascade is not None:
        grey = np.round(raster.rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
        proposals += [Proposal(box, "face", None, "face", 1.0) for box in find_faces(cascade, grey)]
    segments = find_segments(raster, settings.segments)
    return proposals + [
        Proposal(segment.box, AREA_LABEL, None, segment.colour, prominence(segment))
        for segment in segments
        if settings.min_area <= segment.box.area <= settings.max_area
        and segment.fill >= settings.min_fill
        and segment.contrast >= settings.min_contrast
    ]


def prominence(segment: Segment) -> float:
    """How much a segment stands out, 0-1: contrast with its neighbours, persistence in merging and fill of its box.

    Less for each side of the view that it reaches, because what runs out of the view is often background.
    """
    contrast = min(segment.contrast / _FULL_CONTRAST, 1.0)
    persistence = min(segment.persistence / _FULL_PERSISTENCE, 1.0)
    box = segment.box
    sides_reached = (box.x1 <= 0) + (box.y1 <= 0) + (box.x2 >= 1) + (box.y2 >= 1)
    return float(contrast * persistence * segment.fill * _SIDE_FACTOR**sides_reached)
