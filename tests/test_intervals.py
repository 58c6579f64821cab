"""Intervals of shares."""

import pytest

from ostensive.intervals import wilson


def test_the_interval_is_wilsons() -> None:
    found = wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10).low == 0
