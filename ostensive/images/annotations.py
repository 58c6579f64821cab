"""What belongs to an image before and after the image is known, and which of its items agree; all of it pure.

An item does not know its image's hash before the image's bytes are read, so it is held as a `RawAnnotation` until then
and made an `Annotation` by `annotate`. Ids come from content alone: rows and files in another order give the same ids.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ostensive.fingerprint import fingerprint
from ostensive.images.paths import shown_name
from ostensive.images.settings import ANNOTATION_FIELDS
from ostensive.licenses import license_key
from ostensive.records import Annotation, NamedText, Turn

IMAGE_FIELDS: Final = ("split", "source", "license")
"""What an item says of its image. Read for every recipe."""

# Why a row, or an item, is lost.
UNREADABLE_ROW: Final = "unreadable row"
NO_IMAGE: Final = "no such image"
SEVERAL_IMAGES: Final = "names several images"
NO_NAME: Final = "names no image"
EMPTY: Final = "empty item"
NOT_TEXT: Final = "not text"
BROKEN_TEXT: Final = "broken text"
TOO_LONG: Final = "text too long"
NO_CONVERSATION: Final = "not a conversation"
REPEATED: Final = "repeats another item"
SPLITS: Final = "conflicting splits"
SOURCES: Final = "conflicting sources"
LICENSES: Final = "conflicting licences"
NOT_TAKEN_IN: Final = "image was not taken in"
REASONS: Final = (
    *(UNREADABLE_ROW, NO_IMAGE, SEVERAL_IMAGES, NO_NAME, EMPTY, NOT_TEXT, BROKEN_TEXT, TOO_LONG, NO_CONVERSATION),
    *(REPEATED, SPLITS, SOURCES, LICENSES, NOT_TAKEN_IN),
)


@dataclass(frozen=True, slots=True)
class RawAnnotation:
    """An item whose image is not hashed yet; the fields are those of `Annotation`."""

    question: str | None = None
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    label: str | None = None
    instruction: str | None = None
    turns: tuple[Turn, ...] = ()
    rationales: tuple[str, ...] = ()
    split: str | None = None
    source: str | None = None
    license: str | None = None
    extras: tuple[NamedText, ...] = ()
    place: str = field(default="", compare=False)  # file and row, for messages; no part of what it is

    @property
    def digest(self) -> str:
        """Hash of all that it says, hexadecimal; where it was read makes no difference."""
        return fingerprint([*self._texts(), self.split, self.source, self.license])

    @property
    def has_text(self) -> bool:
        """Whether it says more than what split, source and licence its image has."""
        return any(self._texts())

    def _texts(self) -> list[Any]:  # Any: JSON values, here and below
        turns = [[turn.role, turn.text] for turn in self.turns]
        extras = [[extra.name, extra.text] for extra in self.extras]
        asked = [self.question, self.answers, self.choices, self.label, self.instruction, turns]
        return [*asked, self.rationales, extras]


@dataclass(frozen=True, slots=True)
class AnnotationLoss:
    """A row or an item that is not used. `reason` is one of `REASONS`, `place` is file and row."""

    reason: str
    place: str
    detail: str = ""


def annotate(raw: RawAnnotation, image_id: str) -> Annotation:
    """`raw` as the annotation of an image; the same texts for the same image always have the same id."""
    values = {name: getattr(raw, name) for name in (*ANNOTATION_FIELDS, "extras")}
    return Annotation(annotation_id=fingerprint([image_id, *raw._texts()])[:16], image_id=image_id, **values)


def lacks(annotation: Annotation | RawAnnotation, required: Iterable[str]) -> str | None:
    """Why an item will not do for a recipe, such as `no question`; None where it has all of `required`."""
    extras = {extra.name for extra in annotation.extras}
    missing = (name for name in required if not (name in extras or getattr(annotation, name, None)))
    return next((f"no {name}" for name in missing), None)


# ---- the items of one image -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settled:
    """The items of an image that agree with each other, and what became of the others."""

    items: tuple[RawAnnotation, ...]
    losses: tuple[AnnotationLoss, ...]
    merged: int  # items that had nothing but split, source or licence, which the others now have too


def settle(items: Sequence[RawAnnotation]) -> Settled:
    """The items of one image, in their order, with one split, source and licence for all.

    What one item says of the image holds for all. Of several splits, or sources, the first in alphabetical order holds
    (`test` before `train`, so that an image that is tested on is not trained on) and items with another are lost; of an
    image under several licences all items that name one are lost, since none of them is known to hold. Settling again
    changes nothing.
    """
    if len(items) < 2:
        return Settled(tuple(items), (), 0)
    losses: list[AnnotationLoss] = []
    left = list(items)
    image: dict[str, str | None] = {}
    for name, reason in zip(IMAGE_FIELDS, (SPLITS, SOURCES, LICENSES), strict=True):
        values = sorted({value for item in left if (value := getattr(item, name)) is not None})
        holds = {None, *values[:1]}
        if name == "license":  # one licence may be written in several ways
            holds = {None} if len({license_key(value) for value in values}) > 1 else {None, *values}
        losses += [
            AnnotationLoss(
                reason, item.place, f"{getattr(item, name):.60}, another has {_other(values, item, name):.60}"
            )
            for item in left
            if getattr(item, name) not in holds
        ]
        left = [item for item in left if getattr(item, name) in holds]
        image[name] = max((value for value in holds if value is not None), default=None)
    agreed = [item if all(getattr(item, n) == v for n, v in image.items()) else _with(item, image) for item in left]
    texts = [item for item in agreed if item.has_text]
    merged = len(agreed) - len(texts) if texts else max(len(agreed) - 1, 0)
    kept: dict[RawAnnotation, RawAnnotation] = {}
    for item in texts or agreed[:1]:
        if (first := kept.setdefault(item, item)) is not item:
            losses.append(AnnotationLoss(REPEATED, item.place, first.place))
    return Settled(tuple(kept), tuple(losses), merged)


def _other(values: Sequence[str], item: RawAnnotation, name: str) -> str:
    return next(value for value in values if value != getattr(item, name))


def _with(item: RawAnnotation, image: Mapping[str, str | None]) -> RawAnnotation:
    return dataclasses.replace(item, split=image["split"], source=image["source"], license=image["license"])


# ---- all of them ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnnotationSource:
    """A file, or what lies beside the images of one, in which annotations were looked for."""

    name: str
    columns: tuple[str, ...]  # all that were met, in the order in which they were
    fields: tuple[str, ...]  # those of ours that a column was found for

    @property
    def shown_columns(self) -> str:
        """The columns for people, on one line that is not too long."""
        return shown_name(", ".join(self.columns))[:200]


@dataclass(frozen=True, slots=True)
class Annotations:
    """All that was found. `rows` is the sum of the items here and there, of `merged` and of `lost`."""

    items: Mapping[str, tuple[RawAnnotation, ...]]  # by the key of their `SourceItem`; settled
    by_image_id: Mapping[str, tuple[RawAnnotation, ...]]  # of rows that name an image by its hash; settled
    lost: Mapping[str, int]  # by reason
    losses: tuple[AnnotationLoss, ...]  # the first ones of each reason
    merged: int
    rows: int
    sources: tuple[AnnotationSource, ...]

    @property
    def splits(self) -> list[str]:
        """The splits that are named, each once, in alphabetical order."""
        everywhere = itertools.chain(self.items.values(), self.by_image_id.values())
        return sorted({item.split for items in everywhere for item in items if item.split is not None})

    def of(self, keys: Iterable[str], image_id: str) -> Settled:
        """The items of an image, once its hash is known, that was listed as each of `keys`."""
        named = [item for key in keys for item in self.items.get(key, ())]
        return settle((*named, *self.by_image_id.get(image_id, ())))
