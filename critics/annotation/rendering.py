"""From records to HTML: Jinja templates in files, everything escaped, and what they are given.

Teachers and other models write the texts that are shown, so nothing of them is ever trusted: they reach a page only
through Jinja's escaping, in elements that keep their writing direction to themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from critics.annotation.assignment import is_swapped
from critics.annotation.items import Item, spans_of
from critics.annotation.tasks import SIDE_NAMES, Question, Task, check_answers
from critics.geometry import Finding, findings
from ostensive.images.drawing import PALETTE
from ostensive.images.region_css import tag_colours
from ostensive.recipe_kind import ShownText
from ostensive.records import Region

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE: Final = Path(__file__).parent
_STATIC: Final = {
    "annotate.css": "text/css",
    "annotate.js": "text/javascript",
    "regions.css": "text/css",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page itself."""

    text: str
    media_type: str


def shown_texts(task: Task, item: Item, annotator: str) -> list[ShownText]:
    """The item's texts in the order in which this annotator sees them, two sides under `left` and `right`."""
    if task.sides is None:
        return list(item.texts)
    left, right = task.sides[::-1] if is_swapped(item.item_id, annotator) else task.sides
    others = [text for text in item.texts if text.name not in task.sides]
    shown = zip((left, right), SIDE_NAMES, strict=True)
    return [*others, *(replace(item.text(side), name=name) for side, name in shown)]


def box_findings(task: Task, item: Item, annotator: str, regions: Sequence[Region]) -> tuple[Finding, ...]:
    """What the boxes say of an item's texts, to be shown once it is judged; two sides under the names they had."""
    return findings(shown_texts(task, item, annotator), regions)


def asked_question(task: Task, question: Question, item_id: str, annotator: str) -> Question:
    """The question as it is put to this annotator: where the sides change places, so do the values behind them."""
    if task.sides is None or not is_swapped(item_id, annotator):
        return question
    return question.turned


def neutral(task: Task) -> Task:
    """The task as a page holds it: where there are sides, the values are places and tell nothing of them."""
    if task.sides is None:
        return task
    return replace(task, questions=tuple(_placed(question) for question in task.questions))


def meant_answers(task: Task, item_id: str, annotator: str, given: Mapping[str, str]) -> Mapping[str, str]:
    """What the values of a page mean, by the order in which it showed the sides; raises `AnswerError` for others."""
    if task.sides is None:
        return given
    places = check_answers(neutral(task), given)
    meant = {}
    for question in task.questions:
        asked = asked_question(task, question, item_id, annotator)
        meant[question.name] = dict(zip(_placed(asked).values, asked.values, strict=True))[places[question.name]]
    return meant


def _placed(question: Question) -> Question:
    return replace(
        question, options=tuple(replace(option, value=option.text.casefold()) for option in question.options)
    )


def static_file(name: str) -> StaticFile:
    """A style or the script, by its name in a table: no name ever becomes a path. Raises `KeyError` for any other."""
    media_type = _STATIC[name]
    text = tag_colours() if name == "regions.css" else (_HERE / "static" / name).read_text("utf-8")
    return StaticFile(text, media_type)


def make_templates() -> "Environment":
    """The page's templates."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(spans_of=spans_of, colour_count=len(PALETTE))
    return environment
