"""Small pictures for the page: every image that can still be read, as a JPEG in a `data:` address."""

import base64
import io
from typing import Final

from ostensive.chat.pictures import shrunk
from ostensive.images.loader import ImageLoader
from ostensive.records import ImageRecord

MAX_SIDE_PX: Final = 320
_QUALITY: Final = 62


class Thumbnails:
    """Makes thumbnails of images that are read from where they were taken in."""

    def __init__(self, loader: ImageLoader) -> None:
        self.unreadable = 0
        self._loader = loader

    def address(self, image: ImageRecord) -> str:
        """The `data:` address of a thumbnail; empty where the image cannot be read any more, which is counted."""
        sink = io.BytesIO()
        try:
            shrunk(self._loader.load(image), MAX_SIDE_PX).save(sink, "JPEG", quality=_QUALITY)
        except Exception:  # noqa: BLE001 - the boundary of one image: its rows are shown without a picture
            self.unreadable += 1
            return ""
        return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode('ascii')}"
