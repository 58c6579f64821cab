"""A run's limits of money and requests, checked before each send including what is in flight.

Before a request is sent, the most it can cost is set aside (`upper_bound_usd`); when its answer is in, what it did cost
is booked instead. A request that does not fit beside what is set aside waits for that to be settled, and only when
nothing is under way and it still does not fit is the budget exhausted: a generous bound costs no money and, but for
the last request, no work. An average price a request, the alternative, would be passed by the first long reply.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ostensive.chat.prices import DEFAULT_MAX_IMAGE_TOKENS, Price
from ostensive.chat.records import Message
from ostensive.chat.usage import Tokens
from ostensive.errors import SettingsError
from ostensive.records import NO_SPEND, Spend, dollars

TOKENS_A_MESSAGE = 16
"""For what a chat template puts around a message: role, separators. OpenAI's takes 3 to 5."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for one request under way."""

    usd: float


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """No request fits any more."""

    message: str


@dataclass(frozen=True, slots=True)
class BudgetBusy:
    """The request does not fit now, but may when those under way are settled."""


class Budget:
    """The limits of a run over all its processes; None is no limit. May be used from several threads.

    `spent` is what the journal says this run has paid so far, so that the same command run again does not spend the sum
    a second time. Every attempt that is sent counts as a request; of those of earlier processes only the answered ones
    are known.
    Raises `SettingsError` if `max_usd` is given and the price of something already paid is not known.
    """

    def __init__(
        self, *, max_usd: float | None = None, max_requests: int | None = None, spent: Spend = NO_SPEND
    ) -> None:
        if max_usd is not None and not max_usd >= 0:  # not a number (nan) would never be reached
            raise SettingsError(f"--max-cost {max_usd}: a sum of 0 or more is expected")
        if max_requests is not None and max_requests < 0:
            raise SettingsError(f"--max-requests {max_requests}: a number of 0 or more is expected")
        if max_usd is not None and spent.usd is None:
            raise SettingsError(
                "--max-cost: this run has paid for answers whose price is not known, so its cost cannot be limited;"
                " use --max-requests"
            )
        self.max_usd = max_usd
        self.max_requests = max_requests
        self._lock = threading.Lock()
        self._usd = spent.usd or 0.0
        self._requests = spent.requests
        self._set_aside_usd = 0.0
        self._under_way = 0

    def require_price(self, model: str, price: Price | None, section: str = "teacher") -> None:
        """Raises `SettingsError` if the cost is limited and the price of `model` is not known."""
        if self.max_usd is not None and price is None:
            raise SettingsError(
                f"--max-cost: the price of {model!r} is not known; give it with"
                f" --set {section}.price.prompt=USD --set {section}.price.completion=USD (for a million tokens; 0 for a"
                " server of your own) or in a price table with --prices FILE"
            )

    def reserve(self, usd: float) -> Reservation | BudgetBusy | BudgetExhausted:
        """Sets aside `usd`, the most the request can cost, and counts the request. What is free always fits the sum."""
        with self._lock:
            if self.max_requests is not None and self._requests >= self.max_requests:
                return BudgetExhausted(
                    f"--max-requests: {self._requests} of {self.max_requests} requests are sent;"
                    " run the same command with a larger number to go on"
                )
            if usd > 0 and self.max_usd is not None and self._usd + self._set_aside_usd + usd > self.max_usd:
                if self._under_way:
                    return BudgetBusy()
                return BudgetExhausted(
                    f"--max-cost: ${dollars(self._usd)} of ${dollars(self.max_usd)} is spent and the next request"
                    f" may cost up to ${dollars(usd)}; run the same command with a larger sum to go on"
                )
            self._requests += 1
            self._under_way += 1
            self._set_aside_usd += usd
            return Reservation(usd)

    def settle(self, reservation: Reservation, usd: float | None, *, sent: bool = True) -> None:
        """Books what the request cost. None, where nobody knows, books all that was set aside.

        A request that was not `sent`, for there was no connection, counts as none.
        """
        with self._lock:
            self._under_way -= 1
            self._requests -= not sent
            # Without anything under way the sum is 0 by definition; adding and taking floats away would leave a crumb.
            self._set_aside_usd = self._set_aside_usd - reservation.usd if self._under_way else 0.0
            self._usd += reservation.usd if usd is None else usd


def upper_bound_tokens(
    messages: Sequence[Message], max_tokens: int, max_image_tokens: int = DEFAULT_MAX_IMAGE_TOKENS
) -> Tokens:
    """The most tokens that a request and its reply can take.

    Prompt: one token a byte of UTF-8 (no byte-level tokenizer makes more), `TOKENS_A_MESSAGE` for each message, and
    `max_image_tokens` for each image, which is the one estimate in it. Reply: all of `max_tokens`.
    """
    text_bytes = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in messages)
    images = sum(len(message.images) for message in messages)
    prompt_tokens = text_bytes + TOKENS_A_MESSAGE * (len(messages) + 1) + max_image_tokens * images
    return Tokens(prompt_tokens, max_tokens, estimated=True)


def upper_bound_usd(messages: Sequence[Message], max_tokens: int, price: Price) -> float:
    """The most that a request can cost, in US dollars."""
    bound = upper_bound_tokens(messages, max_tokens, price.max_image_tokens)
    return price.usd(bound.prompt_tokens, bound.completion_tokens, 0)
