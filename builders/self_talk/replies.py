"""What a model went on with, as the topic of a question or as a clarification; or why it is none."""

import re

NO_QUESTION_MARK = "question does not end"
OFF_TOPIC = "question without a word of the text"
NO_END = "answer does not end"
EMPTY = "answer says nothing"
PERSONAL = "answer speaks of me or you"

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_PERSONS = frozenset({"i", "i'm", "i’m", "me", "my", "you", "your"})


class ReplyError(ValueError):
    """A reply is of no use; the message is the reason, one of a few."""


def topic_of(reply: str, about: str) -> str:
    """What a question is about that the model went on with, without its mark; raises `ReplyError`.

    It has a word of the text in common with it, as in the published code: small models soon ask about something else.
    """
    text, mark, _ = reply.partition("?")
    topic = " ".join(text.split())
    if not mark:
        raise ReplyError(NO_QUESTION_MARK)
    if not _words(topic) & _words(about):
        raise ReplyError(OFF_TOPIC)
    return topic


def clarification_of(beginning: str, reply: str, *, is_whole: bool) -> str:
    """The statement that the model went on with, up to the end of its sentence; raises `ReplyError`.

    `is_whole` says that the model itself ended its text. What speaks of me or you is none, as in the published code.
    """
    end = _SENTENCE_END.search(reply)
    if end is None and not is_whole:
        raise ReplyError(NO_END)
    text = " ".join((reply if end is None else reply[: end.end()]).split())
    if not _words(text):
        raise ReplyError(EMPTY)
    if _words(text) & _PERSONS:
        raise ReplyError(PERSONAL)
    blank = "" if reply[:1] in (",", ";", ":") else " "
    return f"{beginning}{blank}{text}" if text[-1] in ".!?" else f"{beginning}{blank}{text}."


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))
