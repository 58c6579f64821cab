"""Who judges what: whole images are given out, each to so many annotators, the earliest unfinished one first.

An image goes to one annotator with all its items, because looking at the picture is most of the work. An annotator is
never given an image twice, and never sees what another said of it. An image that is left unfinished goes to others
after `ASSIGNMENT_HOLDS_S`, so that somebody who closed the browser for good does not keep it from them; who comes back
finds it all the same, and one judgement more does no harm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ostensive.fingerprint import fingerprint

ASSIGNMENT_HOLDS_S: Final = 3600.0
"""How long an image is kept for an annotator who has not finished it, from the last thing done there."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """That an annotator was given an image."""

    image_id: str
    annotator: str
    judged: int  # how many of the image's items this annotator has judged
    touched_at: float  # seconds since the epoch: when it was given, or the last judgement there


def choose_image(
    sizes: Mapping[str, int], given: Iterable[Assignment], annotator: str, *, annotators_per_item: int, now: float
) -> str | None:
    """The first image, in the order of `sizes` (items by image), that lacks annotators; None where there is none."""
    held: dict[str, int] = {}
    own: set[str] = set()
    for one in given:
        if one.annotator == annotator:
            own.add(one.image_id)
        elif one.judged >= sizes.get(one.image_id, 0) or now - one.touched_at < ASSIGNMENT_HOLDS_S:
            held[one.image_id] = held.get(one.image_id, 0) + 1
    for image_id in sizes:
        if image_id not in own and held.get(image_id, 0) < annotators_per_item:
            return image_id
    return None


def is_swapped(item_id: str, annotator: str) -> bool:
    """Whether the two sides of an item are shown to an annotator in the other order.

    A coin that falls the same way each time: reloading a page does not turn it, and two annotators have two coins.
    """
    return int(fingerprint(["sides", item_id, annotator])[0], 16) % 2 == 1


def shuffled(image_ids: Sequence[str], seed: int) -> list[str]:
    """The images in an order that follows from `seed` alone, so that the first n are a fair sample of all."""
    return sorted(image_ids, key=lambda image_id: fingerprint(["annotate", seed, image_id]))
