"""From detections to regions: a detector of pure red in a few lines stands for any library, and its boxes are known."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Self

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from opened_verbalizers import opened
from PIL import Image

from ostensive.records import AREA_LABEL, Box
from verbalizers.base import DecodedImage, ImageFailure, Workers, open_workers
from verbalizers.choice import WHOLE_BOX, ChoiceSettings, Proposal
from verbalizers.detectors.detection import (
    DETECTION_VERSION,
    MAX_SIDE_PX,
    DetectedRegions,
    Detection,
    DetectionError,
    DetectorSettings,
    clean_label,
    each_in_threads,
    manageable,
    proposals,
    sift,
)
from verbalizers.detectors.transformers_backend import DetectorRegionSettings

Pixels = NDArray[np.uint8]


class RedDetector:
    """Finds the box of all red pixels; a picture with green ones has a score that is no number, blue ones break it."""

    version = "red-1"

    def __init__(self, *, limit: int = 1000) -> None:
        self.limit = limit  # more pictures at a time do not fit its memory
        self.batches: list[int] = []
        self.entered = False

    @contextmanager
    def opened(self) -> Iterator[Self]:
        self.entered = True
        yield self
        self.entered = False

    def prepare(self, pictures: Sequence[Image.Image], workers: Workers) -> list[Pixels]:
        return [np.asarray(picture, dtype=np.uint8) for picture in pictures]

    def detect(self, ready: list[Pixels]) -> list[list[Detection]]:
        assert self.entered
        if len(ready) > self.limit:
            raise torch.OutOfMemoryError("too much")
        self.batches.append(len(ready))
        return [self._find(pixels) for pixels in ready]

    def _find(self, pixels: Pixels) -> list[Detection]:
        red, green, blue = (pixels[..., channel] > 127 for channel in range(3))
        if (blue & ~red & ~green).any():
            raise ValueError("blue")
        rows, columns = np.nonzero(red & ~green & ~blue)
        score = math.nan if (green & ~red).any() else 0.9
        if not len(rows):
            return [] if score == 0.9 else [Detection((0, 0, 1, 1), "thing", score)]
        corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        box = (float(corners[0]), float(corners[1]), float(corners[2]), float(corners[3]))
        return [Detection(box, "Red_Thing", score), Detection(box, "N/A", 0.8), Detection(box, "red thing", 0.1)]


def settings(**values: object) -> DetectorRegionSettings:
    return DetectorRegionSettings.model_validate({"model": "a detector", **values})


def picture(width: int, height: int, box: tuple[int, int, int, int], colour: str = "red") -> Image.Image:
    drawn = Image.new("RGB", (width, height), "white")
    drawn.paste(colour, box)
    return drawn


def regions(
    pictures: Sequence[Image.Image], detector: RedDetector | None = None, **values: object
) -> list[tuple[Proposal, ...] | ImageFailure]:
    images = [DecodedImage(str(place), drawn) for place, drawn in enumerate(pictures)]
    with opened(DetectedRegions(detector or RedDetector(), settings(**values))) as proposer:
        return list(proposer.regions(images))


def box_of(said: tuple[Proposal, ...] | ImageFailure) -> tuple[float, float, float, float]:
    assert not isinstance(said, ImageFailure), said
    (region,) = said
    return region.box.x1, region.box.y1, region.box.x2, region.box.y2


@pytest.mark.parametrize(
    ("label", "cleaned"),
    [
        ("person", "person"),
        ("Wild Bird", "wild bird"),
        ("baby_buggy", "baby buggy"),
        ("monkey_(animal)", "monkey"),
        ("bow_(weapon) and arrow (thin)", "bow and arrow"),
        ("  traffic \n light ", "traffic light"),
        ("CAFÉ", "café"),
        ("\N{LATIN SMALL LIGATURE FI}sh", "fish"),  # NFKC
        ("N/A", ""),
        ("__background__", ""),
        ("Background", ""),
        ("no object", ""),
        ("(sense)", ""),
        ("", ""),
        ("nonesuch", "nonesuch"),
    ],
)
def test_labels_are_as_people_write_them(label: str, cleaned: str) -> None:
    assert clean_label(label) == cleaned
    assert clean_label(cleaned) == cleaned


def test_boxes_are_clipped_and_shares_of_the_image() -> None:
    (found,) = proposals([Detection((-20, 25, 50, 300), "Dog", 0.75)], 200, 100, settings())
    assert found == Proposal(Box(0.0, 0.25, 0.25, 1.0), "dog", 0.75, "dog", 0.75)


def test_what_rounding_in_another_batch_leaves_is_not_told() -> None:
    """A batch of another size moves corners and scores by about 1e-7, and rows are to be the same in any."""
    one = Detection((10.0, 20.0, 70.0, 40.0), "dog", 0.75)
    other = Detection((10.00003, 19.99998, 69.99996, 40.00002), "dog", 0.7500003)
    assert proposals([one], 100, 50, settings()) == proposals([other], 100, 50, settings())
    (thin,) = proposals([Detection((20, 20, 20.02, 50), "dog", 0.9)], 100, 100, settings(min_area=0.0))
    assert (thin.box.x1, thin.box.x2) == (0.2, 0.2002)
    sifted = sift([Detection((20, 20, 20.002, 50), "dog", 0.9)], 100, 100, settings(min_area=0.0))
    assert sifted.left_out == Counter({"outside the image or without area": 1})


@pytest.mark.parametrize(
    ("detection", "values", "reason"),
    [
        (Detection((0, 0, 50, 50), "N/A", 0.9), {}, "without a label"),
        (Detection((0, 0, 50, math.nan), "dog", 0.9), {}, "with a box or score that is no number"),
        (Detection((0, -math.inf, 50, 50), "dog", 0.9), {}, "with a box or score that is no number"),
        (Detection((0, 0, 50, 50), "dog", math.inf), {}, "with a box or score that is no number"),
        (Detection((0, 0, 50, 50), "dog", 0.29), {}, "below min_probability"),
        (Detection((100, 0, 150, 50), "dog", 0.9), {}, "outside the image or without area"),
        (Detection((-9, -9, 0, 0), "dog", 0.9), {}, "outside the image or without area"),
        (Detection((20, 20, 20, 50), "dog", 0.9), {}, "outside the image or without area"),
        (Detection((50, 20, 20, 50), "dog", 0.9), {}, "outside the image or without area"),
        (Detection((0, 0, 3, 3), "dog", 0.9), {}, "smaller than min_area or larger than max_area"),
        (
            Detection((0, 0, 100, 100), "dog", 0.9),
            {"max_area": 0.9},
            "smaller than min_area or larger than max_area",
        ),
    ],
)
def test_what_makes_no_region_is_counted(detection: Detection, values: dict[str, object], reason: str) -> None:
    good = Detection((0, 0, 50, 50), "cat", 0.5)
    sifted = sift([detection, good], 100, 100, settings(**values))
    assert [proposal.label for proposal in sifted.proposals] == ["cat"]
    assert sifted.left_out == Counter({reason: 1})


def test_only_the_likeliest_are_candidates() -> None:
    found = [Detection((0, 0, 10 + place, 50), "dog", 0.3 + place / 1000) for place in range(400)]
    sifted = sift(found, 500, 100, settings())
    assert len(sifted.proposals) == 300
    assert sifted.proposals[0].label_probability == pytest.approx(0.699)
    assert sifted.proposals[-1].label_probability == pytest.approx(0.4)
    assert sifted.left_out == Counter({"beyond max_candidates": 100})


_corners = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-50, 250)
_detections = st.builds(
    Detection,
    st.tuples(_corners, _corners, _corners, _corners),
    st.sampled_from(["dog", "Dog", "tea_cup", "N/A", "man"]) | st.text(max_size=6),
    st.floats(0, 1) | st.sampled_from([0.5, math.nan, -1.0, 2.0]),
)


@given(
    st.lists(_detections, max_size=12),
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_any_detections_make_sound_proposals(
    found: list[Detection], width: int, height: int, most: int, rng: Random
) -> None:
    chosen = settings(max_candidates=most, min_area=0.0)
    sifted = sift(found, width, height, chosen)
    assert len(sifted.proposals) + sum(sifted.left_out.values()) == len(found)
    assert len(sifted.proposals) <= most
    scores = [proposal.prominence for proposal in sifted.proposals]
    assert scores == sorted(scores, reverse=True)
    for proposal in sifted.proposals:  # a box checks itself
        assert proposal.label == proposal.kind == clean_label(proposal.label) != ""
        assert proposal.label_probability == proposal.prominence
        assert chosen.min_probability <= proposal.prominence <= 1
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert sift(shuffled, width, height, chosen) == sifted


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), (1, 1)),
        ((640, 480), (640, 480)),
        ((MAX_SIDE_PX, 300), (MAX_SIDE_PX, 300)),
        ((20_000, 10), (80, 10)),
        ((10, 20_000), (10, 80)),
        ((1, 30_000), (1, 8)),
        ((6000, 4000), (2048, 1365)),
        ((30_000, 3000), (2048, 256)),
    ],
)
def test_pictures_of_no_detectors_size_are_shrunk(size: tuple[int, int], expected: tuple[int, int]) -> None:
    given_picture = Image.new("RGB", size, "red")
    shown = manageable(given_picture)
    assert shown.size == expected
    assert (shown is given_picture) == (size == expected)
    assert shown.getextrema() == ((255, 255), (0, 0), (0, 0))


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((100, 60), (10, 15, 60, 45)),
        ((60, 100), (0, 0, 60, 50)),
        ((1, 1), (0, 0, 1, 1)),
        ((20_000, 10), (5000, 0, 10_000, 10)),
        ((10, 20_000), (0, 15_000, 10, 20_000)),
        ((4096, 3000), (1024, 1500, 2048, 3000)),
    ],
)
def test_boxes_are_where_the_thing_is(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    (said,) = regions([picture(*size, box)])
    width, height = size
    expected = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
    assert box_of(said) == pytest.approx(expected, abs=0.015)


def test_each_image_gets_its_own_regions_whatever_the_order_of_work() -> None:
    pictures = [picture(40 + 10 * (place % 3), 50, (place, place, place + 9, place + 9)) for place in range(9)]
    detector = RedDetector()
    said = regions(pictures, detector, batch_size=4)
    assert detector.batches == [4, 4, 1]
    for place, (drawn, found) in enumerate(zip(pictures, said, strict=True)):
        x1, y1, _, _ = box_of(found)
        assert (round(x1 * drawn.width), round(y1 * drawn.height)) == (place, place)
    assert regions([pictures[5]]) == [said[5]]
    assert regions(pictures, batch_size=1) == said


def test_what_fails_fails_alone() -> None:
    good = picture(40, 40, (0, 0, 20, 20))
    closed = picture(40, 40, (0, 0, 20, 20))
    closed.close()
    said = regions([good, picture(40, 40, (0, 0, 9, 9), "blue"), closed, picture(40, 40, (0, 0, 9, 9), "lime"), good])
    assert said[1] == ImageFailure("ValueError: blue")
    assert said[2] == ImageFailure("ValueError: Operation on closed image")
    assert said[3] == ImageFailure("the detector's scores are not numbers")
    assert box_of(said[0]) == box_of(said[4]) == (0, 0, 0.5, 0.5)


def test_an_image_in_which_nothing_is_found_has_one_region() -> None:
    assert regions([Image.new("RGB", (30, 20), "white")]) == [(Proposal(WHOLE_BOX, AREA_LABEL, None, AREA_LABEL, 0.0),)]
    assert regions([]) == []


def test_full_memory_halves_the_batches(caplog: pytest.LogCaptureFixture) -> None:
    pictures = [picture(40, 40, (place, 0, place + 9, 9)) for place in range(6)]
    detector = RedDetector(limit=2)
    with caplog.at_level(logging.WARNING):
        assert regions(pictures, detector, batch_size=6) == regions(pictures)
    assert detector.batches == [1] * 6
    assert "a detector: out of memory with 6 at a time; going on with 3" in caplog.messages
    assert regions(pictures[:2], RedDetector(limit=0)) == [ImageFailure("OutOfMemoryError: too much")] * 2


def test_what_was_left_out_is_said_once_a_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        regions([picture(40, 40, (0, 0, 20, 20)), picture(40, 40, (5, 5, 20, 20)), Image.new("RGB", (9, 9))])
    assert caplog.messages == [
        "a detector: 6 detections on 3 images; left out: 2 below min_probability, 2 without a label"
    ]


def test_the_choice_is_made_with_its_settings() -> None:
    class Two(RedDetector):
        def detect(self, ready: list[Pixels]) -> list[list[Detection]]:
            return [[Detection((0, 0, 10, 10), "dog", 0.9), Detection((20, 20, 30, 30), "cat", 0.8)] for _ in ready]

    (both,) = regions([Image.new("RGB", (30, 30))], Two())
    (one,) = regions([Image.new("RGB", (30, 30))], Two(), choice=ChoiceSettings(max_regions=1))
    assert not isinstance(both, ImageFailure)
    assert not isinstance(one, ImageFailure)
    assert [region.label for region in both] == ["dog", "cat"]
    assert len(one) == 1


def test_the_version_holds_the_detectors_and_the_choices() -> None:
    part = DetectedRegions(RedDetector(), settings())
    assert part.version.startswith(f"{DETECTION_VERSION}:red-1+choice-")


def test_errors_in_threads_keep_their_type() -> None:
    def refuse(number: int) -> int:
        if number == 2:
            raise torch.OutOfMemoryError("too much")
        return -number

    with open_workers(2) as workers:
        assert each_in_threads(workers, refuse, [3, 1, 4]) == [-3, -1, -4]
        with pytest.raises(torch.OutOfMemoryError, match="too much"):
            each_in_threads(workers, refuse, [1, 2, 3])


def test_the_papers_number() -> None:
    assert settings().max_candidates == 300
    assert issubclass(DetectorRegionSettings, DetectorSettings)
    assert str(DetectionError("it broke")) == "it broke"
