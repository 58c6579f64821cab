"""The text of a reply, or why there is none that is whole."""

from typing import Any, Final  # Any: a loss without a record belongs to outcomes of any record

from ostensive.chat.records import Exchange, NoReply, Reply
from ostensive.stage import Dropped, Failed

TRUNCATED: Final = "truncated reply"
FILTERED: Final = "filtered reply"


def reply_of(exchange: Exchange) -> Reply | Dropped[Any] | Failed[Any]:
    """The one reply of an exchange where it is whole, else how it is lost."""
    reply = exchange.replies[0]
    if isinstance(reply, NoReply):
        return Failed(reply.reason, reply.detail)
    if reply.finish_reason == "content_filter":
        return Dropped(FILTERED)
    if reply.finish_reason != "stop":
        return Dropped(TRUNCATED, f"finish reason {reply.finish_reason!r:.40}")
    return reply
