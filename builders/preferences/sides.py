"""From the replies to both sides of a pair to the pair, or to the one reason why there is none."""

from dataclasses import dataclass
from typing import Final

from builders.asking import FILTERED, TRUNCATED, whole_reply
from builders.dedupe import comparable
from ostensive.chat.records import Exchange, NoReply, Reply
from ostensive.image_slots import has_slot

CHOSEN: Final = "chosen"
REJECTED: Final = "rejected"

MISSING_CHOSEN = "missing chosen text"
MISSING_REJECTED = "missing rejected text"
SLOT = "image placeholder in the text"
SAME = "both sides say the same"
NO_OTHER = "no other image to swap with"
TOO_LITTLE = "corruption changes too little"

REASONS = (MISSING_CHOSEN, MISSING_REJECTED, TRUNCATED, FILTERED, SLOT, SAME, NO_OTHER, TOO_LITTLE)
"""Every reason for which a pair is dropped before the critics."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The replies to both sides; with a reason, they make no pair."""

    chosen: Reply
    rejected: Reply
    reason: str = ""
    detail: str = ""


def read_sides(chosen: Exchange, rejected: Exchange) -> Sides | NoReply:
    """Both sides of a pair, with the first reason that speaks against it; a side without a reply leaves none."""
    (first,), (second,) = chosen.replies, rejected.replies
    for side, reply in ((CHOSEN, first), (REJECTED, second)):
        if isinstance(reply, NoReply):
            return NoReply(reply.reason, f"{side}: {reply.detail}", reply.request_key, reply.spend)
    assert isinstance(first, Reply), "a side without a reply has been told"
    assert isinstance(second, Reply), "a side without a reply has been told"
    reason, detail = _fault(first, second)
    return Sides(first, second, reason, detail)


def _fault(chosen: Reply, rejected: Reply) -> tuple[str, str]:
    for side, reply, missing in ((CHOSEN, chosen, MISSING_CHOSEN), (REJECTED, rejected, MISSING_REJECTED)):
        whole = whole_reply(reply)
        if not isinstance(whole, Reply):
            return whole.reason, f"{side}: {whole.detail}"
        if not any(character.isalnum() for character in reply.text):
            return missing, ""
        if has_slot(reply.text):
            return SLOT, side
    if comparable(chosen.text) == comparable(rejected.text):
        return SAME, ""
    return "", ""
