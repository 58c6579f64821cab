"""How many tokens a reply took, as its server reports them or, where it does not, at most."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

MOST_TOKENS = 100_000_000
"""Larger counts are nonsense: ten times the longest context there is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one reply; None where the server does not report them, or reports nonsense.

    `cached_tokens` are those of `prompt_tokens` that the server had in its cache.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens a reply is booked with; `estimated` if one of the two counts is a bound from above."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False


def read_usage(value: object, *, has_text: bool) -> Usage:
    """What the `usage` of a reply says.

    Completion tokens are what there is beyond the prompt: some servers leave the model's thoughts out of
    `completion_tokens` and have them in `total_tokens`, at which they are billed.
    """
    if not isinstance(value, dict):
        return NO_USAGE
    prompt, completion = _first(value, "prompt_tokens"), _first(value, "completion_tokens", "output_tokens")
    cached = _first(value, "prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens") or 0
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = value.get(name)
        if isinstance(details, dict):
            cached = max(cached, _first(details, "cached_tokens", "cache_read_tokens") or 0)
    if prompt is None:
        prompt = _first(value, "input_tokens")
        if prompt is not None:  # where these two stand beside `input_tokens` they are not in it (Anthropic)
            prompt += _first(value, "cache_read_input_tokens") or 0
            prompt += _first(value, "cache_creation_input_tokens") or 0
    total, thoughts = _first(value, "total_tokens"), _thoughts(value)
    prompt = prompt or None  # no request has an empty prompt
    if prompt is None and total is not None and completion is not None and total > completion:
        prompt = total - completion
    if completion is not None and thoughts > completion:  # then they cannot be among them
        completion += thoughts
    if prompt is not None and total is not None and (completion is not None or total > prompt):
        completion = max(completion or 0, total - prompt)
    if completion == 0 and has_text:
        completion = None
    return Usage(prompt, completion, min(cached, prompt or 0))


def booked(usage: Usage, bound: Callable[[], Tokens]) -> Tokens:
    """The tokens to book: what was reported and, for each count that was not, the `bound` that was set aside."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is not None and completion is not None:
        return Tokens(prompt, completion, usage.cached_tokens)
    most = bound()
    return Tokens(
        most.prompt_tokens if prompt is None else prompt,
        most.completion_tokens if completion is None else completion,
        usage.cached_tokens,
        estimated=True,
    )


def _thoughts(usage: Mapping[object, object]) -> int:
    for name in ("completion_tokens_details", "output_tokens_details"):
        details = usage.get(name)
        if isinstance(details, dict):
            return _first(details, "reasoning_tokens") or 0
    return _first(usage, "reasoning_tokens") or 0


def _first(values: Mapping[object, object], *names: str) -> int | None:
    for name in names:
        count = _count(values.get(name))
        if count is not None:
            return count
    return None


def _count(value: object) -> int | None:
    # bool is an int to Python; a negative count would earn money.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
