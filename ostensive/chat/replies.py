"""What came back from a server, and whether it is an answer.

Pure functions: bytes in, values out, for any bytes. A body with status 200 is one of three things. `Answered`: there is
text, or a reason for its absence that asking again will not change; it is journaled for good. `Unusable`: paid for and
no answer. `ServerError`: the server says, with status 200, that it failed. Bodies are read by hand: building the
library's typed models costs several times the parsing itself, and they refuse most of what servers do send.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any  # Any: JSON values of any depth

from ostensive.chat.bodies import MalformedReplyError, read_body
from ostensive.chat.finish_reasons import Ending, FinishReason, finish_reason_of
from ostensive.chat.journal import Answer
from ostensive.chat.reasoning import without_reasoning
from ostensive.chat.records import NoReply, Reply
from ostensive.chat.retry import MALFORMED, NO_TEXT, RetryDecision
from ostensive.chat.server_errors import Complaint, complaint_in, complaint_of
from ostensive.chat.usage import NO_USAGE, Usage, read_usage
from ostensive.chat.wire import valid_text
from ostensive.records import Spend
from ostensive.user_paths import model_label

REFUSED, TRUNCATED, FILTERED = "refused by the model", "truncated reply", "filtered reply"
EMPTY = "empty"
NO_ANSWER = "no answer"
"""Why a journaled answer is put aside that is not one."""
_MAX_DETAIL_CHARS = 200
_REASONING_FIELDS = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "reasoning_details",
    "thinking",
    "thinking_blocks",
    "thoughts",
)
_TEXT_PARTS = {"text", "output_text", ""}
_REASONING_PARTS = {"thinking", "redacted_thinking", "reasoning", "reasoning_text", "summary_text", "thought"}
_NATIVE = (  # bodies of other APIs, by the fields they have
    ({"message", "done"}, "Ollama's own API answers so; its address for this one ends in /v1"),
    ({"response", "done"}, "Ollama's own API answers so; its address for this one ends in /v1"),
    ({"content", "stop_reason", "role"}, "Anthropic's own API answers so"),
    ({"candidates"}, "Gemini's own API answers so"),
    ({"output", "object"}, "the Responses API answers so; the address of another one is expected"),
    ({"generated_text"}, "TGI's own API answers so; its address for this one ends in /v1"),
    (
        {"content", "generation_settings"},
        "llama.cpp's own API answers so; its address for this one ends in /v1",
    ),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer. `text` is None where the model gave none; then `reason` and `detail` say why."""

    text: str | None
    finish_reason: str  # "stop", "length", "content_filter" or whatever else the server says
    model: str  # as the server names it; empty where it does not
    usage: Usage
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A reply that was paid for and is no answer: what to do, and one line that says what is wrong with it."""

    decision: RetryDecision
    detail: str
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True)
class ServerError:
    """A failure that a server tells of with status 200, in its own words.

    `is_billed` if it says what it cost, or if there was text before it.
    """

    decision: RetryDecision
    detail: str
    usage: Usage = NO_USAGE
    is_billed: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """What stands in a message; `text` without reasoning, `reasoning` is where that stands."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    has_tool_calls: bool = False


def read_answer(raw: bytes) -> Answered | Unusable | ServerError:
    """What the body of an answer with status 200 is."""
    try:
        value = read_body(raw)
    except MalformedReplyError as error:
        return Unusable(MALFORMED, str(error))
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices:
        return _without_choices(value)
    choice = choices[0] if isinstance(choices[0], dict) else {}
    finish = finish_reason_of(choice.get("finish_reason"))
    message = choice.get("message", choice.get("delta"))
    try:
        said = _said(message if isinstance(message, dict) else None, choice)
    except MalformedReplyError as error:
        if finish.ending in (Ending.WHOLE, Ending.UNKNOWN, Ending.TOOLS) and _complaint(value, choice, message) is None:
            return Unusable(MALFORMED, str(error), read_usage(value.get("usage"), has_text=False))
        said = _Said()  # Gemini leaves out the message where the limit of tokens, or a filter, left nothing
    usage = read_usage(value.get("usage"), has_text=bool(said.text.strip()))
    complaint = _complaint(value, choice, message)
    if complaint is None and finish.ending is Ending.ERROR:
        complaint = Complaint(f"finish reason {finish}", (finish.word,))
    if complaint is not None:
        return _error(complaint, usage, has_text=bool(said.text.strip() or said.reasoning))
    model = value.get("model")
    return _judged(said, finish, valid_text(model) if isinstance(model, str) else "", usage)


def _complaint(value: Mapping[str, Any], choice: Mapping[str, Any], message: object) -> Complaint | None:
    places = (value, choice, message if isinstance(message, dict) else {})
    return next(filter(None, map(complaint_in, places)), None)


def _without_choices(value: object) -> Unusable | ServerError:
    complaint = complaint_of(value)
    if not isinstance(value, dict):
        return _error(complaint, NO_USAGE) if complaint else Unusable(MALFORMED, "not a JSON object")
    usage = read_usage(value.get("usage"), has_text=False)
    native = next((words for names, words in _NATIVE if names <= value.keys()), "")
    if complaint is not None and not native:
        return _error(complaint, usage)
    return Unusable(MALFORMED, f"no choices: {native}" if native else "no choices", usage)


def _error(complaint: Complaint, usage: Usage, *, has_text: bool = False) -> ServerError:
    is_billed = has_text or bool(usage.prompt_tokens or usage.completion_tokens)
    return ServerError(complaint.decision(), valid_text(complaint.message) or "no message", usage, is_billed)


def _judged(said: _Said, finish: FinishReason, model: str, usage: Usage) -> Answered | Unusable:
    """Whether what was said is an answer, and if there is none, whether that is for good."""
    if said.refusal or finish.ending is Ending.REFUSED:
        words = " ".join((said.refusal or said.text).split())[:_MAX_DETAIL_CHARS]
        return Answered(None, finish.word, model, usage, REFUSED, words or f"finish reason {finish}")
    if said.text.strip():
        return Answered(said.text, finish.word, model, usage)
    if finish.ending is Ending.FILTERED:
        return Answered(None, finish.word, model, usage, FILTERED, f"finish reason {finish}")
    if finish.ending is Ending.LENGTH:
        detail = f"finish reason {finish}"
        if said.reasoning:
            detail += f": only {said.reasoning}"
        # Where reasoning is not shown, nothing but the tokens tells of it.
        detail += "; a larger max_tokens leaves room for an answer"
        return Answered(None, finish.word, model, usage, TRUNCATED, detail)
    if said.reasoning:
        return Unusable(NO_TEXT, f"only {said.reasoning}", usage)
    if said.has_tool_calls or finish.ending is Ending.TOOLS:
        return Unusable(NO_TEXT, "only tool calls", usage)
    return Unusable(NO_TEXT, EMPTY if finish.ending is Ending.WHOLE else f"{EMPTY}, finish reason {finish}", usage)


def _said(message: Mapping[str, Any] | None, choice: Mapping[str, Any]) -> _Said:
    if message is None:
        if not isinstance(choice.get("text"), str):
            raise MalformedReplyError("a choice without a message")
        message = {"content": choice["text"]}  # of the older completions
    texts, reasonings, refusals = _parts(message.get("content"))
    found = without_reasoning(valid_text("".join(texts)))
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        refusals.append(refusal)
    fields = [name for name in _REASONING_FIELDS if message.get(name)] or reasonings
    if not fields and found.mark:
        fields = [f"reasoning within {found.mark}"]
    calls = any(message.get(name) for name in ("tool_calls", "function_call"))
    return _Said(found.text, fields[0] if fields else "", valid_text(" ".join(refusals)).strip(), calls)


def _parts(content: object) -> tuple[list[str], list[str], list[str]]:
    """The texts of a `content`, what its reasoning stands in, and its refusals."""
    texts: list[str] = []
    reasonings: list[str] = []
    refusals: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            kind, text = part.get("type", ""), part.get("text")
            text = text.get("value") if isinstance(text, dict) else text
            if kind in _REASONING_PARTS or part.get("thought") is True:
                reasonings.append(f"parts of type {kind or 'thought'}")
            elif kind == "refusal":
                refusals.append(
                    next((value for value in (part.get("refusal"), text) if isinstance(value, str)), "refused")
                )
            elif kind in _TEXT_PARTS and isinstance(text, str):
                texts.append(text)
        elif part is not None:
            raise MalformedReplyError("content that is not text")
    return texts, reasonings, refusals


def reply_of(answered: Answered, asked_model: str, key: str, spend: Spend) -> Reply | NoReply:
    """The reply that an answered request gives; a `NoReply` where the model gave no text at all."""
    if answered.text is None:
        return NoReply(answered.reason, answered.detail, key, spend)
    return Reply(answered.text, answered.finish_reason, model_label(answered.model or asked_model), key, spend)


def spend_of(answer: Answer) -> Spend:
    """What an answer cost."""
    tokens = answer.prompt_tokens, answer.completion_tokens
    return Spend(1, *tokens, answer.usd, estimated_requests=int(answer.estimated))


def stored_replies(
    answers: Iterable[Answer], *, generated: bool = False
) -> tuple[dict[str, Reply | NoReply], list[Answer]]:
    """The replies of answers that the journal has, by key, and those of `answers` that are none.

    The second come from a time, or a program, that took more for answers. What was `generated` on this machine costs
    no money and comes out the same again: there a reply without text is one, and an empty text is a text.
    """
    replies: dict[str, Reply | NoReply] = {}
    refused = []
    for answer in answers:
        read = read_answer(answer.response.encode("utf-8", "replace"))
        if generated and isinstance(read, Unusable) and read.decision is NO_TEXT:
            text = "" if read.detail == EMPTY else None
            read = Answered(text, "stop", answer.model, read.usage, NO_TEXT.reason, read.detail)
        if isinstance(read, Answered):
            replies[answer.key] = reply_of(read, answer.model, answer.key, spend_of(answer))
        else:
            refused.append(answer)
    return replies, refused
