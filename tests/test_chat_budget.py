"""Limits of money and requests."""

import threading
from typing import Any  # Any: arguments

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.budget import Budget, BudgetBusy, BudgetExhausted, Reservation, upper_bound_usd
from ostensive.chat.pictures import EncodedImage
from ostensive.chat.prices import Price
from ostensive.chat.records import Message
from ostensive.errors import SettingsError
from ostensive.records import Spend


def taken(budget: Budget, usd: float) -> Reservation:
    reservation = budget.reserve(usd)
    assert isinstance(reservation, Reservation)
    return reservation


def test_without_limits_everything_fits() -> None:
    budget = Budget()
    for _ in range(1000):
        budget.settle(taken(budget, 1e9), None)


def test_requests_are_counted_when_they_are_sent() -> None:
    budget = Budget(max_requests=2)
    taken(budget, 0.0)
    budget.settle(taken(budget, 0.0), 0.0)
    assert budget.reserve(0.0) == BudgetExhausted(
        "--max-requests: 2 of 2 requests are sent; run the same command with a larger number to go on"
    )


def test_what_the_run_has_paid_before_counts() -> None:
    budget = Budget(max_usd=1.0, max_requests=10, spent=Spend(9, 100, 100, 0.9))
    assert budget.reserve(0.2) == BudgetExhausted(
        "--max-cost: $0.9000 of $1.0000 is spent and the next request may cost up to $0.2000;"
        " run the same command with a larger sum to go on"
    )
    taken(budget, 0.05)
    assert isinstance(budget.reserve(0.0), BudgetExhausted)


def test_a_request_waits_while_those_under_way_may_leave_something() -> None:
    budget = Budget(max_usd=1.0)
    first = taken(budget, 0.8)
    assert isinstance(budget.reserve(0.8), BudgetBusy)
    budget.settle(first, 0.1)
    second = taken(budget, 0.8)
    budget.settle(second, None)  # nobody knows what it cost: all of it, then
    assert isinstance(budget.reserve(0.2), BudgetExhausted)


def test_zero_is_a_limit() -> None:
    assert isinstance(Budget(max_usd=0.0).reserve(0.01), BudgetExhausted)
    assert isinstance(Budget(max_requests=0).reserve(0.0), BudgetExhausted)


def test_what_is_free_always_fits_the_sum() -> None:
    taken(Budget(max_usd=0.0, spent=Spend(1, 1, 1, 5.0)), 0.0)


def test_an_unknown_price_is_refused_only_where_the_cost_is_limited() -> None:
    Budget().require_price("nobody/knows", None)
    Budget(max_usd=1.0).require_price("free", Price(0, 0))
    with pytest.raises(SettingsError) as caught:
        Budget(max_usd=0.0).require_price("nobody/knows", None)
    assert str(caught.value) == (
        "--max-cost: the price of 'nobody/knows' is not known; give it with --set teacher.price.prompt=USD"
        " --set teacher.price.completion=USD (for a million tokens; 0 for a server of your own)"
        " or in a price table with --prices FILE"
    )


def test_an_unknown_sum_cannot_be_limited() -> None:
    with pytest.raises(SettingsError, match="--max-cost: this run has paid for answers whose price is not known"):
        Budget(max_usd=1.0, spent=Spend(1, 1, 1, None))


@given(st.lists(st.tuples(st.floats(0.001, 2), st.floats(0, 1)), max_size=60), st.floats(0, 10))
def test_it_is_never_exceeded_when_costs_stay_within_their_bounds(
    requests: list[tuple[float, float]], max_usd: float
) -> None:
    budget, paid, open_requests = Budget(max_usd=max_usd), 0.0, []
    for bound, share in requests:
        result = budget.reserve(bound)
        if isinstance(result, Reservation):
            open_requests.append((result, bound * share))
        elif open_requests:
            reservation, usd = open_requests.pop(0)
            budget.settle(reservation, usd)
            paid += usd
    paid += sum(usd for _, usd in open_requests)
    assert paid <= max_usd + 1e-9


def test_threads_share_it() -> None:
    budget, sent = Budget(max_requests=1000), []

    def work() -> None:
        while isinstance(reservation := budget.reserve(0.0), Reservation):
            sent.append(1)
            budget.settle(reservation, 0.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 1000


def test_the_upper_bound_counts_bytes_images_and_the_longest_reply() -> None:
    price = Price(prompt=1.0, completion=10.0, max_image_tokens=1000)
    image = EncodedImage(b"x", "image/png")
    plain = upper_bound_usd([Message("user", "abc")], 50, price)
    assert plain == pytest.approx((3 + 2 * 16 + 500) / 1e6)
    assert upper_bound_usd([Message("user", "äöü")], 50, price) == pytest.approx(plain + 3 / 1e6)
    assert upper_bound_usd([Message("user", "abc", (image, image))], 50, price) == pytest.approx(plain + 2000 / 1e6)


@pytest.mark.parametrize("limit", [{"max_usd": float("nan")}, {"max_usd": -0.01}, {"max_requests": -1}])
def test_a_limit_that_would_never_be_reached_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"^--max-(cost|requests) \S+: a (sum|number) of 0 or more is expected$"):
        Budget(**limit)
