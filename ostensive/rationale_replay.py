"""What a model is trained on beside rationales, and how much a rationale counts: ILLUME, sections 3.3 and 4.1.

Shared by the recipe, which says what a round is trained on, and by the training of students, which does it.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import TypeVar

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT", bound=tuple[str, ...])


def replayed_items(
    items: Mapping[KeyT, ItemT], with_rationale: Collection[KeyT], *, explained: int, replay: float, seed: int
) -> tuple[ItemT, ...]:
    """`replay` times as many items as there are rationales (`explained`), drawn from those that have none.

    Where there are fewer all are taken. The draw depends on the seed and the items, not on their order; ILLUME takes
    about ten for each. Raises `ValueError` for a negative `replay`.
    """
    if replay < 0:
        raise ValueError(f"replay: a number from 0 on is expected, not {replay!r}")
    free = sorted(key for key in items if key not in with_rationale)
    count = min(len(free), round(replay * explained))
    return tuple(items[key] for key in Random(seed).sample(free, count))  # noqa: S311 - a draw, no secret


def explanation_weight(without: int, explained: int) -> float:
    """The weight b of the loss of rationales, n(without) / n(with) (ILLUME, equation 1).

    Where nothing is without a rationale b would be 0 and no rationale would be learned; it is 1 then.
    """
    return without / explained if without and explained else 1.0


def answer_of(answers: Sequence[str]) -> str:
    """The answer that is given most often, the first of several; empty where there is none."""
    # `most_common` keeps the order in which equals were first met.
    return single_line(Counter(answers).most_common(1)[0][0]) if answers else ""


def single_line(text: str) -> str:
    """`text` with single blanks for white space: a line of a prompt is then a line whatever a question holds."""
    return " ".join(text.split())
