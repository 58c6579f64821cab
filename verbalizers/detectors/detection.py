"""Regions by an object detector of any library: its detections made proposals, and regions chosen among them.

A detector says where something is in the pixels of the picture that it was given, and this module does all that is the
same for every library: sizes that no detector was made for, batches, boxes clipped to the image, labels as people write
them, counts of what is left out: three libraries with all of it each would make three slightly different sets of
mistakes.
"""

import logging
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import (  # Any: each library takes batches of a type of its own
    Annotated,
    Any,
    Literal,
    Protocol,
    Self,
    TypeVar,
)

import PIL.Image
from pydantic import Field, model_validator

from ostensive.errors import OstensiveError
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.records import Box
from ostensive.run.services import Services
from ostensive.settings import Operational, Settings
from verbalizers.base import DecodedImage, ImageFailure, Verbalizer, Workers, describe_error
from verbalizers.choice import ChoiceSettings, Chooser, Proposal

DETECTION_VERSION = "detection-2"

# Some detectors scale the shorter side to 800 pixels: a strip of 20,000 x 10 would take gigabytes, and where the longer
# side is bounded as well its shorter one would vanish. Beyond this aspect a picture is squeezed along its longer side,
# as detectors with a square input do with every picture; boxes are shares of the sides, and stay right.
MAX_ASPECT = 8
# No detector looks at more than about 1,333 pixels a side; larger pictures cost memory as soon as they are floats.
MAX_SIDE_PX = 2048
# Of corners and probabilities. The size of a batch moves them by about 1e-7, which nobody should find in a row; a
# detector does not know them any better than this.
_DECIMALS = 4

_NO_LABELS = frozenset({"", "n/a", "background", "no object", "no-object", "none"})
_SENSE = re.compile(r"\([^()]*\)")

Precision = Literal["float32", "bfloat16", "float16"]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_log = logging.getLogger(__name__)


class DetectorSettings(Settings):
    """What all kinds of detectors have alike."""

    model: str = Field(min_length=1)
    """Which detector."""
    min_probability: float = Field(default=0.3, ge=0, le=1)
    """Detections that their detector holds less likely are left out."""
    max_candidates: int = Field(default=300, ge=1, le=10_000)
    """Most detections of an image that regions are chosen from, likeliest first. LSKD, section 2.1: 300."""
    min_area: float = Field(default=0.001, ge=0, le=1)
    """Smallest box, as a share of the image; 0.001 is a square of 3 percent of the sides."""
    max_area: float = Field(default=1.0, gt=0, le=1)
    """Largest box, as a share of the image; 1 leaves none out."""
    device: Operational[Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]] = "auto"
    """auto, cpu, mps, cuda or cuda:1; auto takes the first there is of cuda, mps, cpu."""
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 8
    """Images looked at together; halved, and said so, when memory runs out."""
    choice: ChoiceSettings = ChoiceSettings()
    """Which of the candidates become regions."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError("min_area is at most max_area")
        return self

    @property
    def set_device(self) -> str | None:
        """The device as set; None where the best there is will be taken."""
        return None if self.device == "auto" else self.device


class DetectionError(OstensiveError):
    """A detector could not do its work on a picture."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector found."""

    corners_px: tuple[float, float, float, float]  # left, top, right, bottom in pixels of the picture; may leave it
    label: str
    probability: float  # 0-1


class Detector(Protocol):
    """A detector of some library."""

    @property
    def version(self) -> str:
        """What detections depend on beside settings; known before it is opened."""
        ...

    def opened(self) -> AbstractContextManager["Detector"]:
        """The detector with its model, for as long as the context lasts; raises `SettingsError` when there is none."""
        ...

    def prepare(self, pictures: Sequence[PIL.Image.Image], workers: Workers) -> Any:
        """A batch as the model takes it, still on the CPU; runs in a thread beside `detect`."""
        ...

    def detect(self, ready: Any) -> list[list[Detection]]:
        """One list a picture, in order, best first. Raises where scores are not numbers, and on full memory."""
        ...


@dataclass(frozen=True, slots=True)
class Sifted:
    """The proposals that detections make, and how many make none, by reason."""

    proposals: tuple[Proposal, ...]
    left_out: Counter[str]


def proposals(found: Sequence[Detection], width: int, height: int, settings: DetectorSettings) -> list[Proposal]:
    """The detections that may become regions, likeliest first; `width` and `height` of the picture in pixels."""
    return list(sift(found, width, height, settings).proposals)


def sift(found: Iterable[Detection], width: int, height: int, settings: DetectorSettings) -> Sifted:
    """The proposals that `found` on a picture of `width` x `height` pixels make, likeliest first, in a fixed order."""
    left_out: Counter[str] = Counter()
    fit: list[Proposal] = []
    for detection in found:
        proposal = _proposal(detection, width, height, settings)
        if isinstance(proposal, str):
            left_out[proposal] += 1
        else:
            fit.append(proposal)
    fit.sort(key=_rank)
    if len(fit) > settings.max_candidates:
        left_out["beyond max_candidates"] += len(fit) - settings.max_candidates
    return Sifted(tuple(fit[: settings.max_candidates]), left_out)


def clean_label(label: str) -> str:
    """`label` as people write it, in lower case: `Baby_Buggy` is "baby buggy", `monkey_(animal)` is "monkey".

    Empty for what is no label: `N/A`, `background` and the like.
    """
    spaced = unicodedata.normalize("NFKC", label).replace("_", " ")
    plain = " ".join(_SENSE.sub(" ", spaced).split()).lower()
    return "" if plain in _NO_LABELS else plain


def manageable(picture: PIL.Image.Image) -> PIL.Image.Image:
    """`picture`, or a smaller copy where its aspect or its size is one that no detector is made for."""
    width, height = picture.size
    new_width, new_height = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    scale = min(1.0, MAX_SIDE_PX / max(new_width, new_height))
    size = max(1, round(new_width * scale)), max(1, round(new_height * scale))
    return picture if size == picture.size else picture.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=3.0)


def each_in_threads(workers: Workers, function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT]:
    """`function` of each item, in order, in the threads of the run; raises the first error of any."""

    def attempt(item: ItemT) -> ResultT | Exception:
        try:
            return function(item)
        except Exception as error:  # noqa: BLE001 - raised below: `Workers` would make text of it, full memory as well
            return error

    results: list[ResultT] = []
    for result in workers.map(attempt, items):
        assert not isinstance(result, ImageFailure), "errors are caught before the workers see them"
        if isinstance(result, Exception):
            raise result
        results.append(result)
    return results


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch and the sizes of its pictures as the detector sees them. Any: as `Detector.prepare` says."""

    sizes: tuple[tuple[int, int], ...]
    inputs: Any


class DetectedRegions(Verbalizer):
    """The regions of every kind of detector."""

    def __init__(self, detector: Detector, settings: DetectorSettings) -> None:
        """Raises `SettingsError` for a file of label frequencies that cannot be used."""
        self._detector, self._settings = detector, settings
        self.images_wanted = 2 * settings.batch_size  # two batches, so that one is prepared beside the other
        self._choose = Chooser(settings.choice)
        self._size = BatchSize(settings.batch_size, settings.model)
        self._tally: Counter[str] = Counter()

    @property
    def version(self) -> str:
        """Changes with the detector's own and with what is made of detections here."""
        return f"{DETECTION_VERSION}:{self._detector.version}+{self._choose.version}"

    @contextmanager
    def opened(self, services: Services, workers: Workers) -> Iterator[Self]:
        self._tally.clear()
        with super().opened(services, workers), self._detector.opened():
            yield self
        self._report()

    def regions(self, images: Sequence[DecodedImage]) -> Sequence[tuple[Proposal, ...] | ImageFailure]:
        """The chosen regions of each image, or why there are none."""
        # Pictures of one size meet, because some detectors can only look at such together.
        order = sorted(range(len(images)), key=lambda place: (images[place].pixels.size, place))
        steps: Steps[DecodedImage, _Ready, Sequence[tuple[Proposal, ...]]] = Steps(self._prepare, self._work)
        found = each_in_batches([images[place] for place in order], self._size, steps)
        by_place = dict(zip(order, found, strict=True))
        results = [by_place[place] for place in range(len(images))]
        return [ImageFailure(describe_error(result)) if isinstance(result, Exception) else result for result in results]

    def _prepare(self, images: Sequence[DecodedImage]) -> _Ready:
        pictures = each_in_threads(self.workers, lambda image: manageable(image.pixels), images)
        return _Ready(tuple(picture.size for picture in pictures), self._detector.prepare(pictures, self.workers))

    def _work(self, ready: _Ready) -> list[tuple[Proposal, ...]]:
        detected = self._detector.detect(ready.inputs)
        assert len(detected) == len(ready.sizes), "a detector answers once for each picture"
        if any(math.isnan(detection.probability) for found in detected for detection in found):
            raise DetectionError("the detector's scores are not numbers")
        chosen = []
        for found, (width, height) in zip(detected, ready.sizes, strict=True):
            sifted = sift(found, width, height, self._settings)
            self._tally.update({"images": 1, "detections": len(found)})
            self._tally.update(sifted.left_out)
            chosen.append(self._choose(sifted.proposals))
        return chosen

    def _report(self) -> None:
        """One line a run on what was left out: a detector that is misread shows here first."""
        tally = dict(self._tally)
        images, detections = tally.pop("images", 0), tally.pop("detections", 0)
        if images:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(tally.items()))
            _log.info(
                "%s: %d detections on %d images; left out: %s",
                self._settings.model,
                detections,
                images,
                reasons or "none",
            )


def _proposal(detection: Detection, width: int, height: int, settings: DetectorSettings) -> Proposal | str:
    """A proposal, or the reason why there is none."""
    label = clean_label(detection.label)
    if not label:
        return "without a label"
    if not all(math.isfinite(value) for value in (*detection.corners_px, detection.probability)):
        return "with a box or score that is no number"
    if detection.probability < settings.min_probability:
        return "below min_probability"
    left, top, right, bottom = detection.corners_px
    x1, x2 = (round(min(max(value / width, 0.0), 1.0), _DECIMALS) for value in (left, right))
    y1, y2 = (round(min(max(value / height, 0.0), 1.0), _DECIMALS) for value in (top, bottom))
    if not (x1 < x2 and y1 < y2):
        return "outside the image or without area"
    box = Box(x1, y1, x2, y2)
    if not settings.min_area <= box.area <= settings.max_area:
        return "smaller than min_area or larger than max_area"
    probability = round(min(detection.probability, 1.0), _DECIMALS)
    return Proposal(box, label, probability, label, probability)


def _rank(proposal: Proposal) -> tuple[float, float, float, float, float, str]:
    box = proposal.box
    return -proposal.prominence, box.y1, box.x1, box.y2, box.x2, proposal.label
