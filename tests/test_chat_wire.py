"""Requests as JSON: bodies, keys, parsing."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.chat.pictures import EncodedImage, picture_reference
from ostensive.chat.records import Message, Sampling
from ostensive.chat.wire import (
    encode,
    parse_messages,
    request_body,
    request_key,
    valid_text,
)

IMAGE = EncodedImage(b"\xff\xd8 not really a photograph", "image/jpeg")
PLAIN = Sampling()
TALK = (Message("system", "Be brief."), Message("user", "What is [0]?", (IMAGE,)))


def body(*messages: Message, sampling: Sampling = PLAIN) -> dict[str, Any]:  # Any: JSON values
    return request_body("m", messages, sampling)


def test_every_default_is_written_out() -> None:
    assert body(Message("user", "hi")) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.8,
        "top_p": 1.0,
        "max_tokens": 1024,
    }


def test_a_seed_is_sent_even_if_it_is_zero() -> None:
    assert body(Message("user", "hi"), sampling=Sampling(seed=0))["seed"] == 0


def test_the_token_limit_has_the_name_the_server_wants() -> None:
    sent = request_body("m", TALK, Sampling(max_tokens=7), token_limit_field="max_completion_tokens")
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


def test_images_come_before_the_text() -> None:
    content = body(*TALK)["messages"][1]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    assert content[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_the_journal_form_has_no_image_bytes() -> None:
    kept = encode(request_body("m", TALK, Sampling(), image_url=picture_reference)).decode()
    assert "base64" not in kept
    assert f"image/jpeg;{len(IMAGE.data)} bytes" in kept


@pytest.mark.parametrize(
    "other",
    [
        (Message("system", "Be brief!"), TALK[1]),
        (TALK[0], replace(TALK[1], images=(EncodedImage(IMAGE.data + b"x", "image/jpeg"),))),
        (TALK[0], replace(TALK[1], images=(replace(IMAGE, mime="image/png"),))),
        (TALK[0], replace(TALK[1], images=())),
        TALK[1:],
    ],
)
def test_another_request_has_another_key(other: tuple[Message, ...]) -> None:
    assert request_key("http://a", encode(body(*other))) != request_key("http://a", encode(body(*TALK)))


def test_the_key_depends_on_endpoint_and_sampling() -> None:
    key = request_key("http://a", encode(body(*TALK)))
    assert request_key("http://b", encode(body(*TALK))) != key
    assert request_key("http://a", encode(body(*TALK, sampling=Sampling(seed=1)))) != key
    assert request_key("http://a", encode(body(*TALK))) == key


images = st.builds(EncodedImage, st.binary(max_size=40), st.sampled_from(["image/png", "image/jpeg"]))
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant"]),
    st.text(),
    st.lists(images, max_size=2).map(tuple),
)


@given(st.lists(messages, min_size=1, max_size=4))
def test_messages_survive_the_way_to_the_server_and_back(talk: list[Message]) -> None:
    received = json.loads(encode(body(*talk)))["messages"]
    assert list(parse_messages(received)) == talk


@given(st.text(st.characters(codec=None)))
def test_valid_text_can_always_be_encoded_and_is_left_alone_when_it_can(text: str) -> None:
    cleaned = valid_text(text)
    encoded = cleaned.encode("utf-8")
    assert valid_text(cleaned) == cleaned
    if any("\ud800" <= c <= "\udfff" for c in text):
        assert cleaned != text
    else:
        assert encoded == text.encode("utf-8")


def test_lone_surrogates_are_replaced_and_pairs_are_joined() -> None:
    assert valid_text("a\ud83d\ude00b\ud800c") == "a😀b\ufffdc"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "messages: a list of at least one message is expected"),
        ("hi", "messages: a list of at least one message is expected"),
        ([{"role": "tool", "content": "x"}], "messages.0: an object with the role system, user or assistant"),
        ([{"role": "user", "content": 3}], "messages.0.content: text, or parts of type text and image_url"),
        ([{"role": "user", "content": [{"type": "audio"}]}], "messages.0.content: text, or parts"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.jpg"}}]}],
            "messages.0.content: a data: URL in base64 is expected, not 'http://x/a.jpg'",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}]}],
            "messages.0.content: the base64 of an image is broken",
        ),
    ],
)
def test_bad_messages_are_refused(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match="messages") as caught:
        parse_messages(value)
    assert problem in str(caught.value)
