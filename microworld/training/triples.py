"""What the model that teaches learns to write: true triples about a scene, and descriptions that say too much.

What is true is known from the scene. What the model is given of it are the words that the tiny models found, with their
errors, and in half of the cases the picture: from text alone it learns what such words are worth, and from both what
can be seen to be otherwise.
"""

import random
from collections.abc import Mapping, Sequence

from builders.localized.settings import Mode
from microworld.claims import Exists, Kind, Related, Some
from microworld.facts import related
from microworld.grammar import narrative
from microworld.questions import ReasonedAnswer, Topic, reason
from microworld.scenes import COLOURS, SHAPES, SIDES, Scene
from microworld.sentences import write_statement
from microworld.training.examples import plain_answer
from microworld.truth import Scope, decide, scope_of
from ostensive.records import Region

_TRIPLE = "question : {question}\nanswer : {answer}\nrationale : {rationale}"
_TOPICS: Mapping[Mode, Mapping[Topic, float]] = {
    "ids": {
        "colour": 1.0,
        "shape": 1.0,
        "size": 1.0,
        "pattern": 1.0,
        "hat": 1.0,
        "holds": 1.0,
        "pose": 1.0,
        "kind": 1.0,
        "which": 1.0,
        "side": 3.0,
        "nearest": 1.0,
    },
    "descriptions": {
        "existence": 2.0,
        "count": 2.0,
        "place": 0.5,
        "colour": 1.0,
        "shape": 1.0,
        "size": 1.0,
        "pattern": 1.0,
        "hat": 1.0,
        "holds": 1.0,
        "pose": 1.0,
        "which": 1.0,
        "side": 3.0,
    },
}
"""How often each topic is asked about, where a scene gives occasion: on regions what there is to say of these."""
_TRIES = 40
_IMAGINED = (2, 3)  # how many things are added
_RELATED = 0.4  # of them, how many are said to stand beside a thing that is there


def triples_text(scene: Scene, regions: Sequence[Region], mode: Mode, count: int, rng: random.Random) -> str | None:
    """A reply of `count` true triples with different questions; None where the scene does not give occasion for them.

    In the mode `ids` each speaks of a region, else none does.
    """
    topics = _TOPICS[mode]
    found: dict[str, ReasonedAnswer] = {}
    for topic in rng.choices(list(topics), list(topics.values()), k=_TRIES):
        made = reason(scene, topic, rng, regions if mode == "ids" else ())
        if made is not None and ("[" in _triple(made)) == (mode == "ids"):
            found.setdefault(made.asked.question, made)
        if len(found) == count:
            return "\n".join(_triple(one) for one in found.values())
    return None


def _triple(made: ReasonedAnswer) -> str:
    return _TRIPLE.format(question=made.asked.question, answer=plain_answer(made.asked), rationale=made.rationale.text)


def imagined(scene: Scene, rng: random.Random) -> str:
    """A description with two or three things among its sentences that the scene does not have."""
    told = [one.text for one in narrative(scene, rng, sentences=2)]
    scope = scope_of(scene)
    for _ in range(rng.randint(*_IMAGINED)):
        told.insert(rng.randint(1, len(told)), _invention(scope, rng))
    return " ".join(told)


def _invention(scope: Scope, rng: random.Random) -> str:
    """A sentence on a thing that there is not, now and then beside one that there is."""
    while True:
        what = Kind(shape=rng.choice(SHAPES), colour=rng.choice(COLOURS))
        if not decide(Exists(what), scope).is_false:
            continue
        beside = related(scope, SIDES, rng) if rng.random() < _RELATED else None
        claim = Exists(what) if beside is None else Related(Some(what), beside.relation, beside.b)
        text = write_statement(claim, rng)
        if text is not None:
            return text
