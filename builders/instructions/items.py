"""What is infused: from what came in beside an image to its instructions, each once. Pure functions.

An instruction is a conversation, or a single question with its answer: `instruction`, or `question`, or both in two
lines, as LLaVA adds how to answer to what is asked. Of several answers it is the one that is given most often.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ostensive.image_slots import has_slot
from ostensive.records import IMAGE_SLOT, Annotation, Turn

NO_INSTRUCTION: Final = "no instruction"
NO_ANSWER: Final = "no answer"
NO_ALTERNATION: Final = "turns do not alternate"
EMPTY_QUESTION: Final = "empty question"
EMPTY_ANSWER: Final = "empty answer"
SEVERAL_SLOTS: Final = "several image slots"
SLOT_IN_ANSWER: Final = "image slot in an answer"
MISPLACED_SLOT: Final = "image slot after the first question"
FOREIGN_SLOT: Final = "image placeholder of another model"
REPEATED: Final = "repeats another item"
REASONS: Final = (
    *(NO_INSTRUCTION, NO_ANSWER, NO_ALTERNATION, EMPTY_QUESTION, EMPTY_ANSWER),
    *(SEVERAL_SLOTS, SLOT_IN_ANSWER, MISPLACED_SLOT, FOREIGN_SLOT, REPEATED),
)
"""Every reason for which an item is not used."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """Turns about an image, without an image slot: one of system or none, then user and assistant by turns."""

    annotation_id: str
    image_id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class LostInstruction:
    """An item that cannot be used, or need not be."""

    reason: str
    detail: str = ""


def instructions_of(annotations: Sequence[Annotation]) -> list[Instruction | LostInstruction]:
    """The instructions of an image in the order of its annotations, and those that are lost."""
    found: list[Instruction | LostInstruction] = []
    taken: dict[tuple[Turn, ...], str] = {}
    for annotation in annotations:
        turns = _turns_of(annotation)
        reason, where = fault_of(turns)
        if reason:
            found.append(LostInstruction(reason, f"item {annotation.annotation_id}{where and f', {where}'}"))
            continue
        said = tuple(Turn(turn.role, turn.text.replace(IMAGE_SLOT, "").strip()) for turn in turns)
        said = tuple(turn for turn in said if turn.text)  # an empty turn of system says nothing
        first = taken.setdefault(said, annotation.annotation_id)
        if first != annotation.annotation_id:
            found.append(LostInstruction(REPEATED, f"item {annotation.annotation_id} says what {first} says"))
        else:
            found.append(Instruction(annotation.annotation_id, annotation.image_id, said))
    return found


def fault_of(turns: Sequence[Turn]) -> tuple[str, str]:
    """Why turns make no instruction about one image, and where; two empty texts where they do.

    LLaVA's slot may stand in the first question or be left out: there is one image, and its slot is set anew.
    """
    start = 1 if turns and turns[0].role == "system" else 0
    if len(turns) == start:
        return NO_INSTRUCTION, ""
    for place, turn in enumerate(turns[start:], start):
        if turn.role != ("user", "assistant")[(place - start) % 2]:
            return NO_ALTERNATION, f"turn {place + 1} is of {turn.role}"
    if (len(turns) - start) % 2:
        return NO_ANSWER, ""
    has_several = sum(turn.text.count(IMAGE_SLOT) for turn in turns if turn.role != "assistant") > 1
    for place, turn in enumerate(turns):
        text = turn.text.replace(IMAGE_SLOT, "") if place == start else turn.text
        if has_slot(text) or (place == start and has_several):
            return _slot_fault(turn, has_several=has_several), f"turn {place + 1}"
        if turn.role != "system" and not text.strip():
            return (EMPTY_QUESTION if turn.role == "user" else EMPTY_ANSWER), f"turn {place + 1}"
    return "", ""


def _slot_fault(turn: Turn, *, has_several: bool) -> str:
    if IMAGE_SLOT not in turn.text:
        return FOREIGN_SLOT
    if turn.role == "assistant":
        return SLOT_IN_ANSWER
    return SEVERAL_SLOTS if has_several else MISPLACED_SLOT


def _turns_of(annotation: Annotation) -> tuple[Turn, ...]:
    """The conversation of an item, or what it asks with its answer; without any answer the question alone."""
    if annotation.turns:
        return annotation.turns
    asked = "\n".join(text for text in (annotation.question, annotation.instruction) if text)
    if not asked:
        return ()
    # `most_common` keeps the order in which equals were first met.
    answers = [Turn("assistant", text) for text, _ in Counter(annotation.answers).most_common(1)]
    return (Turn("user", asked), *answers)
