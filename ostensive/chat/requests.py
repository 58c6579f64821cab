"""Requests to a served model: made once, known by their key, in the form that is sent and in the form that is kept."""

from collections.abc import Callable
from dataclasses import dataclass

from ostensive.chat.records import ImagePart, Message, Sampling
from ostensive.chat.wire import data_url, encode, image_reference, request_body, request_key
from ostensive.recipe import ServedModelSettings


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
        body = self._encode(messages, sampling, data_url)
        pictured = any(message.images for message in messages)
        return Request(request_key(self._endpoint, body, sampling.draw), messages, sampling, None if pictured else body)

    def data(self, request: Request) -> bytes:
        """The body as it is sent."""
        return request.body or self._encode(request.messages, request.sampling, data_url)

    def journal_form(self, request: Request) -> str:
        """The body as it is kept: images replaced by their hash, MIME type and length."""
        data = request.body or self._encode(request.messages, request.sampling, image_reference)
        return data.decode("utf-8")

    def _encode(
        self, messages: tuple[Message, ...], sampling: Sampling, image_url: Callable[[ImagePart], str]
    ) -> bytes:
        settings = self._settings
        limit_field = settings.token_limit_field
        return encode(
            request_body(settings.model, messages, sampling, token_limit_field=limit_field, image_url=image_url)
        )
