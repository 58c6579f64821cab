"""What goes wrong with the scripted server, and when: decided by the content of a request and how often it has come.

Never by time or order, so that a rehearsal can be repeated.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ostensive.errors import SettingsError
from ostensive.settings import nearest_key


@dataclass(frozen=True, slots=True)
class Faults:
    """The probability of each fault, 0-1, together at most 1; a request meets at most `most_per_request` of them."""

    rate_limited: float = 0.0  # 429, Retry-After in seconds
    rate_limited_date: float = 0.0  # 429, Retry-After as a date
    server_error: float = 0.0  # 500
    unavailable: float = 0.0  # 503
    close_midway: float = 0.0  # half the body, then the connection is closed
    hang: float = 0.0  # no answer at all
    bad_json: float = 0.0
    no_choices: float = 0.0
    length: float = 0.0  # half the text, finish reason "length"
    content_filter: float = 0.0  # no text, finish reason "content_filter"
    most_per_request: int = 2
    retry_after_s: float = 1.0

    def __post_init__(self) -> None:
        chances = [getattr(self, kind) for kind in FAULT_KINDS]
        if any(not 0 <= chance <= 1 for chance in chances) or sum(chances) > 1 + 1e-9:
            raise SettingsError(
                f"faults: probabilities from 0 to 1 with a sum of at most 1 are expected, not {chances}"
            )


FAULT_KINDS = tuple(item.name for item in fields(Faults) if item.name not in ("most_per_request", "retry_after_s"))


def choose_fault(faults: Faults, digest: bytes, attempt: int) -> str:
    """The fault that the `attempt`-th arrival (from 1) of the request with this digest meets; empty for none."""
    if attempt > faults.most_per_request:
        return ""
    left = fraction(digest, f"fault {attempt}")
    for kind in FAULT_KINDS:
        left -= getattr(faults, kind)
        if left < 0:
            return kind
    return ""


def fraction(digest: bytes, purpose: str) -> float:
    """A number in [0, 1) that depends on a request's digest and on what it is for."""
    return int.from_bytes(hashlib.sha256(digest + purpose.encode()).digest()[:6], "big") / 2**48


def parse_faults(faults: Sequence[str]) -> dict[str, float]:
    """`["server_error=0.1"]` as chances by kind; raises `SettingsError` naming the nearest kind."""
    chances: dict[str, float] = {}
    for fault in faults:
        kind, _, chance = fault.partition("=")
        if kind not in FAULT_KINDS:
            near = nearest_key(kind, FAULT_KINDS)
            hint = f"the nearest known kind is {near}" if near else f"known are {', '.join(FAULT_KINDS)}"
            raise SettingsError(f"--fault {fault}: unknown kind; {hint}")
        if kind in chances:
            raise SettingsError(f"--fault {fault}: {kind} is given twice; give it once")
        try:
            chances[kind] = float(chance)
        except ValueError as error:
            raise SettingsError(f"--fault {fault}: KIND=SHARE with a share from 0 to 1 is expected") from error
    return chances
