"""Questions read together with their answers: yes and no, which of the two, where, how many."""

import re
from functools import lru_cache
from typing import Final

from critics.geometry.phrases import read_phrase
from critics.geometry.predicates import read_predicate
from critics.geometry.reading import read_sentence
from critics.geometry.statements import Counted, Described, Listed, Numbers, Phrase, Pronoun, Read, Statement
from critics.geometry.words import NUMBER, number_of

_YES: Final = re.compile(
    r"(?:yes|yeah|correct|right|indeed|certainly|true|it is|it does|they do|they are)\b(?:[,.!]|$)"
)
_NO: Final = re.compile(
    r"(?:no|nope|not at all|incorrect|wrong|false|it is not|it does not|they do not|they are not|not really)\b(?:[,.!]|$)"
)
_WHETHER: Final = re.compile(
    r"(?:.*[,:] )?(?P<verb>is|are|was|were|does|do|did|has|have|can)(?P<not> not)? (?P<rest>.+)"
)
_WHICH: Final = re.compile(
    r"(?:.*[,:] )?(?:which|what|who)(?: one)?(?: (?!is|are|of|lies|sits)[a-z]+){0,3}?(?: of (?P<group>.+?))?,? (?P<verb>is|are|lies|sits|stands|appears|seems|looks|covers|takes|fills|occupies|overlaps|touches|contains|surrounds|has|reaches)\b ?(?P<rest>.+)"
)
_CHOICE: Final = re.compile(
    r"(?P<said>.+?)[,:] (?P<group>\S.* or .+)|(?P<said2>.+) of (?P<group2>\[\d+\] (?:and|or) \[\d+\])"
)
_HOW_MANY: Final = re.compile(
    r"how many (?P<kind>[a-z]+(?: [a-z]+)?)(?: (?:are|is|can)(?: (?:there|visible|shown|seen|in|be|the|picture|image|present|you|we|see))*)?(?: do (?:you|we) see)?(?: in the (?:picture|image|photo|scene))?"
)
_HOW_MANY_OF: Final = re.compile(
    r"how many of (?P<group>.+?) (?P<verb>are|is|lie|sit|stand|overlap|touch|cover) (?P<rest>.+)"
)
_WHERE: Final = re.compile(
    r"(?:.*[,:] )?(?:where|on which side|in which (?:half|part|corner))(?: of the [a-z]+)? (?:is|are|does|do) (?P<o>.+?)(?: (?:located|placed|positioned|found|lie|sit|stand|to be found))?(?: in the (?:picture|image|photo|scene|view|frame))?"
)
_SAID: Final = re.compile(
    r"^(?:(?:it|that|this|the answer|they|those) (?:is|are|would be|must be)|the one (?:that is )?|it should be|clearly|i think|probably|perhaps|only|just|there (?:is|are)|i (?:see|count)|both|region)[,:]? "
)
_NUMBER_AT: Final = re.compile(rf"(?:exactly |only |just )?({NUMBER}|none)\b")


@lru_cache(maxsize=1024)
def read_answer(question: str, answer: str) -> tuple[Read, ...]:
    """What a first sentence of an answer says by its question, both in the form of `words.plain`; () for nothing."""
    question, answer = question.rstrip(" ?.").strip(), answer.rstrip(" .!;").strip()
    if not question or not answer or re.search(r"\b(?:if|suppose|imagine|would|could|might|should|quoted)\b", question):
        return ()
    if re.search(r"\b(?:if|unless|would|could|might|cannot|can not|unclear)\b", answer):
        return ()
    words = f"{question}? {answer}"
    return (
        _how_many(words, question, answer)
        or _yes_or_no(words, question, answer)
        or _where(words, question, answer)
        or _which(words, question, answer)
    )


def _yes_or_no(words: str, question: str, answer: str) -> tuple[Read, ...]:
    yes, no = _YES.match(answer), _NO.match(answer)
    found = _WHETHER.fullmatch(question)
    if found is None or (yes is None and no is None) or " or " in question:
        return ()
    verb = "" if found["verb"] in ("does", "do", "did", "can") else f"{found['verb']} "
    tokens = found["rest"].split(" ")
    for place in range(1, min(len(tokens), 16)):
        subject, rest = " ".join(tokens[:place]), " ".join(tokens[place:])
        if subject == "there":
            read = read_sentence(f"there {verb}{rest}")
        elif read_phrase(subject) is None:
            continue
        else:
            read = read_sentence(f"{subject} {verb}{rest}" if verb else f"{subject} does {rest}")
        if len(read) == 1:
            (one,) = read
            if isinstance(one, Counted):
                return (
                    Counted(words, one.head, one.bound, one.number, one.is_denied != (no is not None), one.is_regions),
                )
            several = isinstance(one.subject, Listed) or (
                isinstance(one.subject, Numbers) and len(one.subject.numbers) > 1
            )
            if no is not None and several and _is_of_each(one):
                return ()
            return (
                Statement(words, one.subject, one.predicate, one.is_denied != (no is not None), one.count, one.bound),
            )
    return ()


def _is_of_each(one: Statement) -> bool:
    return getattr(one.predicate, "other", one) is not None


def _which(words: str, question: str, answer: str) -> tuple[Read, ...]:
    found = _WHICH.fullmatch(question)
    if found is None:
        return ()
    subject = _named(answer)
    if subject is None:
        return ()
    verb, rest, group = found["verb"], found["rest"], found["group"]
    choice = _CHOICE.fullmatch(rest)
    if choice is not None and group is None:
        rest, group = choice["said"] or choice["said2"], choice["group"] or choice["group2"]
    said = rest if verb in ("is", "are", "lies", "sits", "stands", "appears", "seems", "looks") else f"{verb} {rest}"
    if group is not None:
        predicate = read_predicate(f"{said} of {group}") or read_predicate(said)
    else:
        predicate = read_predicate(said)
    read: tuple[Read, ...] = ()
    if predicate is not None:
        read = (Statement(words, subject, predicate),)
    else:
        inner = read_sentence(f"[9999] {verb} {rest}")
        if len(inner) == 1 and isinstance(inner[0], Statement) and inner[0].subject == Numbers((9999,)):
            read = (Statement(words, subject, inner[0].predicate, inner[0].is_denied),)
    return read


def _named(answer: str) -> Phrase | None:
    """The phrase that an answer consists of."""
    for _ in range(3):
        shorter = _SAID.sub("", answer)
        if shorter == answer:
            break
        answer = shorter
    phrase = read_phrase(answer)
    if (
        phrase is None
        and (short := re.match(r"([^,]+?)(?: (?:is|does|are)|, .*| because .*| since .*)$", answer)) is not None
    ):
        phrase = read_phrase(short[1])
    if isinstance(phrase, Pronoun):
        return None
    return phrase if isinstance(phrase, Numbers | Described | Listed) else None


def _where(words: str, question: str, answer: str) -> tuple[Read, ...]:
    found = _WHERE.fullmatch(question)
    subject = None if found is None else read_phrase(found["o"])
    if subject is None:
        return ()
    predicate = read_predicate(re.sub(r"^(?:it|they|that) (?:is|are|lies|sits|stands) ", "", answer))
    return () if predicate is None else (Statement(words, subject, predicate),)


def _how_many(words: str, question: str, answer: str) -> tuple[Read, ...]:
    if not question.startswith("how many "):
        return ()
    said = _NUMBER_AT.match(_SAID.sub("", answer))
    if said is None:
        return ()
    number = 0 if said[1] == "none" else number_of(said[1])
    assert number is not None, "the pattern takes nothing else"
    if (found := _HOW_MANY_OF.fullmatch(question)) is not None:
        group = read_phrase(found["group"])
        inner = (
            read_sentence(f"[9999] is {found['rest']}") if found["verb"] in ("are", "is", "lie", "sit", "stand") else ()
        )
        if group is not None and len(inner) == 1 and isinstance(inner[0], Statement):
            return (Statement(words, group, inner[0].predicate, count=number),)
        return ()
    counted = _HOW_MANY.fullmatch(question)
    if counted is None:
        return ()
    kind = counted["kind"].removesuffix(" are").removesuffix(" do").removesuffix(" can")
    is_regions = kind in ("regions", "boxes", "marked regions", "numbered regions")
    return (Counted(words, "" if is_regions else kind, "exactly", number, is_regions=is_regions),)
