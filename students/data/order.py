"""In which order an epoch goes through samples, and who reads which. All of it is pure: it follows from seed and epoch.

Shards are put one behind another by lot, and each reader has a stretch of that row of samples. So every sample is seen
once in an epoch however many readers there are, readers differ by one sample at most, and what a reader does is known
without reading: it goes on in the middle of an epoch by passing over the shards that it is done with. (Whole shards
dealt out to readers, as `webdataset.split_by_node` does it, leave readers idle where there are fewer shards.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples `first` to `end` (the first outside) of the shard at `shard` in the list of shards."""

    shard: int
    first: int
    end: int

    @property
    def count(self) -> int:
        return self.end - self.first


def stretches(
    counts: Sequence[int], *, seed: int, epoch: int, reader: int, readers: int, is_even: bool = False
) -> list[Stretch]:
    """What `reader` (from 0) of `readers` reads of shards with `counts` samples, in order.

    With `is_even` all have the same number, and fewer than `readers` samples are left out, others in each epoch.
    """
    order = list(range(len(counts)))
    Random(f"{seed}/{epoch}/shards").shuffle(order)  # noqa: S311 - a draw, no secret
    total = sum(counts)
    if is_even:
        total -= total % readers
    begin, end = total * reader // readers, total * (reader + 1) // readers
    found: list[Stretch] = []
    offset = 0
    for shard in order:
        first, last = max(begin - offset, 0), min(end - offset, counts[shard])
        if first < last:
            found.append(Stretch(shard, first, last))
        offset += counts[shard]
    return found


class BufferShuffle:
    """The order in which a buffer of `buffer` samples gives out `count` that are read one after another.

    Iterating gives places 0 to `count` - 1, each once; none comes before `buffer` - 1 further ones were read. A buffer
    of 1 keeps the order.
    """

    def __init__(self, count: int, buffer: int, draw: Random) -> None:
        self._draw = draw
        self._end = count
        self.unread = min(count, buffer)  # the first place that was not put into the buffer yet
        self.held = list(range(self.unread))  # places that are in it

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self.held:
            raise StopIteration
        chosen = self._draw.randrange(len(self.held))
        place = self.held[chosen]
        if self.unread < self._end:
            self.held[chosen] = self.unread
            self.unread += 1
        else:
            self.held[chosen] = self.held[-1]
            self.held.pop()
        return place

    def skip(self, count: int) -> None:
        """Passes over the next `count` places."""
        for _ in range(count):
            next(self)
