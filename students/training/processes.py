"""Several processes that train one student, as `accelerate launch` starts them: who writes, who waits.

Each process does the same; the first alone writes rows, tells, and saves. All have the whole model (data parallel).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any  # Any: accelerate types its states in part


def is_first_process() -> bool:
    """Whether this is the only process, or the first of several."""
    return os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train together; with one of them nothing is waited for."""

    count: int
    is_first: bool
    _state: Any = None  # accelerate's, where there are several

    @classmethod
    def started(cls, device: str) -> "Processes":
        """Those that were started together with this one; joins them, on the CPU where `device` says so."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls(1, True)
        from accelerate import PartialState

        state: Any = PartialState(cpu=device == "cpu")
        return cls(state.num_processes, state.is_main_process, state)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process does the block before the others begin it, and so they find what it wrote."""
        if self._state is None:
            yield
            return
        with self._state.main_process_first():
            yield

    def wait(self) -> None:
        """Until all are here."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def any_of_them(self, is_so: bool) -> bool:
        """Whether it is so in one of them at least: a stop reaches some processes a step before others."""
        if self._state is None:
            return is_so
        import torch
        from accelerate.utils import reduce

        flag = torch.tensor(float(is_so), device=self._state.device)
        return bool(reduce(flag, "sum") > 0)
