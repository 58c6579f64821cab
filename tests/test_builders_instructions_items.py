"""From what came in beside an image to instructions, and each reason for which there is none."""

import pytest

from builders.instructions.items import (
    EMPTY_ANSWER,
    EMPTY_QUESTION,
    FOREIGN_SLOT,
    MISPLACED_SLOT,
    NO_ALTERNATION,
    NO_ANSWER,
    NO_INSTRUCTION,
    REASONS,
    REPEATED,
    SEVERAL_SLOTS,
    SLOT_IN_ANSWER,
    Instruction,
    LostInstruction,
    instructions_of,
)
from ostensive.image_slots import has_slot
from ostensive.records import Annotation, Turn

U, A, S = "user", "assistant", "system"
NOTES = {
    "conversation": Annotation("conversation", "i", turns=(Turn(U, "<image>\nWho's that: Ann?"), Turn(A, "Yes."))),
    "same": Annotation("same", "i", question="Who's that: Ann?", answers=("No.", "Yes.", "Yes.")),
    "both": Annotation("both", "i", question="Who?", instruction="One word.", answers=("Ann",)),
    "label": Annotation("label", "i", label="Ann"),
    "open": Annotation("open", "i", instruction="Count."),
}


def turns_of(*said: tuple[str, str]) -> Annotation:
    return Annotation("x", "i", turns=tuple(Turn(role, text) for role, text in said))


def test_every_form_gives_turns_without_a_slot_and_each_once() -> None:
    found = instructions_of(list(NOTES.values()))
    assert found == [
        Instruction("conversation", "i", (Turn(U, "Who's that: Ann?"), Turn(A, "Yes."))),
        LostInstruction(REPEATED, "item same says what conversation says"),
        Instruction("both", "i", (Turn(U, "Who?\nOne word."), Turn(A, "Ann"))),
        LostInstruction(NO_INSTRUCTION, "item label"),
        LostInstruction(NO_ANSWER, "item open"),
    ]
    assert instructions_of([]) == []


def test_several_turns_keep_their_order_and_an_empty_system_turn_goes() -> None:
    said = ((U, "Who?"), (A, "Ann."), (U, "Why?"), (A, "So."))
    with_system, without = ((S, "Be brief."), *said), ((S, " "), *said)
    for given, kept in ((said, said), (with_system, with_system), (without, said)):
        (one,) = instructions_of([turns_of(*given)])
        assert isinstance(one, Instruction)
        assert one.turns == tuple(Turn(role, text) for role, text in kept)


@pytest.mark.parametrize(
    ("said", "reason", "where"),
    [
        (((S, "Be brief."),), NO_INSTRUCTION, ""),
        (((U, "Who?"),), NO_ANSWER, ""),
        (((U, "Who?"), (A, "Ann."), (U, "Why?")), NO_ANSWER, ""),
        (((A, "Ann."), (U, "Who?")), NO_ALTERNATION, ", turn 1 is of assistant"),
        (((U, "Who?"), (U, "Who?"), (A, "Ann.")), NO_ALTERNATION, ", turn 2 is of user"),
        (((U, "Who?"), (A, "Ann."), (S, "Be brief.")), NO_ALTERNATION, ", turn 3 is of system"),
        (((U, "<image>\n"), (A, "Ann.")), EMPTY_QUESTION, ", turn 1"),
        (((U, "Who?"), (A, " ")), EMPTY_ANSWER, ", turn 2"),
        (((U, "Who?"), (A, "Ann."), (U, ""), (A, "So.")), EMPTY_QUESTION, ", turn 3"),
        (((U, "<image> or <image>?"), (A, "Ann.")), SEVERAL_SLOTS, ", turn 1"),
        (((U, "<image>Who?"), (A, "Ann."), (U, "<image>Why?"), (A, "So.")), SEVERAL_SLOTS, ", turn 1"),
        (((U, "<image>Who?"), (A, "<image>Ann.")), SLOT_IN_ANSWER, ", turn 2"),
        (((U, "Who?"), (A, "Ann."), (U, "<image>Why?"), (A, "So.")), MISPLACED_SLOT, ", turn 3"),
        (((S, "<image>"), (U, "Who?"), (A, "Ann.")), MISPLACED_SLOT, ", turn 1"),
        (((U, "<|image_pad|>Who?"), (A, "Ann.")), FOREIGN_SLOT, ", turn 1"),
        (((U, "Who?"), (A, "[IMG]")), FOREIGN_SLOT, ", turn 2"),
    ],
)
def test_what_is_no_instruction_about_one_image(said: tuple[tuple[str, str], ...], reason: str, where: str) -> None:
    assert instructions_of([turns_of(*said)]) == [LostInstruction(reason, f"item x{where}")]
    assert reason in REASONS


def test_a_turn_that_is_said_twice_is_no_other_turn() -> None:
    again = Turn(U, "<image>Who?")
    (one,) = instructions_of([Annotation("x", "i", turns=(again, Turn(A, "Ann."), again, Turn(A, "Ann.")))])
    assert one == LostInstruction(SEVERAL_SLOTS, "item x, turn 1")
    (other,) = instructions_of([turns_of((U, "Who?"), (A, "Ann."), (U, "Who?"), (A, "Ann."))])
    assert isinstance(other, Instruction)
    assert not any(has_slot(turn.text) for turn in other.turns)
