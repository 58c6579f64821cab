"""The first few requests to a server: what it refuses alike is not sent to the end."""

TRIAL_S = 0.3
"""A trial ends with the first answer, or after this time without a failure: a refusal comes at once."""


class Trial:
    """Lets `size` requests be under way; 0 is no trial. Times are seconds of any steady clock."""

    def __init__(self, size: int) -> None:
        self._size = size  # 0 once it is over
        self._tried = 0  # requests, and not attempts at them, that are not given up
        self._failed = False
        self.ends_at: float | None = None  # None until something is sent, and once something has failed

    def admits(self, now: float, *, again: bool) -> bool:
        """Whether a request may be sent; `again` where it was sent before."""
        if self.ends_at is not None and now >= self.ends_at:
            self._end()
        return again or self._size == 0 or self._tried < self._size

    def started(self, *, again: bool) -> None:
        """A request was admitted."""
        self._tried += not again

    def sent(self, now: float) -> None:
        """It is on its way."""
        if self._size and not self._failed and self.ends_at is None:
            self.ends_at = now + TRIAL_S

    def failed(self) -> None:
        """An attempt failed: only an answer ends the trial now."""
        self._failed, self.ends_at = True, None

    def given_up(self, size: int) -> None:
        """A request ended without an answer, or was not sent; `size` are to be under way from now on."""
        self._tried -= 1
        if self._size:
            self._size = size

    def answered(self) -> None:
        """The server has answered a request: it takes them."""
        self._end()

    def _end(self) -> None:
        self._size, self.ends_at = 0, None
