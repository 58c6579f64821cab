"""What the scripted teacher says to the prompts of the `localized` recipe.

It reads the same text as any teacher, knows nothing else, and writes what is certainly true of it. With an error rate
it also makes, as often as asked, the mistakes that real teachers make, so that the filters have work: a hedge,
a missing field, an unknown region, a wrong claim.
"""

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.resources import files

from builders.localized.context import PromptContext, PromptProbe, read_context, read_request
from builders.localized.facts import Fact, facts_of
from critics.lexicon import words_of
from critics.rules import CheckedTexts, RulesSettings, first_broken_rule
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script

NOTHING_TO_SAY = "There is nothing here that I can write about."
_HEDGES = ("Perhaps {}", "Maybe {}", "It seems that {}", "Most likely {}")
_ERRORS = ("hedge", "missing field", "unknown region", "wrong claim")
# The kind that is false whenever the first is true. Kinds of two regions that are not named are false when swapped.
_OPPOSITE = {
    "on_left": "on_right",
    "on_right": "on_left",
    "upper": "lower",
    "lower": "upper",
    "small": "big",
    "big": "small",
    "narrow": "broad",
    "broad": "narrow",
    "low": "tall",
    "tall": "low",
    "overlap": "apart_across",
    "apart_across": "overlap",
    "apart_down": "overlap",
    "leftmost": "rightmost",
    "rightmost": "leftmost",
    "largest": "smallest",
    "smallest": "largest",
}
_MAX_NAME_WORDS = 12  # two names leave room for a question within the limits of the rules
_MAX_THING_WORDS = 30
_MAX_PROBE_WORDS = 16
# Where a caption can be cut so that what stands before it is still true, and still a noun with its adjectives.
_CUT = re.compile(r",? (?:with|that|who|which|across|against|along|at|down|in the|near|on|over|under)\b")
_RULES = RulesSettings()
_BLOCK = 9  # claims are made for three turns of three at a time, so that a conversation is read once


@dataclass(frozen=True, slots=True)
class Wording:
    """A question, an answer and a rationale; with `{a}`, `{b}` and `{x}` in them before they are filled."""

    question: str
    answer: str
    rationale: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """A triple that is true, and one like it that is not, where there is one."""

    true: Wording
    false: Wording | None


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a prompt tells, made ready for speaking."""

    context: PromptContext
    names: tuple[str | None, ...]  # of the regions; None for one that cannot be spoken of without confusion
    things: tuple[str | None, ...]  # what each region is, where that can be said
    asides: tuple[str, ...]  # sentences from probes


def make_script(error_rate: float) -> Script:
    """The script of a teacher that spoils each triple with the probability `error_rate` (0-1), drawn from the seed."""
    if not 0 <= error_rate <= 1:
        raise ValueError(f"error_rate: a share from 0 to 1 is expected, not {error_rate!r}")
    return partial(_triples, error_rate)


def _triples(error_rate: float, messages: Sequence[Message], seed: int) -> str:
    request = read_request(messages)
    if request is None:
        return NOTHING_TO_SAY
    end = request.before + request.asked
    claims = _claims(request.opening, -(-end // _BLOCK) * _BLOCK)[request.before : end]
    context = read_context(request.opening)
    texts = [_triple(claim, context, error_rate, random.Random(seed + k)) for k, claim in enumerate(claims)]  # noqa: S311 - no secret
    return "\n\n".join(texts) or NOTHING_TO_SAY


def _triple(claim: _Claim, context: PromptContext, error_rate: float, rng: random.Random) -> str:
    wording, missing = claim.true, ""
    if rng.random() < error_rate:
        possible = [error for error in _ERRORS if error != "wrong claim" or claim.false is not None]
        error = rng.choice(possible)
        if error == "hedge":
            wording = replace(wording, answer=rng.choice(_HEDGES).format(_lower_first(wording.answer)))
        elif error == "missing field":
            missing = rng.choice(("question", "answer", "rationale"))
        elif error == "unknown region":
            numbers = [region.number for region in context.regions if region.number is not None]
            stranger = max(numbers, default=len(context.regions) - 1) + rng.randint(1, 5)
            wording = replace(wording, rationale=f"{wording.rationale[:-1]}, and [{stranger}] bears it out.")
        elif claim.false is not None:
            wording = claim.false
    fields = (("question", wording.question), ("answer", wording.answer), ("rationale", wording.rationale))
    return "\n".join(f"{name.title()}: {text}" for name, text in fields if name != missing)


@lru_cache(maxsize=256)
def _claims(opening: str, count: int) -> tuple[_Claim, ...]:
    """The first `count` claims about a scene, or as many as there are; those of a smaller count come first in them."""
    scene = _scene(opening)
    probes = tuple(probe.question for probe in scene.context.probes)
    facts = _varied(opening)
    claims: list[_Claim] = []
    asked: set[str] = set()
    for lap in range(max(map(len, _wordings().values()))):
        for place, fact in enumerate(facts):
            if len(claims) >= count:
                return tuple(claims)
            if lap >= len(_wordings()[fact.kind]):
                continue
            true = _worded(scene, fact, lap, place)
            if true is None or true.question in asked or _breaks_rules(true, probes):
                continue
            asked.add(true.question)
            claims.append(_Claim(true, _false(scene, fact, lap, place)))
    return tuple(claims)


def _breaks_rules(wording: Wording, probes: tuple[str, ...]) -> bool:
    """A careful writer reads its lines again: a caption may hold words that the prompt forbids."""
    return _breaks_rule(wording.question, wording.answer, wording.rationale, probes)


@lru_cache(maxsize=512)
def _scene(opening: str) -> _Scene:
    context = read_context(opening)
    things = tuple(
        _speakable(_lower_first(region.caption.rstrip(". ")), _MAX_THING_WORDS) for region in context.regions
    )
    if context.with_numbers:
        names: tuple[str | None, ...] = tuple(
            None if region.number is None else f"[{region.number}]" for region in context.regions
        )
    else:
        short = [None if thing is None else _shortened(thing) for thing in things]
        names = tuple(None if name is None or short.count(name) > 1 else _definite(name) for name in short)
    return _Scene(context, names, things, tuple(filter(None, map(_aside, context.probes))))


@lru_cache(maxsize=256)
def _varied(opening: str) -> tuple[Fact, ...]:
    """All facts that can be spoken of, shuffled, kinds taking turns; what the notes merely say comes last."""
    scene = _scene(opening)
    # The order depends on the prompt and not on the seed, which differs from turn to turn: no turn repeats another.
    rng = random.Random(hashlib.sha256(opening.encode("utf-8", "surrogatepass")).digest())  # noqa: S311 - no secret
    facts = [
        fact
        for fact in facts_of([region.box for region in scene.context.regions])
        if scene.names[fact.a] is not None and (fact.b < 0 or scene.names[fact.b] is not None)
    ]
    stated: list[Fact] = []
    if scene.context.with_numbers:
        facts += [Fact("is", k) for k, thing in enumerate(scene.things) if thing is not None and scene.names[k]]
    else:
        stated = [Fact("stated", k) for k in range(len(scene.context.sentences))]
    kinds: dict[str, list[Fact]] = {}
    for fact in rng.sample(facts, len(facts)):
        kinds.setdefault(fact.kind, []).append(fact)
    rounds = max(map(len, kinds.values()), default=0)
    return tuple([group[k] for k in range(rounds) for group in kinds.values() if k < len(group)] + stated)


def _worded(scene: _Scene, fact: Fact, lap: int, place: int, thing: str | None = None) -> Wording | None:
    wordings = _wordings()[fact.kind]
    wording = wordings[(place + lap) % len(wordings)]
    if fact.kind == "stated":
        sentence = scene.context.sentences[fact.a].rstrip(".!? ")
        return replace(wording, answer=f"{sentence}.")
    values = {"a": scene.names[fact.a], "b": scene.names[fact.b], "x": thing or scene.things[fact.a]}
    # Now and then, and another one each time: a refrain would make all rationales alike.
    aside = ""
    if scene.asides and fact.b < 0 and place % 3 == 0:
        aside = f" {scene.asides[place // 3 % len(scene.asides)]}"
    return Wording(
        _upper_first(wording.question.format(**values)),
        _upper_first(wording.answer.format(**values)),
        _upper_first(wording.rationale.format(**values)) + aside,
    )


def _false(scene: _Scene, fact: Fact, lap: int, place: int) -> Wording | None:
    if fact.kind == "stated":
        return None
    if fact.kind == "is":
        others = [thing for thing in scene.things if thing is not None and thing != scene.things[fact.a]]
        return _worded(scene, fact, lap, place, others[place % len(others)]) if others else None
    if fact.kind in _OPPOSITE:
        return _worded(scene, replace(fact, kind=_OPPOSITE[fact.kind]), lap, place)
    return _worded(scene, replace(fact, a=fact.b, b=fact.a), lap, place)


def _shortened(thing: str) -> str | None:
    """The longest beginning of what a region is that is short enough to name it by, or None."""
    ends = [len(thing), *(match.start() for match in reversed(list(_CUT.finditer(thing))))]
    return next((thing[:end] for end in ends if 1 <= len(words_of(thing[:end])) <= _MAX_NAME_WORDS), None)


@lru_cache(maxsize=4096)
def _speakable(text: str, most_words: int) -> str | None:
    """`text` when it can stand within a sentence of a triple, else None."""
    if any(mark in text for mark in '.!?;"“”{}[]()') or not 1 <= len(words_of(text)) <= most_words:
        return None
    breaks = _breaks_rule(f"Where is {text} now?", "Over there.", f"That is where {text} stays.")
    return None if breaks else text


def _quotable(text: str, most_words: int) -> bool:
    """Whether `text` can be quoted in a rationale."""
    if any(mark in text for mark in '.!?;"“”{}[]()') or not 1 <= len(words_of(text)) <= most_words:
        return False
    return not _breaks_rule("Where is it now?", "Over there.", f"They say {text} here.")


def _breaks_rule(question: str, answer: str, rationale: str, probes: tuple[str, ...] = ()) -> bool:
    texts = {"question": question, "answer": answer, "rationale": rationale}
    return bool(first_broken_rule(CheckedTexts(texts, ("answer", "rationale"), probes), _RULES))


@lru_cache(maxsize=4096)
def _aside(probe: PromptProbe) -> str | None:
    question, answer = probe.question.strip(), probe.answer.strip().rstrip(".")
    if not question.endswith("?") or not _quotable(question[:-1], _MAX_PROBE_WORDS):
        return None
    return f"Asked “{question}”, anyone here would say “{answer}”." if _quotable(answer, _MAX_PROBE_WORDS) else None


def _definite(thing: str) -> str:
    first, _, rest = thing.partition(" ")
    return f"the {rest}" if first in ("a", "an") and rest else thing if first == "the" else f"the {thing}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def wording_table() -> dict[str, tuple[tuple[str, str, str], ...]]:
    """The table that is written from: by kind of fact, rows of question, answer and rationale."""
    return {
        kind: tuple((wording.question, wording.answer, wording.rationale) for wording in rows)
        for kind, rows in _wordings().items()
    }


@lru_cache(maxsize=1)
def _wordings() -> dict[str, tuple[Wording, ...]]:
    import yaml

    table = yaml.safe_load((files("builders.localized") / "wordings.yaml").read_text("utf-8"))
    return {kind: tuple(Wording(*row) for row in rows) for kind, rows in table.items()}
