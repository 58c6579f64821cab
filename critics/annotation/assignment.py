"""Who judges what: whole images are given out, each to so many annotators, the earliest unfinished one first.

An image goes to one annotator with all its items of a round, because looking at the picture is most of the work; what a
later round adds to it is given out by itself, to anybody. An annotator is never given the same twice, and never sees
what another said of it. An image that is left unfinished goes to others
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
class ImageOfRound:
    """What is given out at a time: the items that a round has of an image."""

    image_id: str
    round_number: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """That an annotator was given an image of a round."""

    image_id: str
    round_number: int
    annotator: str
    judged: int  # how many of the image's items of the round this annotator has judged
    touched_at: float  # seconds since the epoch: when it was given, or the last judgement there

    @property
    def image(self) -> ImageOfRound:
        """What was given."""
        return ImageOfRound(self.image_id, self.round_number)


def choose_image(
    sizes: Mapping[ImageOfRound, int],
    given: Iterable[Assignment],
    annotator: str,
    *,
    annotators_per_item: int,
    now: float,
) -> ImageOfRound | None:
    """The first image, in the order of `sizes` (items of each), that lacks annotators; None where there is none."""
    held: dict[ImageOfRound, int] = {}
    own: set[ImageOfRound] = set()
    for one in given:
        if one.annotator == annotator:
            own.add(one.image)
        elif one.judged >= sizes.get(one.image, 0) or now - one.touched_at < ASSIGNMENT_HOLDS_S:
            held[one.image] = held.get(one.image, 0) + 1
    for image in sizes:
        if image not in own and held.get(image, 0) < annotators_per_item:
            return image
    return None


def is_swapped(item_id: str, annotator: str) -> bool:
    """Whether the two sides of an item are shown to an annotator in the other order.

    A coin that falls the same way each time: reloading a page does not turn it, and two annotators have two coins.
    """
    return int(fingerprint(["sides", item_id, annotator])[0], 16) % 2 == 1


def shuffled(image_ids: Sequence[str], seed: int) -> list[str]:
    """The images in an order that follows from `seed` alone, so that the first n are a fair sample of all."""
    return sorted(image_ids, key=lambda image_id: fingerprint(["annotate", seed, image_id]))
