"""Keys out of errors, and out of answers where they can be no word of them."""

import base64
import html
import json
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.key_scrubbing import MIN_ANSWER_KEY_CHARS, answer_without_key, without_key

LONG = "sk-or/v1+0123456789ab"
TEXT = 'any company likes anyone; EMPTY none local e sk-local 1234 "quoted"'


@pytest.mark.parametrize(
    ("text", "key", "left"),
    [
        (f"Bearer {LONG}, x{LONG}y", LONG, "Bearer [key], x[key]y"),
        (LONG.replace("/", "\\/"), LONG, "[key]"),
        (LONG.replace("/", "%2f").replace("+", "%2B"), LONG, "[key]"),
        (LONG.replace("/", "&#47;").replace("+", "&plus;"), LONG, "[key]"),
        (LONG.replace("/", "%252F"), LONG, "[key]"),
        (LONG.replace("s", "&#x73;").replace("/", "&amp;sol;"), LONG, "[key]"),
        (LONG.replace("/", "\\\\\\/"), LONG, "[key]"),
        ("key any of any: company", "any", "key [key] of [key]: company"),
        ("e: e is here", "e", "[key]: [key] is here"),
        ("EMPTYX EMPTY", "EMPTY", "[key]X [key]"),
    ],
)
def test_an_error_has_no_key(text: str, key: str, left: str) -> None:
    assert without_key(text, key) == left


@pytest.mark.parametrize("key", ["any", "EMPTY", "none", "local", "e", "sk-local", "1234", "not-needed", "lm-studio"])
def test_a_key_that_a_person_types_changes_no_answer(key: str) -> None:
    raw = json.dumps({"choices": [{"message": {"content": TEXT}}], "system_fingerprint": f"for {key}"}).encode()
    assert answer_without_key(raw, key) is raw


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("/", "\\u002f"),
        lambda text: json.dumps(text).replace("s", "\\u0073"),
        lambda text: '"' + "".join(f"\\u{ord(char):04X}" for char in text) + '"',
    ],
)
def test_a_long_key_is_in_no_answer_however_it_is_written(write: object) -> None:
    assert callable(write)
    raw = (
        f'{{"choices": [{{"message": {{"content": {write(f"It goes by {LONG} here.")}}}}}], {write(LONG)}: 1}}'.encode()
    )
    left = json.loads(answer_without_key(raw, LONG))
    assert left == {"choices": [{"message": {"content": "It goes by [key] here."}}], "[key]": 1}


def test_a_long_key_is_in_no_stream_though_it_comes_in_pieces() -> None:
    events = [{"choices": [{"delta": {"content": piece}}]} for piece in ("by ", LONG[:9], LONG[9:], " here")]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    left = json.loads(answer_without_key(stream, LONG))
    assert left["choices"][0]["message"]["content"] == "by [key] here"
    assert answer_without_key(stream, "another-key-0123456789") is stream


@pytest.mark.parametrize("before", ["", "u", "me:", "Bearer "])
def test_a_long_key_is_in_no_base64(before: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        told = encode(f"{before}{LONG}, and more".encode()).decode()
        left = json.loads(answer_without_key(json.dumps({"text": f"as {told}", "model": told}).encode(), LONG))
        for value in left.values():
            assert "[key]" in value
            assert not any(told[place : place + 12] in value for place in range(8, 20))
        assert "[key]" in without_key(told, LONG)


def test_a_long_key_is_in_no_answer_of_html_or_urls() -> None:
    values = {
        "model": html.escape(f"<a href='?k={LONG}'>"),
        "text": "".join(f"&#{ord(char)};" for char in LONG),
        "finish_reason": quote(quote(LONG, safe=""), safe=""),
        "error": {"message": json.dumps(json.dumps({"key": LONG})).replace("/", "\\/")},
    }
    left = answer_without_key(json.dumps(values).encode(), LONG).decode()
    assert left.count("[key]") == 4
    assert "0123456789ab" not in html.unescape(unquote(unquote(left)))


def test_a_body_that_is_no_json_has_no_long_key_either() -> None:
    assert answer_without_key(f"<p>{LONG}".encode(), LONG) == b"<p>[key]"


def test_a_long_key_of_letters_alone_is_replaced_where_it_is_a_word() -> None:
    key = "abcdefghijklmnopqrst"
    raw = json.dumps({"text": f"{key} x{key}"}).encode()
    assert json.loads(answer_without_key(raw, key)) == {"text": f"[key] x{key}"}


def test_what_else_a_body_says_stays() -> None:
    value = {"a": [1, 2.5, None, True, 'n\n"\\', "\ud800"], "b": LONG}
    assert json.loads(answer_without_key(json.dumps(value).encode(), LONG)) == {**value, "b": "[key]"}


keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=24)


@given(keys, st.text(max_size=20), st.text(max_size=20))
def test_an_answer_stays_json_and_loses_its_key(key: str, before: str, after: str) -> None:
    raw = json.dumps({"text": f"{before} {key} {after}", "other": before}).encode()
    left = answer_without_key(raw, key)
    value = json.loads(left)
    if len(key) < MIN_ANSWER_KEY_CHARS:
        assert left is raw
    else:
        assert f" {key} " not in value["text"]
    assert set(value) == {"text", "other"} or len(key) >= MIN_ANSWER_KEY_CHARS


@given(keys, st.text(max_size=20), st.text(max_size=20))
def test_an_error_loses_a_key_that_stands_alone(key: str, before: str, after: str) -> None:
    assert f" {key} " not in without_key(f"{before} {key} {after}", key).replace("[key]", "")
