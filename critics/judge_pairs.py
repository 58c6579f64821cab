"""A chat model compares two replies, each pair in both orders.

Models favour a place, most often the first (Zheng et al., "Judging LLM-as-a-Judge", 2023, section 3.3): a verdict that
turns round with the order says nothing of the replies and is a tie. Drawing one order by lot was given up: it makes the
favour look like chance instead of removing it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from critics.critic import CriticMeans, NoScore
from critics.judge import UNREADABLE, Judging
from critics.settings import JudgeSettings
from critics.verdicts import PairVerdict, Side, UnreadableVerdictError, read_pair
from ostensive.chat.records import Exchange, NoReply
from ostensive.records import NO_SPEND, Spend, Verbalization

PAIR: Final = "pair"
_SWAPPED: Final[dict[Side, Side]] = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one question about one image."""

    known: Verbalization
    question: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which reply is better. `is_steady` is whether both orders said so; where they did not, it is a tie."""

    better: Side
    is_steady: bool
    why: str
    spend: Spend = NO_SPEND


class PairJudge:
    """Compares pairs by a rubric with a template `pair`. A context manager: the model is opened on entry."""

    def __init__(self, settings: JudgeSettings, means: CriticMeans) -> None:
        """Stores and validates; raises `SettingsError` for a rubric that cannot be used."""
        self._judging = Judging(settings, means, template=PAIR)

    @property
    def version(self) -> str:
        """A hash of all that comparisons depend on."""
        return self._judging.version

    def __enter__(self) -> Self:
        self._judging.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._judging.__exit__(kind, error, trace)

    def compare(self, pairs: Sequence[Pair]) -> list[Comparison | NoScore]:
        """One comparison for each pair, in order, after asking in both orders; none where a reply cannot be read."""
        asked = []
        for pair in pairs:
            for first, second in ((pair.first, pair.second), (pair.second, pair.first)):
                texts = {"question": pair.question, "first": first, "second": second}
                asked.append(self._judging.conversation(pair.known, texts))
        exchanges = self._judging.ask(asked)
        return [compared(*both) for both in zip(exchanges[::2], exchanges[1::2], strict=True)]


def compared(as_given: Exchange, swapped: Exchange) -> Comparison | NoScore:
    """What follows from the replies to a pair as it is and with its sides changed."""
    spend = sum((reply.spend for exchange in (as_given, swapped) for reply in exchange.replies), NO_SPEND)
    verdicts: list[PairVerdict] = []
    for exchange in (as_given, swapped):
        (reply,) = exchange.replies
        if isinstance(reply, NoReply):
            return NoScore(reply.reason, reply.detail, spend)
        try:
            verdicts.append(read_pair(reply.text))
        except UnreadableVerdictError as error:
            return NoScore(UNREADABLE, str(error), spend)
    straight, turned = verdicts[0].better, _SWAPPED[verdicts[1].better]
    if straight == turned:
        return Comparison(straight, True, verdicts[0].why, spend)
    return Comparison("tie", False, f"{straight} as given, {turned} with the sides changed", spend)
