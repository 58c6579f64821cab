"""A model on this machine: a real architecture with tiny random weights behind the interface of the served client."""

import io
import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from PIL import Image
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.chat.access import open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.local import LocalChat, SelfTeacherSettings
from ostensive.chat.pictures import EncodedImage, Picture
from ostensive.chat.prices import load_prices
from ostensive.chat.records import Conversation, Exchange, Message, NoReply, Reply, Sampling
from ostensive.errors import BudgetReached, Interrupted, SettingsError
from ostensive.models.files import model_version
from ostensive.models.generator import GeneratorPool
from ostensive.models.generator_settings import GeneratorSettings

SAMPLED = Sampling(temperature=1.0, top_p=0.95, max_tokens=6)


def talk(text: str, *follow_ups: str, sampling: Sampling = SAMPLED, images: tuple[Picture, ...] = ()) -> Conversation:
    return Conversation(
        (Message("user", text, images),), tuple(Message("user", follow_up) for follow_up in follow_ups), sampling
    )


def picture(colour: str) -> EncodedImage:
    sink = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(sink, "PNG")
    return EncodedImage(sink.getvalue(), "image/png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_model("llava", tmp_path_factory)


def teacher(folder: Path, batch_size: int = 4) -> SelfTeacherSettings:
    return SelfTeacherSettings(model=str(folder), device="cpu", batch_size=batch_size)


def run(
    path: Path,
    settings: SelfTeacherSettings,
    talks: Sequence[Conversation],
    *,
    budget: Budget | None = None,
    stop: threading.Event | None = None,
) -> list[Exchange]:
    with (
        Journal(path, "r") as journal,
        LocalChat(
            settings,
            journal=journal,
            budget=budget or Budget(),
            stop=stop or threading.Event(),
            generators=GeneratorPool(),
        ) as chat,
    ):
        return chat.chat(talks)


def replies(exchanges: Sequence[Exchange]) -> list[list[str]]:
    return [[reply.text for reply in exchange.replies if isinstance(reply, Reply)] for exchange in exchanges]


@pytest.mark.slow
def test_batches_go_across_conversations_and_change_nothing(tmp_path: Path, folder: Path) -> None:
    talks = [talk("Who?"), talk("What is it?", "Why?", "How?"), talk("Where?", "When?"), talk("Who?")]
    exchanges = run(tmp_path / "j", teacher(folder), talks)
    assert [len(exchange.replies) for exchange in exchanges] == [1, 3, 2, 1]
    assert exchanges[0] == exchanges[3], "equal requests have equal replies"
    assert run(tmp_path / "other", teacher(folder, 1), talks[::-1])[::-1] == exchanges
    reply = exchanges[1].replies[2]
    assert isinstance(reply, Reply)
    assert reply.model == folder.name, "rows are published, and where a model lies is nobody's business"
    assert reply.finish_reason in ("stop", "length")
    assert (reply.spend.requests, reply.spend.usd) == (1, 0.0)
    assert reply.spend.prompt_tokens > 10
    assert 1 <= reply.spend.completion_tokens <= 6


def test_no_conversations(tmp_path: Path, folder: Path) -> None:
    assert run(tmp_path / "j", teacher(folder), []) == []


def test_the_journal_answers_the_second_time(tmp_path: Path, folder: Path) -> None:
    talks = [talk("Who?", "Why?"), talk("What?", images=(picture("red"),))]
    first = run(tmp_path / "j", teacher(folder), talks)
    assert run(tmp_path / "j", teacher(folder, 1), talks, budget=Budget(max_requests=0)) == first
    with sqlite3.connect(tmp_path / "j") as journal:
        requests = [json.loads(row[0]) for row in journal.execute("SELECT request FROM answers ORDER BY request")]
    assert len(requests) == 3
    assert all(request["weights"] == model_version(str(folder)) for request in requests)
    assert "sha256:" in json.dumps(requests)


@pytest.mark.slow
def test_the_key_holds_weights_messages_and_sampling(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "model"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())

    def key(settings: SelfTeacherSettings, conversation: Conversation) -> str:
        (exchange,) = run(tmp_path / "j", settings, [conversation])
        reply = exchange.replies[0]
        assert isinstance(reply, Reply)
        return reply.request_key

    base = key(teacher(other), talk("Who?"))
    assert key(teacher(other, 2), talk("Who?")) == base
    seeded = Sampling(SAMPLED.temperature, SAMPLED.top_p, SAMPLED.max_tokens, seed=1)
    keys = {
        base,
        key(teacher(other), talk("Why?")),
        key(teacher(other), talk("Who?", sampling=seeded)),
        key(teacher(other), talk("Who?", images=(picture("red"),))),
        key(teacher(other), talk("Who?", images=(picture("blue"),))),
    }
    (other / "chat_template.jinja").write_text(tiny_models.CHAT_TEMPLATE + "\n", "utf-8")
    keys.add(key(teacher(other), talk("Who?")))
    assert len(keys) == 6


def test_images_are_seen(tmp_path: Path, folder: Path) -> None:
    greedy = Sampling(0.0, 1.0, 8)
    talks = [talk("What?", sampling=greedy, images=(picture(colour),)) for colour in ("red", "blue")]
    red, blue = replies(run(tmp_path / "j", teacher(folder), talks))
    assert red != blue


def test_a_failure_is_its_conversations_alone(tmp_path: Path, folder: Path) -> None:
    broken = EncodedImage(b"no image", "image/png")
    talks = [talk("Who?", "Why?"), talk("What?", "Why?", images=(broken,)), talk("Is <image> there?", "Why?")]
    good, unreadable, unplaced = run(tmp_path / "j", teacher(folder), talks)
    assert len(replies([good])[0]) == 2
    (first,), (second,) = unreadable.replies, unplaced.replies
    assert isinstance(first, NoReply)
    assert first.reason == "unreadable image"
    assert isinstance(second, NoReply)
    assert second.reason == "request not taken by the model"
    assert second.detail == "0 images and 1 places for them in the prompt"


def test_a_stop_between_batches_keeps_what_was_said(tmp_path: Path, folder: Path) -> None:
    talks = [talk(f"Who is number {number}?") for number in range(6)]
    stop = threading.Event()

    class StoppingJournal(Journal):
        """Stops the run when the first batch has been recorded, as a user might."""

        def record(self, entries):  # type: ignore[no-untyped-def] # as the parent's
            future = super().record(entries)
            stop.set()
            return future

    with StoppingJournal(tmp_path / "j", "r") as journal:
        chat = LocalChat(teacher(folder, 2), journal=journal, budget=Budget(), stop=stop, generators=GeneratorPool())
        with chat, pytest.raises(Interrupted, match="stopped while asking a model; the same command continues"):
            chat.chat(talks)
    with sqlite3.connect(tmp_path / "j") as stored:
        assert stored.execute("SELECT count(*) FROM answers").fetchone() == (2,)
    whole = run(tmp_path / "j", teacher(folder), talks)
    assert replies(whole) == replies(run(tmp_path / "fresh", teacher(folder), talks))
    with pytest.raises(Interrupted):
        run(tmp_path / "never", teacher(folder), talks, stop=stop)


def test_the_budget_of_requests(tmp_path: Path, folder: Path) -> None:
    talks = [talk(f"Who is number {number}?") for number in range(3)]
    with pytest.raises(BudgetReached, match=r"^--max-requests: 2 of 2 requests are sent;"):
        run(tmp_path / "j", teacher(folder), talks, budget=Budget(max_requests=2))
    assert len(run(tmp_path / "j", teacher(folder), talks, budget=Budget(max_requests=1))) == 3


def test_a_model_that_holds_no_conversations(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_models.tiny_model("blip2-opt", tmp_path_factory)
    with pytest.raises(SettingsError) as caught:
        run(tmp_path / "j", teacher(folder), [talk("Who?")])
    assert str(caught.value) == (
        f"{folder}: holds no conversations (it takes one prompt with one image), so it cannot be the teacher; name a"
        " model with a chat template as teacher.model"
    )


def test_pixels_are_asked_about_as_they_are(tmp_path: Path, folder: Path) -> None:
    """And a file of the same pixels is the same picture, whatever it is encoded as; lossless ones, that is."""
    red = Image.new("RGB", (40, 30), "red")
    greedy = Sampling(0.0, 1.0, 8)
    (from_file,) = run(tmp_path / "j", teacher(folder), [talk("What?", sampling=greedy, images=(picture("red"),))])
    with sqlite3.connect(tmp_path / "j") as journal:
        (request,) = journal.execute("SELECT request FROM answers").fetchone()
    assert ";pixels;40x30;RGB" in request
    no_more = Budget(max_requests=0)
    asked = [talk("What?", sampling=greedy, images=(red,))]
    assert run(tmp_path / "j", teacher(folder), asked, budget=no_more) == [from_file]


def test_draws_differ_and_each_is_kept(tmp_path: Path, folder: Path) -> None:
    def draws(seed: int | None) -> list[Conversation]:
        return [talk("Who?", sampling=replace(SAMPLED, draw=draw, seed=seed, temperature=1.5)) for draw in range(4)]

    seeded, free = run(tmp_path / "j", teacher(folder), draws(5)), run(tmp_path / "j", teacher(folder), draws(None))
    for exchanges in (seeded, free):
        assert len({said for (said,) in replies(exchanges)}) > 1
    assert run(tmp_path / "j", teacher(folder), draws(5)[::-1], budget=Budget(max_requests=0)) == seeded[::-1]
    assert replies(run(tmp_path / "other", teacher(folder), draws(5)[2:3])) == replies(seeded[2:3])


def test_each_batch_is_one_commit(tmp_path: Path, folder: Path) -> None:
    sizes: list[int] = []

    class CountingJournal(Journal):
        """Remembers how many entries came together."""

        def record(self, entries):  # type: ignore[no-untyped-def] # as the parent's
            sizes.append(len(entries))
            return super().record(entries)

    with CountingJournal(tmp_path / "j", "r") as journal:
        chat = LocalChat(
            teacher(folder, 4), journal=journal, budget=Budget(), stop=threading.Event(), generators=GeneratorPool()
        )
        with chat:
            chat.chat([talk(f"Who is number {number}?") for number in range(6)])
    assert sizes == [4, 2]


def test_a_model_that_only_looks_may_take_other_forms_and_counts_for_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = GeneratorSettings(model=str(tiny_models.tiny_model("blip2-opt", tmp_path_factory)), device="cpu")
    budget = Budget(max_requests=0)
    with Journal(tmp_path / "j", "r") as journal:
        chat = LocalChat(settings, journal=journal, budget=budget, stop=threading.Event(), generators=GeneratorPool())
        with chat:
            assert chat.form == "continuation"
            asked = [talk("It is", images=(picture("red"),)), talk("It is")]
            answered, refused = (exchange.replies[0] for exchange in chat.chat(asked))
        assert journal.totals("r").requests == 0
    assert isinstance(answered, Reply)
    assert isinstance(refused, NoReply)
    assert refused.detail == "this model takes one image a prompt, not 0"


def test_it_is_opened_from_settings(tmp_path: Path, folder: Path) -> None:
    settings = teacher(folder)
    assert settings.sampling(7) == Sampling(0.8, 1.0, 1024, 7)
    with Journal(tmp_path / "j", "r") as journal:
        chat = open_chat(
            settings,
            journal=journal,
            budget=Budget(),
            stop=threading.Event(),
            script=lambda *_: "",
            prices=load_prices(None),
            generators=GeneratorPool(),
        )
        assert isinstance(chat, LocalChat)
