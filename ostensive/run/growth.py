"""What a round of self-training added to those before, and when a further one is not worth it (ILLUME, section 4.4)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Growth:
    """What a round added: the rows that it made itself, and those that it has from before, as they were kept."""

    number: int
    new: int
    before: int
    stop_below: float

    @property
    def share(self) -> float | None:
        """New rows for each row from before; None where there were none."""
        return self.new / self.before if self.before else None

    @property
    def is_enough(self) -> bool:
        """Whether a further round is not worth it by the stop rule."""
        return self.share is not None and self.share < self.stop_below

    def line(self) -> str:
        """What there is to say of it."""
        grown = "" if self.share is None else f" ({self.share:+.1%})"
        advice = ""
        if self.is_enough:
            advice = f"; that is below {self.stop_below:.0%}: ILLUME would stop here"
        return f"{self.number}: {self.new:,} new rows beside {self.before:,} from before{grown}{advice}"
