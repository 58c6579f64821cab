"""From a reply to the rationale in it: labels, quotes, a leading "because" and all that follows it are cut off.

ILLUME takes what its model writes up to the end of the line, after a prompt that ends in the connective. Models that
follow instructions begin with a label or with the connective, and go on talking.
"""

import re
from dataclasses import dataclass

from critics.lexicon import first_sentences
from ostensive.text_lines import lines_of

_LABEL = re.compile(r"(?:the )?(?:rationale|explanation|reason|justification)\s?:\s*", re.IGNORECASE)
_BULLET = re.compile(r"(?:[-*•]|\d{1,2}[.)])\s+")
_FENCE = re.compile(r"```\w*")
# "because of the rain" is left as it is: without its connective it is half a sentence.
_CONNECTIVE = re.compile(
    r"(?:(?:that|this|it|the answer|the reason)(?: is|['’]s) )?"
    r"(?:because(?! of\b)|seeing that|due to the fact that|for the reason that|by the fact that)(?=[\s,:])[,:]?\s*",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "‘": "’", "'": "'"}
_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", "۔")
_MAX_CHARACTERS = 20_000  # of a reply; no rationale begins beyond


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The rationale in a reply; `is_whole` says that the reply went on after it, or that it ends as a sentence does."""

    text: str
    is_whole: bool


def clean(reply: str, answer: str, *, max_sentences: int) -> Cleaned:
    """The rationale in a reply to the question why `answer` is right; its text is empty where there is none."""
    lines = [line.strip() for line in lines_of(_FENCE.sub("\n", reply[:_MAX_CHARACTERS]))]
    lines = [line for line in lines if line]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines = lines[1:]  # "Here is the rationale:"
    if not lines:
        return Cleaned("", is_whole=True)
    line = _unwrapped(lines[0])
    text = first_sentences(line, max_sentences)
    went_on = len(lines) > 1 or len(text) < len(line)
    return Cleaned(_without_connective(text, answer), is_whole=went_on or line.rstrip("\"'”’»」)*").endswith(_ENDS))


def _unwrapped(line: str) -> str:
    """A line without bullet, emphasis, label, and quotes around the whole of it."""
    text = _BULLET.sub("", line.replace("**", ""), count=1) if _BULLET.match(line) else line.replace("**", "")
    if label := _LABEL.match(text):
        text = text[label.end() :]
    text = " ".join(text.split())
    closing = _QUOTES.get(text[:1])
    if closing and len(text) > 1 and text.endswith(closing) and closing not in text[1:-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _without_connective(text: str, answer: str) -> str:
    """`text` after its leading connective, with or without the answer before it ("Yes, because ...")."""
    start = 0
    restated = re.match(rf"(?:the answer is )?{re.escape(answer)}\s?[,.;:–—-]*\s+", text, re.IGNORECASE)
    if answer and restated and _CONNECTIVE.match(text, restated.end()):
        start = restated.end()
    found = _CONNECTIVE.match(text, start)
    if found is None:
        return text
    rest = text[found.end() :]
    # Not where it changes a name such as "iPhone".
    return rest[:1].upper() + rest[1:] if not rest[1:2].isupper() else rest
