"""Which questions are put to an image: those of a list and of a teacher, none of them twice.

Questions count as alike by their words. Sentence embeddings would find more pairs, and were given up here: another
model would have to be loaded for fifteen short lines an image.
"""

import re
import unicodedata
from collections.abc import Sequence

# What questions are made of whatever they ask. Words such as where, who, how and not matter, and are missing here.
_FRAME_WORDS = (
    "a an and any are be been being can could did do does for had has have image is it its of on or picture photo"
    " photograph scene seem seems shown that the their there these they this those to visible was were what would you"
    " your"
)
_FRAME = frozenset(_FRAME_WORDS.split())


def question_key(question: str) -> str:
    """What two questions share that differ only in case, white space and punctuation."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", question).casefold()))


def distinct_questions(questions: Sequence[str], count: int) -> tuple[str, ...]:
    """The first `count` of `questions` that differ in more than case, white space and punctuation."""
    found: dict[str, str] = {}
    for question in questions:
        found.setdefault(question_key(question), question)
    return tuple(found.values())[:count]


def question_overlap(one: str, other: str) -> float:
    """Intersection over union of the words that matter, 0-1; 1 for equal questions, whatever they are made of."""
    first, second = _matter(one), _matter(other)
    if first == second:
        return 1.0
    return len(first & second) / len(first | second)


def _matter(question: str) -> frozenset[str]:
    words = question_key(question).split()
    return frozenset(_singular(word) for word in words if word not in _FRAME) or frozenset(words)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def with_fresh(known: Sequence[str], asked: Sequence[str], max_overlap: float, count: int) -> tuple[str, ...]:
    """`known` and what of `asked` none of the questions before it has more than `max_overlap` in common with.

    At most `count` in all, the known ones first.
    """
    chosen = list(distinct_questions(known, count))
    for question in asked:
        if len(chosen) >= count:
            break
        overlap = max((question_overlap(question, other) for other in chosen), default=0.0)
        if overlap <= max_overlap and overlap < 1:
            chosen.append(question)
    return tuple(chosen)
