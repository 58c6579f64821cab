"""Which process is at work in a folder, noted so that another can tell whether it still is, without taking its lock.

A process is known by its machine, its number and when it began, since numbers are given again.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final  # Any: JSON values

_ENDED: Final = ("Z", "X")  # killed, and nobody has asked how it ended


def this_process() -> dict[str, Any]:
    """This process, as `is_alive` knows it again."""
    return {"host": platform.node(), "pid": os.getpid(), "began": _state_of(os.getpid())[1]}


def is_alive(process: Mapping[str, Any] | None) -> bool | None:
    """Whether a process that was noted still runs; None where that cannot be told, as of one on another machine."""
    if process is None or process.get("host") != platform.node() or not isinstance(process.get("pid"), int):
        return None
    try:
        os.kill(process["pid"], 0)  # nothing is sent
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    except OSError:
        return None
    letter, began = _state_of(process["pid"])
    return letter not in _ENDED and (None in (began, process.get("began")) or began == process["began"])


def _state_of(pid: int) -> tuple[str | None, int | None]:
    """The state of a process, a letter, and when it began, in ticks since the machine did; None where none are told."""
    try:
        # The name of the program stands in brackets before, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None, None
