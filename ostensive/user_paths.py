"""Paths as people write them, made absolute once, where they come in: nothing behind has to ask what they mean.

A tilde at the start is a home folder, as in a shell; variables are left as they are. A relative path is meant from the
working directory, one in a recipe's file from the folder of that file. Left relative, a path would mean two things:
pyarrow opens `~/x` in the home folder where pathlib makes a folder called `~`, and pathlib writes `./~` as `~`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal  # Any: pydantic's source types

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ostensive.errors import SettingsError

HOME = "~"
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
MAX_NAME_BYTES = 255  # of all common file systems
PathLike = str | os.PathLike[str]


def absolute_path(given: PathLike, folder: Path | None = None) -> Path:
    """`given` with its tilde expanded, from `folder` (None: the working directory) where it is relative.

    An absolute path is given back as it is. Raises `ValueError` with one sentence for what is no path.
    """
    text = os.fspath(given)
    if not text.strip():
        raise ValueError("is empty; a path is expected")
    if "\0" in text:
        raise ValueError("has a null character in it, which no path has")
    if any(len(os.fsencode(name)) > MAX_NAME_BYTES for name in text.split("/")):
        raise ValueError(f"has a name of more than {MAX_NAME_BYTES} bytes in it, which no file has")
    if text.startswith(HOME):
        home = os.path.expanduser(text)  # noqa: PTH111 - as given: a Path has lost whether it was written ./~
        if home.startswith(HOME):
            user = text.partition("/")[0]
            raise ValueError(f"begins with {user}, and there is no such home folder; a name of that kind is ./{text}")
        text = home
    if folder is None and not PurePath(text).is_absolute():
        try:
            folder = Path.cwd()
        except OSError as error:
            raise ValueError("is relative, and the working directory is no longer there") from error
    return Path(folder or "/", text)


def user_path(given: PathLike, what: str) -> Path:
    """The same of what was given as `what`, such as `--out`; raises `SettingsError` for what is no path."""
    try:
        return absolute_path(given)
    except ValueError as error:
        raise SettingsError(f"{what} {os.fspath(given)!r:.80}: {error}") from error


def shown_path(path: Path) -> str:
    """`path` for a person to read: from the working directory where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def without_folder(text: str) -> str:
    """The last name of an absolute path; `text` where it is none, such as a model's name on the Hub."""
    path = PurePath(text)
    return path.name if path.is_absolute() else text


def model_label(name: str) -> str:
    """What rows and pages call a model that its server names `name`: of a path on some machine the last part alone.

    Servers of models in folders name them by the folder, whose place is nobody's business.
    """
    plain = name.removeprefix("file://")
    is_path = plain != name or plain.startswith(("/", "~", "./", "../", "\\\\")) or _DRIVE.match(plain) is not None
    if is_path:
        plain = next(
            (part for part in reversed(re.split(r"[/\\]", plain)) if part not in {"", ".", "..", "~"}), "model"
        )
    return plain


class PlacedText(str):
    """Text out of a file, from whose folder a relative path in it is meant."""

    __slots__ = ("folder",)

    folder: Path

    @classmethod
    def of(cls, text: str, folder: Path) -> "PlacedText":
        """`text` as it stands in a file in `folder`, which is absolute."""
        placed = cls(text)
        placed.folder = folder
        return placed


@dataclass(frozen=True, slots=True)
class PathMark:
    """Marks a text of settings as a path; validation makes it absolute.

    `or_name` is for texts that are a name as well, of a model, say: only where such a file or folder is there are they
    a path. That is looked for in the folder of the recipe's file, then in the working directory.
    """

    or_name: Literal["file", "folder"] | None = None
    names: tuple[str, ...] = ()  # that are never a path, whatever is there
    prefix: str = ""  # with which a path begins; all else is a name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.resolved, handler(source))

    def resolved(self, value: object) -> object:
        """`value` with its path absolute; what is no text stays what it is. Raises `ValueError` as `absolute_path`."""
        if not isinstance(value, str) or value in self.names or not value.startswith(self.prefix):
            return value
        text = value.removeprefix(self.prefix)
        folder = value.folder if isinstance(value, PlacedText) else None
        if self.or_name is None or text.startswith(HOME):
            return f"{self.prefix}{absolute_path(text, folder)}"
        is_there = os.path.isfile if self.or_name == "file" else os.path.isdir  # those of Path raise for long paths
        places = (absolute_path(text, place) for place in dict.fromkeys((folder, None))) if text else ()
        found = next((place for place in places if is_there(place)), None)
        return value if found is None else f"{self.prefix}{found}"

    def without_folder(self, value: str) -> str:
        """`value` less the folders of a path: where a file lies changes no row, and is nobody's business."""
        if not value.startswith(self.prefix):
            return value
        return f"{self.prefix}{without_folder(value.removeprefix(self.prefix))}"


UserPath = Annotated[str, PathMark()]
"""A path of the user's in a recipe."""
ModelName = Annotated[str, PathMark(or_name="folder")]
"""A model by its name on the Hugging Face Hub, or the folder that it lies in."""
