"""What the served client makes of what odd servers send: replies, the journal, tokens, cost, and keys."""

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from odd_server import OddServer, Response, in_turn

from ostensive.chat.budget import Budget, upper_bound_tokens
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.prices import Price
from ostensive.chat.records import Conversation, Message, NoReply, Reply, Sampling
from ostensive.chat.retry import Backoff
from ostensive.chat.served import ServedChat
from ostensive.errors import AccessRefusedError
from ostensive.records import Spend

ASKED = (Message("user", "what?"),)
SAMPLING = Sampling(max_tokens=50)
BOUND = upper_bound_tokens(ASKED, SAMPLING.max_tokens)
PRICE = Price(prompt=1000.0, completion=2000.0)  # a tenth of a cent and a fifth of one for a token
USED = {"prompt_tokens": 10, "completion_tokens": 4}
USD = 10 * 0.001 + 4 * 0.002
KEY = "sk-test/0123456789abcdef"


def body(content: object = "Yes.", finish: object = "stop", usage: object = USED, **message: object) -> bytes:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()


def ask(
    server: OddServer,
    path: Path,
    *follow_ups: str,
    budget: Budget | None = None,
    price: Price | None = PRICE,
    key: str = "",
    max_attempts: int = 6,
) -> Sequence[Reply | NoReply]:
    settings = ServedTeacherSettings.model_validate(
        {"model": "m", "base_url": server.base_url, "endpoint_name": "odd", "max_attempts": max_attempts}
    )
    with (
        Journal(path, "r") as journal,
        ServedChat(
            settings,
            journal=journal,
            budget=budget or Budget(),
            stop=threading.Event(),
            price=price,
            environment={"OPENAI_API_KEY": key},
            backoff=Backoff(base_s=0.01, cap_s=0.05),
        ) as chat,
    ):
        [exchange] = chat.chat([Conversation(ASKED, tuple(Message("user", text) for text in follow_ups), SAMPLING)])
    return exchange.replies


def rounded(spend: Spend) -> Spend:
    return replace(spend, usd=None if spend.usd is None else round(spend.usd, 6))


def rows(path: Path, table: str) -> list[tuple[str, int, int, float, int]]:
    columns = "response, prompt_tokens, completion_tokens, usd, estimated"
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    connection.close()
    return found


def test_reasoning_is_no_part_of_the_reply_and_is_not_sent_back(tmp_path: Path) -> None:
    with OddServer(lambda *_: body("<think>\nDraft: no.\n</think>\n\nYes.")) as server:
        first, second = ask(server, tmp_path / "j", "and?")
        again = ask(server, tmp_path / "j", "and?")
    assert isinstance(first, Reply)
    assert first.text == "Yes."
    assert tuple(again) == (first, second)
    assert len(server.received) == 2
    assert json.loads(server.received[1])["messages"][1] == {"role": "assistant", "content": "Yes."}
    assert "Draft" in rows(tmp_path / "j", "answers")[0][0], "the journal has what the server said"


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (body(None, reasoning_content="hm"), "only reasoning_content; 2 attempts"),
        (body("", reasoning_content="hm"), "only reasoning_content; 2 attempts"),
        (body(""), "empty; 2 attempts"),
        (body("<think>hm"), "only reasoning within <think>; 2 attempts"),
        (body(None, "tool_calls", tool_calls=[{}]), "only tool calls; 2 attempts"),
    ],
)
def test_a_reply_without_text_is_paid_at_most_twice_and_never_an_answer(
    reply: bytes, detail: str, tmp_path: Path
) -> None:
    with OddServer(lambda *_: reply) as server:
        [given] = ask(server, tmp_path / "j")
        assert len(server.received) == 2
        assert isinstance(given, NoReply)
        assert (given.reason, given.detail) == ("reply without text", detail)
        assert rounded(given.spend) == Spend(2, 20, 8, round(2 * USD, 6), spoiled_requests=2)
    assert rows(tmp_path / "j", "answers") == []
    assert [(row[1], row[2], row[4]) for row in rows(tmp_path / "j", "spoiled")] == [(10, 4, 0)] * 2


def test_what_was_spoiled_belongs_to_the_spend_of_the_answer_also_later(tmp_path: Path) -> None:
    with OddServer(in_turn([body(""), body("some words", "error"), body()])) as server:
        [given] = ask(server, tmp_path / "j")
        [later] = ask(server, tmp_path / "j")
    assert isinstance(given, Reply)
    assert rounded(given.spend) == Spend(3, 30, 12, round(3 * USD, 6), spoiled_requests=2)
    assert later == given
    assert len(server.received) == 3
    with Journal(tmp_path / "j", "r") as journal:
        assert journal.totals("r") == given.spend


@pytest.mark.parametrize(
    "failure",
    [
        body("", "error", usage=None),
        b'{"error": {"message": "overloaded", "code": 529}}',
        b'{"choices": [{"error": {"code": 502, "message": "gone"}, "message": {"content": ""}}]}',
        Response(b'{"error": "down"}', 500),
    ],
)
def test_a_server_error_is_tried_again_and_costs_nothing(failure: bytes | Response, tmp_path: Path) -> None:
    with OddServer(in_turn([failure, body()])) as server:
        [given] = ask(server, tmp_path / "j")
    assert isinstance(given, Reply)
    assert rounded(given.spend) == Spend(1, 10, 4, round(USD, 6))
    assert rows(tmp_path / "j", "spoiled") == []


def test_words_before_an_error_are_paid_for_and_no_answer(tmp_path: Path) -> None:
    with OddServer(lambda *_: body("some words", "error", usage=None)) as server:
        [given] = ask(server, tmp_path / "j", max_attempts=3)
    assert isinstance(given, NoReply)
    assert (given.reason, given.detail) == ("server error", "finish reason error; 3 attempts")
    assert (given.spend.requests, given.spend.spoiled_requests, given.spend.estimated_requests) == (3, 3, 3)
    assert rows(tmp_path / "j", "answers") == []


def test_an_error_with_status_200_is_quoted(tmp_path: Path) -> None:
    with OddServer(lambda *_: b'{"error": "Unexpected endpoint or method. (POST /chat/completions)"}') as server:
        [given] = ask(server, tmp_path / "j", max_attempts=2)
    assert isinstance(given, NoReply)
    assert given.detail == "Unexpected endpoint or method. (POST /chat/completions); 2 attempts"


def test_a_refused_key_with_status_200_stops_the_run(tmp_path: Path) -> None:
    refusal = b'{"error": {"code": 401, "message": "no such key: sk-test/0123456789abcdef"}}'
    with OddServer(lambda *_: refusal) as server, pytest.raises(AccessRefusedError, match=r"no such key: \[key\]"):
        ask(server, tmp_path / "j", key=KEY)


@pytest.mark.parametrize(
    ("usage", "prompt", "completion"),
    [
        (None, BOUND.prompt_tokens, 50),
        ({}, BOUND.prompt_tokens, 50),
        ({"prompt_tokens": 10}, 10, 50),
        ({"completion_tokens": 4}, BOUND.prompt_tokens, 4),
        ({"prompt_tokens": 0, "completion_tokens": 0}, BOUND.prompt_tokens, 50),
        ({"prompt_tokens": -1, "completion_tokens": "4"}, BOUND.prompt_tokens, 50),
    ],
)
def test_tokens_that_are_not_reported_are_booked_at_their_bound_and_marked(
    usage: object, prompt: int, completion: int, tmp_path: Path
) -> None:
    usd = round(prompt * 0.001 + completion * 0.002, 6)
    with OddServer(lambda *_: body(usage=usage)) as server:
        [given] = ask(server, tmp_path / "j", budget=Budget(max_usd=100.0))
        assert rounded(given.spend) == Spend(1, prompt, completion, usd, estimated_requests=1)
        with Journal(tmp_path / "j", "r") as journal:
            spent = journal.totals("r")
        assert spent == given.spend
        [later] = ask(server, tmp_path / "j", "more", budget=Budget(max_usd=100.0, spent=spent))[:1]
    assert later == given


@pytest.mark.parametrize("stale", ['{"choices": []}', "nonsense", body("").decode(), body("words", "error").decode()])
def test_a_journaled_answer_that_is_none_is_asked_again(stale: str, tmp_path: Path) -> None:
    with OddServer(lambda *_: body()) as server:
        first = ask(server, tmp_path / "j", "and?")
        with sqlite3.connect(tmp_path / "j") as connection:
            connection.execute("UPDATE answers SET response = ? WHERE key = ?", (stale, first[0].request_key))
        connection.close()
        given = ask(server, tmp_path / "j", "and?")
        assert len(server.received) == 3, "the other answer is not lost"
        assert ask(server, tmp_path / "j", "and?") == given
    assert [reply.text for reply in given if isinstance(reply, Reply)] == ["Yes.", "Yes."]
    assert rounded(given[0].spend) == Spend(2, 20, 8, round(2 * USD, 6), spoiled_requests=1)
    assert [row[0] for row in rows(tmp_path / "j", "spoiled")] == [stale]


@pytest.mark.parametrize("key", ["any", "e", "EMPTY", "1234", "sk-local"])
def test_a_key_that_a_person_types_changes_no_word(key: str, tmp_path: Path) -> None:
    text = "Any company likes any e of 1234 EMPTY sk-local baskets."
    with OddServer(lambda *_: body(text, system_fingerprint=f"for {key}")) as server:
        [given] = ask(server, tmp_path / "j", key=key)
    assert isinstance(given, Reply)
    assert given.text == text


@pytest.mark.parametrize("escaped", ["/", "\\/", "\\u002f", "\\u002F"])
def test_a_long_key_is_in_no_journal_however_it_is_written(escaped: str, tmp_path: Path) -> None:
    answer = body(f"It goes by {KEY} here.", system_fingerprint=KEY).replace(b"/", escaped.encode())
    with OddServer(in_turn([b"<p>" + answer, answer])) as server:
        [given] = ask(server, tmp_path / "j", key=KEY)
    assert isinstance(given, Reply)
    assert given.text == "It goes by [key] here."
    for path in tmp_path.iterdir():
        assert b"0123456789abcdef" not in path.read_bytes()


def test_a_key_in_an_error_is_replaced_whatever_its_length(tmp_path: Path) -> None:
    refusal = Response(b'{"error": {"message": "key any is not known to any company"}}', 400)
    with OddServer(lambda *_: refusal) as server:
        [given] = ask(server, tmp_path / "j", key="any")
    assert isinstance(given, NoReply)
    assert given.detail.startswith("status 400: key [key] is not known to [key] company")


def test_a_stream_that_nobody_asked_for_is_an_answer(tmp_path: Path) -> None:
    chunks = [{"choices": [{"delta": {"content": "Y"}}]}, {"choices": [{"delta": {"content": "es."}}], "usage": USED}]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    with OddServer(lambda *_: Response(stream, headers={"Content-Type": "text/event-stream"})) as server:
        [given] = ask(server, tmp_path / "j")
        assert list(ask(server, tmp_path / "j")) == [given]
    assert isinstance(given, Reply)
    assert (given.text, given.finish_reason, given.spend.prompt_tokens) == ("Yes.", "unknown", 10)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_prompts_are_sent_to_no_server_that_nobody_named(status: int, tmp_path: Path) -> None:
    with OddServer(lambda *_: body()) as elsewhere:
        there = {"Location": f"{elsewhere.base_url}/chat/completions?session={KEY}"}
        with (
            OddServer(lambda *_: Response(b"moved", status, there)) as server,
            pytest.raises(AccessRefusedError, match=f"status {status}: to {elsewhere.base_url}/chat") as caught,
        ):
            ask(server, tmp_path / "j", key=KEY)
        assert len(server.received) == 1
        assert elsewhere.received == []
    assert "0123456789abcdef" not in str(caught.value)
