"""What the recipes share that ask a model about pictures: seeds, the pictures, and what became of every image.

A stage of such a recipe opens an `Asker`, asks everything that it has to ask about its images in one call (a server is
only busy when it has much to do), and puts what comes back into `Gathered`, which makes an outcome for each image.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar  # Any: JSON values; a loss without a record is one of any record's

import PIL.Image

from ostensive.chat.access import TeacherSettings
from ostensive.chat.pictures import presentable, shrunk
from ostensive.chat.records import Chat, Conversation, Exchange, NoReply, Reply, Sampling
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.images.loader import ImageLoader
from ostensive.prompts import Prompts
from ostensive.records import NO_SPEND, ImageRecord, Record, Spend
from ostensive.run.services import Services
from ostensive.settings import Settings
from ostensive.stage import Dropped, Failed, Kept, Outcome
from verbalizers.base import ImageFailure, Workers, open_workers

UNREADABLE = "image cannot be read"
TRUNCATED = "truncated reply"
FILTERED = "filtered reply"
MAX_SIDE_PX = 1024
"""Longest side of a picture that is shown to a teacher, in pixels: what it costs grows with it."""
IMAGES_AT_ONCE = 32
"""Images whose pictures a stage holds at a time, some 100 MB of them."""

RecordT = TypeVar("RecordT", bound=Record)


def request_seed(*parts: object) -> int:
    """A seed for what `parts` (JSON values) name: 31 bits, since servers differ in how large a seed they take."""
    return int(fingerprint(list(parts))[:8], 16) & 0x7FFFFFFF


def check_sees(teacher: TeacherSettings, recipe: str) -> None:
    """Raises `SettingsError` for a teacher that is not to see, in a recipe whose requests are about the picture."""
    if teacher.sees_image is False:
        raise SettingsError(
            f"teacher.sees_image: false, but {recipe} asks about pictures and has no words in their place; leave it out"
        )


def sampling_of(teacher: TeacherSettings, seed: int, *, draw: int = 0) -> Sampling:
    """How the teacher draws the reply number `draw` (from 0) to a request that may be made several times.

    The scripted teacher draws its words and its errors from the seed; servers are sent one only where they take it.
    """
    sampling = replace(teacher.sampling(seed), draw=draw)
    if isinstance(teacher, ScriptedTeacherSettings):
        return replace(sampling, seed=request_seed(seed, draw) if draw else seed)
    return sampling


def request_identity(
    version: int, settings: Settings, *, prompts: Prompts, teacher: TeacherSettings, seed: int
) -> dict[str, Any]:
    """All that a stage's requests depend on, for its `identity`; `settings` are those of the recipe's own section.

    A prompt set in a folder that is moved, or a copy of the built-in one, asks the same: its hash stands for it.
    """
    values = {name: value for name, value in settings.identity().items() if name != "prompt_set"}
    return {
        "version": version,
        "settings": values,
        "prompts": prompts.prompt_hash,
        "teacher": teacher.reply_identity(),
        "seed": seed,
    }


def whole_reply(reply: Reply | NoReply) -> Reply | Dropped[Any] | Failed[Any]:
    """`reply` where there is one and it is whole, else how it is lost."""
    if isinstance(reply, NoReply):
        return Failed(reply.reason, reply.detail)
    if reply.finish_reason == "stop":
        return reply
    reason = FILTERED if reply.finish_reason == "content_filter" else TRUNCATED
    return Dropped(reason, f"finish reason {reply.finish_reason!r:.40}")


@dataclass(frozen=True, slots=True)
class Asker:
    """A teacher and the pictures that it is shown, while both are open."""

    chat: Chat
    _loader: ImageLoader
    _workers: Workers

    def ask(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """As `Chat.chat`."""
        return self.chat.chat(conversations)

    def pictures(self, rows: Sequence[ImageRecord]) -> dict[str, PIL.Image.Image | ImageFailure]:
        """The picture of each image by its id: upright, RGB, its longest side at most `MAX_SIDE_PX`."""
        loaded = self._workers.map(self._picture, rows)
        return {row.image_id: picture for row, picture in zip(rows, loaded, strict=True)}

    def _picture(self, row: ImageRecord) -> PIL.Image.Image:
        return shrunk(presentable(self._loader.load(row)), MAX_SIDE_PX)


@contextmanager
def open_asker(teacher: TeacherSettings, script: Script, services: Services) -> Iterator[Asker]:
    """The teacher that `teacher` names with pictures beside it; raises as `Services.open_chat` and entering it do."""
    with services.open_chat(teacher, script) as chat, open_workers(services.threads) as workers:
        yield Asker(chat, services.images, workers)


class Gathered(Generic[RecordT]):
    """What was made, lost and paid of each image of one call."""

    def __init__(self) -> None:
        self._records: dict[str, list[RecordT]] = {}
        self._losses: dict[str, list[Dropped[RecordT] | Failed[RecordT]]] = {}
        self._spend: dict[str, Spend] = {}

    def keep(self, record: RecordT) -> None:
        """A record that goes on."""
        self._records.setdefault(record.image_id, []).append(record)

    def lose(self, image_id: str, loss: Dropped[RecordT] | Failed[RecordT]) -> None:
        """Something that was asked for and is not there, or not wanted."""
        self._losses.setdefault(image_id, []).append(loss)

    def pay(self, image_id: str, exchange: Exchange) -> None:
        """What the replies of an exchange cost."""
        spend = sum((reply.spend for reply in exchange.replies), NO_SPEND)
        self._spend[image_id] = self._spend.get(image_id, NO_SPEND) + spend

    def outcome(self, image_id: str, *, otherwise: str) -> Outcome[RecordT]:
        """What became of an image; `Dropped` with the reason `otherwise` where nothing was made, lost or paid."""
        records, losses = self._records.get(image_id, []), self._losses.get(image_id, [])
        if not records and not losses and image_id not in self._spend:
            return Dropped(otherwise)
        return Kept(tuple(records), tuple(losses), self._spend.get(image_id, NO_SPEND))
