"""Which images look alike: pairs of near copies among any number of them, without comparing each with each.

Two hashes that differ in at most d bits are cut into bands, and of d // 2 + 1 bands one differs in at most one bit
(pigeonhole; multi-index hashing, Norouzi et al. 2012). So images are looked up by each band with none or one of its
bits turned, and only what is found there is compared, by all 64 bits and by thumbnails.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ostensive.images.perceptual import CUTS, HASHES, THUMBNAIL_BYTES, Hashes, Thumbnails, mirrored

MAX_DISTANCE: Final = 11  # of the settings: with more, bands are too narrow to tell anything apart
MIN_CORRELATION: Final = 0.9
"""Of two thumbnails. Scenes with few shapes have equal hashes by chance; see `docs/splits.md` for what was measured."""
_BITS: Final = 64
_DISTANCE_BITS: Final = 7  # 0 to 64
_PLACE_BITS: Final = 28  # some 268 million images
_LOOKED_UP: Final = 4_096  # images at a time, in each of their hashes; bounds memory
_COMPARED_AT_ONCE: Final = 1 << 20  # hashes
_CORRELATED: Final = 1 << 15  # pairs of thumbnails at a time
_HELD: Final = 1 << 22  # pairs, before those that are there twice are looked for
_MIRRORED: Final = CUTS
_EMBEDDINGS: Final = 2_048  # at a time

Places = npt.NDArray[np.int64]
_Near = tuple[Places, Places, Places]  # places of those that are asked for, of what is near each, and how far
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Gallery:
    """What n images look like: `hashes (n, HASHES)`, `thumbnails (n, CUTS, THUMBNAIL_BYTES)`, and where they are
    asked for `embeddings (n, width)` of unit length, or of zeros where there is none."""

    hashes: Hashes
    thumbnails: Thumbnails
    embeddings: Vectors | None = None

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Places of images in two galleries and how far apart their hashes are; -1 where only the embeddings are near."""

    first: Places
    second: Places
    distances: Places

    def __len__(self) -> int:
        return len(self.first)


def empty_gallery() -> Gallery:
    """No image."""
    return Gallery(np.zeros((0, HASHES), np.uint64), np.zeros((0, CUTS, THUMBNAIL_BYTES), np.int8))


def near_pairs(gallery: Gallery, max_distance: int, min_cosine: float | None = None) -> Pairs:
    """Pairs of near images of one gallery, each once with the smaller place first, in order.

    All of them, but of images that are equal as wholes, by hash and thumbnail: those are each a pair with the first of
    them, and others find that one alone, or a picture that is there ten thousand times would be so many squared.
    """
    own = _firsts_of_equal(gallery)
    places = np.arange(len(gallery), dtype=np.int64)
    again, firsts = places[own != places], places[own == places]
    distinct = Gallery(
        gallery.hashes[firsts],
        gallery.thumbnails[firsts],
        None if gallery.embeddings is None else gallery.embeddings[firsts],
    )
    # What is equal as a whole may differ in a cut, by which it finds what the first of them does not.
    is_asked = gallery.hashes != gallery.hashes[own]
    is_asked[firsts] = True
    looks = (
        Pairs(one.first, firsts[one.second], one.distances)
        for one in _by_looks(gallery, distinct, max_distance, is_asked)
    )
    embedded = (
        Pairs(firsts[one.first], firsts[one.second], one.distances)
        for one in _by_embedding(distinct, distinct, min_cosine)
    )
    repeats = Pairs(own[again], again, np.zeros(len(again), np.int64))
    return _gathered(_upwards(one) for one in itertools.chain(looks, embedded, [repeats]))


def _firsts_of_equal(gallery: Gallery) -> Places:
    """Of each image the place of the first that has the same hash and thumbnail of the whole."""
    parts = (gallery.hashes[:, :1], gallery.thumbnails[:, 0])
    wholes = np.concatenate([np.ascontiguousarray(part).view(np.uint8) for part in parts], axis=1)
    keys = np.ascontiguousarray(wholes).view(np.dtype((np.void, wholes.shape[1]))).ravel()
    _, firsts, numbers = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(firsts[numbers], dtype=np.int64)


def _upwards(pairs: Pairs) -> Pairs:
    """The same with the smaller place first, without those of an image with itself."""
    low, high = np.minimum(pairs.first, pairs.second), np.maximum(pairs.first, pairs.second)
    differ = low != high
    return Pairs(low[differ], high[differ], pairs.distances[differ])


def near_between(ours: Gallery, others: Gallery, max_distance: int, min_cosine: float | None = None) -> Pairs:
    """All pairs of near images, the first of each in `ours` and the second in `others`, in order."""
    turned = (Pairs(pair.second, pair.first, pair.distances) for pair in _by_looks(others, ours, max_distance))
    looks, embedded = _by_looks(ours, others, max_distance), _by_embedding(ours, others, min_cosine)
    return _gathered(itertools.chain(looks, turned, embedded))


def _gathered(parts: Iterable[Pairs]) -> Pairs:
    """All pairs in order, each once with the smallest distance; memory is a small multiple of what that takes."""
    held: list[Pairs] = []
    count, most = 0, _HELD
    for one in parts:
        held.append(one)
        count += len(one)
        if count > most:
            held = [_merged(held)]
            count = len(held[0])
            most = max(_HELD, 2 * count)
    return _merged(held)


def _merged(parts: list[Pairs]) -> Pairs:
    """All pairs in order, each once with the smallest distance."""
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Pairs(nothing, nothing, nothing)
    # A pair in one number is sorted ten times as fast as by columns.
    packed = np.sort(np.concatenate([_packed(part) for part in parts]))
    is_new = np.ones(len(packed), bool)
    is_new[1:] = packed[1:] >> _DISTANCE_BITS != packed[:-1] >> _DISTANCE_BITS
    packed = packed[is_new]
    distances = packed & ((1 << _DISTANCE_BITS) - 1)
    distances[distances == _BITS] = -1
    second = packed >> _DISTANCE_BITS & ((1 << _PLACE_BITS) - 1)
    return Pairs(packed >> (_DISTANCE_BITS + _PLACE_BITS), second, distances)


def _packed(pairs: Pairs) -> Places:
    assert not len(pairs) or max(pairs.first.max(), pairs.second.max()) < 1 << _PLACE_BITS, "too many images"
    # What hashes say comes before what embeddings say.
    distances = np.where(pairs.distances < 0, _BITS, pairs.distances)
    return np.asarray((pairs.first << _PLACE_BITS | pairs.second) << _DISTANCE_BITS | distances)


def _by_looks(
    asking: Gallery, asked: Gallery, max_distance: int, is_asked: npt.NDArray[np.bool_] | None = None
) -> Iterator[Pairs]:
    """Pairs of which a hash of the first is near the hash of the whole second; some are there several times.

    `is_asked (len(asking), HASHES)` says which hashes are looked up; None all of them.
    """
    if not len(asking) or not len(asked):
        return
    whole = np.ascontiguousarray(asked.hashes[:, 0])
    cuts = _bands(max_distance)
    bands = [_Band.of(whole, shift, width, cuts[:number]) for number, (shift, width) in enumerate(cuts)]
    for start in range(0, len(asking), _LOOKED_UP):
        part = np.arange(start, min(start + _LOOKED_UP, len(asking)), dtype=np.int64)
        for view in range(HASHES):
            places = part if is_asked is None else part[is_asked[part, view]]
            for own, other, distances in _near_some(bands, asking.hashes[places, view], max_distance):
                first = places[own]
                alike = _are_alike(asking, first, view, asked, other)
                yield Pairs(first[alike], other[alike], distances[alike])


def _near_some(bands: Sequence["_Band"], hashes: Hashes, max_distance: int) -> Iterator[_Near]:
    """What is near each hash, for fewer of them at a time where many are near."""
    if len(hashes) > 1 and max(band.count_equal(hashes) for band in bands) > _COMPARED_AT_ONCE:
        half = len(hashes) // 2
        yield from _near_some(bands, hashes[:half], max_distance)
        for own, other, distances in _near_some(bands, hashes[half:], max_distance):
            yield own + half, other, distances
    else:
        yield _joined([band.near(hashes, max_distance) for band in bands])


def _are_alike(asking: Gallery, first: Places, view: int, asked: Gallery, other: Places) -> npt.NDArray[np.bool_]:
    """Whether thumbnails agree, for each pair of images of which that view of the first is near the second."""
    alike = np.zeros(len(first), bool)
    for start in range(0, len(first), _CORRELATED):
        some = slice(start, start + _CORRELATED)
        thumbnails = asking.thumbnails[first[some], 0 if view == _MIRRORED else view]
        if view == _MIRRORED:
            thumbnails = mirrored(thumbnails)
        alike[some] = correlations(thumbnails, asked.thumbnails[other[some], 0]) >= MIN_CORRELATION
    return alike


def _bands(max_distance: int) -> list[tuple[int, int]]:
    """Shift and width of each band of a hash."""
    count = max_distance // 2 + 1
    bounds = [_BITS * number // count for number in range(count + 1)]
    widest = 16  # bits: more would be a table larger than most galleries
    if count == 1:
        return [(0, widest)]
    return [(low, min(high - low, widest)) for low, high in itertools.pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class _Band:
    """The images of a gallery by a band of their hash."""

    shift: int
    width: int
    before: Sequence[tuple[int, int]]  # shift and width of the bands by which some pairs were found already
    order: Places  # of the images, by the value of their band
    hashes: Hashes  # in that order
    starts: Places  # where each value begins in it

    @classmethod
    def of(cls, hashes: Hashes, shift: int, width: int, before: Sequence[tuple[int, int]]) -> "_Band":
        keys = _keys(hashes, shift, width)
        order = np.argsort(keys, kind="stable").astype(np.int64)
        starts = np.searchsorted(keys[order], np.arange((1 << width) + 1)).astype(np.int64)
        return cls(shift, width, before, order, hashes[order], starts)

    def count_equal(self, hashes: Hashes) -> int:
        """How many images have the band of a hash, over all hashes."""
        keys = _keys(hashes, self.shift, self.width)
        return int((self.starts[keys + 1] - self.starts[keys]).sum())

    def near(self, hashes: Hashes, max_distance: int) -> _Near:
        """What is near each hash among the images whose band differs from its own in at most one bit, and that no
        band before this one finds."""
        keys = _keys(hashes, self.shift, self.width)
        turned = (0, *(1 << np.arange(self.width)))
        return _joined([self._looked_up(hashes, keys ^ bit, max_distance) for bit in turned])

    def _looked_up(self, hashes: Hashes, keys: Places, max_distance: int) -> _Near:
        begins = self.starts[keys]
        sizes = self.starts[keys + 1] - begins
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        if total > _COMPARED_AT_ONCE and len(keys) > 1:
            half = len(keys) // 2
            low = self._looked_up(hashes[:half], keys[:half], max_distance)
            high = self._looked_up(hashes[half:], keys[half:], max_distance)
            return _joined([low, (high[0] + half, high[1], high[2])])
        within = np.arange(total, dtype=np.int64) + np.repeat(begins - ends + sizes, sizes)
        differing = np.repeat(hashes, sizes) ^ self.hashes[within]
        distances = np.bitwise_count(differing)
        near = np.flatnonzero(distances <= max_distance)
        for shift, width in self.before:
            near = near[np.bitwise_count(_keys(differing[near], shift, width)) > 1]
        own = np.searchsorted(ends, near, side="right").astype(np.int64)
        return own, self.order[within[near]], distances[near].astype(np.int64)


def _joined(parts: Sequence[_Near]) -> _Near:
    first, second, third = (np.concatenate([part[column] for part in parts]) for column in range(3))
    return first, second, third


def _keys(hashes: Hashes, shift: int, width: int) -> Places:
    mask = np.uint64((1 << width) - 1)
    return ((hashes >> np.uint64(shift)) & mask).astype(np.int64)


def correlations(first: Thumbnails, second: Thumbnails) -> npt.NDArray[np.float32]:
    """Of thumbnails, row by row: `(n,) float32`, 1 where one is the other but for brightness and contrast."""
    ours, others = first.astype(np.float32), second.astype(np.float32)
    squares = np.einsum("ij,ij->i", ours, ours), np.einsum("ij,ij->i", others, others)
    lengths = np.sqrt(squares[0] * squares[1])
    products = np.einsum("ij,ij->i", ours, others)
    found: npt.NDArray[np.float32] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return found


def _by_embedding(asking: Gallery, asked: Gallery, min_cosine: float | None) -> Iterator[Pairs]:
    """Pairs whose embeddings are near: each is compared with each, a block at a time."""
    if min_cosine is None or asking.embeddings is None or asked.embeddings is None:
        return
    same = asking is asked
    for start in range(0, len(asking), _EMBEDDINGS):
        block = asking.embeddings[start : start + _EMBEDDINGS]
        for other in range(0, start + 1 if same else len(asked), _EMBEDDINGS):
            cosines = block @ asked.embeddings[other : other + _EMBEDDINGS].T
            first, second = np.nonzero(cosines >= min_cosine)
            distances = np.full(len(first), -1, np.int64)
            yield Pairs(first.astype(np.int64) + start, second.astype(np.int64) + other, distances)
