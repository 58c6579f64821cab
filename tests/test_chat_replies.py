"""What a body with status 200 is: an answer, a reply of no use, or a failure."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.journal import Answer
from ostensive.chat.records import Completion, NoReply, Reply
from ostensive.chat.replies import Answered, ServerError, Unusable, read_answer, reply_of, stored_replies
from ostensive.chat.retry import MALFORMED, NO_TEXT, Action
from ostensive.chat.usage import Usage
from ostensive.chat.wire import completion_json, encode
from ostensive.records import Spend

MORE = "a larger max_tokens leaves room for an answer"


def completion(**changes: Any) -> bytes:  # Any: JSON values
    value: dict[str, Any] = completion_json(Completion("Hello.", "stop", 12, 3), "m-1", completion_id="c")
    return encode(value | changes)


def choice(content: object, finish_reason: object = "stop", **message: object) -> bytes:
    message = {"role": "assistant", "content": content, **message}
    return completion(choices=[{"message": message, "finish_reason": finish_reason}])


def answered(raw: bytes) -> Answered:
    read = read_answer(raw)
    assert isinstance(read, Answered), read
    return read


def unusable(raw: bytes) -> Unusable:
    read = read_answer(raw)
    assert isinstance(read, Unusable), read
    return read


def failed(raw: bytes) -> ServerError:
    read = read_answer(raw)
    assert isinstance(read, ServerError), read
    return read


def test_a_completion_is_read() -> None:
    assert read_answer(completion()) == Answered("Hello.", "stop", "m-1", Usage(12, 3))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("whole", "whole"),
        ("  as it is \n", "  as it is \n"),
        (["a", "b"], "ab"),
        ([{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}], "ab"),
        ([{"text": "a"}, {"type": "text", "text": {"value": "b", "annotations": []}}], "ab"),
        ({"type": "text", "text": "a"}, "a"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "reasoning", "text": "hm"}, "a"], "a"),
        ([{"text": "hm", "thought": True}, {"text": "a"}], "a"),
        ([{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "a"}], "a"),
        ("<think>hm</think>\n\na", "a"),
    ],
)
def test_text_is_found_in_whatever_shape(content: object, text: str) -> None:
    assert answered(choice(content)).text == text


def test_the_text_of_older_completions_and_of_a_chunk_counts() -> None:
    assert answered(completion(choices=[{"text": "old", "finish_reason": "stop"}])).text == "old"
    assert answered(completion(choices=[{"delta": {"content": "new"}, "finish_reason": "stop"}])).text == "new"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("STOP", "stop"),
        ("FinishReason.STOP", "stop"),
        ("eos", "stop"),
        ("end-turn", "stop"),
        ("EndTurn", "stop"),
        ("maxTokens", "length"),
        ("ContentFilter", "content_filter"),
        ("toolCalls", "tool_calls"),
        ("MAX_TOKENS", "length"),
        ("FINISH_REASON_MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("content_filter: RECITATION", "content_filter"),
        ("length: 1024", "length"),
        ("something: new", "something: new"),
        (":", ":"),
        ("tool_calls", "tool_calls"),
        (None, "unknown"),
        ("something new", "something new"),
    ],
)
def test_a_text_has_its_finish_reason_in_our_words(reason: object, word: str) -> None:
    assert (answered(choice("a", reason)).text, answered(choice("a", reason)).finish_reason) == ("a", word)


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        (choice(None, "length"), "truncated reply", f"finish reason length; {MORE}"),
        (choice(" \n", "length"), "truncated reply", f"finish reason length; {MORE}"),
        (
            choice("", "MAX_TOKENS", reasoning_content="hm"),
            "truncated reply",
            f"finish reason length: only reasoning_content; {MORE}",
        ),
        (
            choice("<think>hm", "length"),
            "truncated reply",
            f"finish reason length: only reasoning within <think>; {MORE}",
        ),
        (completion(choices=[{"finish_reason": "length"}]), "truncated reply", f"finish reason length; {MORE}"),
        (choice(None, "content_filter"), "filtered reply", "finish reason content_filter"),
        (choice("", "PROHIBITED_CONTENT"), "filtered reply", "finish reason content_filter"),
        (choice(None, "content_filter: SPII"), "filtered reply", "finish reason content_filter: SPII"),
        (
            completion(choices=[{"finish_reason": "Content_Filter:  a\nb ", "index": 0}]),
            "filtered reply",
            "finish reason content_filter: a b",
        ),
        (choice(None, "stop", refusal="I can't\nhelp."), "refused by the model", "I can't help."),
        (choice([{"type": "refusal", "refusal": "No."}]), "refused by the model", "No."),
        (choice("I won't do that.", "refusal"), "refused by the model", "I won't do that."),
        (choice(None, "refusal"), "refused by the model", "finish reason refusal"),
    ],
)
def test_an_answer_without_text_that_asking_again_does_not_change(raw: bytes, reason: str, detail: str) -> None:
    read = answered(raw)
    result = reply_of(read, "asked", "k", Spend(1))
    assert result == NoReply(reason, detail, "k", Spend(1)), "it is paid for all the same"


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (choice(None), "empty"),
        (choice(""), "empty"),
        (choice(" \n"), "empty"),
        (choice([]), "empty"),
        (choice(None, None), "empty, finish reason unknown"),
        (choice(None, reasoning_content="hm"), "only reasoning_content"),
        (choice("", reasoning="hm"), "only reasoning"),
        (choice("", thinking_blocks=[{"thinking": "hm"}]), "only thinking_blocks"),
        (choice([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), "only parts of type thinking"),
        (choice("<think>hm</think>\n"), "only reasoning within <think>"),
        (choice("<think>hm"), "only reasoning within <think>"),
        (choice(None, "tool_calls", tool_calls=[{"id": "1"}]), "only tool calls"),
        (choice("", function_call={"name": "f"}), "only tool calls"),
    ],
)
def test_a_reply_without_text_is_of_no_use_and_tried_once_more(raw: bytes, detail: str) -> None:
    read = unusable(raw)
    assert (read.decision, read.detail, read.usage) == (NO_TEXT, detail, Usage(12, 3))
    assert (NO_TEXT.most_attempts, NO_TEXT.reason) == (2, "reply without text")


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "not JSON: empty"),
        (b'{"choices": [', "not JSON"),
        (b"\xff\xfe{}", "not JSON: not UTF-8"),
        ('{"choices": []}'.encode("utf-16"), "not JSON: not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"<html><head><title>Sign in</title>", "not JSON: a web page ('Sign in')"),
        (b"upstream gone", "not JSON: upstream gone"),
        (
            b'{"model":"m","message":{"content":"a"},"done":false}\n{"done":true}',
            "not JSON: several objects, one a line",
        ),
        (
            b'{"model":"m","message":{"content":"a"},"done":true}',
            "no choices: Ollama's own API answers so; its address for this one ends in /v1",
        ),
        (b"[]", "not a JSON object"),
        (b"3", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": {"0": 1}}', "no choices"),
        (b'{"choices": [3]}', "a choice without a message"),
        (b'{"choices": [{"message": null}]}', "a choice without a message"),
        (choice(7), "content that is not text"),
        (b"data: nonsense\n\n", "a stream of events that are not JSON"),
        (b"data: [1]\n\n", "a stream of events that are no chunks"),
        (b"data: [DONE]\n\n", "no choices"),
    ],
)
def test_what_is_no_completion_is_malformed(raw: bytes, detail: str) -> None:
    read = unusable(raw)
    assert (read.decision, read.detail) == (MALFORMED, detail)


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        (b'{"error": "Unexpected endpoint or method."}', "server error", "Unexpected endpoint or method."),
        (b'{"error": {"message": "slow down", "code": 429}}', "rate limited", "slow down"),
        (b'{"error": {"message": "slow", "code": "rate_limit_exceeded"}}', "rate limited", "slow"),
        (b'{"error": {"message": "no", "type": "insufficient_quota"}}', "no credit left", "no"),
        (b'[{"error": {"code": 503, "message": "full", "status": "UNAVAILABLE"}}]', "server error", "full"),
        (
            b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}',
            "server error",
            "Overloaded",
        ),
        (b'{"error": {"status": "INVALID_ARGUMENT", "message": "bad"}}', "request rejected", "bad"),
        (b'{"object": "error", "message": "too long", "code": 400}', "request rejected", "too long"),
        (b'{"error": true}', "server error", "no message"),
        (choice("", "error"), "server error", "finish reason error"),
        (choice("some words before", "error"), "server error", "finish reason error"),
        (choice("some words before", "FinishReason.ABORT"), "server error", "finish reason abort"),
        (choice(None, "insufficient_system_resource"), "server error", "finish reason insufficient_system_resource"),
        (
            completion(choices=[{"error": {"code": 429, "message": "up"}, "message": {"content": "a"}}]),
            "rate limited",
            "up",
        ),
        (choice("a", error={"message": "in the message"}), "server error", "in the message"),
        (completion(error={"message": "beside a choice"}), "server error", "beside a choice"),
    ],
)
def test_an_error_with_status_200_is_one(raw: bytes, reason: str, detail: str) -> None:
    read = failed(raw)
    assert (read.decision.reason, read.detail) == (reason, detail)


@pytest.mark.parametrize(
    "error", [None, "", {}, False, [], 0, {"message": "", "code": 0}, {"code": 200, "message": "ok"}]
)
def test_an_error_that_says_nothing_is_none(error: object) -> None:
    assert answered(completion(error=error)).text == "Hello."


def test_an_error_is_billed_if_it_says_so_or_if_there_was_text() -> None:
    used = {"prompt_tokens": 9, "completion_tokens": 0}
    assert failed(encode({"error": "x", "usage": used})).is_billed
    assert failed(encode({"error": "x", "usage": used})).usage == Usage(9, 0)
    assert not failed(encode({"error": "x"})).is_billed
    assert not failed(
        completion(usage=None, choices=[{"message": {"content": ""}, "finish_reason": "error"}])
    ).is_billed
    assert failed(completion(usage=None, choices=[{"message": {"content": "a"}, "finish_reason": "error"}])).is_billed


def test_an_error_that_refuses_the_key_stops_the_run() -> None:
    assert failed(b'{"error": {"code": "401", "message": "no"}}').decision.action is Action.REFUSE


def test_a_stream_that_nobody_asked_for_is_put_together() -> None:
    chunks = [
        {"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "h"}}]},
        {"model": "m", "choices": [{"index": 0, "delta": {"content": "He"}, "finish_reason": None}]},
        {"model": "m", "choices": [{"index": 1, "delta": {"content": "another choice"}}]},
        {"model": "m", "choices": [{"index": 0, "delta": {"content": "llo"}, "finish_reason": "stop"}]},
        {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    expected = Answered("Hello", "stop", "m", Usage(3, 2))
    assert read_answer(f": waiting\n\n{stream}data: [DONE]\n\n".encode()) == expected
    assert read_answer(stream.replace("\n", "\r\n").encode()) == expected
    assert read_answer(stream.replace("\n\n", "\n").encode()) == expected, "without blank lines"
    odd = stream.replace("llo", "l\u2028\x85lo")
    assert answered(odd.encode()).text == "Hel\u2028\x85lo"
    cut = stream[: stream.index("llo") - 50].rpartition("data:")[0]
    assert answered(cut.encode()).finish_reason == "unknown", "a stream that breaks off is not whole"
    broken = stream + f"data: {json.dumps({'error': {'message': 'died', 'code': 502}})}\n\n"
    assert failed(broken.encode()).detail == "died"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert answered(b"\xef\xbb\xbf" + completion()).text == "Hello."


@pytest.mark.parametrize("depth", [0, 50, 98, 99, 150, 980, 100_000])
def test_how_deep_a_field_of_no_use_nests_does_not_matter(depth: int) -> None:
    raw = completion()[:-1] + b', "more": ' + b"[" * depth + b"]" * depth + b', "last": "[[["}'
    assert answered(raw.replace(b'"more": ,', b'"more": 1,')).text == "Hello."


def test_a_reply_without_a_model_has_the_one_that_was_asked() -> None:
    reply = reply_of(answered(completion(model=None)), "asked", "k", Spend(1))
    assert isinstance(reply, Reply)
    assert reply.model == "asked"


def test_text_is_valid_whatever_a_server_sends() -> None:
    raw = completion().replace(b"Hello.", b"a\\ud83d\\ude00b\\ud800c").replace(b'"m-1"', b'"m\\udfff"')
    read = answered(raw)
    assert (read.text, read.model) == ("a\U0001f600b\ufffdc", "m\ufffd")


FIELDS = (
    *("choices", "message", "content", "error", "usage", "finish_reason", "code", "text", "type", "status", "refusal"),
    *("prompt_tokens", "total_tokens", "completion_tokens_details", "delta", "metadata", "raw", "detail", "loc"),
    *("tool_calls", "object", "model", "errors", "reasoning_content"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_something(raw: bytes) -> None:
    for start in (b"", b"{", b"data: ", b'{"choices": [{"message": {"content": "'):
        assert isinstance(read_answer(start + raw), Answered | Unusable | ServerError)


@given(json_values, json_values)
def test_any_json_is_something(value: object, inner: object) -> None:
    for body in (
        value,
        {"choices": [value]},
        {"choices": [{"message": value, "finish_reason": inner}], "usage": inner},
    ):
        read = read_answer(json.dumps(body).encode())
        assert isinstance(read, Answered | Unusable | ServerError)
        if isinstance(read, Answered) and read.text is not None:
            assert read.text.strip()
            assert read.text.encode("utf-8")


def stored(key: str, response: bytes) -> Answer:
    return Answer(key, "here", "asked", response.decode("utf-8", "replace"), 5, 3, 0, 0.25, estimated=True)


def test_what_the_journal_has_is_read_as_what_comes() -> None:
    answers = [
        stored("whole", completion()),
        stored("none", b'{"choices": []}'),
        stored("cut", choice(None, "length")),
        stored("empty", choice("")),
        stored("error", choice("words", "error")),
    ]
    replies, refused = stored_replies(answers)
    assert list(replies) == ["whole", "cut"]
    assert [answer.key for answer in refused] == ["none", "empty", "error"]
    assert replies["whole"].spend == Spend(1, 5, 3, 0.25, estimated_requests=1)


def test_what_was_generated_here_may_be_empty_for_good() -> None:
    answers = [stored("empty", choice("")), stored("thought", choice("<think>hm")), stored("none", b"{}")]
    replies, refused = stored_replies(answers, generated=True)
    assert isinstance(replies["empty"], Reply)
    thought = replies["thought"]
    assert isinstance(thought, NoReply)
    assert (thought.reason, thought.detail) == ("reply without text", "only reasoning within <think>")
    assert [answer.key for answer in refused] == ["none"]
