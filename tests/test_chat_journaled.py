"""What a journal says of a request, for people to read, whatever was sent and whatever came back."""

import json
import sqlite3
from pathlib import Path

import pytest

from ostensive.chat.journal import Answer, Entry, Journal
from ostensive.chat.journaled import SentMessage, read_exchanges
from ostensive.errors import StorageError

REPLY = json.dumps(
    {"choices": [{"finish_reason": "length", "index": 0, "message": {"role": "assistant", "content": "A\nB"}}]}
)


def journal_of(path: Path, **entries: tuple[object, str]) -> Path:
    """A journal with the requests and responses of `entries`, by key."""
    made = [
        Entry(
            Answer(key, "http://server", "m", response, 7, 2, 0, None),
            request if isinstance(request, str) else json.dumps(request),
        )
        for key, (request, response) in entries.items()
    ]
    with Journal(path, "run") as journal:
        journal.record(made).result()
    return path


def test_messages_and_what_else_was_sent(tmp_path: Path) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "sha256:00;pixels;8x8;RGB"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "What is it?"},
        {"type": "odd", "x": 1},
    ]
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}],
        "seed": 3,
    }
    path = journal_of(tmp_path / "j.sqlite", k=(body, REPLY), other=(body, REPLY))
    found = read_exchanges(path, ["k", "k", "missing"])
    assert list(found) == ["k"]
    assert found["k"].messages == (
        SentMessage("system", "Be kind."),
        SentMessage(
            "user", 'What is it?\n{"type": "odd", "x": 1}', ("sha256:00;pixels;8x8;RGB", "data:image/png;base64")
        ),
    )
    assert found["k"].sampling == {"seed": 3}
    assert (found["k"].reply, found["k"].finish_reason, found["k"].response) == ("A\nB", "length", REPLY)
    assert (found["k"].prompt_tokens, found["k"].completion_tokens, found["k"].usd) == (7, 2, None)


@pytest.mark.parametrize("request_", ["not JSON", "[1]", '{"messages": 3}', '{"messages": [4]}', "{" * 300])
@pytest.mark.parametrize("response", ["", "<html>", '{"choices": []}', "[" * 300])
def test_what_cannot_be_read_is_shown_as_it_is(tmp_path: Path, request_: str, response: str) -> None:
    path = journal_of(tmp_path / "j.sqlite", k=(request_, response))
    (found,) = read_exchanges(path, ["k"]).values()
    assert found.messages == (SentMessage("request", request_),)
    assert (found.reply, found.response) == (None, response)


def test_many_keys(tmp_path: Path) -> None:
    entries: dict[str, tuple[object, str]] = {f"k{number}": ({"messages": []}, REPLY) for number in range(1300)}
    path = journal_of(tmp_path / "j.sqlite", **entries)
    assert len(read_exchanges(path, entries)) == 1300


def test_reading_beside_a_writer_and_alone_leaves_nothing_behind(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "j.sqlite", k=({"messages": []}, REPLY))
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert len(read_exchanges(path, ["k"])) == 1
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
    with Journal(path, "run") as journal:
        journal.record([Entry(Answer("new", "e", "m", REPLY, 1, 1, 0, 0.0), "{}")]).result()
        assert len(read_exchanges(path, ["k", "new"])) == 2


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        read_exchanges(tmp_path / "nowhere.sqlite", ["k"])
    for name, content in (("text", b"Not a database at all, though it is long enough"), ("one", b"x")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StorageError, match="not a journal"):
            read_exchanges(tmp_path / name, ["k"])
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(StorageError, match="an SQLite file, but not a journal"):
        read_exchanges(tmp_path / "other.sqlite", ["k"])
