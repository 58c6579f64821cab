"""A chat model compares two replies, each pair in both orders.

Models favour a place, most often the first (Zheng et al., "Judging LLM-as-a-Judge", 2023, section 3.3): a preference
that turns round with the order says nothing of the replies and is a tie. Drawing one order by lot would make the favour
look like chance instead of removing it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Self

from critics.critic import CriticContext, NoScore
from critics.evidence import known_lines
from critics.judge import UNREADABLE, JudgeSettings, Judging, UnreadableReplyError, read_reply
from ostensive.chat.records import Exchange, NoReply
from ostensive.records import NO_SPEND, Spend
from ostensive.run.services import Services
from ostensive.stage import ImageEvidence

Side = Literal["first", "second", "tie"]
SIDES: tuple[Side, ...] = ("first", "second", "tie")
PAIR: Final = "pair"
_SWAPPED: Final[dict[Side, Side]] = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one question about one image."""

    known: ImageEvidence
    question: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two replies is better, as they were shown."""

    better: Side
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which reply is better. `is_steady` is whether both orders said so; where they did not, it is a tie."""

    better: Side
    is_steady: bool
    why: str
    spend: Spend = NO_SPEND


class PairJudge:
    """Compares pairs by a rubric with a template `pair`."""

    def __init__(self, settings: JudgeSettings, context: CriticContext) -> None:
        """Stores and validates; raises `SettingsError` for a rubric that cannot be used."""
        self._judging = Judging(settings, context, template=PAIR, fields=("question", "first", "second"))

    @property
    def version(self) -> str:
        """A hash of all that comparisons depend on."""
        return self._judging.version

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        """Itself with the model."""
        with self._judging.opened(services):
            yield self

    def compare(self, pairs: Sequence[Pair]) -> list[Comparison | NoScore]:
        """One comparison for each pair, in order, after asking in both orders; none where a reply cannot be read."""
        asked = []
        for pair in pairs:
            for first, second in ((pair.first, pair.second), (pair.second, pair.first)):
                texts = {"question": pair.question, "first": first, "second": second}
                asked.append(self._judging.conversation(known_lines(pair.known) or (), texts))
        exchanges = self._judging.ask(asked)
        return [compared(*both) for both in zip(exchanges[::2], exchanges[1::2], strict=True)]


def read_preference(text: str) -> Preference:
    """The preference in a reply; raises `UnreadableReplyError`."""
    values = read_reply(text, ("better",))
    for side in SIDES:
        if values["better"] == side:
            return Preference(side, values["why"])
    raise UnreadableReplyError(f"better is {values['better']!r:.40}; one of {', '.join(SIDES)} is expected")


def compared(as_given: Exchange, swapped: Exchange) -> Comparison | NoScore:
    """What follows from the replies to a pair as it is and with its sides changed."""
    spend = sum((reply.spend for exchange in (as_given, swapped) for reply in exchange.replies), NO_SPEND)
    found: list[Preference] = []
    for exchange in (as_given, swapped):
        (reply,) = exchange.replies
        if isinstance(reply, NoReply):
            return NoScore(reply.reason, reply.detail, spend)
        try:
            found.append(read_preference(reply.text))
        except UnreadableReplyError as error:
            return NoScore(UNREADABLE, str(error), spend)
    straight, turned = found[0].better, _SWAPPED[found[1].better]
    if straight == turned:
        return Comparison(straight, True, found[0].why, spend)
    return Comparison("tie", False, f"{straight} as given, {turned} with the sides changed", spend)
