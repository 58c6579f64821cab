"""A served chat model in the place of a local image-text model: the same requests, the same results.

Each sample of each request is a conversation of its own, and all of them are under way at once. Asking for several
choices of one request (`n`) was given up: half of the servers that speak the format do not have it, and answers are
remembered one by one.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import PIL.Image

from ostensive.chat.records import Chat, Conversation, Exchange, ImagePart, Message, NoReply, Reply, Sampling
from ostensive.models.forms import Form
from ostensive.models.generation import Draw, Drawn, Generated, GenerationRequest, NotGenerated
from ostensive.models.pictures import presentable, shrunk
from ostensive.records import NO_SPEND

_SEED_BITS = 0x7FFFFFFF  # servers differ in how large a seed they take


@dataclass(frozen=True, slots=True)
class SentImages:
    """How images are sent: JPEG of this quality, their longest side at most so many pixels."""

    max_side_px: int
    jpeg_quality: int

    def encode(self, image: PIL.Image.Image) -> ImagePart:
        """`image` without metadata, in RGB, as it is sent; raises what Pillow raises for one that cannot be read."""
        sink = io.BytesIO()
        shrunk(presentable(image), self.max_side_px).save(sink, "JPEG", quality=self.jpeg_quality)
        return ImagePart(sink.getvalue(), "image/jpeg")


class ServedImageText:
    """`chat`, already entered, asked as a generator is; may be called from several threads."""

    form: ClassVar[Form] = "chat"

    def __init__(self, chat: Chat, sent: SentImages, *, send_seed: bool, threads: int) -> None:
        """`threads` of them encode images."""
        self._chat, self._sent, self._send_seed = chat, sent, send_seed
        self._threads = threads

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generated | NotGenerated]:
        """One result for each request, in order; a request that fails costs no other. Raises as `Chat.chat` does."""
        encoded = self._encoded({id(image): image for request in requests for image in request.images})
        talks = [self._talks(request, encoded) for request in requests]
        exchanges = iter(
            self._chat.chat([talk for found in talks if not isinstance(found, NotGenerated) for talk in found])
        )
        return [
            found if isinstance(found, NotGenerated) else _result([next(exchanges) for _ in found]) for found in talks
        ]

    def _encoded(self, images: dict[int, PIL.Image.Image]) -> dict[int, ImagePart | Exception]:
        """Each image once, by its `id`, however many requests show it."""

        def attempt(image: PIL.Image.Image) -> ImagePart | Exception:
            try:
                return self._sent.encode(image)
            except Exception as error:  # noqa: BLE001 - the boundary of one sample: its failure is counted as its own
                return error

        with ThreadPoolExecutor(self._threads, thread_name_prefix="encode") as pool:
            return dict(zip(images, pool.map(attempt, images.values()), strict=True))

    def _talks(
        self, request: GenerationRequest, encoded: dict[int, ImagePart | Exception]
    ) -> list[Conversation] | NotGenerated:
        """One conversation for each sample."""
        messages = []
        for turn in request.turns:
            parts = []
            for image in turn.images:
                part = encoded[id(image)]
                if isinstance(part, Exception):
                    return NotGenerated("unreadable image", f"{type(part).__name__}: {part}")
                parts.append(part)
            messages.append(Message(turn.role, turn.text, tuple(parts)))
        return [
            Conversation(tuple(messages), (), self._sampling(request.draw, sample)) for sample in range(request.samples)
        ]

    def _sampling(self, draw: Draw, sample: int) -> Sampling:
        seed = (draw.seed + sample) & _SEED_BITS if self._send_seed else None
        return Sampling(draw.temperature, draw.top_p, draw.max_new_tokens, seed, sample)


def _result(exchanges: Sequence[Exchange]) -> Generated | NotGenerated:
    replies = [exchange.replies[0] for exchange in exchanges]
    spend = sum((reply.spend for reply in replies), NO_SPEND)
    for reply in replies:
        if isinstance(reply, NoReply):
            return NotGenerated(reply.reason, reply.detail, spend)
    return Generated(tuple(_drawn(reply) for reply in replies if isinstance(reply, Reply)), spend.prompt_tokens, spend)


def _drawn(reply: Reply) -> Drawn:
    return Drawn(reply.text, "stop" if reply.finish_reason == "stop" else "length", reply.spend.completion_tokens)
