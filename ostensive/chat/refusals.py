"""Whether a server refuses whatever it is asked, told from single requests that it refuses.

A status says what is wrong and not with what: 403 is said of a key and of a prompt that was flagged, 400 of a setting
that no request can have right and of one prompt that is too long. What tells is whether others were answered.
"""

import re
from dataclasses import dataclass

from ostensive.chat.retry import FILTERED_PROMPT, Action, RetryDecision

MANY_IN_A_ROW = 64
"""So many requests that end alike, with no answer between them, are no chance any more."""
_TRIED = 4  # at a time, before the server has shown that it takes them
_DIGITS = re.compile(r"[0-9]+")


@dataclass(slots=True)
class Refusals:
    """What became of the requests to one server, as far as it says something of the next."""

    at_start: int | None  # so many that are refused alike before anything was answered are enough; None: never
    answered_before: bool = False  # in an earlier process of the run
    answers_now: bool = False
    _last: str = ""
    _in_a_row: int = 0

    @property
    def has_answered(self) -> bool:
        """Whether the server has ever answered this run."""
        return self.answers_now or self.answered_before

    @property
    def wanted(self) -> int:
        """How many requests there have to be under way, before anything was answered, to tell."""
        return _TRIED if self.at_start is None else max(1, min(_TRIED, self.at_start - self._in_a_row))

    def answered(self) -> None:
        """A request got an answer."""
        self.answers_now = True
        self._in_a_row = 0

    def ended(self, decision: RetryDecision, detail: str) -> str | None:
        """Takes note of a request that ended without an answer. Why the run should stop, if it should."""
        if decision is FILTERED_PROMPT:
            return None
        kind = f"{decision.reason}: {_DIGITS.sub('#', detail)}"
        self._in_a_row = self._in_a_row + 1 if kind == self._last else 1
        self._last = kind
        if not self.has_answered:
            if self.at_start is None or self._in_a_row < self.at_start:
                return None
            return self._words("the first", decision, detail)
        # Where only an earlier process had answers, what is left to ask may well be all that was refused before.
        if self._in_a_row < MANY_IN_A_ROW or not (self.answers_now or decision.action is Action.DOUBT):
            return None
        return self._words("the last", decision, detail)

    def _words(self, which: str, decision: RetryDecision, detail: str) -> str:
        count = "request was refused" if self._in_a_row == 1 else f"{self._in_a_row} requests were all refused alike"
        return f"{which} {count} and none was answered: {decision.reason} ({detail})"
