"""The folder of a student: what lies in it, and that it is gone on with by the very training that began it.

It holds `model/`, and `student.json`, written last: a folder without it is a training that has not ended.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.files import is_temporary, storage_errors, write_text
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_json
from ostensive.own_folders import LOCK, STUDENT, check_folder_for
from ostensive.run.folder import locked_folder
from ostensive.user_paths import shown_path

MODEL: Final = "model"
MADE_FROM: Final = "made_from.json"
"""What a training that has not ended was begun with."""


@contextmanager
def locked(out: Path, *, is_first: bool = True) -> Iterator[None]:
    """Makes the folder `out` and holds it for one training, of its processes by the first.

    Raises `RunLockedError` while another training is at work there.
    """
    if not is_first:
        yield
        return
    check_place(out)
    with locked_folder(out, "another process trains the student of this folder", mode=0o777):
        yield


def check_place(out: Path) -> None:
    """Raises `SettingsError` where `out` is no folder, or holds files and is not a student's; makes nothing."""
    check_folder_for(out, STUDENT, MADE_FROM)


def begin(out: Path, made_from: str, processes: int = 1) -> None:
    """Marks the folder `out` as that of the training `made_from` by so many processes, or finds that it is.

    Raises `SettingsError` for a folder of another training, or of something else.
    """
    mark = out / MADE_FROM
    check_place(out)
    if mark.exists():
        before = parse_json(mark.read_text("utf-8"), strict=False)
        check_same(out, before["made_from"], made_from)
        if before["processes"] != processes:
            raise SettingsError(
                f"--out {shown_path(out)}: was begun by {before['processes']} processes, and there are {processes} now,"
                " of which a step would have other rows; start as many again, or name another folder"
            )
    elif _files_of(out):
        raise SettingsError(f"--out {shown_path(out)}: holds files of something else; name a folder of its own")
    else:
        write_text(mark, json.dumps(_mark_of(made_from, processes)) + "\n")


def unclaim(out: Path, made_from: str, leftovers: Sequence[str], *, processes: int = 1) -> None:
    """Leaves a folder in which nothing was trained yet to whoever mends the settings, without its `leftovers`."""
    mark = out / MADE_FROM
    try:
        is_ours = parse_json(mark.read_text("utf-8"), strict=False) == _mark_of(made_from, processes)
    except OSError:
        return
    if not is_ours:
        return
    with storage_errors(out):
        for name in leftovers:
            shutil.rmtree(out / name, ignore_errors=True)
        mark.unlink(missing_ok=True)
        if not _files_of(out):
            (out / LOCK).unlink(missing_ok=True)
            out.rmdir()


def cleared(folder: Path) -> Path:
    """`folder`, without what a save that was killed left in it: safetensors writes under names that it draws."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def check_same(out: Path, before: str, now: str) -> None:
    """Raises `SettingsError` where the folder `out` is of another training than this one."""
    if before != now:
        raise SettingsError(
            f"--out {shown_path(out)}: a training of another corpus, base, settings or versions of libraries was begun"
            " here; name another folder"
        )


def corpus_digest(corpus: Corpus) -> str:
    """A hash of the files with the rows of a corpus."""
    return fingerprint([[file.path, file.sha256] for file in corpus.manifest.files_of("samples")])[:16]


def _files_of(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name != LOCK and not is_temporary(path.name)]


def _mark_of(made_from: str, processes: int) -> dict[str, Any]:
    return {"made_from": made_from, "processes": processes}
