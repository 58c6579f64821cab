"""The served client against `transformers serve`, which nobody here wrote, with a tiny SmolVLM on disk.

What the server should say is what our own generator says for the same model: greedily the same, token for token.
"""

import io
import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tiny_models
from drawing import write_scenes
from hardship import REQUESTS_AN_IMAGE, TRIPLES_AN_IMAGE, build_command, call, stages_of
from tiny_models import one_thread  # noqa: F401 - a fixture
from transformers_server import TransformersServer, answered, most_open, received, transformers_server, until

from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.pictures import EncodedImage
from ostensive.chat.records import Completion, Conversation, Exchange, Message, NoReply, Reply, Sampling
from ostensive.chat.retry import Backoff
from ostensive.chat.served import ServedChat
from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings

pytestmark = pytest.mark.slow

MODEL = "smolvlm"
GREEDY = Sampling(temperature=0.0, max_tokens=8)
MANY = 40


def save(name: str, parent: Path) -> Path:
    """A tiny model that draws where a temperature is asked for and ends its replies, as published chat models do."""
    folder = tiny_models.SAVERS[name](parent / name)
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    ends = [vocabulary["</s>"], *(number for token, number in vocabulary.items() if token.startswith("<row_1"))]
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text("utf-8")) | {"do_sample": True, "eos_token_id": ends}
    path.write_text(json.dumps(settings), "utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(MODEL, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersServer]:
    with transformers_server(model, tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def generator(model: Path) -> Iterator[Generator]:
    with Generator(GeneratorSettings(model=str(model), device="cpu")) as entered:
        yield entered


@contextmanager
def client(
    server: TransformersServer,
    path: Path,
    *,
    backoff: Backoff = Backoff(base_s=0.1, cap_s=0.5),  # noqa: B008 - a frozen value
    **changes: Any,  # Any: values of settings
) -> Iterator[ServedChat]:
    settings = {"model": server.model, "base_url": server.base_url, **changes}
    with (
        Journal(path, "r") as journal,
        ServedChat(
            ServedTeacherSettings.model_validate(settings),
            journal=journal,
            budget=Budget(),
            stop=threading.Event(),
            price=None,
            environment={},
            backoff=backoff,
        ) as chat,
    ):
        yield chat


def ask(
    server: TransformersServer,
    path: Path,
    conversations: Sequence[Conversation],
    **changes: Any,  # Any: as above
) -> list[Exchange]:
    with client(server, path, **changes) as chat:
        return chat.chat(conversations)


def images(count: int) -> list[PIL.Image.Image]:
    """Noise of many sizes and shapes."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(28, 90, (count, 2)).tolist()
    return [PIL.Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def png(image: PIL.Image.Image) -> EncodedImage:
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return EncodedImage(sink.getvalue(), "image/png")


def talk(text: str, *follow_ups: str, shown: PIL.Image.Image | None = None, draw: Sampling = GREEDY) -> Conversation:
    pictures = () if shown is None else (png(shown),)
    messages = (Message("system", "Be brief."), Message("user", text, pictures))
    return Conversation(messages, tuple(Message("user", more) for more in follow_ups), draw)


def replies(exchange: Exchange) -> list[Reply]:
    assert all(isinstance(reply, Reply) for reply in exchange.replies), exchange
    return [reply for reply in exchange.replies if isinstance(reply, Reply)]


def texts(exchanges: Sequence[Exchange]) -> list[list[str]]:
    return [[reply.text for reply in replies(exchange)] for exchange in exchanges]


def decoded(message: Message) -> Message:
    pictures = [PIL.Image.open(io.BytesIO(image.data)) for image in message.images if isinstance(image, EncodedImage)]
    return replace(message, images=tuple(pictures))


def single_turns(conversation: Conversation, said: Sequence[Reply]) -> Iterator[Conversation]:
    """What a conversation with these replies asked, turn by turn, as our own generator takes it."""
    messages = conversation.messages
    sampling = Sampling(0.0, max_tokens=conversation.sampling.max_tokens, seed=0)
    for reply, follow_up in zip(said, (*conversation.follow_ups, None), strict=True):
        yield Conversation(tuple(map(decoded, messages)), (), sampling)
        if follow_up is not None:
            messages = (*messages, Message("assistant", reply.text), follow_up)


def assert_as_expected(generator: Generator, talks: Sequence[Conversation], exchanges: Sequence[Exchange]) -> None:
    """Text, tokens and finish reason of every reply are those of our own generator, asked in a few batches."""
    said = [replies(exchange) for exchange in exchanges]
    turns = [turn for pair in zip(talks, said, strict=True) for turn in single_turns(*pair)]
    flat = [reply for several in said for reply in several]
    for reply, turn, result in zip(flat, turns, generator.generate(turns), strict=True):
        assert isinstance(result, Completion), result
        assert plain(reply.text) == result.text
        assert reply.spend.prompt_tokens == result.prompt_tokens
        assert reply.spend.completion_tokens == result.completion_tokens
        # This server also says "length" where the last token that was allowed is that of the end.
        cut = result.completion_tokens == turn.sampling.max_tokens
        assert reply.finish_reason == ("length" if cut else result.finish_reason)


def plain(text: str) -> str:
    """`text` without special tokens: the server leaves those that do not end a reply in what Qwen models say."""
    return re.sub(
        r"<\|?(s|/s|pad|unk|im_start|im_end|vision_start|vision_end|image_pad|video_pad)\|?>", "", text
    ).strip()


def test_a_conversation_in_text(server: TransformersServer, generator: Generator, tmp_path: Path) -> None:
    talks = [talk("Who is it? é 猫 \U0001f600", "Why?", "Where is it taken?"), talk("What?")]
    exchanges = ask(server, tmp_path / "j", talks)
    assert [len(replies(exchange)) for exchange in exchanges] == [3, 1]
    assert len({text for said in texts(exchanges) for text in said}) == 4
    assert {reply.model for exchange in exchanges for reply in replies(exchange)} == {f"{MODEL}@main"}
    assert_as_expected(generator, talks, exchanges)


def test_a_conversation_about_an_image(server: TransformersServer, generator: Generator, tmp_path: Path) -> None:
    talks = [talk("What is it?", "Why?", shown=image) for image in images(3)]
    exchanges = ask(server, tmp_path / "j", talks)
    assert len({text for text, _ in texts(exchanges)}) == 3, "the image decides what is said"
    assert_as_expected(generator, talks, exchanges)


def test_many_in_flight_and_each_image_keeps_its_answer(
    server: TransformersServer, generator: Generator, tmp_path: Path
) -> None:
    talks = [talk("What is it?", shown=image) for image in images(MANY)]
    before = len(server.log())
    with server.held_for(2.0):  # so that a quick answer to the first does not hide that the others are open
        together = ask(server, tmp_path / "together", talks, max_in_flight=MANY)
    lines = server.log(before)
    assert most_open(lines) >= 32
    assert (received(lines), answered(lines)) == (MANY, MANY)
    alone = ask(server, tmp_path / "alone", talks, max_in_flight=1)
    assert most_open(server.log(before + len(lines))) == 1
    assert texts(together) == texts(alone)
    assert len({text for [text] in texts(together)}) > 30
    assert_as_expected(generator, talks, together)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_tokens(field: str, server: TransformersServer, tmp_path: Path) -> None:
    short = Sampling(temperature=0.0, max_tokens=3)
    [exchange] = ask(server, tmp_path / "j", [talk("What is it?", draw=short)], token_limit_field=field)
    [reply] = replies(exchange)
    assert (reply.finish_reason, reply.spend.completion_tokens) == ("length", 3)


def test_seeds_are_honoured_one_request_at_a_time(server: TransformersServer, tmp_path: Path) -> None:
    talks = [talk("What is it?", draw=Sampling(1.2, 0.95, 8, seed)) for seed in range(4)]
    said = [texts(ask(server, tmp_path / f"{attempt}", talks, max_in_flight=1)) for attempt in range(2)]
    assert said[0] == said[1]
    assert len({text for [text] in said[0]}) == 4


def test_what_was_answered_is_not_asked_again(server: TransformersServer, tmp_path: Path) -> None:
    talks = [talk("Is it here?", "And there?", shown=image) for image in images(2)]
    first = ask(server, tmp_path / "j", talks)
    before = len(server.log())
    assert ask(server, tmp_path / "j", talks) == first
    assert received(server.log(before)) == 0


def test_another_model_than_the_served_one_is_refused_in_one_line(server: TransformersServer, tmp_path: Path) -> None:
    [exchange] = ask(server, tmp_path / "j", [talk("What?", "Why?")], model="another")
    [reply] = exchange.replies
    assert isinstance(reply, NoReply)
    assert (reply.reason, reply.detail) == (
        "request rejected",
        f"status 400: Server is pinned to '{MODEL}'; requested 'another'.; 1 attempt",
    )


def test_what_is_no_image_costs_no_neighbour(server: TransformersServer, tmp_path: Path) -> None:
    broken = Conversation((Message("user", "What?", (EncodedImage(b"no image", "image/png"),)),), sampling=GREEDY)
    good = talk("What is it?")
    bad, fine = ask(server, tmp_path / "j", [broken, good], max_attempts=2)
    [reply] = bad.replies
    assert isinstance(reply, NoReply)
    assert (reply.reason, reply.detail) == ("server error", "status 500: Internal Server Error; 2 attempts")
    assert texts([fine]) == texts(ask(server, tmp_path / "other", [good]))


def test_a_list_of_models_that_fails_does_not_stop_a_run(server: TransformersServer) -> None:
    """The server lists what is in its cache, which has no folder yet."""
    before = len(server.log())
    ServedTeacherSettings(model=server.model, base_url=server.base_url).check_access({})
    assert any('"GET /v1/models HTTP/1.1" 500' in line for line in server.log(before))


def test_a_build_whose_teacher_says_nothing_of_use(server: TransformersServer, tmp_path: Path) -> None:
    """Random weights write no triples: each reply is counted as what it is, and the sums are right."""
    pictures, run, before = write_scenes(tmp_path / "images", 1), tmp_path / "run", len(server.log())
    done = call(*build_command(pictures, run, server.base_url, model=server.model, max_tokens=24))
    assert done.returncode == 1, done.stderr
    assert "the corpus is empty: candidates kept none of 18 rows" in done.stderr
    requests, triples_a_reply = REQUESTS_AN_IMAGE, TRIPLES_AN_IMAGE // REQUESTS_AN_IMAGE
    assert answered(server.log(before)) == received(server.log(before)) == requests
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        answers = [json.loads(response) for (response,) in journal.execute("SELECT response FROM answers")]
    cut = sum(answer["choices"][0]["finish_reason"] == "length" for answer in answers)
    candidates = stages_of(run)["candidates"]
    lost = {"truncated reply": triples_a_reply * cut, "no triples in the reply": triples_a_reply * (requests - cut)}
    assert candidates.dropped == {reason: count for reason, count in lost.items() if count}
    assert (candidates.kept, candidates.failed) == (0, {})
    spend = candidates.spend
    assert (spend.requests, spend.completion_tokens) == (
        requests,
        sum(answer["usage"]["completion_tokens"] for answer in answers),
    )


@pytest.mark.slow
def test_a_server_that_is_killed_and_started_again(
    server: TransformersServer, generator: Generator, tmp_path: Path
) -> None:
    in_flight = 8
    draw = Sampling(temperature=0.0, max_tokens=24)
    talks = [talk("What is it?", "Why?", shown=image, draw=draw) for image in images(16)]
    requests = 2 * len(talks)
    before = len(server.log())
    # The settings are those of a run but for the number in flight: a restart is nothing to be prepared for.
    run_like = client(server, tmp_path / "j", backoff=Backoff(), max_in_flight=in_flight)
    with run_like as chat, ThreadPoolExecutor(1) as pool:
        early = chat.chat(talks[:2])
        waiting = pool.submit(chat.chat, talks)
        until(lambda: answered(server.log(before)) >= 8, "a quarter is answered")
        server.kill()
        first = server.log(before)
        assert answered(first) < requests, "it was killed in the middle"
        assert chat.chat(talks[:2]) == early, "what is in the journal needs no server"
        server.start()
        exchanges = waiting.result(timeout=120)
    lines = server.log(before)
    assert [len(replies(exchange)) for exchange in exchanges] == [2] * len(talks)
    assert 0 < received(first) - answered(first) <= in_flight
    assert received(lines) - requests <= in_flight, "only what was in flight is asked again"
    assert answered(lines) - requests <= in_flight, "and paid for again"
    assert_as_expected(generator, talks, exchanges)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llava", "qwen2-vl", "qwen3-vl"])
def test_other_families_say_what_our_generator_says(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_models.tiny_model(name, tmp_path_factory)
    talks = [talk("What is it?", "Why?", shown=image) for image in images(16)]
    with transformers_server(folder, tmp_path) as other:
        exchanges = ask(other, tmp_path / "j", talks)
    assert len({tuple(said) for said in texts(exchanges)}) > 10
    with Generator(GeneratorSettings(model=str(folder), device="cpu")) as local:
        assert_as_expected(local, talks, exchanges)
