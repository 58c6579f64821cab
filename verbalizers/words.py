"""Small grammar: lists, articles, percentages, capitals. Everything a sentence needs that is not about an image."""

from collections.abc import Sequence


def listing(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def with_article(phrase: str) -> str:
    """`phrase` after a or an."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def sentence(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def percent(share: float) -> str:
    """A share (0-1) to the nearest five percent: `about 35 percent`; at the ends `nearly all` and `a trace`."""
    rounded = 5 * round(20 * share)
    if rounded >= 100:
        return "nearly all"
    return f"about {rounded} percent" if rounded else "a trace"


def number_word(count: int) -> str:
    """`one` to `ten` as words, larger numbers as digits."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)
