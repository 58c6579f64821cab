"""What a lineage says, in lines of plain text: for the terminal and for the report alike."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final  # Any: the values of a candidate's fields

from cards.lineage import Fate, Lineage, Request
from ostensive.records import Annotation, Region, Verbalization

_AT_THE_TOP: Final = frozenset({"row_id", "image_id", "teacher", "prompt_hash"})  # fields of every candidate


def field_lines(found: Lineage) -> Iterator[str]:
    """The fields of the candidate that are told nowhere else, but empty ones."""
    told = _AT_THE_TOP | {text.name for text in found.texts} | {request.field for request in found.requests}
    for name, value in found.candidate.items():
        if name not in told and value not in ("", None, []):
            yield f"{name}: {_value(value)}"


def step_lines(found: Lineage) -> Iterator[str]:
    """What each stage said of the row."""
    for step in found.steps:
        why = f": {with_detail(step.reason, step.detail)}" if step.reason else ""
        repeats = f"; it says what {step.repeats} says" if step.repeats else ""
        yield f"{step.stage}: {step.outcome}{why}{repeats}"


def judged_lines(found: Lineage) -> Iterator[str]:
    """Each critic with its probability, the threshold, the decision, and what it found."""
    thresholds = found.made.thresholds
    judged = {one.critic: one for one in found.judgements}
    for score in found.scores:
        asked = f", {thresholds[score.critic]:g} is asked" if score.critic in thresholds else ""
        decision = _decision(judged[score.critic].accepted) if score.critic in judged else ""
        why = f": {with_detail(score.reason, score.detail)}" if score.reason or score.detail else ""
        yield f"{score.critic} ({score.critic_version}): {score.accept_probability:.4f}{asked}{decision}{why}"
    scored = {score.critic for score in found.scores}
    for one in found.judgements:
        if one.critic not in scored:
            why = f": {one.reason}" if one.reason else ""
            decision = _decision(one.accepted)
            yield f"{one.critic} ({one.critic_version}): {one.accept_probability:.4f}{decision}{why}"


def probabilities(found: Lineage) -> dict[str, float]:
    """The probability that each critic gave, by its name."""
    scored = {one.critic: one.accept_probability for one in found.scores}
    return {one.critic: one.accept_probability for one in found.judgements} | scored


def text_lines(text: Verbalization) -> Iterator[str]:
    """What was said of the whole picture."""
    for name, sentences in (("concept", text.concepts), ("narrative", text.narratives)):
        yield from (f"{name}: {sentence}" for sentence in sentences)
    yield from (f"probe: {probe.question} {probe.answer}" for probe in text.probes)


def region_line(region: Region) -> str:
    """What was said of a region, without its number."""
    corners = ", ".join(f"{value:.2f}" for value in (region.box.x1, region.box.y1, region.box.x2, region.box.y2))
    sure = "" if region.label_probability is None else f" {region.label_probability:.2f}"
    return f"({corners}) {region.label}{sure}: {region.caption}"


def annotation_lines(items: Sequence[Annotation]) -> Iterator[str]:
    """What came in beside the picture."""
    for item in items:
        given = {name: value for name, value in asdict(item).items() if name not in ("image_id", "turns", "extras")}
        given |= {extra.name: extra.text for extra in item.extras}
        yield "; ".join(f"{name}: {_value(value)}" for name, value in given.items() if value)
        yield from (f"{turn.role}: {turn.text}" for turn in item.turns)


def request_lines(request: Request) -> Iterator[str]:
    """What a request took, and how its reply was drawn; nothing where the journal does not have it."""
    exchange = request.exchange
    if exchange is not None:
        cost = "cost unknown" if exchange.usd is None else f"${exchange.usd:.4f}"
        tokens = f"{exchange.prompt_tokens:,} prompt and {exchange.completion_tokens:,} completion tokens"
        yield f"asked {exchange.model}: {tokens}, {cost}"
        yield ", ".join(
            f"{name} {value}" for name, value in exchange.sampling.items() if isinstance(value, int | float | str)
        )


def place_lines(found: Lineage) -> Iterator[str]:
    """Where the row stands in the corpus, or why it does not."""
    place = found.place
    if place is None:
        yield f"not there: {fate_line(found.fate)}"
    else:
        yield f"{place.rows_file}, row {place.rows_place:,} (counted from 0), split {place.split}"
        yield f"{place.shard}, {place.shard_member}"


def fate_line(fate: Fate) -> str:
    """What became of a row, with all that is known of why."""
    return with_detail(fate.words, fate.detail)


def with_detail(reason: str, detail: str) -> str:
    """A reason with its detail in brackets, where it has one."""
    return f"{reason} ({detail})" if detail else reason


def _value(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _decision(accepted: bool) -> str:
    return ", accepted" if accepted else ", rejected"
