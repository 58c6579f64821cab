"""The stage `annotations`: what came in beside images, put to the images that were taken in.

An image may have been found several times, with other items beside each copy; all of them go to the one that is kept,
so that this stage begins when all images of the run are taken in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ostensive.images.annotations import (
    NO_IMAGE,
    NOT_TAKEN_IN,
    AnnotationLoss,
    Annotations,
    RawAnnotation,
    annotate,
    lacks,
)
from ostensive.records import Annotation
from ostensive.run import partitions
from ostensive.stage import Dropped, Evidence, FunctionStage, Kept, Outcome

ANNOTATIONS: Final = "annotations"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ImageItems:
    """The items of an image and what was lost of them; without an image, what was lost for having none."""

    image_id: str  # empty where no image of the run has them
    items: tuple[RawAnnotation, ...] = ()
    losses: tuple[AnnotationLoss, ...] = ()

    @property
    def record_id(self) -> str:
        return self.image_id

    @property
    def stamp(self) -> object:
        """What the row is, for the fingerprint of what is made of it."""
        image_wide = [[item.split, item.source, item.license] for item in self.items]
        losses = [[loss.reason, loss.place, loss.detail] for loss in self.losses]
        return [self.image_id, [item.digest for item in self.items], image_wide, losses]


def annotation_stage(required: Sequence[str]) -> FunctionStage[ImageItems, Annotation]:
    """Items to records; one that lacks what the recipe requires is dropped."""
    return FunctionStage(
        ANNOTATIONS,
        partial(_records, tuple(required)),
        record_in=ImageItems,
        record_out=Annotation,
        identity={"version": _VERSION, "required": list(required)},
    )


def _records(required: tuple[str, ...], rows: Sequence[ImageItems], _evidence: Evidence) -> list[Outcome[Annotation]]:
    outcomes: list[Outcome[Annotation]] = []
    for row in rows:
        losses: list[Dropped[Annotation]] = [
            Dropped(loss.reason, f"{loss.place}: {loss.detail}".strip(": ")) for loss in row.losses
        ]
        kept = []
        for raw in row.items:
            item = annotate(raw, row.image_id)
            if problem := lacks(item, required):
                losses.append(Dropped(problem, raw.place, item))
            else:
                kept.append(item)
        outcomes.append(Kept(tuple(kept), tuple(losses)))
    return outcomes


def rows_by_partition(annotations: Annotations, taken_in: Mapping[int, Path]) -> dict[int, tuple[ImageItems, ...]]:
    """The rows of the stage by partition, from all that was found and the files of what was taken in, by partition.

    The rows of a partition are about its images, in their order. What belongs to no image of the run is counted in the
    first partition, what belongs to an image that was refused in the partition of that image.
    """
    keys_of: defaultdict[str, list[str]] = defaultdict(list)  # by image, in the order of the run
    owner: dict[str, int] = {}
    lost: defaultdict[int, list[AnnotationLoss]] = defaultdict(list)
    for index, path in sorted(taken_in.items()):
        for key, image_id in partitions.read_pairs(path, "input_id", "image_id"):
            if image_id is not None:
                owner.setdefault(image_id, index)
                keys_of[image_id].append(key)
            else:
                lost[index] += [
                    AnnotationLoss(NOT_TAKEN_IN, item.place, key) for item in annotations.items.get(key, ())
                ]
    rows: dict[int, list[ImageItems]] = {index: [] for index in taken_in}
    for image_id, keys in keys_of.items():
        settled = annotations.of(keys, image_id)
        if settled.items or settled.losses:
            rows[owner[image_id]].append(ImageItems(image_id, settled.items, settled.losses))
    first = min(rows)
    lost[first] = [*_lost_before(annotations), *_unknown(annotations, owner), *lost[first]]
    return {
        index: (*own, *([ImageItems("", (), tuple(lost[index]))] if lost[index] else ())) for index, own in rows.items()
    }


def _lost_before(annotations: Annotations) -> Iterable[AnnotationLoss]:
    """The losses of reading, all that were counted; of those beyond the ones that have a place, the reason alone."""
    yield from annotations.losses
    for reason, count in annotations.lost.items():
        placed = sum(loss.reason == reason for loss in annotations.losses)
        for _ in range(count - placed):
            yield AnnotationLoss(reason, "")


def _unknown(annotations: Annotations, owner: Mapping[str, int]) -> Iterable[AnnotationLoss]:
    for image_id, items in annotations.by_image_id.items():
        if image_id not in owner:
            for item in items:
                yield AnnotationLoss(NO_IMAGE, item.place, image_id)
