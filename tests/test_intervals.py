"""Intervals of shares."""

import pytest

from ostensive.intervals import over_groups, wilson


def test_the_interval_is_wilsons() -> None:
    found = wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10).low == 0


def test_an_interval_over_groups_is_wider_than_over_rows_where_rows_of_a_group_are_alike() -> None:
    hits = [10 * (group % 2) for group in range(40)]
    grouped, alone = over_groups(hits, [10] * 40), wilson(200, 400)
    assert grouped.low < alone.low < 0.5 < alone.high < grouped.high
    assert grouped == over_groups(hits, [10] * 40), "the same each time"
    ones = over_groups([group % 2 for group in range(400)], [1] * 400)
    assert (ones.low, ones.high) == pytest.approx((alone.low, alone.high), abs=0.01), "groups of one row are rows"


def test_all_or_nothing_is_as_sure_as_there_are_groups() -> None:
    assert over_groups([3, 3], [3, 3]) == wilson(2, 2)
    assert over_groups([0] * 9, [4] * 9) == wilson(0, 9)
