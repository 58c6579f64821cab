"""The questions that are asked about an image: drawn from three pools by a seed, each at most once an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from random import Random
from typing import get_args

from builders.explanations.records import QueryKind

KINDS: tuple[QueryKind, ...] = get_args(QueryKind)
Pools = Mapping[QueryKind, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Query:
    """A question that is asked about an image, and the plain one that takes its place if its answer has no label."""

    text: str
    kind: QueryKind
    plain: str


def draw_queries(pools: Pools, count: int, simple_share: float, rng: Random) -> list[Query]:
    """`count` questions, fewer where the pools have no more; no two are alike, nor are those that take their places.

    A question is simple with the probability `simple_share`; else it is for an explanation or step by step, each in
    half of the cases.
    """
    left = {kind: rng.sample(list(pools[kind]), len(pools[kind])) for kind in KINDS}
    drawn: list[tuple[str, QueryKind]] = []
    for _ in range(count):
        kind: QueryKind = "simple" if rng.random() < simple_share else rng.choice(("explain", "step"))
        if left[kind]:
            drawn.append((left[kind].pop(), kind))
    plain = left["simple"]  # those that are not asked themselves
    return [Query(text, kind, text if kind == "simple" or not plain else plain.pop()) for text, kind in drawn]


@lru_cache(maxsize=1)
def shipped_pools() -> dict[QueryKind, tuple[str, ...]]:
    """The pools that ship with the recipe."""
    import yaml

    table = yaml.safe_load((files("builders.explanations") / "queries.yaml").read_text("utf-8"))
    return {kind: tuple(table[kind]) for kind in KINDS}
