"""Telling our own folders from people's by a file that each kind of them has: a run, a corpus, a student, an export.

A name alone is no mark: people have a `run.json` and a `manifest.json` too. What a folder of ours holds is never taken
in as images by the way, and a folder of theirs is no place to write to.
"""

import json
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, TypeGuard  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.files import is_temporary, storage_errors, write_text
from ostensive.json_text import parse_json

RUN, LOOP, STUDENT, CRITIC = "run", "loop", "student", "critic"
EXPORT, LABEL_STUDIO, DEMO = "export", "label-studio", "demo"
RUN_MARK, LOOP_MARK = "run.json", "loop.yaml"
OWN_MARK: Final = ".ostensive.json"
"""Of folders without a file of their own to tell them by; `datasets` and trainers pass hidden files over."""
MARKS: Final = frozenset({RUN_MARK, LOOP_MARK, "manifest.json", "student.json", "made_from.json", OWN_MARK})
LOCK: Final = ".lock"
"""The file by which a process holds a folder; it is nobody's own."""
_PREFIX: Final = "ostensive-"  # of a value `kind`
_LOOP_BEGINS: Final = b"kind: ostensive-loop\n"
_MAX_BYTES: Final = 1 << 28
_RUN_ID: Final = re.compile("[0-9a-f]{32}")


def own_kind(folder: str | os.PathLike[str], names: Collection[str] = MARKS) -> str | None:
    """What kind of ours a folder is, such as `run`, `corpus` or `student`; None where it is not ours.

    `names` are those of the files in it, where they are known. What cannot be read is no mark.
    """
    for name in sorted(MARKS.intersection(names)):
        path = Path(folder, name)
        kind = _loop_kind(path) if name == LOOP_MARK else _json_kind(path)
        if kind is not None and (kind == RUN) == (name == RUN_MARK):
            return kind
    return None


def is_run_state(values: object) -> TypeGuard[dict[str, Any]]:
    """Whether these are the values of a run's `run.json`."""
    if not isinstance(values, dict):
        return False
    run_id = values.get("run_id")
    return isinstance(run_id, str) and _RUN_ID.fullmatch(run_id) is not None and isinstance(values.get("pins"), dict)


def check_folder_for(path: Path, kind: str, mark: str = OWN_MARK) -> None:
    """Raises `SettingsError` where the path is no folder, or one that holds files and is not of that kind of ours.

    What a kill leaves before the file `mark`, by which the kind is told, is whole is no obstacle.
    """
    try:
        names = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        taken = next(place for place in (path, *path.parents) if place.exists())
        raise SettingsError(f"{path}: {taken} is a file, not a folder; choose another folder") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    foreign = sorted(name for name in names - {LOCK} if not is_temporary(name, mark))
    if foreign and own_kind(path, names) != kind:
        raise SettingsError(f"{path} holds other files ({foreign[0]}, ...); choose an empty folder")


def claim_folder(path: Path, kind: str) -> None:
    """Makes `path`, or finds it empty or of that kind, and marks it as ours; raises as `check_folder_for` does."""
    check_folder_for(path, kind)
    if own_kind(path) != kind:
        mark_folder(path, kind)


def mark_folder(path: Path, kind: str) -> None:
    """Makes the folder `path` known as one of ours of that kind; raises `StorageError`."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    write_text(path / OWN_MARK, json.dumps({"kind": f"{_PREFIX}{kind}"}) + "\n")


def check_apart(images: Path, out: Path) -> None:
    """Raises `SettingsError` where one of the two lies in the other, links followed, or they are one folder."""
    if not images.exists():
        return
    real_images, real_out = Path(os.path.realpath(images)), Path(os.path.realpath(out))
    if any(_are_same(folder, real_images) for folder in (real_out, *real_out.parents)):
        what = "is the folder of --images" if _are_same(real_out, real_images) else f"lies inside --images {images}"
        raise SettingsError(
            f"--out {out}: {what}, where its own files would be taken in as images; choose a folder beside it"
        )
    if any(_are_same(folder, real_out) for folder in real_images.parents):
        raise SettingsError(
            f"--images {images}: lies inside --out {out}, whose files are made from images; give the images themselves"
        )


def check_none_inside(paths: Iterable[str], out: Path) -> None:
    """Raises `SettingsError` where one of the files that a list names, links followed, lies in the folder `out`."""
    real_out = os.path.realpath(out)
    parents: dict[str, str] = {}
    for path in paths:
        parent, name = os.path.split(path)
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        place = os.path.realpath(path) if os.path.islink(path) else f"{parents[parent]}/{name}"  # noqa: PTH114 - a million
        if place.startswith(f"{real_out}/"):
            raise SettingsError(f"--images: {path!r:.200} is a file of --out {out} itself; give the images themselves")


def _are_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _json_kind(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        values: Any = parse_json(path.read_bytes(), strict=False)
    except (OSError, ValueError):
        return None
    if is_run_state(values):
        return RUN
    if not isinstance(values, dict):
        return None
    if values.keys() == {"made_from", "processes"}:
        return STUDENT  # whose training has not ended
    kind = values.get("kind")
    return kind.removeprefix(_PREFIX) if isinstance(kind, str) and kind.startswith(_PREFIX) else None


def _loop_kind(path: Path) -> str | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return LOOP if file.read(len(_LOOP_BEGINS)) == _LOOP_BEGINS else None
    except OSError:
        return None
