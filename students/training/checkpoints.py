"""Checkpoints that a kill cut short: the library writes them under their final names, and goes on from the last one."""

import json
import shutil
from pathlib import Path
from typing import Final

from ostensive.files import storage_errors

_LAST_WRITTEN: Final = "trainer_state.json"


def remove_unfinished(folder: Path) -> None:
    """Removes those below `folder` that lack what a `transformers.Trainer` writes last, or have it in part."""
    for checkpoint in folder.glob("**/checkpoint-*"):
        if checkpoint.is_dir() and not _is_whole(checkpoint):
            with storage_errors(checkpoint):
                shutil.rmtree(checkpoint)


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _LAST_WRITTEN).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True
