"""The pictures of a benchmark: found below a folder, decoded, with the boxes drawn that a question points at."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

import PIL.Image

from ostensive.errors import SettingsError
from ostensive.images.beside import DEFAULT_LIMITS
from ostensive.images.decode import open_rgb
from ostensive.images.drawing import draw_regions
from ostensive.images.refusals import MISSING, UNREADABLE, ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.records import AREA_LABEL, Box, Region
from students.evaluation.items import BrokenRowError, Item, Question, ShownBox

NO_AREA: Final = "a box without an area"
_MAX_PIXELS: Final = IntakeSettings().max_pixels


class Pictures(Protocol):
    """Gives the picture of a question."""

    def picture(self, question: Question) -> PIL.Image.Image:
        """The pixels, RGB, with boxes drawn; raises `BrokenRowError` with a phrase to count by."""
        ...


class FolderPictures:
    """Pictures in a folder, as a benchmark is unpacked; any number of threads may ask."""

    def __init__(self, folder: Path) -> None:
        """Raises `SettingsError` where there is no such folder."""
        if not folder.is_dir():
            raise SettingsError(
                f"--images {folder}: there is no such folder; that of the benchmark's images is expected"
            )
        self._folder = folder

    def check(self, items: Sequence[Item], task: Path) -> None:
        """Raises `SettingsError` where none of the pictures is there: the folder is another benchmark's."""
        if items and not any(self.path(item.question) for item in items):
            raise SettingsError(
                f"--images {self._folder}: holds no image of {task}; the first is looked for as"
                f" {items[0].question.places[0]}"
            )

    def path(self, question: Question) -> Path | None:
        """The file of a question's picture; None where there is none."""
        paths = (below(self._folder, place) for place in question.places)
        return next((path for path in paths if path is not None and path.is_file()), None)

    def picture(self, question: Question) -> PIL.Image.Image:
        path = self.path(question)
        if path is None:
            raise BrokenRowError(MISSING)
        try:
            return with_boxes(path.read_bytes(), question.boxes)
        except OSError as error:
            raise BrokenRowError(UNREADABLE) from error


def below(folder: Path, place: str) -> Path | None:
    """The path of `place` in `folder`; None for one that leads out of it, as a file of others might say."""
    path = PurePosixPath(place)
    return None if path.is_absolute() or ".." in path.parts else folder / path


def with_boxes(data: bytes, boxes: Sequence[ShownBox]) -> PIL.Image.Image:
    """The picture in a file's bytes with boxes drawn on it; raises `BrokenRowError`."""
    try:
        picture = open_rgb(data, _MAX_PIXELS, limits=DEFAULT_LIMITS)
    except ImageRefusedError as error:
        raise BrokenRowError(error.reason) from error
    return draw_regions(picture, [_region(box, picture.size) for box in boxes]) if boxes else picture


def _region(box: ShownBox, picture_px: tuple[int, int]) -> Region:
    width, height = box.size_px or picture_px
    x1, y1, x2, y2 = box.corners
    # Boxes of detectors and annotators reach a pixel or two beyond the picture.
    corners = (max(x1 / width, 0.0), max(y1 / height, 0.0), min(x2 / width, 1.0), min(y2 / height, 1.0))
    try:
        return Region(box.number, Box(*corners), AREA_LABEL, None, "")
    except ValueError as error:
        raise BrokenRowError(NO_AREA) from error
