"""What a report says of a run besides its rows: pure, from counts and settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cards.card_text import step_words
from cards.report.choosing import ChosenRows
from ostensive.records import NO_SPEND, Spend, dollars
from ostensive.run.summary import StageSummary, requests_text

_MOST_NAMES: Final = 20  # of teachers, prompts or critics that are listed
_OUTCOMES: Final = {
    "done": "",
    "TooManyFailedError": "More rows failed in this run than its recipe allows; the steps below say why.",
    "EmptyCorpusError": "No row came through all steps of this run; the steps below say why.",
}
UNFINISHED: Final = (
    "This run was not finished when this page was made. The page shows what was there; counts are of finished"
    " partitions only, and the run may have rows of an earlier recipe."
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of what is known of a run."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a bar that is 100 wide."""

    fate: str
    start: str
    width: str


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for which rows were lost, and how many were."""

    fate: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """A line of the table of steps; `rows` = `kept` + `dropped` + `failed`."""

    name: str
    words: str
    inputs: int
    rows: int
    kept: int
    dropped: int
    failed: int
    reasons: tuple[Reason, ...]

    @property
    def parts(self) -> tuple[Share, ...]:
        """The bar of a step that has rows."""
        counts = (("kept", self.kept), ("dropped", self.dropped), ("failed", self.failed))
        found, start = [], 0.0
        for fate, count in counts:
            width = 100 * count / self.rows
            found.append(Share(fate, f"{start:.2f}", f"{width:.2f}"))
            start += width
        return tuple(found)


@dataclass(frozen=True, slots=True)
class CostLine:
    """What a step took of a model."""

    name: str
    requests: str
    prompt_tokens: int
    completion_tokens: int
    usd: str


@dataclass(frozen=True, slots=True)
class PageFacts:
    """All that the page says outside its gallery."""

    title: str
    subtitle: str
    notices: tuple[str, ...]
    facts: tuple[Fact, ...]
    thresholds: tuple[str, ...]  # what is known of those that were chosen by figures, a sentence or two each
    funnel: tuple[FunnelStep, ...]
    costs: tuple[CostLine, ...]
    figures: tuple[Fact, ...]  # of the corpus
    shown: str  # of the gallery, how many rows it has of how many
    noun: str
    opening_name: str
    recipe: str
    footer: str


def notice_of(outcome: str) -> str:
    """What is to be said of how a run ended; empty where it is as it should be."""
    return _OUTCOMES.get(outcome, UNFINISHED)


def funnel_steps(stages: Sequence[StageSummary], records: Mapping[str, str]) -> tuple[FunnelStep, ...]:
    """A line for each stage; `records` names the class of a stage's records."""
    return tuple(_funnel_step(stage, records.get(stage.name, "")) for stage in stages)


def _funnel_step(stage: StageSummary, record: str) -> FunnelStep:
    reasons = [
        Reason(fate, reason, count)
        for fate, counts in (("dropped", stage.dropped), ("failed", stage.failed))
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return FunnelStep(
        stage.name,
        step_words(stage.name, record),
        stage.inputs,
        stage.rows,
        stage.kept,
        sum(stage.dropped.values()),
        sum(stage.failed.values()),
        tuple(reasons),
    )


def cost_lines(stages: Sequence[StageSummary]) -> tuple[CostLine, ...]:
    """A line for each stage that asked a model, and one for all of them where there are several."""
    asked = [stage for stage in stages if stage.spend.requests]
    lines = [_cost_line(stage.name, stage.spend) for stage in asked]
    if len(lines) > 1:
        lines.append(_cost_line("all", sum((stage.spend for stage in asked), NO_SPEND)))
    return tuple(lines)


def _cost_line(name: str, spend: Spend) -> CostLine:
    usd = "unknown" if spend.usd is None else dollars(spend.usd)
    return CostLine(name, requests_text(spend), spend.prompt_tokens, spend.completion_tokens, usd)


def shown_words(chosen: ChosenRows, shown: int, unreadable: int, hidden: int, *, noun: str, seed: int) -> str:
    """How many rows the page shows, of how many, and how they were chosen; `hidden` are of images taken down."""
    total = f"{chosen.total:,} {noun}{'' if chosen.total == 1 else 's'}"
    if not chosen.total:
        return f"There is no {noun} yet."
    if shown == chosen.total:
        words = f"All {total} of the run are shown, those that were dropped or failed among them."
    else:
        words = (
            f"{shown:,} of {total} of the run are shown: in turn one of a reason for which rows were lost, one of the"
            f" best by their critics, one of the worst, and two that were drawn by the seed {seed}, as far as there is"
            " room for them and their pictures. Figures outside the gallery are of all of them."
        )
    if unreadable:
        pictures = "1 picture" if unreadable == 1 else f"{unreadable:,} pictures"
        words += f" {pictures} could not be read any more, so that their rows stand without."
    if hidden:
        words += f" {hidden:,} more {'is' if hidden == 1 else 'are'} of images that were taken down, and not shown."
    return words


def names_of(found: Sequence[str]) -> str:
    """Names in alphabetical order, and how many more there are."""
    more = len(found) - _MOST_NAMES
    return ", ".join(sorted(found)[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "") or "none yet"
