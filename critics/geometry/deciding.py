"""What boxes say of a candidate's statements: each is right, wrong or not checkable, with the words and the boxes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

from critics.geometry import measuring
from critics.geometry.answers import read_answer
from critics.geometry.measuring import Found, all_of, deny
from critics.geometry.reading import read_sentence
from critics.geometry.references import Spoken, UnresolvedError, separate
from critics.geometry.statements import (
    Alike,
    Between,
    Compared,
    Counted,
    Covers,
    Described,
    Ends,
    Extreme,
    Is,
    Listed,
    Measure,
    Near,
    Nearer,
    Numbers,
    Phrase,
    Placed,
    Predicate,
    Read,
    Shared,
    Statement,
    Wider,
)
from critics.geometry.words import plain, sentences_of
from critics.lexicon import TAG
from ostensive.recipe_kind import ShownText
from ostensive.records import Box, Region

Value = Literal["right", "wrong", "not checkable"]
TOO_CLOSE: Final = "too close to say"
LOWER_BOUND: Final = "more may be there than are marked"
ASKING: Final = frozenset(("question", "query", "prompt"))
"""Texts that ask and claim nothing, where a recipe does not say which of its texts are claims."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What boxes say of one statement."""

    value: Value
    text: str  # the name of the text that makes it
    words: str  # of the text, in the form that is read
    statement: str  # as it was read
    because: str  # the boxes that bear it out or speak against it, or why it cannot be checked

    def __str__(self) -> str:
        return f'{self.value}: {self.statement} ({self.because}); {self.text}: "{self.words}"'


def findings(
    texts: Sequence[ShownText], regions: Sequence[Region], judged_parts: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """The findings on each statement of the judged texts, in order; () where nothing is stated of boxes.

    `judged_parts` are the names of the texts that claim something, all but questions where it is None. The last of the
    texts before them that ends in "?" is read together with the first sentence of the first of them.
    """
    if not regions:
        return ()
    judged = [one for one in texts if (one.name not in ASKING if judged_parts is None else one.name in judged_parts)]
    asked = [one for one in texts if one not in judged and one.name in ASKING]
    question = asked[-1].text if asked else ""
    spoken, found = Spoken(regions), list[Finding]()
    for place, text in enumerate(judged):
        found += _of_text(text, question if place == 0 else "", spoken)
    return tuple(found)


def _of_text(text: ShownText, question: str, spoken: Spoken) -> Iterator[Finding]:
    asked = ""
    if question:
        sentences = list(sentences_of(plain(question)))
        asked = sentences[-1] if sentences and sentences[-1].endswith("?") else ""
        spoken.mentioned = _mentions(" ".join(sentences)) or spoken.mentioned
    for sentence in sentences_of(plain(text.text)):
        read: tuple[Read, ...] = ()
        if asked:
            read = read_answer(asked, sentence)
            asked = ""
        read = read or read_sentence(sentence)
        used: list[int] = []
        for one in read:
            yield _decide(one, text.name, spoken, used)
            spoken.mentioned = tuple(dict.fromkeys(used)) or spoken.mentioned
        spoken.mentioned = _mentions(sentence) or tuple(dict.fromkeys(used)) or spoken.mentioned


def _mentions(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(number) for number in TAG.findall(text)))


def _decide(read: Read, text: str, spoken: Spoken, used: list[int]) -> Finding:
    try:
        if isinstance(read, Counted):
            return _counted(read, text, spoken)
        return _stated(read, text, spoken, used)
    except UnresolvedError as unresolved:
        return Finding("not checkable", text, read.words, _shown(read, ()), str(unresolved))


def _counted(read: Counted, text: str, spoken: Spoken) -> Finding:
    named = read.head or "regions"
    if read.is_regions:
        there, is_exact = len(spoken.regions), True
    else:
        there, is_exact = len(separate(one.box for one in spoken.of_kind(read.head))), False
    bound = {"exactly": "", "least": "at least ", "most": "at most "}[read.bound]
    statement = f"there are {'not ' * read.is_denied}{bound}{read.number} {named}"
    because = f"{there} {named} are marked"
    most = there if is_exact else None  # how many there may be; None for any number
    found: Found = None
    if read.bound != "least" and there > read.number:
        found = False
    elif read.bound != "most" and most is not None and most < read.number:
        found = False
    elif (
        (read.bound == "least" and there >= read.number)
        or (read.bound == "exactly" and there == read.number > 0)
        or is_exact
    ):
        found = True
    if read.is_denied:
        # That there are not three is borne out by four, and contradicted by nothing that may be incomplete.
        found = True if found is False else False if is_exact and found else None
    return Finding(
        _value(found), text, read.words, statement, because if found is not None else f"{because}; {LOWER_BOUND}"
    )


def _value(found: Found) -> Value:
    return "not checkable" if found is None else "right" if found else "wrong"


def _stated(read: Statement, text: str, spoken: Spoken, used: list[int]) -> Finding:
    subjects = spoken.resolve(read.subject)
    used += [one.number for one in subjects]
    involved: list[Region] = []
    if (
        getattr(read.predicate, "other", read) is None
        and len(subjects) > 1
        and isinstance(read.predicate, Shared | Alike | Near)
    ):
        pairs = [_predicate_of(read.predicate, (a,), (b,), spoken, involved) for a, b in combinations(subjects, 2)]
        found = all_of([deny(one) for one in pairs]) if read.is_denied else all_of(pairs)
    else:
        each = [_predicate_of(read.predicate, (one,), None, spoken, involved, subjects) for one in subjects]
        if read.count is not None:
            found = _how_many(each, read)
        else:
            found = all_of([deny(one) for one in each]) if read.is_denied else all_of(each)
    used += [one.number for one in involved]
    regions = tuple(dict.fromkeys((*subjects, *involved)))
    numbers = _figures(read.predicate, regions)
    because = numbers if found is not None else f"{TOO_CLOSE}: {numbers}"
    return Finding(_value(found), text, read.words, _shown(read, subjects), because)


def _how_many(each: Sequence[Found], read: Statement) -> Found:
    least, most = each.count(True), len(each) - each.count(False)
    assert read.count is not None, "asked of counts alone"
    if (read.bound != "least" and least > read.count) or (read.bound != "most" and most < read.count):
        return False
    is_so = (read.bound == "most" or least >= read.count) and (read.bound == "least" or most <= read.count)
    return True if is_so else None


def _predicate_of(
    predicate: Predicate,
    subject: tuple[Region, ...],
    other: tuple[Region, ...] | None,
    spoken: Spoken,
    involved: list[Region],
    group: Sequence[Region] = (),
) -> Found:
    """Whether a predicate is so of one region; the others that it is about are added to `involved`."""
    (one,) = subject
    box = one.box

    def others(phrase: Phrase | None) -> list[Box]:
        found = other
        if found is None:
            found = spoken.resolve(phrase, group or subject) if phrase is not None else _partner(one, spoken)
        left = [region for region in found if region is not one]
        if not left:
            raise UnresolvedError("nothing to compare with")
        involved.extend(left)
        return [region.box for region in left]

    match predicate:
        case Placed():
            return measuring.placed(predicate, box)
        case Covers():
            return measuring.covers(predicate, box)
        case Wider():
            return measuring.wider(predicate, box)
        case Compared(_, _, compared):
            return all_of([measuring.compared(predicate, box, b) for b in others(compared)])
        case Extreme(_, _, among):
            return measuring.extreme(predicate, box, others(among))
        case Alike(_, phrase):
            return all_of([measuring.alike(predicate, box, b) for b in others(phrase)])
        case Shared(how, phrase):
            return all_of([measuring.shared(how, box, b) for b in others(phrase)])
        case Ends(_, _, phrase):
            return all_of([measuring.ends(predicate, box, b) for b in others(phrase)])
        case Near(phrase):
            return all_of([measuring.near(predicate, box, b) for b in others(phrase)])
        case Between(phrase):
            ends = others(phrase)
            if len(ends) != 2:
                raise UnresolvedError("between other than two")
            return measuring.between(box, *ends)
        case Nearer(phrase, than, than_is_subject):
            (first, second) = (*others(phrase), *others(than))[:2]
            return measuring.nearer(predicate, (box, first), (second, first) if than_is_subject else (box, second))
        case Is(phrase):
            return _is(phrase, one, spoken, involved)


def _partner(one: Region, spoken: Spoken) -> tuple[Region, ...]:
    """The other of the two that are spoken of."""
    if len(spoken.mentioned) != 2 or one.number not in spoken.mentioned:
        raise UnresolvedError("no other to compare with")
    return spoken.resolve(Numbers(spoken.mentioned))


def _is(phrase: Phrase, one: Region, spoken: Spoken, involved: list[Region]) -> Found:
    """Whether a region is the one that a phrase picks out; of another kind it may still be."""
    if not isinstance(phrase, Described) or phrase.others or len(phrase.picks) != 1:
        raise UnresolvedError("described by more than its box")
    found = spoken.resolve(phrase)
    if phrase.head and one not in spoken.of_kind("" if phrase.head in ("one", "region") else phrase.head):
        raise UnresolvedError("of another kind")
    involved.extend(found)
    return True if found == (one,) else False if found[0].box.overlap(one.box) < 0.3 else None


_NAMES: Final[dict[Measure, str]] = {
    "x": "middle x",
    "y": "middle y",
    "area": "area",
    "width": "width",
    "height": "height",
    "from_middle": "distance from the middle",
    "left": "distance from the left",
    "right": "distance from the right",
    "top": "distance from the top",
    "bottom": "distance from the bottom",
    "edge": "distance from the edge",
    "corner": "distance from a corner",
}
_SHOWN_REGIONS: Final = 6


def _figures(predicate: Predicate, regions: Sequence[Region]) -> str:
    """The boxes by which a predicate is decided, as numbers to two decimals."""
    measure: Measure | None = getattr(predicate, "measure", None)
    shown = regions[:_SHOWN_REGIONS]
    if measure is not None:
        values = ", ".join(f"[{one.number}] {measuring.values_of(measure, one.box)[0]:.2f}" for one in shown)
        return f"{_NAMES[measure]}: {values}"
    return ", ".join(
        f"[{one.number}] x {one.box.x1:.2f}-{one.box.x2:.2f} y {one.box.y1:.2f}-{one.box.y2:.2f}" for one in shown
    )


_SIGNS: Final[dict[Measure, tuple[str, str]]] = {
    "x": ("left of", "right of"),
    "y": ("above", "below"),
    "area": ("smaller than", "larger than"),
    "width": ("narrower than", "wider than"),
    "height": ("shorter than", "taller than"),
    "from_middle": ("nearer the middle than", "further from the middle than"),
}
_MOST: Final[dict[Measure, tuple[str, str]]] = {
    "x": ("leftmost", "rightmost"),
    "y": ("topmost", "lowest"),
    "area": ("smallest", "largest"),
    "width": ("narrowest", "widest"),
    "height": ("shortest", "tallest"),
    "from_middle": ("nearest the middle", "furthest from the middle"),
}


def _shown(read: Read, subjects: Sequence[Region]) -> str:
    """A statement in plain words."""
    if isinstance(read, Counted):
        return f"there are {read.number} {read.head or 'regions'}"
    subject = " and ".join(f"[{one.number}]" for one in subjects) or name_of(read.subject)
    quantity = "" if read.count is None else f"{read.bound} {read.count} of "
    return f"{quantity}{subject} {'not ' * read.is_denied}{_said(read.predicate)}"


def _said(predicate: Predicate) -> str:
    match predicate:
        case Placed(places, how):
            return f"{'at' if how != 'half' else 'in the half'} {' '.join(places)}"
        case Compared(measure, sign, other, factor):
            words = _SIGNS.get(measure) or (f"nearer the {measure} than", f"further from the {measure} than")
            if factor is not None:
                return f"{predicate.bound} {factor:.2f} times the {measure} of {name_of(other)}"
            return f"{'at least as, or ' * predicate.or_equal}{words[sign > 0]} {name_of(other)}"
        case Extreme(measure, sign, group, rank):
            words = _MOST.get(measure) or (f"nearest the {measure}", f"furthest from the {measure}")
            return f"{'' if rank == 1 else f'number {rank} '}{words[sign > 0]} of {name_of(group)}"
        case Alike(measure, other):
            return f"of the same {'level' if measure == 'y' else measure} as {name_of(other)}"
        case Shared(how, other):
            return f"{how} {name_of(other)}"
        case Ends(axis, _, other):
            return (
                f"ends before {name_of(other)} begins, {'from left to right' if axis == 'x' else 'from top to bottom'}"
            )
        case Near(other, is_far):
            return f"{'far from' if is_far else 'near'} {name_of(other)}"
        case Nearer(other, than, _, sign):
            return f"{'nearer to' if sign > 0 else 'further from'} {name_of(other)} than {name_of(than)}"
        case Between(others):
            return f"between {name_of(others)}"
        case Covers(measure, bound, share):
            return f"covers {bound}{'' if bound == 'about' else ' than'} {share:.2f} of the {measure} of the picture"
        case Wider(sign):
            return "wider than tall" if sign > 0 else "taller than wide"
        case Is(other):
            return f"is the {name_of(other)}"


def name_of(phrase: Phrase | None) -> str:
    """A phrase in plain words."""
    match phrase:
        case None:
            return "the other"
        case Numbers(numbers):
            return " and ".join(f"[{number}]" for number in numbers)
        case Described():
            return phrase.words
        case Listed(phrases):
            return " and ".join(map(name_of, phrases))
        case _:
            return getattr(phrase, "word", "") or getattr(phrase, "head", "") or "all"
