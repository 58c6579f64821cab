"""Batches of a stream through torch's own loader, with a state in the middle of an epoch.

Torch's loader does not know where its workers are: they read ahead. So each batch says whose it is, and what counts is
what was given out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: what a transform and a collator make, JSON values

from ostensive.errors import OstensiveError, SettingsError
from students.data.stream import CorpusStream

_STATE: Final = "ostensive-loader-1"
Collate = Callable[[list[Any]], Any]


class ResumableLoader:
    """Batches of `batch_size` of a `CorpusStream`, made by `workers` processes (0: by this one) and `collate`.

    Iterating goes through one epoch, or through what is left of it after `load_state_dict`; then the next begins. The
    last batch of each worker may be smaller, or is left out with `drop_last`. `collate` None gives lists. Left early,
    it goes on when it is iterated again. Raises what the stream raises.
    """

    def __init__(
        self,
        stream: CorpusStream,
        *,
        batch_size: int,
        workers: int = 0,
        collate: Collate | None = None,
        drop_last: bool = False,
    ) -> None:
        if batch_size < 1 or workers < 0:
            raise SettingsError(f"batch_size {batch_size}, workers {workers}: at least 1 and at least 0 are expected")
        self._stream = stream
        self._batch_size = batch_size
        self._workers = workers
        self._collate = collate
        self._drop_last = drop_last
        self._epoch = 0
        self._places = [0] * max(workers, 1)  # samples of each worker that were given out
        self._turn = 0  # whose batch comes next

    @property
    def epoch(self) -> int:
        """The epoch that is under way, or comes next."""
        return self._epoch

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on behind the last batch that was given out; JSON."""
        return {
            "kind": _STATE,
            "made_from": self._stream.made_from,
            "batch_size": self._batch_size,
            "rank": self._stream.settings.rank,
            "world_size": self._stream.settings.world_size,
            "epoch": self._epoch,
            "places": list(self._places),
            "turn": self._turn,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; raises `SettingsError` for one of other shards, settings, processes or workers."""
        own = self.state_dict()
        for name in ("kind", "made_from", "batch_size", "rank", "world_size"):
            if state.get(name) != own[name]:
                raise SettingsError(
                    f"the state is of a loader with {name} {state.get(name)}, and this has {own[name]}; go on with the"
                    " shards and settings that it was made with"
                )
        if len(state["places"]) != len(self._places):
            raise SettingsError(
                f"the state is of {len(state['places'])} workers, and this loader has {len(self._places)};"
                " go on with as many"
            )
        self._epoch, self._places, self._turn = state["epoch"], list(state["places"]), state["turn"]

    def __iter__(self) -> Iterator[Any]:
        from torch.utils.data import DataLoader, IterableDataset

        IterableDataset.register(_Seats)
        collate = self._collate or list
        batches: DataLoader[Any] = DataLoader(
            _Seats(self._stream, self._epoch, tuple(self._places), self._turn, self._batch_size),  # type: ignore[arg-type]  # registered
            batch_size=self._batch_size,
            num_workers=self._workers,
            collate_fn=_SeatCollate(collate),
            drop_last=self._drop_last,
        )
        for seat, place, batch in batches:
            if isinstance(batch, OstensiveError):
                raise batch
            self._places[seat] = place
            self._turn = (seat + 1) % len(self._places)
            yield batch
        self._epoch += 1
        self._places = [0] * len(self._places)
        self._turn = 0


@dataclass(frozen=True, slots=True)
class _Seats:
    """The stream of one worker, each item with whose it is and how many the worker has given out with it.

    The worker that torch asks first takes the seat whose turn it is: torch goes round its workers from the first.
    """

    stream: CorpusStream
    epoch: int
    places: tuple[int, ...]
    turn: int
    batch_size: int

    def __iter__(self) -> Iterator[tuple[int, int, Any]]:
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        seats = len(self.places)
        seat = (self.turn + (0 if info is None else info.id)) % seats
        stream = self.stream.seated(seat, seats)
        stream.set_epoch(self.epoch)
        stream.load_state_dict({**stream.state_dict(), "place": self.places[seat]})
        given = self.places[seat]
        try:
            for item in stream:
                given += 1
                yield seat, given, item
        except OstensiveError as error:
            # Torch would put a traceback in front of its line. As often as a batch is long: none that is left out for
            # being smaller is all that held it.
            for _ in range(self.batch_size):
                yield seat, given, error


@dataclass(frozen=True, slots=True)
class _SeatCollate:
    """Makes a batch of one worker's items."""

    collate: Collate

    def __call__(self, items: Sequence[tuple[int, int, Any]]) -> tuple[int, int, Any]:
        error = next((item for _, _, item in items if isinstance(item, OstensiveError)), None)
        return items[-1][0], items[-1][1], error or self.collate([item for _, _, item in items])
