"""Tokens as servers report them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.usage import MOST_TOKENS, Tokens, Usage, booked, read_usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 3)),
        ({"prompt_tokens": 9.0, "completion_tokens": 3.0}, Usage(9, 3)),
        ({"input_tokens": 9, "output_tokens": 3}, Usage(9, 3)),
        ({"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 100}, Usage(109, 3, 100)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}, Usage(9, 3, 8)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 8}, Usage(9, 3, 8)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 80}}, Usage(9, 3, 9)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 60}, Usage(9, 51)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 2}, Usage(9, 3)),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 69}, Usage(9, 60)),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 40}},
            Usage(9, 43),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 43, "completion_tokens_details": {"reasoning_tokens": 40}},
            Usage(9, 43),
        ),
        ({"total_tokens": 12, "completion_tokens": 3}, Usage(9, 3)),
        ({"total_tokens": 12, "prompt_tokens": 9}, Usage(9, 3)),
        ({"total_tokens": 12, "prompt_tokens": 9, "completion_tokens": None}, Usage(9, 3)),
        ({"total_tokens": 9, "prompt_tokens": 9}, Usage(9, None)),
        ({"total_tokens": 12}, Usage()),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(None, None)),
        ({"prompt_tokens": 9}, Usage(9, None)),
        ({"completion_tokens": 3}, Usage(None, 3)),
    ],
)
def test_tokens_are_read(usage: object, expected: Usage) -> None:
    assert read_usage(usage, has_text=True) == expected


@pytest.mark.parametrize(
    "count", ["9", -1, True, 9.5, float("nan"), float("inf"), 2**70, MOST_TOKENS + 1, None, [9], {}]
)
def test_nonsense_is_not_reported(count: object) -> None:
    assert read_usage({"prompt_tokens": count, "completion_tokens": count}, has_text=True) == Usage()


@pytest.mark.parametrize("usage", [None, {}, [3], "x", 7])
def test_no_usage_is_not_reported(usage: object) -> None:
    assert read_usage(usage, has_text=True) == Usage()


def test_a_reply_without_text_may_take_no_tokens() -> None:
    assert read_usage({"prompt_tokens": 9, "completion_tokens": 0}, has_text=False) == Usage(9, 0)
    assert read_usage({"prompt_tokens": 9, "completion_tokens": 0}, has_text=True) == Usage(9, None)


@given(st.none() | st.integers(1, 50), st.none() | st.integers(1, 50))
def test_what_is_not_reported_is_booked_at_its_bound(prompt: int | None, completion: int | None) -> None:
    tokens = booked(Usage(prompt, completion), lambda: Tokens(1000, 2000, estimated=True))
    assert (tokens.prompt_tokens, tokens.completion_tokens) == (prompt or 1000, completion or 2000)
    assert tokens.estimated == (prompt is None or completion is None)
