"""What the scripted teacher says to the prompts of the `rationales` recipe.

It sees colours, light and layout of the picture that it is shown, and says mostly what of that has to do with the
question: true of the picture, though not always why the answer is right. Like real models it wraps its rationale up in
one way or another. With an error rate it also writes, as often as asked, the jabber that the filters must catch.
"""

import re
from collections.abc import Sequence
from functools import partial
from random import Random

from builders.rationales.jabber import SAYS_NOTHING
from builders.scripted_sight import sentences_on, shown_picture
from critics.lexicon import word_set
from ostensive.chat.pictures import Picture
from ostensive.chat.records import Message
from ostensive.chat.scripted import Script

NOTHING_TO_SAY = "There is nothing here that I can explain."
WORDINGS = 4
"""In how many wordings the same picture is described."""
_TO_THE_POINT = 0.75  # share of rationales that have a word in common with question or answer, where one can
_LINE = re.compile(r"^(Question|Answer): (.*?)(?:, because)?$", re.MULTILINE)
_WRAPPINGS = ("{}", "{}", "Because {lower}", "Rationale: {}", '"{}"', "{} \nI hope that this helps.")
_ERRORS = ("answer", "question", "short", "signs", "babble", "hedge")


def make_script(error_rate: float) -> Script:
    """The script of a teacher that writes jabber or a guess with the probability `error_rate` (0-1)."""
    if not 0 <= error_rate <= 1:
        raise ValueError(f"error_rate: a share from 0 to 1 is expected, not {error_rate!r}")
    return partial(_rationale, error_rate)


def seen_in(picture: Picture) -> list[list[str]]:
    """The single sentences that are true of a picture, for each wording."""
    return [
        [f"{part.rstrip('.')}." for sentence in sentences_on(picture, wording) for part in sentence.split(". ")]
        for wording in range(WORDINGS)
    ]


def _rationale(error_rate: float, messages: Sequence[Message], seed: int) -> str:
    picture, asked = shown_picture(messages), dict(_LINE.findall(messages[-1].text))
    question, answer = asked.get("Question", ""), asked.get("Answer", "")
    if picture is None or not question or not answer:
        return NOTHING_TO_SAY
    rng = Random(seed)  # noqa: S311 - wording, not secrets
    sentences = seen_in(picture)[rng.randrange(WORDINGS)]
    wanted = word_set(f"{question} {answer}") - SAYS_NOTHING
    telling = [sentence for sentence in sentences if word_set(sentence) & wanted]
    sentence = rng.choice(telling if telling and rng.random() < _TO_THE_POINT else sentences)
    if rng.random() < error_rate:
        return _error(rng, sentence, question, answer)
    return rng.choice(_WRAPPINGS).format(sentence, lower=_lower_first(sentence))


def _error(rng: Random, sentence: str, question: str, answer: str) -> str:
    match rng.choice(_ERRORS):
        case "answer":
            return f"The answer is {answer}."
        case "question":
            return f"{question.rstrip(' ?.')}: {answer}."
        case "short":
            return "It just is."
        case "signs":
            return "???? -- 12 // 7 :: ~~ ok ~~ !!!! 0"
        case "babble":
            return "and the thing on the thing " * 4
        case _:
            return f"Perhaps {_lower_first(sentence)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
