"""The stage: each side is written about the picture it should be, whatever else is asked beside it."""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
from drawing import draw_scene
from plain_services import journaled_services, plain_services

from builders.preferences.corrupting import corrupted
from builders.preferences.planning import plan_pairs
from builders.preferences.records import PreferencePair
from builders.preferences.scripted import make_script
from builders.preferences.settings import PreferencesSettings, prompt_sets
from builders.preferences.sides import REASONS
from builders.preferences.stage import PairsStage
from ostensive.chat.pictures import picture_reference
from ostensive.chat.records import Conversation, Exchange, Message, NoReply, Reply
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.records import ImageRecord, Location, Spend
from ostensive.stage import Dropped, Failed, Kept, Outcome

PAID = Spend(1, 10, 5, 0.0)
MANY = PreferencesSettings(pairs=6, corruptions=("resize", "colour", "blur", "crop", "noise", "swap"))


def what_is_shown(messages: Sequence[Message], _seed: int) -> str:
    """A script that says which pictures it is shown, and repeats the prompt."""
    return json.dumps([[picture_reference(image) for one in messages for image in one.images], messages[-1].text])


def image_file(picture: PIL.Image.Image, path: Path) -> ImageRecord:
    """A picture as a file, and its record."""
    picture.save(path)
    data = path.read_bytes()
    image_id = hashlib.sha256(data).hexdigest()
    return ImageRecord(image_id, *picture.size, "PNG", "RGB", len(data), path.name, Location(str(path)))


def images_in(folder: Path, count: int) -> list[ImageRecord]:
    return [image_file(draw_scene(number), folder / f"{number}.png") for number in range(count)]


@contextmanager
def opened(
    folder: Path, settings: PreferencesSettings = MANY, script: Script = what_is_shown, *, seed: int = 0
) -> Iterator[PairsStage]:
    stage = PairsStage(settings, teacher=ScriptedTeacherSettings(), script=script, seed=seed)
    with journaled_services(folder / "journal.sqlite") as services, stage.opened(services):
        yield stage


def kept(outcome: Outcome[PreferencePair]) -> Kept[PreferencePair]:
    assert isinstance(outcome, Kept)
    return outcome


def test_no_side_is_written_about_another_picture(tmp_path: Path) -> None:
    rows = images_in(tmp_path, 3)
    scenes = {row.image_id: PIL.Image.open(row.location.path).convert("RGB") for row in rows}
    clean = {image_id: picture_reference(scene) for image_id, scene in scenes.items()}
    with opened(tmp_path) as stage:
        found = [kept(outcome) for outcome in stage.process(rows, {})]
    names = sorted(template.name.removesuffix(".j2") for template in (prompt_sets() / "preferences").iterdir())
    ways = set()
    for row, one in zip(rows, found, strict=True):
        plans = plan_pairs(MANY, names, seed=0, image_id=row.image_id)
        assert (len(one.records), one.losses) == (6, ())
        assert one.spend.requests == 12
        for plan, pair in zip(plans, one.records, strict=True):
            (chosen, good), (rejected, bad) = json.loads(pair.chosen), json.loads(pair.rejected)
            assert chosen == [clean[row.image_id]]
            assert good.startswith("Describe what you see here in detail")
            ways.add(plan.corruption)
            if plan.corruption is None:
                assert (pair.way, pair.hallucination_prompt, pair.corruption) == ("imagined", plan.imagine, "")
                assert (rejected, bad != pair.prompt) == (chosen, True)
            else:
                assert (pair.way, pair.hallucination_prompt, bad) == ("corrupted", "", pair.prompt)
                assert pair.corruption.startswith(f"{plan.corruption}: ")
                assert len(rejected) == 1
            if plan.corruption == "swap":
                other = pair.corruption.removeprefix("swap: image ")
                assert other != row.image_id
                assert rejected == [clean[other]]
            elif plan.corruption is not None:
                spoilt = corrupted(scenes[row.image_id], plan.corruption, MANY, plan.seed)
                assert (rejected, pair.corruption) == ([picture_reference(spoilt.picture)], spoilt.done)
                assert rejected != chosen
    assert len(ways) > 4, "this seed has most of them"


def test_pairs_are_the_same_whichever_images_are_beside_theirs(tmp_path: Path) -> None:
    rows = images_in(tmp_path, 3)
    settings = PreferencesSettings(pairs=3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with opened(tmp_path / "a", settings) as stage:
        together = stage.process(rows, {})
    with opened(tmp_path / "b", settings) as stage:
        alone = [stage.process([row], {})[0] for row in rows[::-1]]
    assert together == alone[::-1]
    ids = [pair.row_id for outcome in together for pair in kept(outcome).records]
    assert len(set(ids)) == 9
    with opened(tmp_path / "b", settings, seed=1) as stage:
        assert stage.process(rows, {}) != together


def test_a_lone_image_is_swapped_with_nothing(tmp_path: Path) -> None:
    (row,) = images_in(tmp_path, 1)
    with opened(tmp_path, PreferencesSettings(corruptions=("swap",), corruption_share=1)) as stage:
        assert stage.process([row], {}) == [Kept((), (Dropped("no other image to swap with"),))]


def test_an_image_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    rows = images_in(tmp_path, 2)
    Path(rows[0].location.path).write_bytes(b"gone")
    with opened(tmp_path, PreferencesSettings(pairs=2, corruptions=("swap",), corruption_share=1)) as stage:
        first, second = stage.process(rows, {})
    assert [loss.reason for loss in kept(first).losses] == ["image cannot be read"] * 2
    assert all(isinstance(loss, Failed) for loss in kept(first).losses)
    assert kept(second).losses == (Dropped("no other image to swap with"),) * 2


def test_a_corruption_that_changes_nothing_is_dropped_before_anything_is_asked(tmp_path: Path) -> None:
    row = image_file(PIL.Image.new("RGB", (40, 30), "white"), tmp_path / "white.png")
    with opened(tmp_path, PreferencesSettings(corruptions=("resize",), corruption_share=1)) as stage:
        (outcome,) = stage.process([row], {})
    detail = "resize: shorter side 15 px: changes 0.0000"
    assert outcome == Kept((), (Dropped("corruption changes too little", detail),))


class Told:
    """A chat that gives the replies it is handed, a chosen and a rejected one in turn."""

    form = "chat"

    def __init__(self, *replies: Reply | NoReply) -> None:
        self._replies = replies

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *_error: object) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        assert len(conversations) == len(self._replies)
        return [Exchange((reply,)) for reply in self._replies]


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text, finish_reason, "t", text[:8], PAID)


GOOD, BAD = reply("A cat sits.\n"), reply("A cat sits in the rain.")


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason", "detail"),
    [
        (reply(" \n"), BAD, "missing chosen text", ""),
        (GOOD, reply("..."), "missing rejected text", ""),
        (reply("A cat", "length"), BAD, "truncated reply", "chosen: finish reason 'length'"),
        (GOOD, reply("", "length"), "truncated reply", "rejected: finish reason 'length'"),
        (GOOD, reply("A", "content_filter"), "filtered reply", "rejected: finish reason 'content_filter'"),
        (GOOD, reply("A <image> of it"), "image placeholder in the text", "rejected"),
        (GOOD, reply("a CAT  sits."), "both sides say the same", ""),
    ],
)
def test_pairs_that_are_none_are_dropped(
    tmp_path: Path, chosen: Reply, rejected: Reply, reason: str, detail: str
) -> None:
    (loss,) = outcome_of(tmp_path, chosen, rejected).losses
    assert isinstance(loss, Dropped)
    assert (loss.reason, loss.detail) == (reason, detail)
    assert loss.record is not None
    assert (loss.record.chosen, loss.record.rejected) == (chosen.text.strip(), rejected.text.strip())
    assert reason in REASONS


def test_a_side_without_a_reply_fails_the_pair_and_is_paid(tmp_path: Path) -> None:
    lost = NoReply("timeout", "after 3 tries", "", PAID)
    for sides, named in (((lost, BAD), "chosen"), ((GOOD, lost), "rejected"), ((lost, lost), "chosen")):
        found = outcome_of(tmp_path, *sides)
        assert found == Kept((), (Failed("timeout", f"{named}: after 3 tries"),), PAID + PAID)


def test_a_good_pair_is_kept_with_its_lineage(tmp_path: Path) -> None:
    (pair,) = outcome_of(tmp_path, GOOD, BAD).records
    assert (pair.chosen, pair.rejected) == ("A cat sits.", "A cat sits in the rain.")
    assert (pair.request_key, pair.rejected_request_key, pair.teacher) == ("A cat si", "A cat si", "t")
    (other,) = outcome_of(tmp_path, GOOD, replace(BAD, request_key="other")).records
    assert other.row_id != pair.row_id, "another rejected side makes another row"


def outcome_of(folder: Path, *replies: Reply | NoReply) -> Kept[PreferencePair]:
    (row,) = images_in(folder, 1)
    stage = PairsStage(PreferencesSettings(), teacher=ScriptedTeacherSettings(), script=make_script(), seed=0)
    services = plain_services(threading.Event(), open_chat=lambda _settings, _script: Told(*replies))
    with stage.opened(services):
        (outcome,) = stage.process([row], {})
    return kept(outcome)


def test_a_prompt_set_lacks_no_kind_of_prompt(tmp_path: Path) -> None:
    (tmp_path / "describe.j2").write_text("Describe.")
    (tmp_path / "caption_1.j2").write_text("What is it?")
    with pytest.raises(SettingsError, match=r"a template imagine_1\.j2 is missing; one or more are expected"):
        PairsStage(
            PreferencesSettings(prompt_set=str(tmp_path)),
            teacher=ScriptedTeacherSettings(),
            script=make_script(),
            seed=0,
        )


def test_what_rows_depend_on_is_in_the_identity(tmp_path: Path) -> None:
    def identity(changes: dict[str, object], seed: int = 0) -> str:
        settings = PreferencesSettings.model_validate(changes)
        stage = PairsStage(settings, teacher=ScriptedTeacherSettings(), script=make_script(), seed=seed)
        return json.dumps(stage.identity, sort_keys=True)

    changes: list[dict[str, object]] = [{"pairs": 2}, {"blur": {"radius_share": 0.1}}, {"min_change": 0}]
    found = [identity({}), identity({}, 1), *map(identity, changes)]
    assert len(set(found)) == len(found)
    # A copy of the built-in prompts asks the same.
    for template in (prompt_sets() / "preferences").iterdir():
        (tmp_path / template.name).write_bytes(template.read_bytes())
    assert identity({"prompt_set": str(tmp_path)}) == identity({})
