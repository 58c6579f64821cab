"""Which choice a model makes, by how likely it finds each under each clarification."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice at `chosen`, and the place of the clarification under which it was likeliest."""

    chosen: int
    clarification: int


def choose(likelihoods: Sequence[Sequence[float]]) -> Choice:
    """The choice that is likeliest under any clarification; of equal ones the first of the first.

    `likelihoods` has a row for each clarification and in it a finite log-likelihood for each choice. Self-talk scores
    each choice under each clarification and takes the best of all (Shwartz et al., 2020, section 3).
    """
    assert likelihoods, "there is a row at least, that without a clarification"
    assert all(math.isfinite(value) for row in likelihoods for value in row), "what is not finite is lost before"
    places = [(row, choice) for row, values in enumerate(likelihoods) for choice in range(len(values))]
    row, choice = max(places, key=lambda place: likelihoods[place[0]][place[1]])
    return Choice(choice, row)
