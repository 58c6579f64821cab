"""Writing files so that they are there whole or not at all, and turning what disks do into one clear line.

Everything the project writes goes through `replacing` or `new_folder`: a temporary name beside the final one, flushed
to the disk, renamed. Appending in place is left to SQLite and the log, which survive a cut.

A temporary name is drawn, so that nobody can put a link or a file there first, and carries a digest of what was drawn.
By that what a killed process left is told from files of people's, whatever they are called: nothing else is removed.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ostensive.errors import SettingsError, StorageError

TEMPORARY: Final = ".partial-"
"""How names begin of what is being written: never read, removed at the next start."""
_OWN: Final = re.compile(re.escape(TEMPORARY) + "([0-9a-f]{16})-([0-9a-f]{16})-(.+)", re.DOTALL)
_MAX_NAME_BYTES: Final = 255

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


def private_mode() -> int:
    """The mode of a folder that holds what is its owner's alone; less what the process' umask takes away.

    `OSTENSIVE_SHARED_GROUP=1` opens it to the group. It is no setting of a recipe: a recipe may come from somebody
    else, and who may read is a matter of the machine, as a umask is.
    """
    given = os.environ.get("OSTENSIVE_SHARED_GROUP", "")
    if given not in {"", "0", "1"}:
        raise SettingsError(
            f"OSTENSIVE_SHARED_GROUP={given!r:.20}: 1, to let the group read and write, or 0 is expected"
        )
    return 0o770 if given == "1" else 0o700


def make_private_file(path: Path) -> None:
    """Makes an empty file for its owner alone, or as `private_mode` has it; one that is there stays as it is.

    No link is followed. Raises `OSError`.
    """
    with contextlib.suppress(FileExistsError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(path, flags, private_mode() & 0o660))


def temporary_name(name: str) -> str:
    """A new name beside `name`, that nobody can guess and that `is_temporary` knows."""
    drawn = secrets.token_hex(8)
    beginning = f"{TEMPORARY}{drawn}-{_digest(drawn)}-"
    end = os.fsencode(name)[-(_MAX_NAME_BYTES - len(beginning)) :]
    return beginning + os.fsdecode(end)


def is_temporary(name: str, of: str | None = None) -> bool:
    """Whether `temporary_name` made the name, for `of` unless that is None."""
    found = _OWN.fullmatch(name)
    return found is not None and found[2] == _digest(found[1]) and of in {None, found[3]}


def _digest(drawn: str) -> str:
    return hashlib.sha256(f"temporary name of ostensive {drawn}".encode()).hexdigest()[:16]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path; when the block ends well it takes the place of `path`, otherwise it is removed.

    An empty file is there, made by nobody else and through no link. It is the caller's alone, so that of several who
    write `path` at a time each writes it whole. Raises `StorageError` when the disk is full, read-only or broken.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
            yield temporary
            flush_to_disk(temporary)
            temporary.replace(path)
            flush_to_disk(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder; when the block ends well it becomes `path`, which is empty or not there.

    Otherwise it is removed. Raises `StorageError` as `replacing` does, and where something came to be at `path`.
    """
    work = path.with_name(temporary_name(path.name))
    try:
        with storage_errors(path), contextlib.ExitStack() as held:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in leftovers(path.parent, path.name):
                with contextlib.suppress(OSError), _held(left):  # nobody writes there any more
                    remove(left)
            work.mkdir()
            with contextlib.suppress(OSError):  # a file system without locks keeps what a kill leaves
                held.enter_context(_held(work))
            yield work
            work.rename(path)  # takes the place of an empty folder, and of nothing else
            flush_to_disk(path.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds a folder for this process as long as it lives; raises `OSError` where another does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


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


def leftovers(folder: Path, of: str | None = None) -> list[Path]:
    """What killed processes were writing right in `folder`, for the name `of` unless that is None, in order."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if is_temporary(entry.name, of))
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process was writing in `folder`, at any depth. Only safe under the folder's lock.

    No link is followed, and nothing is removed of which `is_temporary` does not know the name.
    """
    for place, folders, files in os.walk(folder):
        for name in [name for name in folders if is_temporary(name)]:
            folders.remove(name)
            remove(Path(place, name))
        for name in filter(is_temporary, files):
            remove(Path(place, name))


def remove(path: Path) -> None:
    """Removes a file, a link, or a folder with all in it; nothing where it is gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
