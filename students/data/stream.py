"""A corpus streamed from its shards: each sample once in an epoch, however many read, in an order known beforehand.

`webdataset` reads the tars. Its own splitting and shuffling are not used: readers get nothing where there are fewer
shards than readers, a shard that is cut at the border of a member is taken for whole, and there is no going on in the
middle of an epoch.
"""

import copy
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Self  # Any: what a transform makes, JSON values, samples as webdataset has them

from ostensive.errors import OstensiveError, SettingsError, one_line
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_json
from ostensive.recipe_kind import RecipeKind
from students.data.mapped import Transform, draw_for
from students.data.order import BufferShuffle, Stretch, stretches
from students.data.pictures import PictureError
from students.data.shards import Shard, ShardError, ShardSet
from students.reading import CorpusRow, corpus_row

_JSON: Final = "json"
_IMAGE: Final = "jpg"
_PICTURES: Final = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
_STATE: Final = "ostensive-stream-1"


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How a split is streamed. `rank` of `world_size` processes reads its share; all must have the same settings."""

    seed: int = 0
    buffer: int = 1000  # samples that are held to be given out in an order by lot, by each worker; 1 for none
    rank: int = 0
    world_size: int = 1
    # The same number for every process and worker, so that none waits for others at the end of an epoch; fewer samples
    # than there are readers are left out, others in each epoch.
    is_even: bool = False

    def __post_init__(self) -> None:
        if self.buffer < 1:
            raise SettingsError(f"buffer {self.buffer}: at least 1 is expected, which keeps samples in order")
        if not 0 <= self.rank < self.world_size:
            raise SettingsError(
                f"rank {self.rank} of {self.world_size}: a rank below the number of processes is expected"
            )


DEFAULT: Final = StreamSettings()


class CorpusStream:
    """A split as an iterable dataset of torch: a `CorpusRow` an image, or what `transform` makes of it.

    Of an image with several rows an epoch has one, and another in the next, so that after as many epochs as it has rows
    each was seen once. Iterating goes through the epoch that `set_epoch` names, from the place that `load_state_dict`
    gave. Raises `RemoteError`, `ShardError` or `PictureError` for what cannot be read; nothing is passed over.

    `state_dict` and `load_state_dict` are those that stateful loaders ask a dataset for, in each worker;
    `ResumableLoader` is for torch's own loader.
    """

    def __init__(
        self,
        shards: ShardSet,
        kind: RecipeKind,
        *,
        transform: Transform | None = None,
        settings: StreamSettings = DEFAULT,
    ) -> None:
        import torch.utils.data

        # Torch's loader asks for this class, and a base class would have to be imported with this module.
        torch.utils.data.IterableDataset.register(type(self))
        self.shards = shards
        self.settings = settings
        self._kind = kind
        self._transform = transform
        self._epoch = 0
        self._start = 0  # samples that are passed over when it is iterated next
        self._place = 0  # samples that were given out or passed over
        self._seat: tuple[int, int] | None = None  # which worker this is, of how many, where torch does not say

    @property
    def sample_count(self) -> int:
        """How many samples this process reads in an epoch."""
        return sum(part.count for part in self._stretches(self.settings.rank, self.settings.world_size))

    @property
    def made_from(self) -> str:
        """A hash of what the order of samples follows from, but epoch and readers."""
        return fingerprint([self.shards.digest, self.settings.seed, self.settings.buffer, self.settings.is_even])[:16]

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch begins, from its first sample; workers that are at work already do not hear of it."""
        self._epoch, self._start, self._place = epoch, 0, 0

    def seated(self, worker: int, workers: int) -> Self:
        """A copy that reads as that worker of so many, whatever torch says."""
        made = copy.copy(self)
        made._seat = worker, workers
        return made

    def state_dict(self) -> dict[str, Any]:
        """Where this worker is; JSON."""
        return {
            "kind": _STATE,
            "made_from": self.made_from,
            "epoch": self._epoch,
            "place": self._place,
            "reader": list(self._reader()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; raises `SettingsError` for one of other shards, settings or readers."""
        if state.get("kind") != _STATE or state.get("made_from") != self.made_from:
            raise SettingsError(
                "the state is of other shards, seed or buffer than this stream; go on with those it was made with"
            )
        if list(state["reader"]) != list(self._reader()):
            raise SettingsError(
                f"the state is of reader {state['reader'][0]} of {state['reader'][1]} (processes times workers), and"
                f" this is {self._reader()[0]} of {self._reader()[1]}; go on with as many"
            )
        self._epoch, self._start, self._place = state["epoch"], state["place"], state["place"]

    def __iter__(self) -> Iterator[Any]:
        reader, readers = self._reader()
        parts = self._stretches(reader, readers)
        count = sum(part.count for part in parts)
        draw = Random(f"{self.settings.seed}/{self._epoch}/buffer/{reader}/{readers}")  # noqa: S311 - a draw, no secret
        order = BufferShuffle(count, self.settings.buffer, draw)
        self._place, self._start = min(self._start, count), 0
        order.skip(self._place)
        wanted = set(order.held)
        first_unread = order.unread
        samples = self._samples(parts, lambda place: place in wanted or place >= first_unread)
        held: dict[int, CorpusRow] = {}
        for place in order:
            while place not in held:
                number, row = next(samples)
                held[number] = row
            row = held.pop(place)
            made = self._made(row)
            self._place += 1
            yield made

    def _made(self, row: CorpusRow) -> Any:
        if self._transform is None:
            return row
        try:
            return self._transform(row, draw_for(self.settings.seed, self._epoch, row.row_id))
        except PictureError as error:
            raise PictureError(f"{self.shards.where}: image {row.image.image_id}: {error}") from error

    def _reader(self) -> tuple[int, int]:
        """Which of all readers this is: processes, and in each its workers."""
        import torch.utils.data

        worker, workers = 0, 1
        if self._seat is not None:
            worker, workers = self._seat
        elif (info := torch.utils.data.get_worker_info()) is not None:
            worker, workers = info.id, info.num_workers
        return self.settings.rank * workers + worker, self.settings.world_size * workers

    def _stretches(self, reader: int, readers: int) -> list[Stretch]:
        return stretches(
            [shard.samples for shard in self.shards.shards],
            seed=self.settings.seed,
            epoch=self._epoch,
            reader=reader,
            readers=readers,
            is_even=self.settings.is_even,
        )

    def _samples(self, parts: list[Stretch], is_wanted: Callable[[int], bool]) -> Iterator[tuple[int, CorpusRow]]:
        """The wanted samples of `parts` in order, by their places; a shard without any is not opened."""
        begin = 0
        for part in parts:
            places = range(begin, begin + part.count)
            begin += part.count
            if not any(map(is_wanted, places)):
                continue
            shard = self.shards.shards[part.shard]
            for number, sample in enumerate(_shard_samples(self.shards, shard, part.end)):
                place = places.start + number - part.first
                if number >= part.first and is_wanted(place):
                    yield place, self._row(shard, sample)

    def _row(self, shard: Shard, sample: Mapping[str, Any]) -> CorpusRow:
        """The row of a sample that this epoch has; raises `ShardError` for a sample that is no image with rows."""
        where = f"{self.shards.where}: {shard.name}: sample {sample['__key__']}"
        pictures = [name for name in sample if name.rpartition(".")[2] in _PICTURES]
        if len(pictures) > 1:
            raise ShardError(f"{where}: has {len(pictures)} images, and a row has one slot; leave one of them")
        if pictures != [_IMAGE] or _JSON not in sample:
            raise ShardError(f"{where}: has {', '.join(pictures) or 'no image'}; a .jpg and a .json are expected")
        try:
            values = parse_json(sample[_JSON], strict=False)
            count = len(values["rows"])
            # Over as many epochs as there are rows, each comes once.
            chosen = (draw_for(self.settings.seed, 0, values["image_id"]).randrange(count) + self._epoch) % count
            return corpus_row(values, sample[_IMAGE], self.shards.split, self._kind, chosen)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ShardError(
                f"{where}: its .json is no image with rows of {self._kind.name} ({type(error).__name__}:"
                f" {one_line(error)})"
            ) from error


def _shard_samples(shards: ShardSet, shard: Shard, end: int) -> Iterator[dict[str, Any]]:
    """The first `end` samples of a shard, as webdataset groups them; raises `ShardError` where there are others.

    No member but pictures and JSON is read.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    number = 0
    where = f"{shards.where}: {shard.name}"
    try:
        with shards.open(shard) as file:
            members = tar_file_expander([{"url": shard.name, "stream": file}], select_files=_is_read)
            samples = group_by_keys(members)
            for number, sample in enumerate(samples, 1):
                if number > shard.samples:
                    raise ShardError(f"{where}: holds more than the {shard.samples} samples that its index says")
                yield sample
                if number == end < shard.samples:
                    return
    except OstensiveError as error:
        raise type(error)(str(error.args[0])) from error  # webdataset adds objects of its own to what it raises
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        told = one_line(ValueError(error.args[0] if error.args else ""))
        raise ShardError(f"{where}: cannot be read behind sample {number} ({told}); copy it again") from error
    if number < shard.samples:
        raise ShardError(
            f"{where}: ends after {number} of the {shard.samples} samples that its index says; copy it again"
        )


def _is_read(name: str) -> bool:
    """Whether a member is one that a sample may have; pickles, which can run programs, are passed over unread."""
    return name.rpartition(".")[2].lower() in (_JSON, *_PICTURES)
