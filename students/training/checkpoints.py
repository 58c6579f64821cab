"""Checkpoints from which no training can go on, after a kill: the library takes the last one that there is.

It writes a checkpoint under its final name, so that one may be there in part. And from one of the very last step it
goes on with a step too many.
"""

import shutil
from pathlib import Path
from typing import Final

from ostensive.json_text import parse_json
from students.training.folder import MADE_FROM

CHECKPOINTS: Final = "checkpoints"
"""The folder of them, in that of a student."""
_LAST_WRITTEN: Final = "trainer_state.json"


def remove_unusable(student: Path) -> None:
    """Removes, of a student whose training has begun, those that lack what a `transformers.Trainer` writes last, and
    those of a last step."""
    if not (student / MADE_FROM).is_file():
        return  # a folder of somebody else, which is refused later
    for checkpoint in (student / CHECKPOINTS).glob("checkpoint-*"):
        if checkpoint.is_dir() and not _is_of_use(checkpoint):
            shutil.rmtree(checkpoint, ignore_errors=True)  # another process of the same training may do it too


def _is_of_use(checkpoint: Path) -> bool:
    try:
        state = parse_json((checkpoint / _LAST_WRITTEN).read_text("utf-8"), strict=False)
        return bool(state["global_step"] < state["max_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
