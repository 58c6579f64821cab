"""The stage on the scripted teacher through a whole run, and on replies of every other kind."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from drawing import draw_scene
from hardship import call
from PIL import Image
from plain_services import journaled_services, plain_services

import ostensive
from builders.asking import FILTERED, TRUNCATED, UNREADABLE
from builders.rationales.items import NO_ANSWER, NO_QUESTION, REPEATED
from builders.rationales.jabber import FEW_LETTERS, REPEATS_ANSWER, REPEATS_ITSELF, REPEATS_QUESTION, TOO_SHORT
from builders.rationales.recipe import KIND, RULES, RationalesRecipe, compared_text
from builders.rationales.records import Rationale
from builders.rationales.scripted import NOTHING_TO_SAY, make_script, seen_in
from builders.rationales.settings import RationalesSettings
from builders.rationales.stage import RationalesStage
from builders.table import load
from critics.rules import CheckedTexts, first_broken_rule
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.pictures import Picture
from ostensive.chat.records import Conversation, Exchange, Form, Message, NoReply, Reply
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.records import Annotation, ImageRecord, Location, Spend
from ostensive.stage import Dropped, Evidence, Failed, ImageEvidence, Kept, Outcome

ASKED = ["Is it dark?", "What's in the centre: a box?", "Where is the light?"]
SERVED = ServedTeacherSettings(model="m", base_url="http://127.0.0.1:1/v1")
SMALL = RationalesSettings(temperatures=(0.1, 0.9), samples=2)


def note(name: str, image_id: str, question: str | None = "Is it wet?", *answers: str, **more: Any) -> Annotation:
    return Annotation(name, image_id, question=question, answers=answers or ("yes",), **more)


def write_images(folder: Path, count: int) -> list[ImageRecord]:
    folder.mkdir()
    records = []
    for number in range(count):
        path = folder / f"scene {number}.png"
        draw_scene(number).save(path)
        data = path.read_bytes()
        name = hashlib.sha256(data).hexdigest()
        records.append(ImageRecord(name, 96, 72, "PNG", "RGB", len(data), path.name, Location(str(path))))
    return records


@dataclass(frozen=True)
class Asked:
    """Images that the scripted teacher was asked about in one call, the last of them without an item."""

    images: list[ImageRecord]
    outcomes: list[Outcome[Rationale]]

    @property
    def kept(self) -> list[Rationale]:
        return [row for one in self.outcomes if isinstance(one, Kept) for row in one.records]

    @property
    def losses(self) -> list[Dropped[Rationale] | Failed[Rationale]]:
        within = [loss for one in self.outcomes if isinstance(one, Kept) for loss in one.losses]
        return within + [one for one in self.outcomes if not isinstance(one, Kept)]


def ask(folder: Path, error_rate: float) -> Asked:
    images = write_images(folder / "images", 5)
    evidence = {
        image.image_id: ImageEvidence(
            image,
            annotations=tuple(
                note(f"{image.image_id[:8]}/{number}", image.image_id, question, "it's so")
                for number, question in enumerate(ASKED)
            ),
        )
        for image in images[:-1]
    }
    evidence[images[-1].image_id] = ImageEvidence(images[-1])
    teacher = ScriptedTeacherSettings(error_rate=error_rate)
    stage = RationalesStage(SMALL, teacher=teacher, script=make_script(error_rate), seed=0)
    with journaled_services(folder / "journal.sqlite") as services, stage.opened(services):
        return Asked(images, stage.process(images, evidence))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return ask(tmp_path_factory.mktemp("asked"), 0.0)


def test_the_teacher_speaks_of_the_very_picture_that_the_row_is_of(asked: Asked) -> None:
    seen = {
        image.image_id: {sentence for wording in seen_in(draw_scene(number)) for sentence in wording}
        for number, image in enumerate(asked.images)
    }
    own = 0
    for row in asked.kept:
        others = set().union(*(said for image_id, said in seen.items() if image_id != row.image_id))
        assert row.rationale in seen[row.image_id]
        own += row.rationale not in others
    assert own > 20, "most of what is said is true of one picture alone"
    assert len({row.image_id for row in asked.kept}) == 4


def test_every_request_is_a_row_with_question_and_answer_as_they_came_in(asked: Asked) -> None:
    assert len(asked.kept) == 4 * len(ASKED) * 4
    assert [loss.reason for loss in asked.losses] == [NO_QUESTION]
    assert {row.question for row in asked.kept} == set(ASKED)
    assert {row.answer for row in asked.kept} == {"it's so"}
    assert len({row.row_id for row in asked.kept}) == len(asked.kept)
    assert {(row.prompt, row.temperature) for row in asked.kept} == {("why", 0.1), ("why", 0.9)}
    assert {row.annotation_id.partition("/")[0] for row in asked.kept} == {
        image.image_id[:8] for image in asked.images[:4]
    }


def test_draws_differ_and_the_same_rationale_of_another_question_is_another_text(asked: Asked) -> None:
    of_an_item = [row.rationale for row in asked.kept if row.annotation_id == asked.kept[0].annotation_id]
    assert len(set(of_an_item)) > 1
    said = {(row.image_id, row.question, row.rationale) for row in asked.kept}
    assert len({(image_id, text) for image_id, _, text in said}) < len(said)
    assert len({(row.image_id, compared_text(row)) for row in asked.kept}) == len(said)


def test_the_errors_of_the_teacher_are_told_apart_and_counted(tmp_path: Path) -> None:
    spoilt = ask(tmp_path, 1.0)
    reasons = {loss.reason for loss in spoilt.losses}
    assert reasons == {NO_QUESTION, REPEATS_ANSWER, REPEATS_QUESTION, TOO_SHORT, FEW_LETTERS, REPEATS_ITSELF}
    assert len(spoilt.kept) + len(spoilt.losses) == 4 * len(ASKED) * 4 + 1
    assert all(row.rationale.startswith("Perhaps ") for row in spoilt.kept), "which is for the critic of rules"
    # asked again, everything is as before
    (tmp_path / "again").mkdir()
    assert ask(tmp_path / "again", 1.0).outcomes == spoilt.outcomes


def test_the_recipes_own_rules_reject_hedges_and_nothing_that_came_in() -> None:
    def rejected(question: str, answer: str, rationale: str) -> str:
        return first_broken_rule(
            CheckedTexts({"question": question, "answer": answer, "rationale": rationale}, KIND.judged_parts), RULES
        )

    assert rejected("Is it dark?", "yes", "Perhaps it is moderately bright.") == "hedging"
    assert rejected("is the photo red or blue", "maybe red", "The photo shows a red wall.") == ""
    assert rejected("What does she wear? Tell me. Please. Now.", "unclear", "人们打着伞在街上跑") == ""
    assert rejected("Why?", "yes", "It pours. They run. They laugh.") == "rationale too long"


@pytest.mark.parametrize("profile", ["offline", "served"])
def test_only_repeats_are_taken_out_whatever_else_is_set(profile: str) -> None:
    stand_ins = ["corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test"]
    recipe = load("rationales", profile=profile, assignments=["dedupe.batch_size=8"], stand_ins=stand_ins)
    assert isinstance(recipe, RationalesRecipe)
    assert recipe.dedupe.max_distance == 0


@pytest.mark.slow
def test_the_demo_keeps_rows_and_drops_some_with_reasons(tmp_path: Path) -> None:
    done = call("demo", "rationales", "--out", tmp_path / "demo", "--quiet")
    assert done.returncode == 0, done.stderr
    stages = {one["name"]: one for one in json.loads(call("status", tmp_path / "demo/run", "--json").stdout)["stages"]}
    assert stages["candidates"]["dropped"].keys() >= {NO_QUESTION, NO_ANSWER, REPEATS_ANSWER}
    assert stages["unique"]["dropped"].keys() == {"repeats another candidate"}
    assert stages["judged"]["dropped"].keys() == {"hedging", "unlike the references"}
    assert stages["judged"]["kept"] > 10
    for stage in stages.values():
        assert stage["rows"] == stage["kept"] + sum(stage["dropped"].values()) + sum(stage["failed"].values())
    rows = list(ostensive.open_corpus(tmp_path / "demo/run").rows())
    assert len({(row["image_id"], row["question"]) for row in rows}) > 5
    assert "ILLUME" in (tmp_path / "demo/run/corpus/README.md").read_text("utf-8")
    preview = call(
        "preview", "rationales", "--images", tmp_path / "demo/photographs",
        "--annotations", tmp_path / "demo/annotations.jsonl", "--set", "rationales.samples=1",
    )  # fmt: skip
    assert "Question: What colour is the suit?" in preview.stdout


# ---- the stage alone ------------------------------------------------------------------------------------------------

Say = Callable[[Conversation], Reply | NoReply]


class Saying:
    """A chat at the other end of which a function replies."""

    form: Form = "chat"

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[Conversation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        self.asked += conversations
        return [Exchange((self.say(one),)) for one in conversations]


def reply(text: str = "People hold umbrellas.", finish_reason: str = "stop") -> Reply:
    return Reply(text, finish_reason, "m", "key", Spend(1, 10, 5, 0.5))


def outcomes(
    chat: Saying, rows: Sequence[ImageRecord], evidence: Evidence, settings: RationalesSettings = SMALL
) -> list[Outcome[Rationale]]:
    stage = RationalesStage(settings, teacher=SERVED, script=make_script(0.0), seed=0)
    with stage.opened(plain_services(open_chat=lambda *_: chat)):
        found = stage.process(rows, evidence)
    assert len(found) == len(rows)
    return found


@pytest.fixture
def images(tmp_path: Path) -> list[ImageRecord]:
    return write_images(tmp_path / "images", 2)


def asking_of(*rows: ImageRecord, notes: Callable[[str], tuple[Annotation, ...]]) -> Evidence:
    return {row.image_id: ImageEvidence(row, annotations=notes(row.image_id)) for row in rows}


def test_the_grid_is_asked_with_the_picture_in_every_request(images: list[ImageRecord]) -> None:
    chat = Saying(lambda _: reply())
    settings = SMALL.model_copy(update={"prompts": ("why", "because"), "top_k": 50})
    evidence = asking_of(*images, notes=lambda image_id: (note("n", image_id), note("m", image_id, "Is it\ncold?")))
    found = outcomes(chat, images, evidence, settings)
    assert len(chat.asked) == 2 * 2 * 2 * 2 * 2
    samplings = [(one.sampling.temperature, one.sampling.draw, one.sampling.top_k) for one in chat.asked[:8]]
    assert samplings == [(t, draw, 50) for _ in range(2) for t in (0.1, 0.9) for draw in (0, 1)]
    for place, one in enumerate(chat.asked):
        (message,) = one.messages
        (picture,) = message.images
        assert isinstance(picture, Image.Image)
        assert picture.tobytes() == draw_scene(place // 16).tobytes()
    assert "Question: Is it wet?\nAnswer: yes\n" in chat.asked[0].messages[0].text
    assert chat.asked[4].messages[0].text == "Question: Is it wet?\nAnswer: yes, because"
    assert chat.asked[12].messages[0].text == "Question: Is it cold?\nAnswer: yes, because"
    for outcome in found:
        assert isinstance(outcome, Kept)
        assert len({row.row_id for row in outcome.records}) == 16
        assert outcome.spend == Spend(16, 160, 80, 8.0)


def test_a_reference_never_reaches_the_teacher_and_choices_do(images: list[ImageRecord]) -> None:
    chat = Saying(lambda _: reply())
    secret = ("Nobody may read this.",)
    evidence = asking_of(
        images[0], notes=lambda image_id: (note("n", image_id, choices=("yes", "no"), rationales=secret),)
    )
    outcomes(chat, images[:1], evidence)
    texts = [one.messages[0].text for one in chat.asked]
    assert len(texts) == 4
    assert all("Choices: yes; no\nAnswer: yes" in text and secret[0] not in text for text in texts)


def test_a_bad_reply_costs_no_other(images: list[ImageRecord]) -> None:
    said: list[Reply | NoReply] = [
        reply(),
        NoReply("timeout", "60 s", spend=Spend(1, 10, 0, 0.1)),
        reply("People hold umbr", "length"),
        reply("", "content_filter"),
    ]
    replies = iter(said)
    chat = Saying(lambda _: next(replies))
    evidence = asking_of(images[0], notes=lambda image_id: (note("n", image_id), note("m", image_id)))
    (found,) = outcomes(chat, images[:1], evidence)
    assert isinstance(found, Kept)
    assert [row.rationale for row in found.records] == ["People hold umbrellas."]
    assert [(type(loss), loss.reason) for loss in found.losses] == [
        (Dropped, REPEATED),
        (Failed, "timeout"),
        (Dropped, TRUNCATED),
        (Dropped, FILTERED),
    ]
    assert found.losses[2].record is not None
    assert found.losses[2].record.rationale == "People hold umbr"
    assert found.spend.requests == 4


def test_images_without_items_and_images_that_are_gone(images: list[ImageRecord]) -> None:
    gone = replace(images[1], location=Location("/nowhere/gone.png"))
    chat = Saying(lambda _: reply())
    evidence = {
        images[0].image_id: ImageEvidence(images[0]),
        gone.image_id: ImageEvidence(gone, annotations=(note("n", gone.image_id),)),
    }
    without, lost = outcomes(chat, [images[0], gone], evidence)
    assert without == Dropped(NO_QUESTION)
    assert isinstance(lost, Kept)
    assert [(type(loss), loss.reason) for loss in lost.losses] == [(Failed, UNREADABLE)]
    assert chat.asked == []


def test_what_rows_depend_on_is_in_the_identity(tmp_path: Path) -> None:
    def identity(settings: RationalesSettings = SMALL, seed: int = 0, error_rate: float = 0.0) -> str:
        teacher = ScriptedTeacherSettings(error_rate=error_rate)
        stage = RationalesStage(settings, teacher=teacher, script=make_script(error_rate), seed=seed)
        return json.dumps(dict(stage.identity), sort_keys=True)

    copy = tmp_path / "mine"
    copy.mkdir()
    for text in (Path(ostensive.__file__).parent.parent / "builders/rationales/templates/rationales").iterdir():
        (copy / text.name).write_text(text.read_text("utf-8"), "utf-8")
    assert identity(SMALL.model_copy(update={"prompt_set": str(copy)})) == identity()
    (copy / "explain_why.j2").write_text("{{ question }} {{ answer }}", "utf-8")
    changed = [SMALL.model_copy(update=one) for one in ({"samples": 3}, {"top_k": 5}, {"prompt_set": str(copy)})]
    assert len({identity(), identity(seed=1), identity(error_rate=0.5), *map(identity, changed)}) == 6
    (copy / "explain_why.j2").write_text("{{ question / 2 }}", "utf-8")
    with pytest.raises(SettingsError, match=r"explain_why\.j2 cannot be rendered"):
        identity(SMALL.model_copy(update={"prompt_set": str(copy)}))
    with pytest.raises(SettingsError, match=r"explain_how\.j2 is missing"):
        identity(SMALL.model_copy(update={"prompts": ("how",)}))


# ---- the scripted teacher -------------------------------------------------------------------------------------------


def said(question: str, picture: Picture | None, seed: int, error_rate: float = 0.0) -> str:
    text = f"Look.\n\nQuestion: {question}\nAnswer: it's so\n\nWhy?"
    return make_script(error_rate)([Message("user", text, (picture,) if picture is not None else ())], seed)


def test_the_scripted_teacher_says_what_has_to_do_with_the_question() -> None:
    picture = draw_scene(0)
    texts = [said("Is the light even?", picture, seed) for seed in range(40)]
    assert len(set(texts)) > 8
    assert sum("light" in text.lower() for text in texts) > 24
    assert said("Is the light even?", picture, 7) == texts[7]


def test_without_a_picture_or_an_item_it_has_nothing_to_say() -> None:
    assert said("Is it dark?", None, 0) == NOTHING_TO_SAY
    assert make_script(0.0)([Message("user", "Hello", (draw_scene(0),))], 0) == NOTHING_TO_SAY
    with pytest.raises(ValueError, match="error_rate: a share from 0 to 1 is expected, not 2"):
        make_script(2)
