"""What files are known by: SHA-256 over their names and contents, worked out once for each state of a file.

Models have gigabytes and a run is planned again and again, so the digest of a file is remembered with its size, times
and inode. By those alone, a copy of a model, or the same model on another machine, would be another one, and its
finished rows be done again.

The memory is one small file for each model file, so that processes at work at the same time need no lock: what they
write is the same, and it is there whole or not at all. A memory that cannot be read or written costs time only.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

from ostensive.errors import SettingsError
from ostensive.files import TEMPORARY
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_json
from ostensive.models.caches import cache_folder

WORTH_REMEMBERING_BYTES = 1_000_000  # about 1 ms to read; looking a smaller file up takes as long as hashing it
# A file that was changed a moment ago may change once more within one tick of the file system's clock (2 s on FAT, less
# elsewhere) and look the same as before. Git calls this "racily clean" and reads such files again, as is done here.
SETTLED_AFTER_S = 3.0


def files_digest(paths: Iterable[Path], *, memory: Path | None = None) -> str:
    """SHA-256, hexadecimal, over the names (without folders) and contents of `paths`, whatever their order.

    `memory` is the folder where digests are remembered; None takes `file-digests` in the user's cache folder. Raises
    `SettingsError` for a file that cannot be read.
    """
    return _digest_of(((path.name, path) for path in paths), memory)


def folder_digest(
    folder: Path, suffixes: Collection[str], *, subfolders: Collection[str] = (), memory: Path | None = None
) -> str:
    """The same over the files in `folder`, and in folders in it called as one of the patterns in `subfolders` says.

    Files that end in none of `suffixes` are left out, and so are other folders: what a training left there, checkpoints
    and logs, is no part of the model.
    """
    try:
        below = {path for pattern in subfolders for path in folder.glob(pattern) if path.is_dir()}
        places = [folder, *sorted(below)]
        files = [path for place in places for path in place.iterdir() if path.suffix in suffixes and path.is_file()]
    except OSError as error:
        raise _unreadable(folder, error) from error
    return _digest_of(((path.relative_to(folder).as_posix(), path) for path in files), memory)


def _digest_of(files: Iterable[tuple[str, Path]], memory: Path | None) -> str:
    place = cache_folder("file-digests") if memory is None else memory
    return fingerprint(sorted([name, _file_digest(path, place)] for name, path in files))


def _file_digest(path: Path, memory: Path) -> str:
    """SHA-256 of one file: remembered if the file is in the same state, else read."""
    started_ns = time.time_ns()
    try:
        with path.open("rb") as file:
            stamp = _stamp(file)
            if stamp[0] < WORTH_REMEMBERING_BYTES:
                return hashlib.file_digest(file, "sha256").hexdigest()
            entry = memory / f"{fingerprint(str(path.absolute()))}.json"
            known = _recall(entry, path, stamp)
            if known is not None:
                return known
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            is_same = _stamp(file) == stamp
    except OSError as error:
        raise _unreadable(path, error) from error
    if is_same and started_ns - max(stamp[1:3]) > SETTLED_AFTER_S * 1e9:
        _remember(entry, path, stamp, digest)
    return digest


def _stamp(file: BinaryIO) -> list[int]:
    """The state of an open file. Its status time changes with each write and cannot be set back, unlike the other."""
    status = os.fstat(file.fileno())
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _recall(entry: Path, path: Path, stamp: list[int]) -> str | None:
    try:
        values = parse_json(entry.read_text("utf-8"), strict=False)
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or values.get("path") != str(path.absolute()) or values.get("stamp") != stamp:
        return None
    digest = values.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == hashlib.sha256().digest_size * 2 else None


def _remember(entry: Path, path: Path, stamp: list[int], digest: str) -> None:
    # `files.replacing` flushes to the disk and writes under one name for all processes; here a lost entry costs little
    # and two processes may write the same entry at the same time.
    text = json.dumps({"path": str(path.absolute()), "stamp": stamp, "sha256": digest})
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=entry.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(entry)
        finally:
            temporary.unlink(missing_ok=True)


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path}: cannot be read ({error.strerror or error}); a file of a model is expected there")
