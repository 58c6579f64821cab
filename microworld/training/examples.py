"""What is asked about a scene in training, and the answers, as word ids.

Answers come in one wording each, though the grammar knows several: which of them is meant cannot be seen, and a tiny
model would spend itself on guessing it. Questions come in all wordings.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from microworld.grammar import caption, narrative
from microworld.nouns import full_description_of, with_article, write_noun
from microworld.questions import QuestionAnswer, Topic, ask, reason
from microworld.scenes import Scene, Thing
from microworld.sentences import write_answer
from microworld.training.words import ANSWER_ID, DESCRIBE, END_ID, WHY, teacher_ids_of

Task: TypeAlias = Literal[Topic, "describe", "why", "marked", "where", "compare", "numbered"]
"""What an example is about: a topic of questions, a description, an answer with its reason, a marked region, a numbered
one, or, as steps on the way to what is left of what, where a thing is in numbers and two things with short names."""
TASKS: tuple[Task, ...] = (*get_args(Topic), "describe", "why", "marked", "where", "compare", "numbered")

# How many examples a scene has on each task, where it gives occasion.
_COUNTS: Mapping[Topic, int] = {
    "place": 1,
    "existence": 3,
    "count": 3,
    "colour": 2,
    "shape": 2,
    "size": 1,
    "pattern": 1,
    "pose": 1,
    "hat": 1,
    "holds": 1,
    "kind": 1,
    "side": 5,
    "inside": 1,
    "nearest": 1,
    "which": 1,
}
_REASONED: tuple[Topic, ...] = ("existence", "count", "colour", "shape", "side", "place")


@dataclass(frozen=True, slots=True)
class Example:
    """Something asked, and what is to be said: word ids, the answer mark after the first, the end after the second."""

    task: Task
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    places: tuple[tuple[int, float, float], ...] = ()  # (token of the prompt that ends a name, x and y of its thing)


def encode_example(task: Task, prompt: str, answer: str) -> Example:
    """An example from texts."""
    return Example(task, (*teacher_ids_of(prompt), ANSWER_ID), (*teacher_ids_of(answer), END_ID))


def examples_of(scene: Scene, rng: random.Random) -> list[Example]:
    """Examples on a scene as a whole, no two alike."""
    found: list[Example] = []
    for topic, count in _COUNTS.items():
        asked = [ask(scene, topic, rng) for _ in range(count)]
        found += [encode_example(topic, one.question, plain_answer(one)) for one in asked if one is not None]
    found.append(encode_example("describe", DESCRIBE, caption(scene, rng).text))
    found.append(encode_example("describe", DESCRIBE, " ".join(one.text for one in narrative(scene, rng, sentences=3))))
    reasoned = reason(scene, rng.choice(_REASONED), rng)
    if reasoned is not None:
        asked_why = WHY.replace("{question}", reasoned.asked.question)
        text = f"{plain_answer(reasoned.asked)}. {reasoned.rationale.text}"
        found.append(encode_example("why", asked_why, text))
    return list(dict.fromkeys(found))


def plain_answer(asked: QuestionAnswer) -> str:
    """The answer in one fixed wording, as short as there is one."""
    for seed in range(_FIRST_SEED, _FIRST_SEED + 8):
        text = write_answer(asked.asks, asked.answered, random.Random(seed))  # noqa: S311 - a fixed choice, no secret
        if text is not None and not text.endswith("."):
            return text
    return asked.answer


_FIRST_SEED = 1


def phrase_of(thing: Thing) -> str:
    """All there is to see of a thing, in one fixed wording, as the caption of its region."""
    noun = write_noun(full_description_of(thing), random.Random(1))  # noqa: S311 - a fixed choice, no secret
    assert noun is not None, "what is to be seen of a thing can be said"
    return with_article(noun)
