"""Chat requests as JSON in the OpenAI format: what is sent, what it is known by, and what a server of ours reads.

Pure functions. The body is encoded once, canonically, and those very bytes are hashed and sent, so that the key of a
request cannot differ from the request; the alternative, hashing the arguments of a client library, leaves out whatever
the library adds. What comes back is read in `replies`.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast  # Any: JSON values of any depth

from ostensive.chat.endpoint import ServedModelSettings
from ostensive.chat.pictures import EncodedImage, Picture, picture_reference
from ostensive.chat.records import Completion, Message, Sampling
from ostensive.fingerprint import canonical_json, fingerprint

_SEED_BITS = 0x7FFFFFFF  # servers differ in how large a seed they take
KEY_VERSION = 1  # of the way keys are made; another number makes every journaled answer unknown

TokenLimitField = Literal["max_tokens", "max_completion_tokens"]


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
