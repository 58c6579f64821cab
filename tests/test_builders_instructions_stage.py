"""The stage: each description is of the picture of its own instruction, and a bad reply costs no other."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import PIL.Image
import pytest
from drawing import draw_scene
from plain_services import journaled_services, plain_services

from builders.asking import FILTERED, TRUNCATED, UNREADABLE
from builders.instructions import items
from builders.instructions.records import InfusedInstruction
from builders.instructions.replies import NO_DESCRIPTION, REASONS, SLOT, fault_of
from builders.instructions.scripted import BLIND, make_script
from builders.instructions.settings import InstructionsSettings
from builders.instructions.stage import InstructionsStage
from builders.scripted_sight import sentences_on
from ostensive.chat.pictures import picture_reference
from ostensive.chat.records import Conversation, Exchange, Message, NoReply, Reply
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.records import Annotation, ImageRecord, Location, Spend, Turn
from ostensive.stage import Dropped, Evidence, Failed, ImageEvidence, Kept, Outcome

SETTINGS = InstructionsSettings()
QUESTIONS = [f"What's no. {number}: a dog?" for number in range(24)]


def what_is_shown(messages: Sequence[Message], _seed: int) -> str:
    """A script that says which pictures it is shown, and repeats the prompt."""
    return json.dumps([[picture_reference(image) for one in messages for image in one.images], messages[-1].text])


@pytest.fixture
def rows(tmp_path: Path) -> list[ImageRecord]:
    found = []
    for number in range(2):
        path = tmp_path / f"{number}.png"
        draw_scene(number).save(path)
        data = path.read_bytes()
        image_id = hashlib.sha256(data).hexdigest()
        found.append(ImageRecord(image_id, 96, 72, "PNG", "RGB", len(data), path.name, Location(str(path))))
    return found


def evidence_of(rows: Sequence[ImageRecord], questions: Sequence[str] = QUESTIONS) -> Evidence:
    def note(row: ImageRecord, question: str) -> Annotation:
        turns = (Turn("user", f"<image>\n{question}"), Turn("assistant", "It's one."))
        return Annotation(question, row.image_id, turns=turns)

    return {row.image_id: ImageEvidence(row, annotations=tuple(note(row, one) for one in questions)) for row in rows}


@contextmanager
def opened(folder: Path, script: Script = what_is_shown, *, seed: int = 0) -> Iterator[InstructionsStage]:
    stage = InstructionsStage(SETTINGS, teacher=ScriptedTeacherSettings(), script=script, seed=seed)
    with journaled_services(folder / f"{seed}.sqlite") as services, stage.opened(services):
        yield stage


def kept(outcome: Outcome[InfusedInstruction]) -> Kept[InfusedInstruction]:
    assert isinstance(outcome, Kept)
    return outcome


def test_each_description_is_of_the_picture_of_its_instruction(rows: list[ImageRecord], tmp_path: Path) -> None:
    with opened(tmp_path) as stage:
        found = [kept(outcome) for outcome in stage.process(rows, evidence_of(rows))]
    for row, one in zip(rows, found, strict=True):
        shown = picture_reference(PIL.Image.open(row.location.path).convert("RGB"))
        assert one.losses == ()
        assert [infused.turns[0].text for infused in one.records] == QUESTIONS
        assert len({infused.row_id for infused in one.records}) == len(QUESTIONS)
        said: dict[str, set[str]] = {}
        for infused in one.records:
            pictures, text = json.loads(infused.description)
            assert pictures == [shown]
            assert "dog" not in text, "the teacher is not told the question"
            said.setdefault(infused.prompt, set()).add(infused.description)
        assert len(said) == 8, "24 draws of eight prompts, with this seed"
        assert {len(texts) for texts in said.values()} == {1}
        assert one.spend.requests == 8, "what is shared is paid once"


def test_neither_order_nor_other_instructions_change_a_row(rows: list[ImageRecord], tmp_path: Path) -> None:
    with opened(tmp_path) as stage:
        together = {one.row_id: one for one in kept(stage.process(rows, evidence_of(rows))[0]).records}
        alone = kept(stage.process(rows[:1], evidence_of(rows, QUESTIONS[7:3:-1]))[0]).records
    assert [together[one.row_id] for one in alone] == list(alone)
    with opened(tmp_path, seed=1) as stage:
        others = kept(stage.process(rows, evidence_of(rows))[0]).records
    assert [one.prompt for one in others] != [one.prompt for one in together.values()]


def test_a_bad_reply_costs_the_instructions_that_it_was_for_and_no_other(
    rows: list[ImageRecord], tmp_path: Path
) -> None:
    bad = picture_reference(draw_scene(0))

    def says(messages: Sequence[Message], _seed: int) -> str:
        return "See <image>." if picture_reference(messages[-1].images[0]) == bad else "A scene in colours."

    with opened(tmp_path, says) as stage:
        first, second = stage.process(rows, evidence_of(rows, QUESTIONS[:3]))
    assert [loss.reason for loss in kept(first).losses] == [SLOT] * 3
    assert [loss.record.description for loss in kept(first).losses if loss.record] == ["See <image>."] * 3
    assert kept(first).records == ()
    assert [one.description for one in kept(second).records] == ["A scene in colours."] * 3


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("A scene.", "stop", None),
        (" .\n", "stop", NO_DESCRIPTION),
        ("A sce", "length", TRUNCATED),
        ("", "content_filter", FILTERED),
        ("A <|image_pad|> scene", "stop", SLOT),
    ],
)
def test_what_is_no_description(text: str, finish_reason: str, reason: str | None) -> None:
    loss = fault_of(Reply(text, finish_reason, "m", "k", Spend()))
    assert (loss and loss.reason) == reason
    assert reason is None or reason in REASONS


class Silent:
    """A chat at whose other end nobody answers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        return [Exchange((NoReply("timeout", "60 s", spend=Spend(1, 10, 0, 0.1)),)) for _ in conversations]


def test_no_reply_fails_each_instruction(rows: list[ImageRecord]) -> None:
    stage = InstructionsStage(SETTINGS, teacher=ScriptedTeacherSettings(), script=what_is_shown, seed=0)
    with stage.opened(plain_services(open_chat=lambda *_: Silent())):
        (found,) = stage.process(rows[:1], evidence_of(rows[:1], QUESTIONS[:2]))
    assert kept(found).losses == (Failed("timeout", "60 s"),) * 2
    assert kept(found).spend.requests > 0


def test_images_without_instructions_and_images_that_are_gone(rows: list[ImageRecord], tmp_path: Path) -> None:
    gone = replace(rows[1], location=Location("/nowhere/gone.png"))
    evidence = {**evidence_of([gone], QUESTIONS[:2]), rows[0].image_id: ImageEvidence(rows[0])}
    with opened(tmp_path) as stage:
        without, lost = stage.process([rows[0], gone], evidence)
    assert without == Dropped(items.NO_INSTRUCTION)
    assert [(type(loss), loss.reason) for loss in kept(lost).losses] == [(Failed, UNREADABLE)] * 2


def test_what_rows_depend_on_is_in_the_identity(tmp_path: Path) -> None:
    def identity(settings: InstructionsSettings = SETTINGS, seed: int = 0, error_rate: float = 0.0) -> str:
        teacher = ScriptedTeacherSettings(error_rate=error_rate)
        stage = InstructionsStage(settings, teacher=teacher, script=make_script(error_rate), seed=seed)
        return json.dumps(dict(stage.identity), sort_keys=True)

    (tmp_path / "caption_mine.j2").write_text("What is it?", "utf-8")
    mine = InstructionsSettings(prompt_set=str(tmp_path))
    assert len({identity(), identity(seed=1), identity(error_rate=0.5), identity(mine)}) == 4
    (tmp_path / "caption_mine.j2").rename(tmp_path / "describe.j2")
    with pytest.raises(SettingsError, match=r"a template caption_1\.j2 is missing; one or more are expected$"):
        identity(mine)


# ---- the scripted teacher -------------------------------------------------------------------------------------------


def test_what_it_says_is_true_and_its_errors_are_of_every_kind() -> None:
    scene = draw_scene(2)
    true = {sentence for wording in range(4) for sentence in sentences_on(scene, wording)}
    asked = [Message("user", "What is it?", (scene,))]
    rests = []
    for seed in range(4):
        rest = make_script()(asked, seed)
        for sentence in sorted(true, key=len, reverse=True):
            rest = rest.replace(sentence, "")
        rests.append(rest.strip())
    assert rests == [""] * 4
    said = [make_script(0.5)(asked, seed) for seed in range(80)]
    assert 20 < sum(text in {make_script()(asked, seed) for seed in range(4)} for text in said) < 60
    assert {"", "A scene."} < set(said)
    assert any(text.startswith("<image> ") for text in said)
    assert any(len(text.split()) > 1024 for text in said)
    assert make_script()([Message("user", "What is it?")], 0) == BLIND
