"""The scripted server: the format it speaks, its latency and its faults, over real HTTP."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.message import Message as Headers
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.faults import FAULT_KINDS, Faults, choose_fault, parse_faults
from ostensive.chat.pictures import EncodedImage
from ostensive.chat.records import Message, Sampling
from ostensive.chat.scripted import script_seed
from ostensive.chat.server import ServerSettings, ServerThread, serve
from ostensive.chat.wire import encode, request_body
from ostensive.errors import SettingsError


def echo(messages: Sequence[Message], seed: int) -> str:
    images = sum(len(message.images) for message in messages)
    return f"{len(messages)} messages, {images} images, last {messages[-1].text!r}, {seed}"


def ask(
    base_url: str, body: Any, headers: dict[str, str] | None = None, timeout_s: float = 10
) -> tuple[int, Headers, Any]:  # Any: JSON values, in and out
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{base_url}/chat/completions", data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return response.status, response.headers, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


def question(text: str = "hi") -> dict[str, Any]:  # Any: JSON values
    return {"model": "scripted", "messages": [{"role": "user", "content": text}]}


def test_a_completion_in_the_openai_format() -> None:
    messages = (Message("system", "Be brief."), Message("user", "What?", (EncodedImage(b"picture", "image/png"),)))
    with ServerThread(echo) as server:
        body = encode(request_body("scripted", messages, Sampling()))
        status, _, value = ask(server.base_url, body)
        again = ask(server.base_url, body)[2]
    assert status == 200
    assert value == again
    assert (
        value["choices"][0]["message"]["content"]
        == f"2 messages, 1 images, last 'What?', {script_seed(messages, None)}"
    )
    assert value["choices"][0]["finish_reason"] == "stop"
    assert value["usage"]["total_tokens"] == value["usage"]["prompt_tokens"] + value["usage"]["completion_tokens"]
    assert (server.stats.received, server.stats.answered, server.stats.distinct) == (2, 2, 1)
    assert (server.stats.most_sent, server.stats.sent_after_answer) == (2, 1)


def test_models_and_statistics_over_http() -> None:
    with ServerThread(echo) as server:
        ask(server.base_url, question())
        with urllib.request.urlopen(f"{server.base_url}/models") as response:
            assert json.loads(response.read())["data"][0]["id"] == "scripted"
        with urllib.request.urlopen(server.base_url.removesuffix("/v1") + "/stats") as response:
            stats = json.loads(response.read())
    assert (stats["received"], stats["answered"], stats["max_open"], stats["faults"]) == (1, 1, 1, {})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "Expecting property name"),
        ([], "a JSON object is expected"),
        ({"messages": []}, "messages: a list of at least one message is expected"),
        (question() | {"stream": True}, "stream: this server does not stream"),
        (question() | {"max_tokens": 0}, "max_tokens: a whole number of at least 1 is expected"),
        (question() | {"seed": "x"}, "seed: a whole number is expected"),
    ],
)
def test_bad_requests_get_400_with_a_reason(body: Any, problem: str) -> None:  # Any: JSON values
    with ServerThread(echo) as server:
        status, _, value = ask(server.base_url, body)
    assert status == 400
    assert problem in value["error"]["message"]


def test_the_token_limit_is_kept() -> None:
    with ServerThread(echo) as server:
        for name in ("max_tokens", "max_completion_tokens"):
            value = ask(server.base_url, question() | {name: 2})[2]
            assert value["choices"][0]["message"]["content"] == "1 messages,"
            assert value["choices"][0]["finish_reason"] == "length"


def test_a_required_key_is_required_and_the_one_that_was_sent_is_echoed() -> None:
    with ServerThread(echo, ServerSettings(required_key="right")) as server:
        status, _, value = ask(server.base_url, question(), {"Authorization": "Bearer wrong-key"})
        assert status == 401
        assert "Bearer wrong-key" in value["error"]["message"]
        assert ask(server.base_url, question(), {"Authorization": "Bearer right"})[0] == 200
    assert (server.stats.unauthorized, server.stats.received) == (1, 1)


def test_latency_is_from_arrival_to_answer_and_requests_wait_side_by_side() -> None:
    with ServerThread(echo, ServerSettings(latency_s=0.3)) as server, ThreadPoolExecutor(8) as pool:
        start = time.perf_counter()
        list(pool.map(lambda number: ask(server.base_url, question(str(number))), range(8)))
        seconds = time.perf_counter() - start
    assert 0.3 <= seconds < 2.0
    assert server.stats.max_open == 8


def faulty(kind: str, **changes: float) -> ServerSettings:
    return ServerSettings(faults=replace(Faults(most_per_request=1), **{kind: 1.0}, **changes))  # type: ignore[arg-type]  # names of fields


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limited", 429), ("rate_limited_date", 429), ("server_error", 500), ("unavailable", 503)]
)
def test_faults_of_status(kind: str, status: int) -> None:
    with ServerThread(echo, faulty(kind, retry_after_s=2.0)) as server:
        got, headers, _ = ask(server.base_url, question())
        assert got == status
        wait = headers.get("Retry-After", "")
        expected = {"rate_limited": r"2", "rate_limited_date": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"}
        assert re.fullmatch(expected.get(kind, ""), wait)
        assert ask(server.base_url, question())[0] == 200
    assert server.stats.faults == {kind: 1}
    assert (server.stats.answered, server.stats.sent_after_answer) == (1, 0)


def test_faults_of_content() -> None:
    with ServerThread(echo, faulty("bad_json")) as server, pytest.raises(json.JSONDecodeError):
        ask(server.base_url, question())
    with ServerThread(echo, faulty("no_choices")) as server:
        assert ask(server.base_url, question())[2]["choices"] == []
        assert server.stats.answered == 0
    with ServerThread(echo, faulty("length")) as server:
        cut = ask(server.base_url, question())[2]["choices"][0]
        whole = ask(server.base_url, question())[2]["choices"][0]
        assert (cut["finish_reason"], whole["finish_reason"]) == ("length", "stop")
        assert whole["message"]["content"].startswith(cut["message"]["content"])
        assert len(cut["message"]["content"]) < len(whole["message"]["content"])
    with ServerThread(echo, faulty("content_filter")) as server:
        filtered = ask(server.base_url, question())[2]["choices"][0]
        assert (filtered["finish_reason"], filtered["message"]["content"]) == ("content_filter", None)


def test_it_can_close_midway() -> None:
    with ServerThread(echo, faulty("close_midway")) as server, pytest.raises(http.client.IncompleteRead):
        ask(server.base_url, question())


def test_it_can_hang_and_still_be_stopped() -> None:
    start = time.perf_counter()
    with ServerThread(echo, faulty("hang")) as server, pytest.raises(TimeoutError):
        ask(server.base_url, question(), timeout_s=0.3)
    assert time.perf_counter() - start < 5


@given(st.binary(min_size=32, max_size=32), st.integers(1, 6))
def test_faults_depend_on_content_and_count_alone_and_end(digest: bytes, attempt: int) -> None:
    faults = Faults(server_error=0.5, hang=0.5, most_per_request=3)
    assert choose_fault(faults, digest, attempt) == choose_fault(faults, digest, attempt)
    assert bool(choose_fault(faults, digest, attempt)) == (attempt <= 3)


def test_faults_come_as_often_as_they_should() -> None:
    faults = Faults(**dict.fromkeys(FAULT_KINDS, 0.05))  # type: ignore[arg-type]  # names of fields
    drawn = Counter(choose_fault(faults, number.to_bytes(32, "big"), 1) for number in range(20_000))
    assert all(800 < drawn[kind] < 1200 for kind in FAULT_KINDS)
    assert 9_500 < drawn[""] < 10_500


@pytest.mark.parametrize("chances", [{"hang": 1.5}, {"hang": -0.1}, {"hang": 0.6, "bad_json": 0.6}])
def test_impossible_probabilities_are_refused(chances: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="faults: probabilities from 0 to 1 with a sum of at most 1 are expected"):
        Faults(**chances)  # type: ignore[arg-type]  # names of fields


def test_a_taken_port_is_named() -> None:
    with ServerThread(echo) as server:
        port = urlsplit(server.base_url).port
        assert port is not None
        with pytest.raises(SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            serve(echo, ServerSettings(), port=port, on_ready=lambda base_url: pytest.fail("it listens"))


def test_a_fault_is_given_once() -> None:
    assert parse_faults(["server_error=0.1"]) == {"server_error": 0.1}
    with pytest.raises(SettingsError, match=r"--fault server_error=0\.3: server_error is given twice; give it once"):
        parse_faults(["server_error=0.1", "server_error=0.3"])
