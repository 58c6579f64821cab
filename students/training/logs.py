"""What TensorBoard shows of a training: losses, learning rate, tokens a second, rewards of pairs.

The files name neither the machine nor a path, which the usual names of such files do. A training that goes on writes
anew what its checkpoint remembers, so that no step stands there twice.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final  # Any: parts of transformers, typed in part; values of its logs

from ostensive.files import storage_errors

LOG: Final = "log"
FILE: Final = "events.out.tfevents.000001.student"
_TOKENS: Final = "num_tokens"
_LEFT_OUT: Final = ("step", "epoch", "total_flos", "train_loss", "train_runtime")


def make_log(folder: Path, trainer: Any) -> Any:
    """A `TrainerCallback` that writes what `trainer` logs to `folder`; to be added in the first process alone."""
    from transformers.trainer_callback import TrainerCallback

    class TensorBoardLog(TrainerCallback):
        """Writes each entry when it comes."""

        def __init__(self) -> None:
            self._writer: Any = None
            self._last = (time.monotonic(), 0.0)

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
            self._writer = _opened(folder)
            for entry in state.log_history:
                _write(self._writer, entry, entry["step"])
            known = [entry[_TOKENS] for entry in state.log_history if _TOKENS in entry]
            if known:
                trainer._total_train_tokens = int(known[-1])  # which TRL begins anew (1.16)
            self._last = (time.monotonic(), known[-1] if known else 0.0)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
            entry = state.log_history[-1]
            if _TOKENS in entry:
                # Into the history too: what goes on from a checkpoint then still knows it.
                now = (time.monotonic(), entry[_TOKENS])
                entry["tokens_per_second"] = (now[1] - self._last[1]) / max(now[0] - self._last[0], 1e-9)
                self._last = now
            _write(self._writer, entry, state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
            self._writer.close()
            with storage_errors(folder):
                _rename(folder)

    return TensorBoardLog()


def _opened(folder: Path) -> Any:
    from tensorboardX import SummaryWriter

    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return SummaryWriter(str(folder), flush_secs=10)


def _write(writer: Any, entry: Mapping[str, Any], step: int) -> None:
    for name, value in entry.items():
        if name not in _LEFT_OUT and isinstance(value, int | float):
            writer.add_scalar(name if "/" in name else f"train/{name}", value, step)


def _rename(folder: Path) -> None:
    """Gives the file a name without that of the machine."""
    for file in folder.glob("events.out.tfevents.*"):
        file.rename(folder / FILE)
