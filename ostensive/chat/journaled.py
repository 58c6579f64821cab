"""What a journal holds of requests, for people to read: messages with their pictures named, and the reply as it came.

The journal is opened to read only: it may be a run's that is at work.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values of any depth

from ostensive.chat.bodies import MalformedReplyError
from ostensive.chat.journal import JOURNAL
from ostensive.chat.replies import Answered, read_answer
from ostensive.json_text import parse_cut_json

_KEYS_A_QUERY: Final = 500


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message as it was sent. `pictures` are known by their hash and size; the journal holds no more of them."""

    role: str
    text: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournaledExchange:
    """A request and its answer. `reply` is the text before any parsing by a recipe; None where there was none."""

    key: str
    model: str  # that was asked for
    messages: tuple[SentMessage, ...]
    sampling: Mapping[str, Any]  # all else that was sent: temperature, seed, limits
    reply: str | None
    finish_reason: str
    response: str  # the body as it came
    prompt_tokens: int
    completion_tokens: int
    usd: float | None  # None where the price is not known


def read_exchanges(journal: Path, keys: Iterable[str]) -> dict[str, JournaledExchange]:
    """The exchanges with these keys that the journal has, by key; raises `StorageError` for a file that is none."""
    wanted = sorted(set(keys))
    found = {}
    try:
        with closing(JOURNAL.connect_to_read(journal)) as connection:
            for start in range(0, len(wanted), _KEYS_A_QUERY):
                for row in _rows(connection, wanted[start : start + _KEYS_A_QUERY]):
                    found[row[0]] = _exchange(*row)
    except sqlite3.Error as error:
        raise JOURNAL.storage_error(journal, error) from error
    return found


def _rows(connection: sqlite3.Connection, keys: list[str]) -> list[tuple[Any, ...]]:
    columns = "key, model, request, response, prompt_tokens, completion_tokens, usd"
    marks = ", ".join("?" * len(keys))
    query = f"SELECT {columns} FROM answers WHERE key IN ({marks})"  # noqa: S608 - constants and marks
    return connection.execute(query, keys).fetchall()


def _exchange(
    key: str, model: str, request: str, response: str, prompt_tokens: int, completion_tokens: int, usd: float | None
) -> JournaledExchange:
    body = _body(request)
    messages = tuple(_messages(body.pop("messages", None)))
    body.pop("model", None)
    answer = read_answer(response.encode("utf-8", "replace"))
    return JournaledExchange(
        key,
        model,
        messages or (SentMessage("request", request),),
        dict(sorted(body.items())),
        answer.text if isinstance(answer, Answered) else None,
        answer.finish_reason if isinstance(answer, Answered) else "",
        response,
        prompt_tokens,
        completion_tokens,
        usd,
    )


def _body(request: str) -> dict[str, Any]:
    try:
        value = parse_cut_json(request)
    except (MalformedReplyError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _messages(value: Any) -> Iterator[SentMessage]:
    """The messages of a body; of parts that are neither text nor a picture their JSON."""
    for message in value if isinstance(value, list) else ():
        if not isinstance(message, dict):
            continue
        content, texts, pictures = message.get("content"), [], []
        for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            match part:
                case {"type": "text", "text": str(text)}:
                    texts.append(text)
                case {"type": "image_url", "image_url": {"url": str(url)}}:
                    pictures.append(url if not url.startswith("data:") else url.partition(",")[0])
                case _:
                    texts.append(json.dumps(part, ensure_ascii=False, sort_keys=True))
        yield SentMessage(str(message.get("role", "")), "\n".join(texts), tuple(pictures))
