"""Checkpoints from which no training can go on, after a kill: the library takes the last one that there is.

It writes a checkpoint under its final name, so that one may be there in part. And from one of the very last step it
goes on with a step too many.
"""

import json
import shutil
from pathlib import Path
from typing import Final

from ostensive.files import storage_errors

_LAST_WRITTEN: Final = "trainer_state.json"


def remove_unusable(folder: Path) -> None:
    """Removes those below `folder` that lack what a `transformers.Trainer` writes last, and those of a last step."""
    for checkpoint in folder.glob("**/checkpoint-*"):
        if checkpoint.is_dir() and not _is_of_use(checkpoint):
            with storage_errors(checkpoint):
                shutil.rmtree(checkpoint)


def _is_of_use(checkpoint: Path) -> bool:
    try:
        state = json.loads((checkpoint / _LAST_WRITTEN).read_text("utf-8"))
        return bool(state["global_step"] < state["max_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
