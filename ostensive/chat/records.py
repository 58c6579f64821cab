"""What goes to a teacher and what comes back, whoever the teacher is."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from ostensive.records import NO_SPEND, Spend


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a message: encoded bytes and their MIME type, as they will be sent."""

    data: bytes
    mime: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; images come before the text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[ImagePart, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. `seed` is sent when it is not None; requests that differ only in it are two.

    `draw` tells apart requests that are sent alike and are yet to have a reply each: the first is 0.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int | None = None
    draw: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages up to and including a user's, and the user's further turns, each asked after the reply to the last.

    A conversation with n follow-ups has n + 1 replies. Follow-ups are known beforehand, so that a client can go on with
    a conversation at once instead of waiting for the slowest of its neighbours.
    """

    messages: tuple[Message, ...]
    follow_ups: tuple[Message, ...] = ()
    sampling: Sampling = Sampling()


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
    request_key: str
    spend: Spend = NO_SPEND  # of an answer without text, which is paid for like any other


@dataclass(frozen=True, slots=True)
class Exchange:
    """The replies of one conversation in turn. After a `NoReply` the later turns are not asked and are missing."""

    replies: tuple[Reply | NoReply, ...]


class Chat(Protocol):
    """Access to a teacher. Entered before use; may be called from several threads."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order.

        Raises `BudgetReached` or `Interrupted` after the answers in flight have reached the journal, and
        `AccessRefusedError` when the server refuses the key, the model or the form of the request.
        """
        ...
