"""What a question takes for granted: the things that its definite descriptions name.

"What colour is the motorcycle?" has no answer where there is no motorcycle (Strawson 1950, "On Referring"); "Is there a
motorcycle?" has one anywhere, and so has "What colour is it?". So what follows `the`, `this`, `her`, ... is looked at,
up to the next word of grammar, and nothing else of a question. A description of something that every picture has (a
background, a colour, the largest thing) is passed over, for asked of another picture it would be answered.
"""

from collections.abc import Iterator
from typing import Final

from critics.evidence import common_words, named
from critics.lexicon import words_of

_DETERMINERS: Final = frozenset(("the", "this", "these", "those", "his", "her", "their", "its"))
_NOUNS: Final = """
picture pictures image images photo photos photograph photographs painting drawing shot scene view background foreground
area areas region regions object objects item items subject subjects shape shapes figure figures colour colours color
colors hue shade light lights lighting brightness contrast shadow shadows dark darkness time day night date season
weather moment number amount count size position location setting place room space surroundings surface material texture
pattern mood atmosphere theme text word words name camera lens frame edge edges corner corners detail details line lines
world eye eyes viewer photographer
"""
_OF_ANY_PICTURE: Final = frozenset(_NOUNS.split())
_PRONOUNS: Final = frozenset(
    ("thing", "things", "one", "ones", "part", "parts", "side", "sides", "kind", "way", "place")
)
"""Among the words of grammar, those that end a description as its noun: "the white one"."""


def presupposed(question: str) -> tuple[str, ...]:
    """The stems of what the definite descriptions of a question name, each once, in order; empty where none does."""
    return tuple(dict.fromkeys(stem for phrase in _descriptions(words_of(question)) for stem in named(phrase)))


def _descriptions(words: tuple[str, ...]) -> Iterator[list[str]]:
    """The words of each definite description that is not of something that every picture has."""
    for place, word in enumerate(words):
        if word not in _DETERMINERS:
            continue
        phrase: list[str] = []
        end = ""
        for end in words[place + 1 :]:
            if end != "and" and (end in common_words() or end.startswith("[")):
                break
            phrase.append(end)
        if not (end in _PRONOUNS or any(one in _OF_ANY_PICTURE or _is_superlative(one) for one in phrase)):
            yield phrase


def _is_superlative(word: str) -> bool:
    return len(word) > 5 and word.endswith("est")
