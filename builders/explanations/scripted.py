"""What the scripted teacher says to the prompts of the recipe `explanations`.

It describes the very picture that it is shown by colours, light and layout, and answers a question from the label and
the concepts in the prompt. With an error rate it makes, as often as asked, the faults that labels and critics catch: it
names another label or none, hedges, or says nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from builders.explanations.queries import shipped_pools
from builders.explanations.records import QueryKind
from builders.scripted_sight import sentences_on, shown_picture
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script

NOTHING_TO_SAY = "There is nothing here that I can speak about."
_LABEL = re.compile(r"^This is a picture of: (?P<label>.+)$", re.MULTILINE)
_CONCEPT = re.compile(r"^- (?P<concept>.+)$", re.MULTILINE)
_QUESTION = re.compile(r"^Question: (?P<query>.+)\Z", re.MULTILINE | re.DOTALL)
_LISTED = re.compile(r'^Which visible features tell a picture of "(?P<label>.+)" from')
_DIGIT = re.compile(r"\d(?=\D*\Z)")
# It knows nothing of labels: what it lists could be of anything, in words in which it describes pictures.
_FEATURES = (
    "mostly warm colours", "mostly cool colours", "mostly grey, with little colour", "sharp edges", "soft edges",
    "broad light and dark patches", "an even surface", "a dark background", "lightest in the middle",
    "lightest at the top", "darkest at the bottom", "high contrast", "low contrast", "brown and beige parts",
    "green parts", "blue parts",
)  # fmt: skip
_ERRORS = ("no label", "other label", "hedge", "nothing")


@dataclass(frozen=True, slots=True)
class _Request:
    """What a prompt for an answer holds."""

    label: str
    concepts: tuple[str, ...]
    query: str


def make_script(error_rate: float) -> Script:
    """The script of a teacher that spoils each answer with the probability `error_rate` (0-1), drawn from the seed."""
    if not 0 <= error_rate <= 1:
        raise ValueError(f"error_rate: a share from 0 to 1 is expected, not {error_rate!r}")
    return partial(_reply, error_rate)


def _reply(error_rate: float, messages: Sequence[Message], seed: int) -> str:
    rng = Random(f"{seed}/explanations")  # noqa: S311 - wording, not secrets
    picture = shown_picture(messages)
    seen = () if picture is None else sentences_on(picture, seed)
    if _LISTED.match(messages[-1].text):
        return "\n".join(f"- {feature}" for feature in rng.sample(_FEATURES, 8))
    request = _read(messages[-1].text)
    if request is None:
        return " ".join(rng.sample(seen, 2)) if seen else NOTHING_TO_SAY
    if rng.random() < error_rate:
        return _faulty(rng.choice(_ERRORS), request)
    return _answer(request, seen, rng)


def _read(prompt: str) -> _Request | None:
    label, query = _LABEL.search(prompt), _QUESTION.search(prompt)
    if label is None or query is None:
        return None
    concepts = tuple(match["concept"].strip() for match in _CONCEPT.finditer(prompt, label.end(), query.start()))
    return _Request(label["label"].strip(), concepts, query["query"].strip())


def _answer(request: _Request, seen: Sequence[str], rng: Random) -> str:
    concepts = request.concepts[: rng.randint(2, 3)]
    kind = _kind_of(request.query)
    aside = f" {rng.choice(seen)}" if seen else ""
    if kind == "simple" or not concepts:
        return f"What is shown is {request.label}.{aside}"
    if kind == "step":
        noted = " Then ".join(f"there is this: {concept}." for concept in concepts)
        return f"First {noted} So what is shown is {request.label}."
    listed = ", ".join(concepts[:-1]) + (" and " if len(concepts) > 1 else "") + concepts[-1]
    return f"What is shown is {request.label}, because of these features: {listed}.{aside}"


def _kind_of(query: str) -> QueryKind:
    """The kind of a question of the pools; any other is for an explanation."""
    return next((kind for kind, pool in shipped_pools().items() if query in pool), "explain")


def _faulty(error: str, request: _Request) -> str:
    first = request.concepts[0] if request.concepts else "its looks"
    if error == "no label":
        return f"What can be seen is this: {first}."
    if error == "other label":
        return f"What is shown is {_other(request.label)}, because of these features: {first}."
    if error == "hedge":
        return f"What is shown is probably {request.label}, and perhaps these features say so: {first}."
    return f"It cannot be told whether this is {request.label}."


def _other(label: str) -> str:
    """A label that is nearly the same and is another one: its last digit differs, or its letters run backwards."""
    if _DIGIT.search(label):
        return _DIGIT.sub(lambda match: str((int(match[0]) + 1) % 10), label)
    return f"{label}{label[::-1]}".replace(" ", "")
