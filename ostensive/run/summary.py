"""What a stage did, in figures that add up: the rows that came in, and what became of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ostensive.records import NO_SPEND, Spend
from ostensive.run.agreements import AnnotatorAgreement
from ostensive.run.thresholds import ThresholdChoice


@dataclass(frozen=True, slots=True)
class StageSummary:
    """Counts of one stage over all partitions. `rows` = `kept` + all dropped + all failed."""

    name: str
    inputs: int  # records it was given
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    failed: Mapping[str, int] = field(default_factory=dict)  # by reason
    spend: Spend = NO_SPEND

    @property
    def rows(self) -> int:
        """Rows it wrote: kept, dropped and failed together."""
        return self.kept + sum(self.dropped.values()) + sum(self.failed.values())

    def __add__(self, other: "StageSummary") -> "StageSummary":
        return StageSummary(
            self.name,
            self.inputs + other.inputs,
            self.kept + other.kept,
            add_counts(self.dropped, other.dropped),
            add_counts(self.failed, other.failed),
            self.spend + other.spend,
        )


def add_counts(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Two counts by reason as one, reasons in alphabetical order."""
    return {key: first.get(key, 0) + second.get(key, 0) for key in sorted({*first, *second})}


def requests_text(spend: Spend) -> str:
    """The number of requests, and how many of them had a reply of no use or none that says what it took."""
    notes = [
        f"{count:,} {what}"
        for count, what in (
            (spend.spoiled_requests, "of them spoiled"),
            (spend.estimated_requests, "with estimated tokens"),
        )
        if count
    ]
    requests = "1 request" if spend.requests == 1 else f"{spend.requests:,} requests"
    return f"{requests} ({', '.join(notes)})" if notes else requests


PUBLISHING: Final = "corpus"
"""The step from accepted rows to the files, beside the names of the stages."""
IN_NO_SPLIT: Final = "looks like images of several splits"
"""Why accepted rows are not published though nothing failed: of their image, in any split, another would be told."""


TAKEN_DOWN: Final = "taken down"
"""Why accepted rows are not published: somebody asked for their image to be removed."""


def publishing_summary(kept: int, lost: Mapping[str, int], taken_down: int = 0) -> StageSummary:
    """What became of accepted rows: `lost` by reason, `taken_down` at somebody's wish."""
    left_out = {reason: count for reason, count in lost.items() if reason == IN_NO_SPLIT}
    failed = {reason: count for reason, count in lost.items() if reason != IN_NO_SPLIT}
    if taken_down:
        left_out[TAKEN_DOWN] = taken_down
    return StageSummary(PUBLISHING, kept + sum(lost.values()) + taken_down, kept, left_out, failed)


@dataclass(frozen=True, slots=True)
class SplitFigures:
    """How images were put into splits."""

    images: Mapping[str, int]  # by split, those without a row too
    asked: Mapping[str, float]  # shares, as parts of their sum
    groups: int  # of images that look alike
    grouped: int  # images in them
    left_out: int  # those that look like images of several splits
    leaking: int = 0  # those that look like an image of another split, and stay
    is_compared: bool = True  # whether images were compared by more than their bytes


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the card says of a run; a pure function of the recipe and the partitions, so that it has no dates."""

    recipe: Mapping[str, object]  # as resolved, without secrets
    recipe_hash: str
    stages: tuple[StageSummary, ...]  # from the first of intake to the last, in order
    records: Mapping[str, str]  # the class of a stage's records, by the stage's name
    accepted: int  # rows that are the corpus'
    teachers: tuple[str, ...]  # models as the replies named them
    prompt_hashes: tuple[str, ...]
    critics: tuple[str, ...]  # "name version"
    ostensive_version: str
    splits: tuple[str, ...] = ()  # those that images were put into, in the order of the corpus; empty: nobody asked
    thresholds: tuple[ThresholdChoice, ...] = ()  # those that were chosen by figures and are in force
    split_figures: SplitFigures | None = None  # None where there are no splits
    agreements: tuple[AnnotatorAgreement, ...] = ()  # of the people who judged candidates, by the last export
    sources: Mapping[str, str] = field(default_factory=dict)  # of a stage, by its name: the one whose kept it is given
    partitions: Mapping[str, int] = field(default_factory=dict)  # that a stage has finished, by its name
