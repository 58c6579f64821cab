"""Many triples through a critic's model: images decoded once, batches of like length, halved when memory is short.

Rows are taken by windows of some images. Within a window they are sorted by length, so that little is padded; beyond
it they are not, so that the pictures of a window are all that has to be kept. What is said of a row does not depend on
its neighbours: padding is masked, and what remains is rounding in the last bits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from critics.trained.learner import Learner
from critics.trained.showing import Pictures, Shown
from ostensive.errors import OstensiveError
from ostensive.models.batching import BatchSize, Steps, in_batches
from ostensive.models.devices import is_out_of_memory

_IMAGES_IN_WINDOW: Final = 64
_ROOM_TOKENS: Final = 64


@dataclass(frozen=True, slots=True)
class Found:
    """What a critic's model says of a row."""

    accept_logit: float  # of class 1 less that of class 0, before any calibration
    qa_rating: float  # on the scale of the labels, 0 to 3; a regression may leave it
    rationale_rating: float  # likewise


@dataclass(frozen=True, slots=True)
class TooLong:
    """A row whose text the model cannot take."""

    tokens: int
    max_tokens: int


class CriticFailedError(OstensiveError):
    """The model of a critic cannot score a row, whatever the row: the run stops instead of losing every row to it."""


class Scorer:
    """Asks a learner about rows. `size` shrinks when memory runs out, and stays so."""

    def __init__(self, learner: Learner, pictures: Pictures, size: BatchSize) -> None:
        self._learner = learner
        self._pictures = pictures
        self._size = size

    def find(self, rows: Sequence[Shown], tell: Callable[[int], None] = lambda _done: None) -> list[Found | TooLong]:
        """What is found of each row, in order; `tell` is told how many are done now and then.

        Raises `CriticFailedError` when the model fails with a single row, `ImageChangedError` for an image that is no
        longer there.
        """
        found: dict[int, Found | TooLong] = {}
        for window in _windows(rows):
            fitting = []
            for place in window:
                over = self.too_long(rows[place])
                if over is None:
                    fitting.append(place)
                else:
                    found[place] = over
            fitting.sort(key=lambda place: (len(rows[place].text), place))
            self._find_window(rows, fitting, found)
            tell(len(found))
        return [found[place] for place in range(len(rows))]

    def _find_window(self, rows: Sequence[Shown], places: Sequence[int], found: dict[int, Found | TooLong]) -> None:
        def prepare(batch: Sequence[int]) -> Any:  # Any: what the backbone prepares
            return self._prepare([rows[place] for place in batch])

        steps = Steps(prepare, self._work)
        for done in in_batches([places], self._size, steps):
            if done.error is not None:
                raise _failure(rows[done.rows[0]], done.error) from done.error
            assert done.result is not None, "a batch has results or an error"
            found.update(zip(done.rows, done.result, strict=True))

    def too_long(self, row: Shown) -> TooLong | None:
        """How far the text of `row` is over what the model takes; None if it is not."""
        backbone = self._learner.backbone
        most = backbone.max_tokens
        # A token is a byte at least, so that most texts need not be counted. The margin is for the image's tokens and
        # the template's; a model that limits its texts so closely is counted for.
        if most is None or len(row.text.encode()) + _ROOM_TOKENS <= most:
            return None
        tokens = backbone.token_count(row.text, self._pictures.drawn(row))
        return TooLong(tokens, most) if tokens > most else None

    def _prepare(self, rows: Sequence[Shown]) -> Any:  # Any: what the backbone prepares
        return self._learner.backbone.prepare([self._pictures.drawn(row) for row in rows], [row.text for row in rows])

    def _work(self, inputs: Any) -> list[Found]:  # Any: as above
        import torch

        with torch.inference_mode():
            said = self._learner.say(inputs)
            logits = (said.accept[:, 1] - said.accept[:, 0]).tolist()
        return [Found(*values) for values in zip(logits, said.qa.tolist(), said.rationale.tolist(), strict=True)]


def _windows(rows: Sequence[Shown]) -> Iterator[list[int]]:
    """The places of `rows`, those of some images at a time, each image's together."""
    by_image: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        by_image.setdefault(row.image.image_id, []).append(place)
    groups = list(by_image.values())
    for start in range(0, len(groups), _IMAGES_IN_WINDOW):
        yield [place for group in groups[start : start + _IMAGES_IN_WINDOW] for place in group]


def _failure(row: Shown, error: Exception) -> OstensiveError:
    if isinstance(error, OstensiveError):
        return error
    if is_out_of_memory(error):
        return CriticFailedError(
            f"row {row.row_id}: out of memory with one row at a time; set precision=bfloat16 or another device, or use"
            " a smaller critic"
        )
    told = " ".join(str(error).split())[:300]
    return CriticFailedError(
        f"row {row.row_id} of {row.image.source}: the critic's model fails: {type(error).__name__}: {told}; score"
        " without this image, or with another critic"
    )
