"""The text chunk by which an image file of this world is known."""

import PIL.Image

MARK, MARK_VERSION = "ostensive-microworld", "1"


def is_of_this_world(image: PIL.Image.Image) -> bool:
    """Whether a file that Pillow has opened says that it is of this world."""
    return MARK in image.info
