"""What is asked: from what came in beside an image to questions with their answers, each once. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from ostensive.fingerprint import fingerprint
from ostensive.rationale_replay import answer_of, single_line
from ostensive.records import Annotation

NO_QUESTION = "no question"
NO_ANSWER = "no answer"
REPEATED = "repeats another item"


@dataclass(frozen=True, slots=True)
class Item:
    """A question about an image, with the answer that is known to be right."""

    annotation_id: str
    image_id: str
    question: str
    answer: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LostItem:
    """An item that cannot be asked, or need not be."""

    reason: str
    detail: str = ""


def items_of(annotations: Sequence[Annotation], label_questions: Sequence[str] = ()) -> list[Item | LostItem]:
    """The items of an image in the order of its annotations, and those that are lost.

    An annotation with a label alone gives an item for each of `label_questions`. Of items that ask the same and have
    the same answer the first is asked.
    """
    found: list[Item | LostItem] = []
    asked: dict[tuple[str, str], str] = {}
    for annotation in annotations:
        for one in _items(annotation, label_questions):
            if isinstance(one, Item):
                first = asked.setdefault((one.question, one.answer), one.annotation_id)
                is_repeat = first != one.annotation_id
                found.append(LostItem(REPEATED, f"asks what {first} asks") if is_repeat else one)
            else:
                found.append(one)
    return found


def key_of(item: Item) -> str:
    """What an item is known by among those of its image: its question and its answer."""
    return fingerprint([item.question, item.answer])[:16]


def _items(annotation: Annotation, label_questions: Sequence[str]) -> list[Item | LostItem]:
    named = f"item {annotation.annotation_id}"
    if annotation.question is None and not annotation.answers and annotation.label is not None and label_questions:
        answer = single_line(annotation.label)
        return [_item(annotation, single_line(question), answer) for question in label_questions]
    if annotation.question is None:
        return [LostItem(NO_QUESTION, named)]
    answer = answer_of(annotation.answers)
    return [_item(annotation, single_line(annotation.question), answer) if answer else LostItem(NO_ANSWER, named)]


def _item(annotation: Annotation, question: str, answer: str) -> Item:
    choices = tuple(map(single_line, annotation.choices))
    return Item(annotation.annotation_id, annotation.image_id, question, answer, choices)
