"""In which order rows are trained on: by seed and epoch alone, however many processes there are.

The samplers of the libraries draw from a state of their own. Where several processes go on in the middle of a later
epoch, accelerate does not reach it to set the epoch (1.15), and the first epoch's order would come again.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any  # Any: a trainer of TRL

from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint

Epoch = Callable[[], int]
"""The epoch that an iteration is of, from 0."""


def set_order(trainer: Any, make: "Callable[[Epoch], EpochOrder | StepOrder]") -> None:
    """Has a trainer take its rows in the order that `make` gives, which is told how to learn the epoch."""
    # The state is what a checkpoint restores; at the end of an epoch it is whole up to rounding.
    order = make(lambda: int((trainer.state.epoch or 0.0) + 1e-6))
    trainer._get_train_sampler = lambda _rows=None: order


class EpochOrder:
    """All rows in one random order an epoch; a sampler for torch's data loader: rows are numbers."""

    def __init__(self, count: int, *, seed: int, epoch: Epoch) -> None:
        self._count, self._seed, self._epoch = count, seed, epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        order = list(range(self._count))
        Random(fingerprint([self._seed, self._epoch()])).shuffle(order)  # noqa: S311 - an order, no secret
        return iter(order)


class StepOrder:
    """The order of rows in which each step of `step_rows` has `rationales_a_step` rationales, drawn anew each epoch.

    An epoch is over when both kinds have been seen once; the smaller one is begun again until then. A sampler for
    torch's data loader: rows are numbers.
    """

    def __init__(
        self,
        is_rationale: Sequence[bool],
        *,
        step_rows: int,
        rationales_a_step: int,
        seed: int,
        epoch: Epoch,
    ) -> None:
        self._kinds = tuple(
            [place for place, is_one in enumerate(is_rationale) if is_one is kind] for kind in (True, False)
        )
        self._a_step = (rationales_a_step, step_rows - rationales_a_step)
        self._seed, self._epoch = seed, epoch

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return max(-(-len(rows) // count) for rows, count in zip(self._kinds, self._a_step, strict=True))

    def __len__(self) -> int:
        return self.steps * sum(self._a_step)

    def __iter__(self) -> Iterator[int]:
        draw = Random(fingerprint([self._seed, self._epoch()]))  # noqa: S311 - an order, no secret
        streams = [_endless(rows, draw) for rows in self._kinds]
        for _ in range(self.steps):
            step = [next(stream) for stream, count in zip(streams, self._a_step, strict=True) for _ in range(count)]
            draw.shuffle(step)
            yield from step


def rationales_a_step(rationales: int, answers: int, *, step_rows: int, wanted: int | None) -> int:
    """How many of the rows of a step are rationales: their share of all rows, at least 1, or `wanted`.

    Raises `SettingsError` where a step cannot hold both.
    """
    if step_rows < 2:
        raise SettingsError(
            "rationale_loss: a step holds answers and rationales, so at least 2 rows; set batch_size or accumulate"
        )
    if wanted is not None and wanted >= step_rows:
        raise SettingsError(
            f"rationale_loss.rationales_a_step: {wanted} of the {step_rows} rows of a step leave none for answers;"
            f" at most {step_rows - 1} can be had"
        )
    share = round(step_rows * rationales / (rationales + answers))
    return wanted or min(max(share, 1), step_rows - 1)


def _endless(rows: Sequence[int], draw: Random) -> Iterator[int]:
    """The rows in one random order after another."""
    while True:
        order = list(rows)
        draw.shuffle(order)
        yield from order
