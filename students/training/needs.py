"""What training needs beside the packages that come with this one."""

import importlib.util
from typing import Final

from ostensive.errors import SettingsError

_PACKAGES: Final = ("peft", "trl", "tensorboardX")


def check_installed() -> None:
    """Raises `SettingsError` where TRL, peft or tensorboardX is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"training needs {', '.join(missing)}, which this installation lacks; install ostensive[students]"
        )
