"""The scripted teacher in process."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.pictures import EncodedImage
from ostensive.chat.records import Conversation, Exchange, Message, Reply, Sampling
from ostensive.chat.scripted import IMAGE_TOKENS, ScriptedChat, ScriptedTeacherSettings, script_reply, script_seed
from ostensive.errors import BudgetReached, Interrupted
from ostensive.records import Spend


def echo(messages: Sequence[Message], seed: int) -> str:
    return f"{len(messages)} messages, last {messages[-1].text!r}, {seed % 1000}"


def talk(text: str, *follow_ups: str) -> Conversation:
    return Conversation((Message("user", text),), tuple(Message("user", follow_up) for follow_up in follow_ups))


class Counting:
    """A script that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, messages: Sequence[Message], seed: int) -> str:
        self.asked += 1
        return echo(messages, seed)


def run(
    path: Path,
    talks: Sequence[Conversation],
    script: Counting | None = None,
    settings: ScriptedTeacherSettings = ScriptedTeacherSettings(),  # noqa: B008 - frozen
    budget: Budget | None = None,
    stop: threading.Event | None = None,
) -> list[Exchange]:
    with (
        Journal(path, "r") as journal,
        ScriptedChat(
            script or Counting(),
            settings,
            journal=journal,
            budget=budget or Budget(),
            stop=stop or threading.Event(),
        ) as chat,
    ):
        return chat.chat(talks)


def test_conversations_of_different_lengths(tmp_path: Path) -> None:
    exchanges = run(tmp_path / "j", [talk("a"), talk("b", "c", "d"), talk("e", "f")])
    assert [len(exchange.replies) for exchange in exchanges] == [1, 3, 2]
    last = exchanges[1].replies[-1]
    assert isinstance(last, Reply)
    assert last.text.startswith("5 messages, last 'd'")
    assert (last.finish_reason, last.model) == ("stop", "scripted")


def test_no_conversations(tmp_path: Path) -> None:
    assert run(tmp_path / "j", []) == []


def test_it_depends_on_content_and_not_on_order_or_company(tmp_path: Path) -> None:
    talks = [talk(f"question {number}", "more") for number in range(20)]
    together = run(tmp_path / "a", talks)
    assert run(tmp_path / "b", talks[::-1])[::-1] == together
    assert [run(tmp_path / "c", [alone])[0] for alone in talks] == together


def test_what_is_in_the_journal_is_not_asked_again(tmp_path: Path) -> None:
    talks = [talk("a", "b"), talk("c"), talk("a", "b"), talk("a", "z")]
    first, second = Counting(), Counting()
    exchanges = run(tmp_path / "j", talks, first)
    assert first.asked == 4  # a, c, a-b, a-z
    assert run(tmp_path / "j", talks, second) == exchanges
    assert second.asked == 0


def test_other_settings_are_other_requests(tmp_path: Path) -> None:
    script = Counting()
    run(tmp_path / "j", [talk("a")], script)
    run(tmp_path / "j", [talk("a")], script, ScriptedTeacherSettings(error_rate=0.5))
    assert script.asked == 2


def test_usage_is_in_words_and_free(tmp_path: Path) -> None:
    picture = EncodedImage(b"x", "image/png")
    conversation = Conversation((Message("system", "be brief"), Message("user", "what is\nthis", (picture,))))
    [exchange] = run(tmp_path / "j", [conversation])
    [reply] = exchange.replies
    assert isinstance(reply, Reply)
    assert reply.spend == Spend(1, 5 + IMAGE_TOKENS, len(reply.text.split()), 0.0)
    with Journal(tmp_path / "j", "r") as journal:
        kept = journal.request(reply.request_key)
    assert kept is not None
    assert "sha256:" in json.loads(kept)["messages"][1]["content"][0]["image_url"]["url"]


def test_a_reply_is_cut_at_the_limit_and_says_so() -> None:
    said = script_reply(lambda messages, seed: " one two\nthree  four", [Message("user", "x")], Sampling(max_tokens=3))
    assert (said.text, said.finish_reason, said.completion_tokens) == (" one two\nthree", "length", 3)
    whole = script_reply(lambda messages, seed: "one two three", [Message("user", "x")], Sampling(max_tokens=3))
    assert (whole.text, whole.finish_reason) == ("one two three", "stop")


def test_the_seed_depends_on_every_part_of_the_conversation() -> None:
    talks = [
        [Message("user", "ab"), Message("user", "c")],
        [Message("user", "a"), Message("user", "bc")],
        [Message("user", "abc")],
        [Message("user", "abuserc")],  # the first two messages, run together
        [Message("system", "abc")],
        [Message("user", "abc", (EncodedImage(b"1", "image/png"),))],
        [Message("user", "abc", (EncodedImage(b"2", "image/png"),))],
    ]
    seeds = [script_seed(messages, None) for messages in talks] + [script_seed(talks[3], seed) for seed in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_a_limit_of_requests_stops_it_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    talks = [talk(str(number)) for number in range(5)]
    script = Counting()
    with pytest.raises(BudgetReached, match="--max-requests: 3 of 3 requests are sent"):
        run(tmp_path / "j", talks, script, budget=Budget(max_requests=3))
    assert script.asked == 3
    with Journal(tmp_path / "j", "r") as journal:
        spent = journal.totals("r")
    assert spent.requests == 3
    assert len(run(tmp_path / "j", talks, script, budget=Budget(max_requests=5, spent=spent))) == 5
    assert script.asked == 5


def test_a_wish_to_stop_is_heard_but_needs_no_heed_when_nothing_is_left_to_ask(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted, match="stopped while asking a model; the same command continues"):
        run(tmp_path / "j", [talk("a")], stop=stop)
    exchanges = run(tmp_path / "j", [talk("a")])
    assert run(tmp_path / "j", [talk("a")], stop=stop) == exchanges
