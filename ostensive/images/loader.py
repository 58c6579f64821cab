"""The bytes and pixels of an image by its location, for every stage that needs them again.

Nothing is kept but what a format keeps of the files read last: images are read anew each time they are needed, for a
folder may be larger than memory, and the operating system caches files better than we could. What is read is checked
against the content hash, so that a file that was edited during a run is noticed instead of being described wrongly.
"""

import hashlib
from typing import Final

from PIL import Image

from ostensive.images import refusals
from ostensive.images.decode import open_rgb
from ostensive.images.files import read_file, suffix_of
from ostensive.images.formats import IMAGE_FILES
from ostensive.images.paths import openable_path
from ostensive.images.refusals import ImageChangedError, ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.records import ImageRecord, Location

_MAX_BYTES_PER_PIXEL: Final = 16  # RGBA of 32 bits a channel; a file larger than that at the pixel limit is no image
_MAX_BYTES_BESIDES: Final = 64 << 20  # metadata, second pictures, film clips


class ImageLoader:
    """Reads images by location; any number of threads may use one loader."""

    def __init__(self, settings: IntakeSettings) -> None:
        self._max_pixels = settings.max_pixels
        self._max_bytes = settings.max_pixels * _MAX_BYTES_PER_PIXEL + _MAX_BYTES_BESIDES
        self._readers = {suffix: form.reader(self._max_bytes) for suffix, form in IMAGE_FILES.items()}

    def read(self, image: ImageRecord) -> bytes:
        """The bytes of `image`; raises `ImageChangedError` when they are gone or are not those that were taken in."""
        try:
            data = self.read_location(image.location)
        except ImageRefusedError as error:
            raise ImageChangedError(
                f"{image.source}: cannot be read any more ({error}); put it back, or build into a new folder"
            ) from error
        if hashlib.sha256(data).hexdigest() != image.image_id:
            raise ImageChangedError(
                f"{image.source}: changed since it was taken in as {image.image_id[:12]}; "
                "put the old file back, or build into a new folder"
            )
        return data

    def load(self, image: ImageRecord) -> Image.Image:
        """The pixels of `image`, upright, RGB, 8 bits; raises as `read` does."""
        return open_rgb(self.read(image), self._max_pixels, image.sample_bits)

    def read_location(self, location: Location) -> bytes:
        """The bytes at `location`, unchecked; raises `ImageRefusedError` when there are none to be had."""
        path = openable_path(location.path)
        try:
            if location.offset is None:
                return read_file(path, self._max_bytes)
            return self._readers[suffix_of(path)].read(path, location)
        except FileNotFoundError as error:
            raise ImageRefusedError(refusals.MISSING, error.strerror or "") from error
        except OSError as error:
            raise ImageRefusedError(refusals.UNREADABLE, error.strerror or str(error)) from error
