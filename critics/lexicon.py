"""Words and sentences of a text, and the words and phrases that the rules look for.

A lexicon is asked in two steps: is one of its words in the text at all, and only then, does the whole phrase match.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_NUMBER = r"\d{1,6}"
TAG = re.compile(rf"\[({_NUMBER})\]")
"""A region in a text, by its number: `[0]`."""
_SENTENCE_END = re.compile(r"[.!?。！？…]+[\"'”’)\]]*(?=\s|$)|[。！？]")
_ABBREVIATION = re.compile(
    r"\b(?:mr|mrs|ms|dr|st|prof|sr|jr|vs|etc|approx|e\.g|i\.e|a\.m|p\.m|u\.s|(?-i:[A-Z]))\.", re.IGNORECASE
)
_WORD = re.compile(rf"\[{_NUMBER}\]|[^\W_]+(?:['’][^\W_]+)*")


@lru_cache(maxsize=64)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in order, lower case; a tag such as `[0]` is one word."""
    # Cached because the rules ask for the same three texts again and again.
    return tuple(_WORD.findall(text.lower()))


@lru_cache(maxsize=64)
def word_set(text: str) -> frozenset[str]:
    """The distinct words of a text, lower case."""
    return frozenset(words_of(text))


def without_phrases(text: str, phrases: Sequence[str]) -> str:
    """`text` with each of the phrases, whatever their case, replaced by one harmless word."""
    found = _phrases(tuple(phrases))
    return text if found.first_words.isdisjoint(word_set(text)) else found.pattern.sub("thing", text)


@dataclass(frozen=True, slots=True)
class _Phrases:
    first_words: frozenset[str]
    pattern: re.Pattern[str]


@lru_cache(maxsize=16)
def _phrases(phrases: tuple[str, ...]) -> _Phrases:
    plain = sorted((phrase.strip() for phrase in phrases), key=len, reverse=True)
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, plain))})\b", re.IGNORECASE)
    return _Phrases(frozenset(words_of(phrase)[0] for phrase in plain), pattern)


def sentence_count(text: str) -> int:
    """How many sentences a text has; abbreviations and decimals end none, and a last one needs no full stop."""
    plain = _ABBREVIATION.sub("x", text) if "." in text else text
    ends = list(_SENTENCE_END.finditer(plain))
    rest = plain[ends[-1].end() :] if ends else plain
    return len(ends) + any(c.isalnum() for c in rest)


def first_sentences(text: str, count: int) -> str:
    """`text` up to the end of its sentence number `count`; sentences are those of `sentence_count`."""
    plain = _ABBREVIATION.sub(lambda match: "x" * len(match[0]), text)
    ends = [match.end() for match in _SENTENCE_END.finditer(plain)]
    return text[: ends[count - 1]] if len(ends) >= count else text


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words that are enough by themselves, and phrases by a word that each of their forms holds.

    One large pattern for all of them took ten times as long: almost every text holds none of the words.
    """

    words: frozenset[str]
    phrases: Mapping[str, re.Pattern[str]]

    def found(self, text: str) -> bool:
        present = word_set(text)
        if not self.words.isdisjoint(present):
            return True
        return any(self.phrases[word].search(text) for word in self.phrases.keys() & present)


def _lexicon(words_: str, phrases: Mapping[str, str] | None = None) -> Lexicon:
    patterns = {word: re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE) for word, phrase in (phrases or {}).items()}
    return Lexicon(frozenset(words_.split()), patterns)


# "appears" alone has honest uses ("a dog appears from behind the door"), "might" is also strength, "may" also a month.
HEDGE = _lexicon(
    "maybe perhaps possibly probably likely unlikely presumably supposedly apparently seemingly potentially arguably "
    "conceivably seem seems seemed",
    {
        "i": r"i (?:think|guess|believe|suppose)",
        "might": r"(?<!all )(?<!his )(?<!her )(?<!its )(?<!their )might",
        "may": r"(?-i:may)(?! day)(?! \d)",
        "could": r"could (?:well |also )?(?:be|have|mean|indicate|suggest|imply)",
        "appear": r"appear (?:to|as|that|like)",
        "appears": r"appears (?:to|as|that|like)",
        "looks": r"looks as (?:if|though)",
        "possible": r"(?:it is|it's) possible",
        "plausible": r"(?:it is|it's) plausible",
        "assumed": r"can be assumed",
        "assume": r"one (?:can|could) assume",
    },
)
_TELL = r"(?:tell|told|say|said|know|known|determined?)"
UNCLEAR = _lexicon(
    "unclear unknown undetermined indeterminate unsure uncertain",
    {
        "not": rf"not (?:clear|known|sure|certain|specified|mentioned|stated|given|visible)|can not (?:be )?{_TELL}",
        "cannot": rf"cannot (?:be )?{_TELL}",
        "can't": rf"can't (?:be )?{_TELL}",
        "can’t": rf"can’t (?:be )?{_TELL}",
        "impossible": rf"impossible to {_TELL}",
        "hard": rf"hard to {_TELL}",
        "difficult": rf"difficult to {_TELL}",
        "no": r"no (?:information|way to tell|way of knowing)",
        "depends": r"(?:it|that) depends",
        "enough": r"not enough (?:information|detail)",
    },
)
SOURCE = _lexicon(
    "image images picture pictures pictured photo photos photograph photographs photographed snapshot snapshots "
    "screenshot screenshots depict depicts depicted depiction description descriptions caption captions captioned "
    "context contexts region regions coordinate coordinates",
    {
        "bounding": r"bounding box(?:es)?",
        "notes": r"(?:the|these) notes|notes (?:say|state|mention|above)",
        "described": r"(?:as|is|are) described",
        "mentioned": r"(?:as|is|are) mentioned",
        "stated": r"(?:as|is|are) stated",
        "according": r"according to the (?:text|scene|list)",
        "text": r"the (?:given|provided) text",
    },
)
_BOTTOM = r"(?:text|words?|writing|lettering) (?:at|on|along|in) the (?:very )?bottom"
WATERMARK = _lexicon("watermark watermarks watermarked", {"water": r"water marks?", "bottom": _BOTTOM})
AMBIENCE = _lexicon(
    "atmosphere atmospheres atmospheric ambience ambiance ambient",
    {
        "mood": r"(?:the|what|overall|general) mood|mood (?:of|in) (?:the|this)",
        "lighting": r"lighting(?! (?:a|an|the|his|her|their|its|up|candles?|fires?|fireworks?|cigarettes?|lamps?)\b)",
    },
)
_KIND = r"(?:kind|type|sort|colou?r|style) (?:of|is|are) .{0,40}"
CLOTHING = _lexicon(
    "worn dressed outfit outfits clothes clothed clothing attire apparel garment garments",
    {
        **{word: rf"{word}(?! (?:off|out|down|thin)\b)" for word in ("wear", "wears", "wearing")},
        **{
            word: _KIND + word
            for word in ("shirt", "dress", "jacket", "coat", "trousers", "pants", "hat", "shoes", "uniform", "suit")
        },
    },
)
