"""What a phrase names: regions by number, by a list of them, by a description, by a pronoun, or all the others."""

import re
from functools import lru_cache
from typing import Final

from critics.geometry.places import PREPOSITION, read_place
from critics.geometry.statements import (
    Compared,
    Described,
    Everything,
    Extreme,
    Listed,
    Numbers,
    Others,
    Phrase,
    Placed,
    Predicate,
    Pronoun,
)
from critics.geometry.words import COMPARATIVES, GENERIC, NUMBER, SUPERLATIVES, TAG, is_plural, number_of

_MAX_WORDS: Final = 24
_NUMBERS: Final = re.compile(
    rf"(?:both |all |each of |all of |both of |either |neither )?(?:the )?{TAG}(?:(?:, (?:and |or )?| and | or | nor | & ){TAG})*"
)
_TAGS: Final = re.compile(r"\[(\d+)\]")
_WITH_TAG: Final = re.compile(
    rf"(?:the|a|an|this|that) (?:[a-z']+ ){{1,6}}(?:(?:in|at|marked|labelled|labeled|numbered|inside|within|marked as|shown in|of) )?\(?({TAG})\)?"
)
_PRONOUNS: Final = {
    "it": "it",
    "itself": "it",
    "they": "they",
    "them": "they",
    "both": "they",
    "the two": "they",
    "both of them": "they",
    "these": "they",
    "these two": "they",
    "the two of them": "they",
    "all three": "they",
    "the other": "other",
    "the other one": "other",
    "the other region": "other",
}
_OTHERS: Final = re.compile(
    r"(?:(?:all|any|each|every one|none|most)?(?: of)? ?(?:the )?(?:others?|rest|other (?P<a>[a-z]+)|remaining (?P<b>[a-z]+))"
    r"|every other (?P<c>[a-z]+)|everything else|anything else|everyone else|any other(?: (?P<d>[a-z]+))?"
    r"|all (?:the )?other(?: (?P<e>[a-z]+))?)(?: (?:in|of) (?:the|this) (?:picture|image|photo|scene|view))?"
)
_ALL: Final = re.compile(
    rf"(?:all|all of them|them all|everything|the group|the lot|(?:all|each|every one) (?:of )?(?:the |these )?(?:(?P<count>{NUMBER}) )?(?:marked |numbered |shown )?(?P<noun>[a-z]+)"
    rf"|(?:the|these|those) (?:(?P<count2>{NUMBER})(?: (?:marked |numbered |shown )?(?P<noun2>[a-z]+))?|(?:marked |numbered )?(?P<noun3>[a-z]+s|people|men|women|children)))"
)
_ARTICLE: Final = re.compile(
    r"(?:both (?:of )?(?:the )?|all (?:of )?(?:the )?|each of the |the |this |that |these |those )"
)
_FORBIDDEN: Final = frozenset(
    "is are was were be been that which who whom if than not so because as when where while but lies sits stands covers"
    " has have had does do takes there here it its his her their would could and or nor never quoted behind front left"
    " right above below beneath under underneath over beside next between near nearer closer inside outside toward by"
    " around against along across half other another more most less least than no any every each what how why part parts portion share side sides half halves picture image view scene photo photograph frame"
    " distance gap space way".split()
)
_JOINING: Final = frozenset(
    "in with on at wearing holding of from carrying without riding dressed standing sitting made full eating to for"
    " walking lying looking".split()
)
_EMPTY: Final = frozenset(
    "a an the in with on at wearing holding of from carrying without dressed to for made full some his her its one"
    " single only very marked numbered".split()
)
_SIDES: Final = {"left": "left", "right": "right", "top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}
_OF_PAIR: Final = re.compile(rf"the ([a-z]+)(?: one)?(?: of (?:the two|them|both|the pair|the two regions))?")


@lru_cache(maxsize=2048)
def read_phrase(text: str) -> Phrase | None:
    """What a phrase names, or None where it names nothing that is understood."""
    text = text.strip(" ,()")
    if not text or text.count(" ") > _MAX_WORDS:
        return None
    if "[" in text:
        return _numbered(text)
    if (pronoun := _PRONOUNS.get(text)) is not None:
        return Pronoun(pronoun)  # type: ignore[arg-type] # the table holds nothing else
    if (found := _OTHERS.fullmatch(text)) is not None:
        noun = next(filter(None, found.groups()), "")
        return Others("" if noun in GENERIC else noun)
    if (found := _ALL.fullmatch(text)) is not None:
        groups = found.groupdict()
        noun, count = groups["noun"] or groups["noun2"] or groups["noun3"] or "", groups["count"] or groups["count2"]
        if not noun or is_plural(noun):
            return Everything("" if noun in GENERIC else noun, None if count is None else number_of(count))
    return _described(text) or _listed(text)


def _numbered(text: str) -> Phrase | None:
    if _NUMBERS.fullmatch(text):
        return Numbers(tuple(dict.fromkeys(int(number) for number in _TAGS.findall(text))))
    if (found := _WITH_TAG.fullmatch(text)) is not None and text.count("[") == 1:
        words = text[: found.start(1)].split()
        last = [word for word in words if word in _FORBIDDEN or word in ("of", "with", "on")]
        if not last:
            return Numbers((int(found[1][1:-1]),))
        return None
    return _listed(text)


def _listed(text: str) -> Phrase | None:
    parts = re.split(r", and |, or |, | and | or ", text.removeprefix("both "), maxsplit=8)
    if len(parts) < 2:
        return None
    phrases = [read_phrase(part) for part in parts]
    if any(not isinstance(one, Numbers | Described) for one in phrases):
        return None
    return Listed(tuple(one for one in phrases if one is not None))


def _described(text: str) -> Described | None:
    article = _ARTICLE.match(text)
    if article is None:
        return None
    rest = text[article.end() :]
    picks: list[Predicate] = []
    # "on the left", "at the top of the picture" tell things apart; what else is said of places is not understood.
    if (at := PREPOSITION.search(rest)) is not None:
        place = read_place(rest[at.start() :].strip())
        if place is not None:
            picks.append(place)
            rest = rest[: at.start()]
    words = rest.replace(",", "").split()
    if not words:
        return None
    count = None
    if (number := number_of(words[0])) is not None and len(words) > 1:
        count, words = number, words[1:]
    end = next((place for place, word in enumerate(words) if word in _JOINING and place), len(words))
    head, before, after = words[end - 1], words[: end - 1], words[end:]
    others: list[str] = []
    for word in before:
        if word in COMPARATIVES:
            picks.append(Compared(*COMPARATIVES[word], None))
        elif word in SUPERLATIVES:
            picks.append(Extreme(*SUPERLATIVES[word], Everything("" if head in GENERIC else head)))
        elif word in _SIDES:
            picks.append(Placed((_SIDES[word],), "side"))  # type: ignore[arg-type] # the table holds sides alone
        else:
            others.append(word)
    if _FORBIDDEN.intersection((head, *others, *after)) or head in SUPERLATIVES or head in COMPARATIVES:
        return None
    others += after
    described = tuple(word for word in others if word not in _EMPTY)
    return Described(" ".join(words), head, described, tuple(picks), count, count is not None or is_plural(head))
