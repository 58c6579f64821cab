"""Chat requests and replies as JSON in the OpenAI format: what is sent, what it is known by, and what came back.

Pure functions. The body is encoded once, canonically, and those very bytes are hashed and sent, so that the key of a
request cannot differ from the request; the alternative, hashing the arguments of a client library, leaves out whatever
the library adds. Replies are read by hand: building the library's typed models costs several times the parsing itself.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast  # Any: JSON values of any depth

from ostensive.chat.endpoint import ServedModelSettings
from ostensive.chat.journal import Answer
from ostensive.chat.pictures import EncodedImage, Picture, picture_reference
from ostensive.chat.records import Completion, Message, NoReply, Reply, Sampling
from ostensive.fingerprint import canonical_json, fingerprint
from ostensive.records import Spend

_SEED_BITS = 0x7FFFFFFF  # servers differ in how large a seed they take
KEY_VERSION = 1  # of the way keys are made; another number makes every journaled answer unknown

TokenLimitField = Literal["max_tokens", "max_completion_tokens"]


class MalformedReplyError(ValueError):
    """The server's answer is not a chat completion with text in it; the message says what is wrong, in a few words."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What a chat completion says. Token counts are None where the server does not report them."""

    text: str | None  # None when the model gave no text, for the reason in `finish_reason`
    finish_reason: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int
    refusal: str = ""


def data_url(image: Picture) -> str:
    """The image as a `data:` URL with its bytes in base64."""
    assert isinstance(image, EncodedImage), "pixels are encoded before they are sent"
    return f"data:{image.mime};base64,{base64.b64encode(image.data).decode('ascii')}"


def valid_text(text: str) -> str:
    """`text` with surrogates joined or, where one stands alone, replaced by U+FFFD: UTF-8 and Arrow have none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def request_body(
    model: str,
    messages: Sequence[Message],
    sampling: Sampling,
    *,
    token_limit_field: TokenLimitField = "max_tokens",  # noqa: S107 - a field name
    image_url: Callable[[Picture], str] = data_url,
) -> dict[str, Any]:
    """The body of a `chat/completions` request with every default written out."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message_json(message, image_url) for message in messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        token_limit_field: sampling.max_tokens,
    }
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    return body


def _message_json(message: Message, image_url: Callable[[Picture], str]) -> dict[str, Any]:
    text = valid_text(message.text)
    if not message.images:
        return {"role": message.role, "content": text}
    images = [{"type": "image_url", "image_url": {"url": image_url(image)}} for image in message.images]
    return {"role": message.role, "content": [*images, {"type": "text", "text": text}]}


def encode(body: Mapping[str, Any]) -> bytes:
    """The bytes that are sent: canonical JSON in UTF-8."""
    return canonical_json(body).encode("utf-8")


def request_key(endpoint: str, data: bytes, draw: int = 0) -> str:
    """What the journal knows a request by: a hash of the endpoint, the exact bytes sent to it and `Sampling.draw`."""
    known_by: dict[str, Any] = {
        "version": KEY_VERSION,
        "endpoint": endpoint,
        "body": hashlib.sha256(data).hexdigest(),
    }
    return fingerprint(known_by | ({"draw": draw} if draw else {}))


@dataclass(frozen=True, slots=True)
class Request:
    """A request before it is sent.

    `body` is None where the request has images: those bodies are made anew when their turn comes, so that waiting
    requests do not hold a second, larger copy of every image.
    """

    key: str
    messages: tuple[Message, ...]
    sampling: Sampling
    body: bytes | None


class RequestMaker:
    """Makes the requests to one teacher; `endpoint` is what their answers are remembered by."""

    def __init__(self, settings: ServedModelSettings, endpoint: str) -> None:
        self._settings = settings
        self._endpoint = endpoint

    def make(self, messages: tuple[Message, ...], sampling: Sampling) -> Request:
        """The request that asks for the next message."""
        if sampling.seed is not None:
            sampling = replace(sampling, seed=(sampling.seed + sampling.draw) & _SEED_BITS)
        body = self._encode(messages, sampling, data_url)
        pictured = any(message.images for message in messages)
        return Request(request_key(self._endpoint, body, sampling.draw), messages, sampling, None if pictured else body)

    def data(self, request: Request) -> bytes:
        """The body as it is sent."""
        return request.body or self._encode(request.messages, request.sampling, data_url)

    def journal_form(self, request: Request) -> str:
        """The body as it is kept: images replaced by their hash, MIME type and length."""
        data = request.body or self._encode(request.messages, request.sampling, picture_reference)
        return data.decode("utf-8")

    def _encode(self, messages: tuple[Message, ...], sampling: Sampling, image_url: Callable[[Picture], str]) -> bytes:
        model, limit_field = self._settings.model, self._settings.token_limit_field
        return encode(request_body(model, messages, sampling, token_limit_field=limit_field, image_url=image_url))


def parse_reply(raw: bytes) -> ParsedReply:
    """What a server's 200 answer says; raises `MalformedReplyError` if it is not a chat completion."""
    try:
        value = json.loads(raw.decode("utf-8-sig"))  # not the bytes: `json` would take UTF-16 as well
    except (ValueError, RecursionError) as error:
        raise MalformedReplyError("not JSON") from error
    if not isinstance(value, dict):
        raise MalformedReplyError("not a JSON object")
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        raise MalformedReplyError("no choices")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise MalformedReplyError("a choice without a message")
    finish_reason, refusal = choice.get("finish_reason"), message.get("refusal")
    refusal = valid_text(refusal) if isinstance(refusal, str) else ""
    finish_reason = finish_reason if isinstance(finish_reason, str) and finish_reason else "unknown"
    text = message.get("content")
    if not isinstance(text, str | None):
        raise MalformedReplyError("content that is not text")
    if text is None and finish_reason in ("stop", "unknown") and not refusal:
        raise MalformedReplyError("no content")
    model, usage = value.get("model"), value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return ParsedReply(
        text=None if text is None or (not text and finish_reason != "stop") else valid_text(text),
        finish_reason=finish_reason,
        model=valid_text(model) if isinstance(model, str) else "",
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=(_count(details.get("cached_tokens")) or 0) if isinstance(details, dict) else 0,
        refusal=refusal,
    )


def _count(value: object) -> int | None:
    # bool is an int to Python; a negative count would earn money; the journal's integers have 64 bits.
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


NO_TEXT_REASONS = {"length": "truncated reply", "content_filter": "filtered reply"}


def reply_of(parsed: ParsedReply, asked_model: str, key: str, spend: Spend) -> Reply | NoReply:
    """The reply that an answered request gives; a `NoReply` where the model gave no text at all."""
    if parsed.text is not None:
        return Reply(parsed.text, parsed.finish_reason, parsed.model or asked_model, key, spend)
    if parsed.refusal:
        return NoReply("refused by the model", " ".join(parsed.refusal.split())[:200], key, spend)
    reason = NO_TEXT_REASONS.get(parsed.finish_reason, "reply without text")
    return NoReply(reason, f"finish reason {parsed.finish_reason}", key, spend)


def spend_of(answer: Answer) -> Spend:
    """What an answer cost."""
    return Spend(1, answer.prompt_tokens, answer.completion_tokens, answer.usd)


def stored_reply(answer: Answer) -> Reply | NoReply:
    """The reply that the journal has."""
    return reply_of(parse_reply(answer.response.encode("utf-8")), answer.model, answer.key, spend_of(answer))


def completion_json(
    completion: Completion, model: str, *, completion_id: str, filtered: bool = False
) -> dict[str, object]:
    """A chat completion in the OpenAI format, without its text if `filtered`; `created` is 0 to stay reproducible."""
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None if filtered else completion.text,
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "content_filter" if filtered else completion.finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        },
    }


def parse_messages(value: object) -> tuple[Message, ...]:
    """The messages of a request body; raises `ValueError` in one line for anything but text and `data:` images."""
    if not isinstance(value, list) or not value:
        raise ValueError("messages: a list of at least one message is expected")
    return tuple(_parse_message(item, index) for index, item in enumerate(value))


def _parse_message(item: object, index: int) -> Message:
    if not isinstance(item, dict) or item.get("role") not in ("system", "user", "assistant"):
        raise ValueError(f"messages.{index}: an object with the role system, user or assistant is expected")
    role = cast(Literal["system", "user", "assistant"], item["role"])
    content = item.get("content")
    if isinstance(content, str):
        return Message(role, content)
    texts: list[str] = []
    images: list[EncodedImage] = []
    for part in content if isinstance(content, list) else [None]:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                images.append(_parse_image(url, index))
            case _:
                raise ValueError(f"messages.{index}.content: text, or parts of type text and image_url, are expected")
    return Message(role, "\n".join(texts), tuple(images))


def _parse_image(url: str, index: int) -> EncodedImage:
    head, comma, payload = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        raise ValueError(f"messages.{index}.content: a data: URL in base64 is expected, not {url[:40]!r}")
    try:
        return EncodedImage(base64.b64decode(payload, validate=True), head[len("data:") : -len(";base64")])
    except binascii.Error as error:
        raise ValueError(f"messages.{index}.content: the base64 of an image is broken ({error})") from error
