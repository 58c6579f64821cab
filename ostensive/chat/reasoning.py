"""The answer in a text, without the reasoning that a model wrote before it.

Where a server does not take reasoning out of a reply, it stands there between tags, or before a closing tag alone:
many chat templates have the opening one in the prompt. One pass finds the tags; no pattern can backtrack further than
the length of one tag, so that the time is linear. Counting how deep tags nest, the alternative, loses the answer of a
model that only mentions its opening tag.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Tags in angle brackets, whatever stands before a colon in them; and what comes as a pair of its own: Command A,
# Apertus, Sky-T1, Gemma; Magistral and Kimi. A closing one is in a group.
_NAME = (
    r"(?:[a-z][\w.-]{0,20}:)?(?:think(?:ing)?|thoughts?|thought_process|reasoning|reflection|scratchpad)"
    r"(?:[ \t/][^<>\n]{0,200})?"
)
_TAG = re.compile(
    rf"<(?:([ \t]{{0,8}}/[ \t]{{0,8}}{_NAME}|\|(?:END_THINKING|inner_suffix|end_of_thought)\||channel\|)"
    rf"|[ \t]{{0,8}}{_NAME}|\|(?:START_THINKING|inner_prefix|begin_of_thought)\||\|channel)>"
    r"|(\[/THINK\]|◁/think▷)|\[THINK\]|◁think▷",
    re.IGNORECASE,
)
# What a tokenizer leaves at the end of a turn; `</s>` is also the end of struck-out text, which has a beginning.
_STRUCK_OUT = "</s>"
_END_TOKENS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<|return|>",
    "<|END_RESPONSE|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|end_of_solution|>",
    "<end_of_turn>",
    "<turn|>",
    "<｜end▁of▁sentence｜>",
    "<eos>",
)


def _backwards(*tokens: str) -> re.Pattern[str]:
    # Matched from the end of a text: a pattern that is searched for up to an end is tried at every place.
    return re.compile(rf"(?:\s|{'|'.join(re.escape(token[::-1]) for token in tokens)})*+")


_END, _END_BUT_STRUCK_OUT = _backwards(*_END_TOKENS, _STRUCK_OUT), _backwards(*_END_TOKENS)
_WRAPPERS = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<output>", "</output>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)
_HARMONY = re.compile(r"<\|(start|channel|message|end|return|call)\|>")
_HARMONY_MESSAGE = "<|message|>"
_BARE_FINAL = "assistantfinal"  # harmony whose special tokens were dropped: "analysis...assistantfinal..."


@dataclass(frozen=True, slots=True)
class Unreasoned:
    """A text without its reasoning. `mark` is the first mark that was found, "" where the text has no reasoning."""

    text: str
    mark: str = ""


def without_reasoning(text: str) -> Unreasoned:
    """The answer that `text` gives; a text without reasoning and without left-over tokens is returned as it is.

    What stands within tags is not the answer, nor what stands before a closing tag that nothing opened. A text that
    ends within a block has no answer, whatever came before. Pieces of an answer are on lines of their own.
    """
    final = _final_channel(text)
    outside = _outside_of_tags(final.text)
    mark = final.mark or outside.mark
    answer = _without_end_tokens(outside.text)
    if mark:
        answer = _unwrapped(answer.strip())
    if answer.startswith("analysis") and _BARE_FINAL in answer:
        mark = mark or "analysis"
        answer = answer[answer.rindex(_BARE_FINAL) + len(_BARE_FINAL) :]
    return Unreasoned(_without_end_tokens(answer.strip()), mark) if mark else Unreasoned(answer)


def _final_channel(text: str) -> Unreasoned:
    """The messages in the channel `final` of OpenAI's harmony format; other texts as they are."""
    if _HARMONY_MESSAGE not in text:
        return Unreasoned(text)
    pieces: list[str] = []
    header, at, within = "", 0, "header"  # a reply begins in the header that the prompt has begun

    def take(end: int) -> None:
        if within == "message" and _is_final(header):
            pieces.append(text[at:end])

    for token in _HARMONY.finditer(text):
        take(token.start())
        if token[1] == "message":
            header = text[at : token.start()] if within == "header" else header
            within = "message"
        elif token[1] in ("start", "channel"):
            within = "header"
        else:
            within = "between"
        at = token.end()
    take(len(text))
    return Unreasoned(_on_lines(pieces), "<|channel|>")


def _is_final(header: str) -> bool:
    return not header.strip().lower().startswith(("analysis", "commentary"))


def _outside_of_tags(text: str) -> Unreasoned:
    if "<" not in text and "◁" not in text and "think]" not in text.lower():
        return Unreasoned(text)  # nearly always, and in a tenth of the time
    pieces: list[str] = []
    mark, at, within = "", 0, False
    nested, resumed = 0, 0  # openings within the last block, and how many pieces there were when it ended
    for tag in _TAG.finditer(text):
        mark = mark or tag[0][:40]
        if tag.lastindex is not None:
            if within:
                within, resumed = False, len(pieces)
            else:  # the end of a block that another was within, or of one that the prompt has opened
                del pieces[resumed if nested else 0 :]
                nested = max(0, nested - 1)
            at = tag.end()
        elif within:
            nested += 1
        else:
            pieces.append(text[at : tag.start()])
            at, within, nested = tag.end(), text[tag.end() - 2] != "/", 0
    if within:
        return Unreasoned("", mark)
    if not mark:
        return Unreasoned(text)
    pieces.append(text[at:])
    return Unreasoned(_on_lines(pieces), mark)


def _on_lines(pieces: Sequence[str]) -> str:
    """`pieces` on lines of their own: put side by side, what stood around a block could be a tag itself."""
    joined: list[str] = []
    for piece in filter(None, pieces):
        if joined and not (joined[-1].endswith("\n") or piece.startswith("\n")):
            joined.append("\n")
        joined.append(piece)
    return "".join(joined)


def _without_end_tokens(text: str) -> str:
    ends = _END_BUT_STRUCK_OUT if "<s>" in text else _END
    found = ends.match(text[::-1])
    return text[: len(text) - found.end()] if found and found[0].strip() else text


def _unwrapped(text: str) -> str:
    """`text` without the tags around all of it that go with reasoning; a reply that was cut has only the first."""
    for opens, closes in _WRAPPERS:
        if text.startswith(opens):
            inner = text[len(opens) :]
            return (inner[: -len(closes)] if inner.endswith(closes) else inner).strip()
    return text
