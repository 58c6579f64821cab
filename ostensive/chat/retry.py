"""What to do after an attempt that gave no answer: try again (when?), give the request up, or stop the run.

Pure functions. Decisions go by exception type, status code and the error's code field, never by words of a message: a
message is for people and changes without notice.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus


class Action(Enum):
    """What an attempt without an answer leads to."""

    RETRY = "retry"
    GIVE_UP = "give up"  # this request only
    DOUBT = "doubt"  # this request only where others were answered; otherwise as `REFUSE`
    REFUSE = "refuse"  # asking again cannot help, whatever is asked: the run stops


class Pressure(Enum):
    """What an attempt says about the load of the server."""

    NONE = "none"
    TROUBLE = (
        "trouble"  # errors that load may or may not cause: a server that fails one request in a hundred is not full
    )
    BUSY = "busy"  # the server says so
    QUEUED = "queued"  # the request waited for others until the client lost patience

    @property
    def factor(self) -> float:
        """What concurrency is cut to. Chiu & Jain 1989 halve, as TCP does."""
        return {"none": 1.0, "trouble": 0.9}.get(self.value, 0.5)


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What to do, the short fixed phrase to count by, the load it tells of, and whether it may have been billed.

    `most_attempts` is how many attempts at a request may end so; None leaves it to the settings.
    """

    action: Action
    reason: str
    pressure: Pressure = Pressure.NONE
    may_be_billed: bool = False
    most_attempts: int | None = None


TIMED_OUT = RetryDecision(Action.RETRY, "timeout", Pressure.TROUBLE, may_be_billed=True)
DISCONNECTED = RetryDecision(Action.RETRY, "connection failed", Pressure.TROUBLE, may_be_billed=True)
UNREACHABLE = RetryDecision(Action.RETRY, "connection failed", Pressure.TROUBLE)
MALFORMED = RetryDecision(Action.RETRY, "malformed reply", may_be_billed=True)
TOO_LONG = RetryDecision(Action.RETRY, "malformed reply", may_be_billed=True, most_attempts=2)
# A model that says nothing when asked the same again says nothing for good, and each time is paid.
NO_TEXT = RetryDecision(Action.RETRY, "reply without text", may_be_billed=True, most_attempts=2)
SERVER_ERROR = RetryDecision(Action.RETRY, "server error", Pressure.TROUBLE)

REJECTED = RetryDecision(Action.GIVE_UP, "request rejected")
REDIRECTED = RetryDecision(Action.DOUBT, "the server redirects elsewhere")
FILTERED_PROMPT = RetryDecision(Action.GIVE_UP, "request rejected")  # it tells nothing of other prompts
_STATUSES: dict[int, RetryDecision] = {
    401: RetryDecision(Action.REFUSE, "key refused"),
    402: RetryDecision(Action.REFUSE, "payment required"),
    # 403 is not here: moderation and web firewalls say it of single prompts.
    404: RetryDecision(Action.DOUBT, "model or address not found"),
    407: RetryDecision(Action.REFUSE, "the proxy refuses access"),
    408: TIMED_OUT,
    409: RetryDecision(Action.RETRY, "server error"),
    425: RetryDecision(Action.RETRY, "server error"),
    429: RetryDecision(Action.RETRY, "rate limited", Pressure.BUSY),
    498: RetryDecision(Action.RETRY, "rate limited", Pressure.BUSY),  # Groq: no room in the tier just now
    501: RetryDecision(Action.DOUBT, "the server has no such function"),
    503: RetryDecision(Action.RETRY, "server error", Pressure.BUSY),
    # A gateway lost patience with the server behind it, which may be at work on the request.
    504: TIMED_OUT,
    524: TIMED_OUT,  # Cloudflare
    529: RetryDecision(Action.RETRY, "server error", Pressure.BUSY),  # "overloaded" in several APIs
}
EXHAUSTED_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "account_deactivated",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "enforced_spend_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",
        "insufficient_user_quota",
        "arrearage",
        "account_overdue_error",
    }
)
"""Waiting does not help. Of OpenAI (the codes that its type `insufficient_quota` has, and others), Anthropic, Moonshot,
the gateways one-api and new-api, DashScope, and Volcengine."""


def decide_on_status(status: int, code: str | None = None) -> RetryDecision:
    """What to do after a status that is not 2xx; `code` is the error object's `code` field, where there is one.

    OpenAI says 429 both to "slower" and to "no credit left"; only the code tells them apart.
    """
    if code in EXHAUSTED_CODES:
        return RetryDecision(Action.REFUSE, "no credit left")
    if status in _STATUSES:
        return _STATUSES[status]
    if status < HTTPStatus.BAD_REQUEST:
        return REDIRECTED
    return SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else REJECTED


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the server asks to wait, at least 0; None where it does not ask or cannot be understood.

    RFC 9110, section 10.2.3: seconds or an HTTP date. Fractions and `retry-after-ms` are what OpenAI adds to it.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000" and the old date forms: HTTP dates are always in GMT
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _number(value: str | None) -> float | None:
    text = (value or "").strip()
    digits = text.replace(".", "", 1)
    # `float` would also take "nan", "inf", "1_0" and "-3"; over nine digits is no wait anybody means.
    return float(text) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waiting between attempts: `base_s`, twice that, four times that, ... at most `cap_s`."""

    base_s: float = 0.5
    cap_s: float = 30.0

    def wait_s(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after that many failures in a row (>= 1), drawn from the upper half of the interval.

        The spread keeps requests that failed together from coming back together; the lower half is left out so that
        the first retry is not at once.
        """
        return self.ceiling_s(failures) * rng.uniform(0.5, 1.0)

    def ceiling_s(self, failures: int) -> float:
        """The longest of these waits."""
        return min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 60))
