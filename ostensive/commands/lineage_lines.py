"""A lineage as a person reads it in a terminal, and as JSON for programs."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.images.paths import shown_name

if TYPE_CHECKING:
    from cards.lineage import ImageRows, Lineage, OtherRow, Request

_WIDTH = 100
_INDENT = "    "
_SHORT = 44  # characters of a row in a list


def lineage_values(found: "Lineage | ImageRows") -> dict[str, Any]:
    """A lineage for programs: its records as they are, but where files lie on this machine."""
    values = asdict(found)
    values["image"].pop("location")
    return values


def lineage_lines(found: "Lineage | ImageRows") -> Iterator[str]:
    """A row's whole lineage, or the rows of an image."""
    from cards.lineage import Lineage

    yield from _row_lines(found) if isinstance(found, Lineage) else _image_lines(found)


def _image_lines(found: "ImageRows") -> Iterator[str]:
    from cards.lineage_text import with_detail

    yield from _of_image(found)
    yield f"{found.noun + 's':<12}{len(found.rows):,}"
    for row in found.rows:
        yield f"{_INDENT}{_other(row)}"
    if found.losses:
        yield f"{'lost':<12}where there is no {found.noun} to show"
    for loss in found.losses:
        yield f"{_INDENT}{loss.outcome} by {loss.stage}: {with_detail(loss.reason, loss.detail)}"


def _row_lines(found: "Lineage") -> Iterator[str]:
    from cards import lineage_text as text

    yield f"{found.noun:<12}{found.row_id}: {found.fate.words}"
    yield from _of_image(found)
    made = found.made
    version = f", by Ostensive {made.version}" if made.version else ""
    yield f"{'recipe':<12}{made.recipe} ({made.recipe_hash}){version}"
    yield f"{'teacher':<12}{found.teacher}"
    yield f"{'prompts':<12}{found.prompt_hash}"
    for number, line in enumerate(text.place_lines(found)):
        yield f"{'' if number else 'corpus':<12}{line}"
    for shown in found.texts:
        mentions = f" (mentions {', '.join(f'[{number}]' for number in shown.mentions)})" if shown.mentions else ""
        yield from _paragraph(f"{shown.name}{mentions}", shown.text)
    yield from _section("fields", text.field_lines(found))
    yield from _section("what the stages said", text.step_lines(found))
    yield from _section("judged", text.judged_lines(found))
    if found.verbalization is not None:
        regions = [f"[{region.number}] {text.region_line(region)}" for region in found.verbalization.regions]
        yield from _section("what was known of the picture", [*text.text_lines(found.verbalization), *regions])
    yield from _section("what came in beside the picture", text.annotation_lines(found.annotations))
    for request in found.requests:
        yield from _request_lines(request, found.journal_note)
    yield from _section("other rows of the same reply", map(_other, found.same_reply))


def _of_image(found: "Lineage | ImageRows") -> Iterator[str]:
    image = found.image
    size = f"{image.width} x {image.height}, {image.format}, {image.byte_count:,} bytes"
    yield f"{'image':<12}{shown_name(image.source)}: {size}"
    yield f"{'':<12}{image.image_id}"
    if found.split is not None:
        yield f"{'split':<12}{found.split}"


def _request_lines(request: "Request", note: str) -> Iterator[str]:
    from cards.lineage_text import request_lines

    exchange = request.exchange
    title = f"{request.field} {request.key}"
    if exchange is None:
        yield from _section(title, [note])
        return
    yield from _section(title, request_lines(request))
    for message in exchange.messages:
        pictures = "".join(f"[picture {picture}]\n" for picture in message.pictures)
        yield from _paragraph(f"{message.role} said", f"{pictures}{message.text}")
    ending = f" (ended by {exchange.finish_reason})" if exchange.finish_reason not in ("", "stop") else ""
    yield from _paragraph(f"reply{ending}", exchange.response if exchange.reply is None else exchange.reply)


def _other(row: "OtherRow") -> str:
    return f"{row.row_id}  {row.fate.words:<32} {textwrap.shorten(shown_name(row.text), _SHORT, placeholder='...')}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    given = [line for line in lines if line]
    if given:
        yield from ("", title)
        for line in given:
            yield from _wrapped(line)


def _paragraph(title: str, text: str) -> Iterator[str]:
    yield from ("", title)
    for line in text.split("\n"):
        yield from _wrapped(line) if line.strip() else ("",)


def _wrapped(line: str) -> Iterator[str]:
    """`line` in lines of a terminal; a word that is longer than one stays whole, to be copied."""
    yield from textwrap.wrap(
        line, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
    )
