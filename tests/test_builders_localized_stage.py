"""The stage on the scripted teacher, in process and through the real journal, and on replies of every other kind."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import PIL.Image
import pytest
from plain_services import plain_services

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from builders.localized.scripted import make_script
from builders.localized.settings import LocalizedSettings
from builders.localized.stage import CandidatesStage
from builders.localized.triples import REASONS
from critics.critic import CriticContext
from critics.rules import RulesSettings
from critics.stage import ScoreStage, judge_stage
from ostensive.chat.access import TeacherSettings
from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.records import Chat, Conversation, Exchange, Form, NoReply, Reply
from ostensive.chat.scripted import Script, ScriptedChat, ScriptedTeacherSettings
from ostensive.images.drawing import draw_regions
from ostensive.records import Box, ImageRecord, Judged, Location, Probe, Region, Spend, Verbalization
from ostensive.stage import Dropped, Evidence, Failed, ImageEvidence, Kept, Outcome

NO_EVIDENCE: Evidence = {}


def scene(number: int, regions: int = 4) -> Verbalization:
    boxes = (Box(0.0, 0.0, 0.3, 0.4), Box(0.5, 0.1, 0.95, 0.9), Box(0.1, 0.6, 0.2, 0.7), Box(0.55, 0.2, 0.7, 0.4))
    captions = ("a red boat", "a dark tree", "a white dog", "a round window")
    found = tuple(Region(k, boxes[k], "thing", None, captions[k]) for k in range(regions))
    return Verbalization(f"{number:064x}", (f"There are {number} birds.",), (), found, (Probe("Is it day?", "yes"),))


@contextmanager
def scripted_stage(
    folder: Path, *, error_rate: float = 0.0, settings: LocalizedSettings | None = None, seed: int = 0
) -> Iterator[CandidatesStage]:
    teacher = ScriptedTeacherSettings(error_rate=error_rate)
    with Journal(folder / "journal.sqlite", "test") as journal:

        def open_chat(settings: ScriptedTeacherSettings, script: Script) -> Chat:
            return ScriptedChat(script, settings, journal=journal, budget=Budget(), stop=threading.Event())

        stage = CandidatesStage(
            settings or LocalizedSettings(), teacher=teacher, script=make_script(error_rate), seed=seed
        )
        with stage.opened(plain_services(open_chat=open_chat)):
            yield stage


@contextmanager
def served_stage(chat: Chat) -> Iterator[CandidatesStage]:
    stage = CandidatesStage(ONE_MODE, teacher=SERVED, script=make_script(0.0), seed=0)
    with stage.opened(plain_services(open_chat=lambda _settings, _script: chat)):
        yield stage


def kept(outcome: object) -> Kept[Qar]:
    assert isinstance(outcome, Kept)
    return outcome


def test_eighteen_triples_an_image_with_their_lineage(tmp_path: Path) -> None:
    rows = [scene(1), scene(2)]
    with scripted_stage(tmp_path) as stage:
        found = [kept(outcome) for outcome in stage.process(rows, NO_EVIDENCE)]
        prompt_hash = stage.prompt_hash
    for row, one in zip(rows, found, strict=True):
        assert (len(one.records), one.losses) == (18, ())
        assert [record.mode for record in one.records] == ["ids"] * 9 + ["descriptions"] * 9
        assert {record.image_id for record in one.records} == {row.image_id}
        assert {(record.teacher, record.prompt_hash) for record in one.records} == {("scripted", prompt_hash)}
        assert len({record.request_key for record in one.records}) == 6
        assert all(bool(record.mentions) == (record.mode == "ids") for record in one.records)
        assert (one.spend.requests, one.spend.usd) == (6, 0.0)
        assert one.spend.prompt_tokens > one.spend.completion_tokens > 0
    ids = [record.row_id for one in found for record in one.records]
    assert len(set(ids)) == 36
    assert all(len(row_id) == 16 for row_id in ids)


def judged_by_rules(rows: Sequence[Qar]) -> list[Outcome[Judged[Qar]]]:
    critics = (RulesSettings(),)
    context = CriticContext(KIND, ScriptedTeacherSettings(), 0)
    with ScoreStage(critics, context).opened(plain_services()) as score:
        scored = [outcome for outcome in score.process(rows, NO_EVIDENCE) if isinstance(outcome, Kept)]
    assert len(scored) == len(rows)
    return judge_stage(critics, Qar).process([outcome.records[0] for outcome in scored], NO_EVIDENCE)


def test_the_rules_critic_keeps_all_that_the_scripted_teacher_says(tmp_path: Path) -> None:
    with scripted_stage(tmp_path) as stage:
        records = [record for outcome in stage.process([scene(1)], NO_EVIDENCE) for record in kept(outcome).records]
    judged = judged_by_rules(records)
    assert len(judged) == 18
    assert all(isinstance(outcome, Kept) for outcome in judged)


def test_with_errors_everything_is_still_counted(tmp_path: Path) -> None:
    rows = [scene(number) for number in range(12)]
    with scripted_stage(tmp_path, error_rate=0.5) as stage:
        found = [kept(outcome) for outcome in stage.process(rows, NO_EVIDENCE)]
    judged = judged_by_rules([record for one in found for record in one.records])
    assert all(len(one.records) + len(one.losses) == 18 for one in found)
    losses = [loss for one in found for loss in one.losses]
    assert {loss.reason for loss in losses} == {
        "missing question",
        "missing answer",
        "missing rationale",
        "unknown region",
        "region mentioned in description mode",
    }
    assert all(isinstance(loss, Dropped) and loss.record is not None for loss in losses)
    assert {outcome.reason for outcome in judged if isinstance(outcome, Dropped)} == {"hedging"}


def test_rows_do_not_depend_on_order_or_company(tmp_path: Path) -> None:
    rows = [scene(number) for number in range(3)]
    with scripted_stage(tmp_path, error_rate=0.3) as stage:
        together = stage.process(rows, NO_EVIDENCE)
        (tmp_path / "other").mkdir()
    with scripted_stage(tmp_path / "other", error_rate=0.3) as stage:
        backwards = [stage.process([row], NO_EVIDENCE)[0] for row in reversed(rows)]
    assert together == backwards[::-1]


def test_an_image_without_regions_loses_its_id_triples_with_a_reason(tmp_path: Path) -> None:
    with scripted_stage(tmp_path) as stage:
        one = kept(stage.process([scene(5, regions=0)], NO_EVIDENCE)[0])
    assert [record.answer for record in one.records] == ["There are 5 birds."] * 3
    assert [loss.reason for loss in one.losses].count("no regions") == 9
    assert len(one.records) + len(one.losses) == 18
    with scripted_stage(tmp_path, settings=LocalizedSettings(modes=("ids",))) as stage:
        one = kept(stage.process([scene(5, regions=0)], NO_EVIDENCE)[0])
    assert (one.records, one.spend.requests) == ((), 0)
    assert one.losses == (Dropped("no regions"),) * 9


def test_nothing_in_nothing_out(tmp_path: Path) -> None:
    with scripted_stage(tmp_path) as stage:
        assert stage.process([], NO_EVIDENCE) == []


class Answers:
    """A `Chat` at the boundary of the service: `answer` says what comes back for each conversation."""

    form: Form = "chat"

    def __init__(self, answer: Callable[[Conversation], list[Reply | NoReply]]) -> None:
        self.answer = answer
        self.calls: list[int] = []
        self.entered = self.left = 0

    def __enter__(self) -> Self:
        self.entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left += 1

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        self.calls.append(len(conversations))
        return [Exchange(tuple(self.answer(conversation))) for conversation in conversations]


def said(text: str, key: str, finish: str = "stop", usd: float | None = 0.5) -> Reply:
    return Reply(text, finish, "model-x", key, Spend(1, 10, 5, usd))


def triples(*numbers: int) -> str:
    return "\n\n".join(f"Question: What is [{n}] {n}?\nAnswer: It is.\nRationale: It has to be." for n in numbers)


ONE_MODE = LocalizedSettings(modes=("ids",))
SERVED = ServedTeacherSettings(model="model-x")


def process(answer: Callable[[Conversation], list[Reply | NoReply]], rows: int = 1) -> list[Kept[Qar]]:
    chat = Answers(answer)
    with served_stage(chat) as stage:
        found = [kept(outcome) for outcome in stage.process([scene(k) for k in range(rows)], NO_EVIDENCE)]
    assert (chat.entered, chat.left, chat.calls) == (1, 1, [rows])
    return found


def drawn(folder: Path, colour: str) -> ImageRecord:
    """A picture of one colour, as it is taken in."""
    path = folder / f"{colour}.png"
    PIL.Image.new("RGB", (320, 240), colour).save(path)
    image_id = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRecord(image_id, 320, 240, "PNG", "RGB", path.stat().st_size, path.name, Location(str(path)))


def test_a_teacher_that_sees_is_sent_each_picture_with_its_own_text(tmp_path: Path) -> None:
    images = [drawn(tmp_path, colour) for colour in ("red", "green", "blue")]
    rows = [replace(scene(k), image_id=image.image_id) for k, image in enumerate(images)]
    sent: list[Conversation] = []

    def answer(conversation: Conversation) -> list[Reply | NoReply]:
        sent.append(conversation)
        return [said("nothing", "k")] * 3

    stage = CandidatesStage(
        LocalizedSettings(), teacher=ScriptedTeacherSettings(sees_image=True), script=make_script(0.0), seed=0
    )
    with stage.opened(plain_services(open_chat=lambda _settings, _script: Answers(answer))):
        gone = replace(images[0], image_id="0" * 64, location=Location(str(tmp_path / "gone.png")))
        lost = replace(scene(9), image_id=gone.image_id)
        outcomes = stage.process([*rows, lost], {one.image_id: ImageEvidence(one) for one in (*images, gone)})
    assert isinstance(outcomes[3], Failed)
    assert outcomes[3].reason == "image cannot be read"
    assert [[len(message.images) for message in one.messages] for one in sent] == [[0, 1]] * 6
    assert all(not message.images for one in sent for message in one.follow_ups)
    pairs = [pair for pair in zip(rows, images, strict=True) for _mode in range(2)]
    for conversation, (row, image) in zip(sent, pairs, strict=True):
        system, opening = conversation.messages
        plain = PIL.Image.open(image.location.path)
        numbered = "[0]" in opening.text
        expected = draw_regions(plain, row.regions) if numbered else plain
        (picture,) = opening.images
        assert isinstance(picture, PIL.Image.Image)
        assert picture.tobytes() == expected.tobytes()
        assert row.concepts[0] in opening.text
        assert "are shown one scene" in opening.text
        assert ("outlined and numbered" in opening.text) == numbered
        assert "look at the scene" in system.text


def test_a_request_without_reply_fails_its_triples_and_those_of_the_turns_after_it() -> None:
    none = NoReply("timeout", "600 s", "k2")
    paid = NoReply("refused by the model", "no", "k2", Spend(1, 10, 1, 0.1))
    (one,) = process(lambda _: [said(triples(0, 1, 2), "k1"), paid])
    assert one.spend == Spend(2, 20, 6, 0.6), "counted once, and not for each turn that was not asked"
    (one,) = process(lambda _: [said(triples(0, 1, 2), "k1"), none])
    assert len(one.records) == 3
    assert one.losses == (Failed("timeout", "600 s"),) * 6
    assert one.spend == Spend(1, 10, 5, 0.5)
    (one,) = process(lambda _: [none])
    assert (one.records, one.losses) == ((), (Failed("timeout", "600 s"),) * 9)
    (one,) = process(lambda _: [said(triples(0), "a"), said(triples(1), "b"), none])
    assert [type(loss).__name__ for loss in one.losses] == ["Dropped"] * 4 + ["Failed"] * 3


def test_one_bad_conversation_costs_no_neighbour() -> None:
    def answer(conversation: Conversation) -> list[Reply | NoReply]:
        if "There are 1 birds." in conversation.messages[-1].text:
            return [NoReply("server error", "500", "k")]
        return [said(triples(0, 1, 2), "a"), said(triples(3), "b"), said("", "c", "content_filter")]

    first, second, third = process(answer, rows=3)
    assert len(first.records) == len(third.records) == 4
    assert [loss.reason for loss in first.losses] == ["fewer triples than asked"] * 2 + ["filtered reply"] * 3
    assert second.losses == (Failed("server error", "500"),) * 9


def test_repetitions_over_turns_and_extra_triples_are_counted() -> None:
    turns: list[Reply | NoReply] = [
        said(triples(0, 1, 2), "a"),
        said(triples(0, 3, 9), "b"),
        said(triples(1, 2, 3, 0), "c", "length", None),
    ]
    (one,) = process(lambda _: turns)
    assert [record.mentions for record in one.records] == [(0,), (1,), (2,), (3,)]
    assert [loss.reason for loss in one.losses] == [
        "repeated triple",
        "unknown region",
        "repeated triple",
        "repeated triple",
        "repeated triple",
        "more triples than asked",
    ]
    assert all(loss.reason in REASONS for loss in one.losses)
    assert one.spend == Spend(3, 30, 15, None)
    lost = one.losses[1].record
    assert lost is not None
    assert (lost.question, lost.request_key) == ("What is [9] 9?", "b")


def test_the_chat_is_left_also_after_an_error() -> None:
    def broken(_: Conversation) -> list[Reply | NoReply]:
        raise OSError("gone")

    chat = Answers(broken)
    with (
        pytest.raises(OSError, match="gone"),
        served_stage(chat) as stage,
    ):
        stage.process([scene(1)], NO_EVIDENCE)
    assert (chat.entered, chat.left) == (1, 1)


def test_the_sampling_is_that_of_the_teacher() -> None:
    def sampling(
        teacher: TeacherSettings, image: int = 1, seed: int = 0, mode: int = 0
    ) -> tuple[float, int, int | None]:
        stage = CandidatesStage(LocalizedSettings(), teacher=teacher, script=make_script(0.0), seed=seed)
        drawn = stage.conversation(scene(image), LocalizedSettings().modes[mode]).sampling
        return drawn.temperature, drawn.max_tokens, drawn.seed

    assert sampling(SERVED) == (0.8, 1024, None)
    seeded = ServedTeacherSettings(model="m", send_seed=True, temperature=0.1, max_tokens=99)
    assert sampling(seeded)[:2] == (0.1, 99)
    seeds = {
        sampling(seeded)[2],
        sampling(seeded, image=2)[2],
        sampling(seeded, seed=1)[2],
        sampling(seeded, mode=1)[2],
        sampling(ScriptedTeacherSettings())[2],
    }
    assert len(seeds) == 4  # the scripted teacher has the seed of the first
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)


def test_the_identity_holds_what_rows_depend_on() -> None:
    def identity(settings: LocalizedSettings, teacher: TeacherSettings, seed: int) -> object:
        return CandidatesStage(settings, teacher=teacher, script=make_script(0.0), seed=seed).identity

    base = identity(ONE_MODE, SERVED, 0)
    assert base == identity(ONE_MODE, ServedTeacherSettings(model="model-x", max_in_flight=3), 0)
    others = [
        identity(LocalizedSettings(), SERVED, 0),
        identity(ONE_MODE, ServedTeacherSettings(model="other"), 0),
        identity(ONE_MODE, SERVED, 1),
        identity(ONE_MODE, ScriptedTeacherSettings(), 0),
    ]
    assert all(other != base for other in others)
