"""Which listed image a name means, as people write it in the files that go with their images.

A name is a path as it is listed, or the end of one: `b/1.jpg` means `a/b/1.jpg` where no other image ends so. The other
way round (a longer name for a shorter path) was left out: `val/1.jpg` would then mean the `1.jpg` of a folder `train`.
"""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from ostensive.images import refusals
from ostensive.images.formats import IMAGE_FILES
from ostensive.images.items import SourceItem
from ostensive.images.paths import openable_path, storable_path

_NO_IMAGES: Final = (
    *(refusals.LISTED_TWICE, refusals.DATA_SET_AMONG_IMAGES),
    *(refusals.NO_IMAGE_COLUMN, refusals.NO_IMAGES, refusals.PACKED),
)
_IN_FILE: Final = re.compile(f".*?({'|'.join(map(re.escape, IMAGE_FILES))})!", re.IGNORECASE | re.DOTALL)


class ImageNames:
    """The keys of a listing by the names that may stand for them; tables are made when the first name asks for them."""

    def __init__(self, items: Iterable[SourceItem]) -> None:
        self._keys = {item.key for item in items if item.problem not in _NO_IMAGES}
        self._composed: dict[str, list[str]] | None = None
        self._by_end: dict[str, list[str]] | None = None

    def at(self, path: str) -> str | None:
        """The key of the image at exactly this path."""
        for name in (path, posixpath.normpath(path)):
            if (key := storable_path(name)) in self._keys:
                return key
        if self._composed is None:
            # macOS stores an accent as a character of its own. What is no UTF-8 may be written as it is stored.
            self._composed = defaultdict(list)
            for key in self._keys:
                self._composed[_composed(key)].append(key)
        keys = self._composed.get(_composed(posixpath.normpath(path.replace("\\", "/"))), [])
        return keys[0] if len(keys) == 1 else None

    def find(self, name: str) -> tuple[str, ...]:
        """The keys of the images that a name may mean: one, or none, or several that it does not tell apart."""
        if (key := self.at(name)) is not None:
            return (key,)
        if self._by_end is None:
            self._by_end = defaultdict(list)
            for key in self._keys:
                last = _last(_composed(key))
                self._by_end[last].append(key)
                self._by_end[last.rpartition(".")[0]].append(key)  # a number for `12.jpg`
        wanted = _composed(posixpath.normpath(name.replace("\\", "/")))
        keys = self._by_end.get(_last(wanted), [])
        path = openable_path(wanted)
        whole = [key for key in keys if _composed(openable_path(key)).endswith((f"/{path}", f"!{path}"))]
        return tuple(sorted(whole or (keys if "/" not in wanted else [])))


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _last(key: str) -> str:
    """The file name in a key, within the tar, or another file of images, if it is in one; in its own stored form."""
    return storable_path(_IN_FILE.sub("", openable_path(key), count=1).rpartition("/")[2])
