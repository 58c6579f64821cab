"""What a model is asked and what it replies, whichever model it is and wherever it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from ostensive.chat.pictures import DEFAULT_SENT_IMAGES, Picture, SentImageSettings
from ostensive.records import NO_SPEND, Spend

Form = Literal["chat", "continuation", "instruction", "task"]
"""How a model wants to be asked. chat: conversations; the others one user's message with one image: continuation, a
text that the model goes on with (BLIP-2); instruction (InstructBLIP); task, a task prompt (Florence-2)."""

UNREADABLE_IMAGE = "unreadable image"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; images come before the text, as pixels or as bytes that are sent as they are."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. `seed` is sent when it is not None; requests that differ only in it are two.

    `draw` tells apart requests that are alike and are yet to have a reply each: the first is 0. Models on this machine
    look at the images of such requests once.
    """

    temperature: float = 0.8  # 0 takes the likeliest token each time
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int | None = None
    draw: int = 0
    top_k: int | None = None  # tokens are drawn from so many of the likeliest; None: from all


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages up to and including a user's, and the user's further turns, each asked after the reply to the last.

    A conversation with n follow-ups has n + 1 replies. Follow-ups are known beforehand, so that a client can go on with
    a conversation at once instead of waiting for the slowest of its neighbours.
    """

    messages: tuple[Message, ...]
    follow_ups: tuple[Message, ...] = ()
    sampling: Sampling = Sampling()
    sent_images: SentImageSettings = DEFAULT_SENT_IMAGES  # what pixels are sent as, to a served model

    @property
    def images(self) -> tuple[Picture, ...]:
        """All images, those of follow-ups included, in the order of the messages."""
        return tuple(image for message in (*self.messages, *self.follow_ups) for image in message.images)


@dataclass(frozen=True, slots=True)
class Completion:
    """One text as a model gives it, and its tokens; `finish_reason` is "stop", or "length" where it was cut."""

    text: str
    finish_reason: str
    prompt_tokens: int  # image slots included
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `finish_reason` other than "stop" means that `text` is not whole."""

    text: str
    finish_reason: str  # "stop", "length", "content_filter" or whatever else the server says
    model: str  # as the server names it
    request_key: str  # of the journal's entry
    spend: Spend  # what it cost when it was bought, also when it now comes from the journal


@dataclass(frozen=True, slots=True)
class NoReply:
    """A request that stayed without an answer after all retries, or whose answer has no text."""

    reason: str  # a short fixed phrase to count by: "timeout", "server error", "malformed reply", ...
    detail: str
    request_key: str = ""  # empty where nothing was asked
    spend: Spend = NO_SPEND  # of an answer without text, which is paid for like any other


@dataclass(frozen=True, slots=True)
class Exchange:
    """The replies of one conversation in turn. After a `NoReply` the later turns are not asked and are missing."""

    replies: tuple[Reply | NoReply, ...]


class Chat(Protocol):
    """Access to a model. Entered before use; may be called from several threads."""

    @property
    def form(self) -> Form:
        """How the model wants to be asked; known once it is entered."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order. A request that fails costs no other.

        Raises `BudgetReached` or `Interrupted` after the answers in flight have reached the journal, and
        `AccessRefusedError` when the server refuses the key, the model or the form of the request.
        """
        ...
