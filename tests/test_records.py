import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.records import NO_SPEND, Box, Spend

low, high = st.floats(0, 0.49), st.floats(0.5, 1)
boxes = st.builds(Box, low, low, high, high)


@pytest.mark.parametrize(
    "corners",
    [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (-0.1, 0, 1, 1), (0, 0, 1.01, 1), (0, math.nan, 1, 1), (0, 0, math.inf, 1)],
)
def test_a_box_has_its_first_corner_above_and_left_within_the_image(corners: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="not a box with corners in 0-1"):
        Box(*corners)


def test_overlap_is_intersection_over_union() -> None:
    left = Box(0, 0, 0.5, 1)
    assert left.overlap(left) == 1
    assert left.overlap(Box(0.5, 0, 1, 1)) == 0
    assert left.overlap(Box(0, 0, 1, 1)) == pytest.approx(0.5)
    assert left.overlap(Box(0.25, 0, 0.75, 1)) == pytest.approx(0.25 / 0.75)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(a: Box, b: Box) -> None:
    assert a.overlap(b) == pytest.approx(b.overlap(a))
    assert 0 <= a.overlap(b) <= 1 + 1e-9


@given(boxes, st.integers(1, 500), st.integers(1, 500))
def test_pixels_lie_on_the_image_and_are_never_empty(box: Box, width: int, height: int) -> None:
    left, top, right, bottom = box.pixels(width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_a_sum_with_an_unknown_price_is_unknown() -> None:
    assert Spend(1, 10, 5, 0.5) + Spend(2, 1, 1, 0.25) == Spend(3, 11, 6, 0.75)
    assert (Spend(1, 10, 5, None) + Spend(1, 1, 1, 0.25)).usd is None
    assert NO_SPEND + NO_SPEND == NO_SPEND
