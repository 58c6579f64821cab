"""Text features kept on disk: worked out once for a model and a list of texts, and shared between runs.

A file's name is the fingerprint of all that its features depend on, so that no file is ever out of date. What is read
is checked against its own hash, and worked out again when it is damaged. A cache that cannot be written costs time and
not the run.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ostensive.errors import StorageError
from ostensive.files import replacing
from ostensive.fingerprint import fingerprint

Features: TypeAlias = npt.NDArray[np.float32]  # (texts, width), unit length

_log = logging.getLogger(__name__)
_KEY, _DIGEST = "fingerprint", "sha256"


def remembered(folder: Path, identity: Any, count: int, compute: Callable[[], Features]) -> Features:  # Any: JSON
    """The features that `identity` stands for, `count` of them: from `folder` if they are there, else from `compute`.

    While one process computes, others that want the same wait for it.
    """
    key = fingerprint(identity)
    path = folder / f"{key}.safetensors"
    found = _read(path, key, count)
    if found is not None:
        return found
    with _alone(path):
        found = _read(path, key, count)  # another process may have worked it out by now
        if found is not None:
            return found
        features = compute()
        try:
            _write(path, key, features)
        except StorageError as error:
            _log.warning("text features are not kept: %s", error)
        return features


def _read(path: Path, key: str, count: int) -> Features | None:
    """The features in `path`; None where there are none that can be trusted."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            labels = file.metadata() or {}
            features: Features = file.get_tensor("features")
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, KeyError) as error:
        _log.warning("%s is damaged and will be worked out again: %s", path, error)
        return None
    is_whole = features.dtype == np.float32 and features.ndim == 2 and len(features) == count
    if not is_whole or labels.get(_KEY) != key or labels.get(_DIGEST) != _digest(features):
        _log.warning("%s is damaged and will be worked out again: its content is not what was written", path)
        return None
    return features


def _write(path: Path, key: str, features: Features) -> None:
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file({"features": features}, temporary, metadata={_KEY: key, _DIGEST: _digest(features)})


def _digest(features: Features) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds `path` for this process: two that write under one temporary name would spoil each other's file."""
    import filelock

    lock = filelock.FileLock(path.with_suffix(".lock"))
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock)
        except (OSError, NotImplementedError) as error:  # read-only, or a file system without locks
            _log.warning("%s cannot be locked: %s", path, error)
        yield
