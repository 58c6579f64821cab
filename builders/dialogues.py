"""Conversations that several recipes make of their candidates for students."""

from typing import Final

from ostensive.records import Turn

WHY: Final = "Why?"


def with_reason(question: str, answer: str, rationale: str) -> tuple[Turn, ...]:
    """A question with its answer, then what was asked of it and why it is so.

    The reason is a turn of its own, so that a student learns to answer with and without one.
    """
    return Turn("user", question), Turn("assistant", answer), Turn("user", WHY), Turn("assistant", rationale)
