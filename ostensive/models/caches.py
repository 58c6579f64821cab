"""Where on this machine things are kept that can be worked out again, beside the run folders and shared by them."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(name: str, environment: Mapping[str, str] | None = None) -> Path:
    """The folder for caches of the kind `name`: in `OSTENSIVE_CACHE`, else in the user's cache folder.

    The user's cache folder is `XDG_CACHE_HOME`, or `~/.cache`. Nothing is made; `environment` None is the process's.
    """
    known = os.environ if environment is None else environment
    own = known.get("OSTENSIVE_CACHE")
    if own:
        return Path(own).expanduser() / name
    shared = known.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "ostensive" / name
