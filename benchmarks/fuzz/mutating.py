"""Damaged inputs from sound ones, by a generator of random numbers alone."""

import random
import struct
from collections.abc import Sequence
from typing import Final

_MAX_BYTES: Final = 1 << 20
_EDGES: Final = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 511, 512, 32_767, 65_535, 100_000, 1 << 24, 1 << 29)
_EDGES_WIDE: Final = (*_EDGES, -1, -512, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 63) - 1)


def mutant(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of `seeds` with one to eight changes, now and then none; at most a megabyte."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        _change(data, seeds, rng)
    return bytes(data[:_MAX_BYTES])


def _change(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    kind = rng.randrange(9)
    if kind == 0 and data:
        data[at % len(data)] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[at % len(data)] = rng.randrange(256)
    elif kind == 2:
        _overwrite(data, at, _number(rng))
    elif kind == 3:
        del data[at : at + rng.choice((1, 2, 4, 16, 64, 512))]
    elif kind == 4:
        length = rng.choice((1, 4, 12, 64, 512))
        data[at:at] = data[at : at + length] * rng.choice((1, 1, 2, 50))
    elif kind == 5:
        other = rng.choice(seeds)
        start = rng.randrange(len(other) + 1)
        _overwrite(data, at, other[start : start + rng.choice((4, 16, 64, 512))])
    elif kind == 6:
        del data[at:]
    elif kind == 7 and len(data) > 16:
        source = rng.randrange(len(data) - 8)
        _overwrite(data, at, bytes(data[source : source + rng.choice((2, 4, 8))]))
    else:
        data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))


def _place(data: bytearray, rng: random.Random) -> int:
    """Anywhere, rather at the beginning and the end, where headers and footers are; mostly at even numbers."""
    size = len(data)
    where = rng.randrange(4)
    within = min(size, 600)
    at = rng.randrange(size + 1) if where < 2 else rng.randrange(within + 1)
    at = size - at if where == 3 else at
    return at & ~3 if rng.random() < 0.5 else at


def _number(rng: random.Random) -> bytes:
    order, form = rng.choice("<>"), rng.choice("BhiqHI")
    bits = 8 * struct.calcsize(form)
    value = rng.choice(_EDGES_WIDE) if rng.random() < 0.7 else rng.getrandbits(bits)
    value &= (1 << bits) - 1
    return value.to_bytes(bits // 8, "little" if order == "<" else "big")


def _overwrite(data: bytearray, at: int, part: bytes) -> None:
    data[at : at + len(part)] = part
