"""Which split each image goes to, from groups of images that look alike: pure, and without a look at a picture.

A group goes to one split as a whole. What was drawn before stays where it is, whatever comes to it; what is given
stays where it was put. New images that look like images of several splits are left out: in any of them they would tell
of another. What looks alike is in several splits only where these were given and are kept, or where a group was too
large; such images are marked.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ostensive.errors import SettingsError
from ostensive.images.near_groups import Labels
from ostensive.images.near_pairs import Pairs
from ostensive.images.paths import shown_name


@dataclass(frozen=True, slots=True)
class Standing:
    """An image, and where it is already: by what came in beside it, or by an earlier drawing."""

    image_id: str
    source: str
    given: str | None = None
    drawn: str | None = None

    @property
    def split(self) -> str | None:
        """Where it stays."""
        return self.given or self.drawn


@dataclass(frozen=True, slots=True)
class Placed:
    """What is decided of an image; `split` is None where it is left out, and `detail` says why."""

    image_id: str
    split: str | None
    group: str | None  # the smallest id of its group in that split; None for an image that is alone there
    is_given: bool
    detail: str = ""
    leaks: bool = False  # whether it looks like an image of another split


def place(images: Sequence[Standing], labels: Labels, draw: Callable[[str], str]) -> list[Placed]:
    """A split for each image; `labels` are their groups. A group in which none has one is drawn by its smallest id.

    The result does not depend on the order of images.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(labels.tolist()):
        groups[label].append(number)
    placed: dict[int, Placed] = {}
    for members in groups.values():
        there = _first_of_each(images, members)
        smallest = min(images[member].image_id for member in members)
        split = draw(smallest) if not there else next(iter(there)) if len(there) == 1 else None
        detail = "" if split else " and ".join(f"looks like {images[m].image_id[:12]} of {s}" for s, m in there.items())
        together: dict[str | None, list[str]] = defaultdict(list)
        for member in members:
            together[images[member].split or split].append(images[member].image_id)
        for member in members:
            image = images[member]
            own = image.split or split
            group = min(together[own]) if own and len(together[own]) > 1 else None
            placed[member] = Placed(image.image_id, own, group, image.given is not None, "" if own else detail)
    return [placed[number] for number in range(len(images))]


def _first_of_each(images: Sequence[Standing], members: Sequence[int]) -> Mapping[str, int]:
    """The splits that members of a group are in, by name, and of each the member with the smallest id."""
    found: dict[str, int] = {}
    for member in sorted(members, key=lambda one: images[one].image_id):
        if (split := images[member].split) is not None:
            found.setdefault(split, member)
    return dict(sorted(found.items()))


def with_leaks(placed: Sequence[Placed], pairs: Pairs) -> list[Placed]:
    """The same, with those marked that one of `pairs` joins to an image of another split."""
    across = set()
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        one, other = placed[first].split, placed[second].split
        if one is not None and other is not None and one != other:
            across |= {first, second}
    return [replace(one, leaks=True) if number in across else one for number, one in enumerate(placed)]


def refuse_leaks(images: Sequence[Standing], pairs: Pairs) -> None:
    """Raises `SettingsError` where near images stay in different splits and one of them was given its own."""
    leaks = []
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        one, other = images[first], images[second]
        if one.split and other.split and one.split != other.split and (one.given or other.given):
            leaks.append(sorted((one, other), key=lambda image: image.image_id))
    if not leaks:
        return
    one, other = min(leaks, key=lambda pair: (pair[0].image_id, pair[1].image_id))
    more = f" (and {len(leaks) - 1:,} more such pairs)" if len(leaks) > 1 else ""
    raise SettingsError(
        f"splits: {_told(one)} looks like {_told(other)}{more}, so one would tell of the other; give both the same"
        " split, or let it stand with --set corpus.leaking_splits=keep"
    )


def _told(image: Standing) -> str:
    how = "as given" if image.given else "where it was drawn before"
    return f"{shown_name(image.source)!r:.120} in {image.split} ({how})"
