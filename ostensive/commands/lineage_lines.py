"""A lineage as a person reads it in a terminal, and as JSON for programs."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.images.paths import shown_name
from ostensive.records import Annotation, ImageRecord, Verbalization

if TYPE_CHECKING:
    from cards.lineage import ImageRows, Lineage, OtherRow, Request

_WIDTH = 100
_INDENT = "    "
_SHORT = 44  # characters of a row in a list
_AT_THE_TOP = frozenset({"row_id", "image_id", "teacher", "prompt_hash"})  # fields of every candidate


def lineage_values(found: "Lineage | ImageRows") -> dict[str, Any]:
    """A lineage for programs: its records as they are, without where files lie on this machine."""
    values = asdict(found)
    values["image"].pop("location")
    return values


def lineage_lines(found: "Lineage | ImageRows") -> Iterator[str]:
    """A row's whole lineage, or the rows of an image."""
    from cards.lineage import Lineage

    yield from _row_lines(found) if isinstance(found, Lineage) else _image_lines(found)


def _image_lines(found: "ImageRows") -> Iterator[str]:
    yield from _of_image(found.image, found.split)
    yield f"{found.noun + 's':<12}{len(found.rows):,}"
    for row in found.rows:
        yield f"{_INDENT}{_other(row)}"
    if found.losses:
        yield f"{'lost':<12}without {'an' if found.noun[:1] in set('aeiou') else 'a'} {found.noun} to show"
    for loss in found.losses:
        yield f"{_INDENT}{loss.outcome} by {loss.stage}: {_with_detail(loss.reason, loss.detail)}"


def _row_lines(found: "Lineage") -> Iterator[str]:
    yield f"{found.noun:<12}{found.row_id}: {found.fate.words}"
    yield from _of_image(found.image, found.split)
    made = found.made
    version = f", by Ostensive {made.version}" if made.version else ""
    yield f"{'recipe':<12}{made.recipe} ({made.recipe_hash}){version}"
    yield f"{'teacher':<12}{found.teacher}"
    yield f"{'prompts':<12}{found.prompt_hash}"
    yield from _place_lines(found)
    for text in found.texts:
        mentions = f" (mentions {', '.join(f'[{number}]' for number in text.mentions)})" if text.mentions else ""
        yield from _paragraph(f"{text.name}{mentions}", text.text)
    shown = {text.name for text in found.texts} | _AT_THE_TOP
    rest = {name: value for name, value in found.candidate.items() if name not in shown and value not in ("", None, [])}
    yield from _section("fields", (f"{name}: {value}" for name, value in rest.items()))
    yield from _section("what the stages said", _step_lines(found))
    yield from _section("judged", _judged_lines(found))
    if found.verbalization is not None:
        yield from _section("what was known of the picture", _verbalization_lines(found.verbalization))
    yield from _section("what came in beside the picture", _annotation_lines(found.annotations))
    for request in found.requests:
        yield from _request_lines(request, found.journal_note)
    yield from _section("other rows of the same reply", (_other(row) for row in found.same_reply))


def _of_image(image: ImageRecord, split: str | None) -> Iterator[str]:
    size = f"{image.width} x {image.height}, {image.format}, {image.byte_count:,} bytes"
    yield f"{'image':<12}{shown_name(image.source)}: {size}"
    yield f"{'':<12}{image.image_id}"
    if split is not None:
        yield f"{'split':<12}{split}"


def _place_lines(found: "Lineage") -> Iterator[str]:
    place = found.place
    if place is not None:
        yield f"{'corpus':<12}{place.rows_file}, row {place.rows_place:,} (counted from 0), split {place.split}"
        yield f"{'':<12}{place.shard}, {place.shard_member}"
    elif found.fate.state == "waiting":
        yield f"{'corpus':<12}not there: {found.fate.words}; `ostensive build` with this run as --out goes on"
    else:
        yield f"{'corpus':<12}not there: {_with_detail(found.fate.words, found.fate.detail)}"


def _step_lines(found: "Lineage") -> Iterator[str]:
    for step in found.steps:
        why = f": {_with_detail(step.reason, step.detail)}" if step.reason else ""
        repeats = f"; it says what {step.repeats} says" if step.repeats else ""
        yield f"{step.stage}: {step.outcome}{why}{repeats}"


def _judged_lines(found: "Lineage") -> Iterator[str]:
    thresholds = found.made.thresholds
    judged = {one.critic: one for one in found.judgements}
    for score in found.scores:
        asked = f", {thresholds[score.critic]:g} is asked" if score.critic in thresholds else ""
        why = f": {_with_detail(score.reason, score.detail)}" if score.reason or score.detail else ""
        decided = "" if score.critic not in judged else _decision(judged[score.critic].accepted)
        yield f"{score.critic} ({score.critic_version}): {score.accept_probability:.4f}{asked}{decided}{why}"
    for critic in [one for one in found.judgements if one.critic not in {score.critic for score in found.scores}]:
        why = f": {critic.reason}" if critic.reason else ""
        decided = _decision(critic.accepted)
        yield f"{critic.critic} ({critic.critic_version}): {critic.accept_probability:.4f}{decided}{why}"


def _decision(accepted: bool) -> str:
    return ", accepted" if accepted else ", rejected"


def _verbalization_lines(text: Verbalization) -> Iterator[str]:
    for name, sentences in (("concept", text.concepts), ("narrative", text.narratives)):
        yield from (f"{name}: {sentence}" for sentence in sentences)
    for region in text.regions:
        corners = ", ".join(f"{value:.2f}" for value in (region.box.x1, region.box.y1, region.box.x2, region.box.y2))
        sure = "" if region.label_probability is None else f" {region.label_probability:.2f}"
        yield f"[{region.number}] ({corners}) {region.label}{sure}: {region.caption}"
    yield from (f"probe: {probe.question} {probe.answer}" for probe in text.probes)


def _annotation_lines(items: Sequence[Annotation]) -> Iterator[str]:
    for item in items:
        given = {name: value for name, value in asdict(item).items() if value and name not in ("image_id", "turns")}
        yield "; ".join(f"{name}: {value}" for name, value in given.items())
        yield from (f"{turn.role}: {turn.text}" for turn in item.turns)


def _request_lines(request: "Request", note: str) -> Iterator[str]:
    exchange = request.exchange
    if exchange is None:
        yield from _section(f"{request.field} {request.key}", [note])
        return
    cost = "cost unknown" if exchange.usd is None else f"${exchange.usd:.4f}"
    tokens = f"{exchange.prompt_tokens:,} prompt and {exchange.completion_tokens:,} completion tokens, {cost}"
    sampling = ", ".join(f"{name} {value}" for name, value in exchange.sampling.items() if not isinstance(value, dict))
    yield from _section(f"{request.field} {request.key}", [f"asked {exchange.model}: {tokens}", sampling])
    for message in exchange.messages:
        pictures = "".join(f"[picture {picture}]\n" for picture in message.pictures)
        yield from _paragraph(f"{message.role} said", f"{pictures}{message.text}")
    ending = f" (ended by {exchange.finish_reason})" if exchange.finish_reason not in ("", "stop") else ""
    yield from _paragraph(f"reply{ending}", exchange.response if exchange.reply is None else exchange.reply)


def _other(row: "OtherRow") -> str:
    return f"{row.row_id}  {row.fate.words:<32} {textwrap.shorten(shown_name(row.text), _SHORT, placeholder='...')}"


def _with_detail(reason: str, detail: str) -> str:
    return f"{reason} ({detail})" if detail else reason


def _section(title: str, lines: "Iterator[str] | Sequence[str]") -> Iterator[str]:
    given = [line for line in lines if line]
    if given:
        yield ""
        yield title
        for line in given:
            yield from _wrapped(line)


def _paragraph(title: str, text: str) -> Iterator[str]:
    yield ""
    yield title
    for line in text.split("\n"):
        yield from _wrapped(line) if line.strip() else ("",)


def _wrapped(line: str) -> Iterator[str]:
    """`line` in lines of a terminal; a word that is longer than one stays whole, to be copied."""
    yield from textwrap.wrap(
        line,
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
