"""Writing files so that they are there whole or not at all, and turning what disks do into one clear line.

Everything the project writes goes through `replacing`: a temporary name beside the final one, flushed to the disk,
renamed. Appending in place is left to SQLite and the log, which survive a cut.
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ostensive.errors import StorageError

TEMPORARY = ".partial-"  # prefix of names that are being written; never read, removed at the next start

_CAUSES = {
    errno.ENOSPC: "the disk is full; make room and run the same command again",
    errno.EDQUOT: "the disk quota is used up; make room and run the same command again",
    errno.EFBIG: "the file would pass the size limit set for this process; raise it and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "there is no permission to write there; choose another folder or change its permissions",
    errno.EPERM: "writing there is not permitted; choose another folder or change its permissions",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another folder",
    errno.EEXIST: "something else is there already; choose another folder",
    errno.EISDIR: "a folder is there already; choose another name",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` inside into a `StorageError` that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, error.strerror or str(error).partition("\n")[0])
        raise StorageError(f"cannot write {path}: {cause}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path; when the block ends well it takes the place of `path`, otherwise it is removed.

    The temporary path is the caller's alone, so that of several who write `path` at a time each writes it whole. Raises
    `StorageError` when the disk is full, read-only or broken.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            flush_to_disk(temporary)
            temporary.replace(path)
            flush_to_disk(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def flush_to_disk(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process was writing in `folder`, at any depth. Only safe under the run's lock."""
    for leftover in sorted(folder.rglob(f"{TEMPORARY}*")):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
