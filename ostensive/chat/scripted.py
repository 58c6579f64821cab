"""The scripted model: a function from messages to text behind the same interface as a served model.

Deterministic, offline and free. What it says depends on the content of the conversation alone, never on order, time or
threads, so that a run through it can be compared byte for byte with any other. It counts tokens and journals its
answers like a served model: a rehearsal that took a shorter way than the performance would rehearse nothing.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Literal, Self  # Any: JSON values

from pydantic import Field

from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.pictures import EncodedImage, picture_reference
from ostensive.chat.records import Completion, Conversation, Exchange, Form, Message, Sampling
from ostensive.chat.settings import ChatModelSettings
from ostensive.chat.turns import Answered, JournaledModel, KeyedConversation
from ostensive.chat.wire import valid_text

Script = Callable[[Sequence[Message], int], str]
"""From the messages so far and a seed made from them to the text of the reply. Must depend on nothing else."""

IMAGE_TOKENS = 256
"""What an image counts as in the scripted model's usage; about what a small vision model makes of one."""
_WORD = re.compile(r"\S+")


def script_seed(messages: Sequence[Message], sampling_seed: int | None) -> int:
    """A seed (64 bits) from the content of the conversation and, where one was asked for, the seed of the sampling."""
    sink = hashlib.sha256(b"" if sampling_seed is None else str(sampling_seed).encode())
    for message in messages:
        for part in (message.role.encode(), message.text.encode("utf-8", "surrogatepass")):
            sink.update(b"%d:" % len(part))
            sink.update(part)
        for image in message.images:
            known_by = image.data if isinstance(image, EncodedImage) else picture_reference(image).encode()
            sink.update(hashlib.sha256(known_by).digest())
    return int.from_bytes(sink.digest()[:8], "big")


def script_reply(script: Script, messages: Sequence[Message], sampling: Sampling) -> Completion:
    """The script's reply, cut after `sampling.max_tokens` words as a model would be; a token is a word."""
    text = valid_text(script(messages, script_seed(messages, sampling.seed)))
    words = len(text.split())
    finish_reason = "stop"
    if words > sampling.max_tokens:
        ends = (match.end() for match in _WORD.finditer(text))
        text = text[: next(end for number, end in enumerate(ends, 1) if number == sampling.max_tokens)]
        words, finish_reason = sampling.max_tokens, "length"
    return Completion(text, finish_reason, prompt_tokens(messages), words)


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Words of all messages, and `IMAGE_TOKENS` for each image."""
    return sum(len(message.text.split()) + IMAGE_TOKENS * len(message.images) for message in messages)


class ScriptedTeacherSettings(ChatModelSettings):
    """The teacher that ships with the project: deterministic, offline, free."""

    kind: Literal["scripted"] = "scripted"
    sees_image: bool | None = None
    """Whether the teacher is sent the picture. None takes what the recipe does: `localized` sends its text alone."""
    error_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of triples that are given a known fault (hedge, missing field, unknown region, wrong claim)."""

    @property
    def model_name(self) -> str:
        return "scripted"

    def sampling(self, seed: int | None = None) -> Sampling:  # noqa: ARG002 - of the interface
        """Without a seed: replies depend on the messages alone, unless a recipe puts a seed in itself."""
        return Sampling()


class ScriptedChat:
    """A script as a `Chat`, in process. Entered before use; may be called from several threads."""

    form: ClassVar[Form] = "chat"
    endpoint = "scripted"

    def __init__(
        self,
        script: Script,
        settings: ScriptedTeacherSettings,
        *,
        journal: Journal,
        budget: Budget,
        stop: threading.Event,
        model: str = "scripted",
    ) -> None:
        self.name = model
        self._script, self._settings = script, settings
        self._model = JournaledModel(self, journal=journal, budget=budget, stop=stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order. Each turn of all of them is journaled in one commit."""
        return self._model.chat(conversations)

    @property
    def known_by(self) -> Mapping[str, Any]:
        """The settings decide what the script says, so they are part of the request."""
        return {"script": self._settings.identity()}

    def batches(self, requests: Sequence[KeyedConversation]) -> Generator[Sequence[Answered], None, None]:
        """See `ostensive.chat.turns.Model`; all of them are one batch."""
        yield [
            Answered(request, script_reply(self._script, request.conversation.messages, request.conversation.sampling))
            for request in requests
        ]
