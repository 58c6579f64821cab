"""Batches that fit: a model is given as many items at a time as was asked for, and half as many when memory runs out.

Measuring free memory beforehand was given up: what a batch needs depends on the model, the device and on what else runs
there, and only trying tells.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from ostensive.errors import OstensiveError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_log = logging.getLogger(__name__)


class Batches:
    """Runs a function over batches, and remembers the size that fitted."""

    def __init__(self, size: int, what: str) -> None:
        """`size` is the most items at a time, `what` names them in messages, in the plural."""
        self.size = size
        self._what = what

    def map(self, function: Callable[[Sequence[ItemT]], Sequence[ResultT]], items: Sequence[ItemT]) -> list[ResultT]:
        """One result an item, in their order; `function` gives as many as it is given.

        Raises `OstensiveError` when the device has no memory for a single one.
        """
        results: list[ResultT] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            made = self._attempt(function, batch)
            if made is not None:
                assert len(made) == len(batch), f"{len(made)} results for {len(batch)} {self._what}"
                results += made
        return results

    def _attempt(
        self, function: Callable[[Sequence[ItemT]], Sequence[ResultT]], batch: Sequence[ItemT]
    ) -> Sequence[ResultT] | None:
        """The results, or None after the size was halved."""
        import torch

        try:
            return function(batch)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(batch) == 1:
                raise OstensiveError(
                    f"out of memory for one of the {self._what}; use a smaller model or dtype, or another device"
                ) from error
        # Outside of the handler: the error's traceback holds the tensors that have to go.
        self.size = max(1, len(batch) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _log.warning("out of memory for %d %s at a time; going on with %d", len(batch), self._what, self.size)
        return None
