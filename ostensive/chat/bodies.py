"""The body of an answer as JSON: how deep it may nest, streams that nobody asked for, and what else it may be.

How deep `json` reads depends on the version of Python and on how deep the caller stands. What is nested deeper than any
answer is cut out before, so that a body that was read once is read again, anywhere.
"""

import re
from collections.abc import Iterator
from typing import Any  # Any: JSON values of any depth

from ostensive.json_text import parse_cut_json

_STREAM_FIELDS = ("data:", "event:", "id:", "retry:", ":")
_LINE_END = re.compile(r"\r\n|\r|\n")
_DONE = "[DONE]"


class MalformedReplyError(ValueError):
    """The server's answer is not a chat completion; the message says what is wrong, in a few words."""


def read_body(raw: bytes) -> Any:  # Any: as above
    """The JSON value of a body, a stream put together to one completion; raises `MalformedReplyError` for others."""
    try:
        text = raw.decode("utf-8-sig").strip()  # not the bytes: `json` would take UTF-16 as well
    except ValueError as error:
        raise MalformedReplyError("not JSON: not UTF-8") from error
    if text.startswith(_STREAM_FIELDS):
        return _put_together(_stream_chunks(text))
    try:
        return parse_cut_json(text)
    except ValueError as error:
        raise MalformedReplyError(f"not JSON{_instead(text)}") from error


def _stream_chunks(text: str) -> Iterator[Any]:  # Any: as above
    event: list[str] = []
    for line in (*_LINE_END.split(text), ""):  # `splitlines` knows ends of lines that JSON may hold
        if line.startswith("data:"):
            event.append(line[len("data:") :].strip())
        elif not line.strip() and event:
            # An event of several lines is one value; some gateways leave out the blank lines between events.
            parts = event if len(event) == 1 or event[0].endswith("}") else ["\n".join(event)]
            event = []
            for data in parts:
                if data == _DONE:
                    return
                try:
                    yield parse_cut_json(data)
                except ValueError as error:
                    raise MalformedReplyError("a stream of events that are not JSON") from error


def _put_together(chunks: Iterator[Any]) -> dict[str, Any]:  # Any: as above
    """One completion of the chunks of a stream: what is said piece by piece joined, of all else the last."""
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    pieces: dict[str, list[Any]] = {}
    first: dict[str, Any] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict):
            raise MalformedReplyError("a stream of events that are no chunks")
        whole |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            continue
        first |= {name: value for name, value in choice.items() if name not in ("delta", "text") and value is not None}
        if isinstance(choice.get("text"), str):
            pieces.setdefault("content", []).append(choice["text"])
        delta = choice.get("delta")
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if isinstance(value, str) and name not in ("role", "id"):
                pieces.setdefault(name, []).append(value)
            elif isinstance(value, list):
                pieces.setdefault(name, []).extend(value)
            elif value is not None:
                message[name] = value
    for name, said in pieces.items():
        texts = all(isinstance(piece, str) for piece in said)
        message[name] = "".join(said) if texts else said
    if first or message:
        # A whole message in a choice of a stream is one as well.
        whole["choices"] = [{"message": message, **first} if message else first]
    return whole


def _instead(text: str) -> str:
    """What a body that is no JSON looks like, after a colon."""
    start = text[:2000].lower()
    if not text:
        return ": empty"
    if start.startswith(("<!doctype html", "<html")) or "<title>" in start:
        return f": a web page{page_title(text)}"
    if text[0] == "{" and text.find("\n{") > 0:
        return ": several objects, one a line"
    return "" if text[0] in "{[" else f": {' '.join(text[:80].split())}"


def page_title(text: str) -> str:
    """The title of a page of HTML after a space, in quotes; empty where it has none."""
    found = re.search(r"<title[^<>]{0,200}>([^<>]{1,500})<", text[:20_000], re.IGNORECASE)
    return "" if found is None else f" ({' '.join(found[1].split())[:100]!r})"
