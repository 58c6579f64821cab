"""What lmms-eval is told of a task of multiple choice; copied beside the task, where it stands alone."""

import re
from typing import Any  # Any: rows of a data set, settings of lmms-eval

_LETTER = re.compile(r"^\W*([A-Z])(?:\W|$)|\b(?:answer|choice|option)\b[^A-Z]{0,12}\b([A-Z])\b")


def doc_to_visual(doc: dict[str, Any]) -> list[Any]:
    """The picture of a row."""
    return [doc["image"].convert("RGB")]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """The question with its choices by letter; `lmms_eval_specific_kwargs` may have texts before and behind it."""
    given = lmms_eval_specific_kwargs or {}
    choices = "\n".join(f"{letter(place)}. {choice}" for place, choice in enumerate(doc["choices"]))
    return f"{given.get('pre_prompt', '')}{doc['question']}\n{choices}{given.get('post_prompt', '')}"


def doc_to_target(doc: dict[str, Any]) -> str:
    """The letter of the right choice."""
    return letter(doc["answer"])


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """1 where a reply names the right choice, by its letter or by its text; else 0."""
    return {"accuracy": float(chosen(results[0], doc["choices"]) == doc["answer"])}


def chosen(reply: str, choices: list[str]) -> int | None:
    """The place of the choice that a reply names; None where it names none."""
    plain = reply.strip()
    texts = [choice.strip().lower().rstrip(".") for choice in choices]
    if plain.lower().rstrip(".") in texts:
        return texts.index(plain.lower().rstrip("."))
    found = _LETTER.search(plain)
    if found is None:
        return None
    place = ord(found[1] or found[2]) - ord("A")
    return place if place < len(choices) else None


def letter(place: int) -> str:
    """A for 0, B for 1 and so on."""
    return chr(ord("A") + place)
