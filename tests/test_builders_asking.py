"""What the recipes share that ask about pictures: seeds, pictures, outcomes that add up, and who must see."""

import hashlib
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
from plain_services import journaled_services

from builders.asking import MAX_SIDE_PX, Gathered, open_asker, request_seed, sampling_of
from builders.table import load, recipe_kind
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.records import Exchange, NoReply, Reply
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.records import ImageRecord, Location, Spend
from ostensive.run.pipeline import stages_of
from ostensive.stage import Dropped, Failed, Kept
from verbalizers.base import ImageFailure

CORPUS = ["corpus.license=cc0-1.0", "corpus.source=drawn by a test", "corpus.intended_use=to test"]


def image(name: str, path: Path, data: bytes = b"") -> ImageRecord:
    return ImageRecord(hashlib.sha256(data).hexdigest(), 1, 1, "PNG", "RGB", len(data), name, Location(str(path)))


def test_seeds_have_31_bits_and_follow_from_what_they_are_for() -> None:
    seeds = [request_seed(0, "image", number) for number in range(200)]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert request_seed(0, "image", 7) == seeds[7]
    assert request_seed(0, ["image", 7]) != seeds[7]


def test_draws_of_one_request_differ_where_nothing_but_the_draw_can() -> None:
    scripted, served = ScriptedTeacherSettings(), ServedTeacherSettings(model="m", temperature=0.3)
    assert sampling_of(scripted, 5).seed == 5
    assert len({sampling_of(scripted, 5, draw=draw).seed for draw in range(9)}) == 9
    assert [sampling_of(served, 5, draw=draw).draw for draw in range(3)] == [0, 1, 2]
    assert sampling_of(served, 5, draw=2).seed is None, "it is not sent one"
    assert sampling_of(served, 5).temperature == 0.3


@pytest.mark.parametrize("name", ["rationales", "preferences", "instructions", "explanations"])
def test_a_teacher_that_is_not_to_see_is_refused_where_there_is_nothing_but_the_picture(name: str) -> None:
    recipe = load(name, assignments=[*CORPUS, "teacher.sees_image=false"])
    with pytest.raises(SettingsError, match=f"teacher.sees_image: false, but {name} asks about pictures"):
        stages_of(recipe, recipe_kind(name))
    assert load("localized", assignments=[*CORPUS, "teacher.sees_image=false"])


def test_outcomes_of_an_image_add_up() -> None:
    one = image("one", Path("/one"))
    other, third = (replace(one, image_id=letter * 64) for letter in "ab")
    gathered = Gathered[ImageRecord]()
    paid = Exchange(
        (Reply("x", "stop", "m", "k", Spend(1, 10, 5, 0.5)), NoReply("timeout", "", "k", Spend(1, 2, 0, 0.1)))
    )
    gathered.keep(one)
    gathered.lose(one.image_id, Dropped("too short"))
    gathered.pay(one.image_id, paid)
    gathered.pay(one.image_id, paid)
    gathered.lose(other.image_id, Failed("timeout"))
    assert gathered.outcome(one.image_id, otherwise="nothing") == Kept(
        (one,), (Dropped("too short"),), Spend(4, 24, 10, 1.2)
    )
    assert gathered.outcome(other.image_id, otherwise="nothing") == Kept((), (Failed("timeout"),))
    assert gathered.outcome(third.image_id, otherwise="nothing") == Dropped("nothing")


def test_pictures_are_bounded_and_one_that_is_gone_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    PIL.Image.new("RGB", (3000, 40), "red").save(path)
    wide, gone = image("wide.png", path, path.read_bytes()), image("gone.png", tmp_path / "gone.png", b"gone")
    with (
        journaled_services(tmp_path / "journal.sqlite") as services,
        open_asker(ScriptedTeacherSettings(), lambda _messages, _seed: "", services) as asker,
    ):
        found = asker.pictures([gone, wide])
    assert list(found) == [gone.image_id, wide.image_id]
    picture, failure = found[wide.image_id], found[gone.image_id]
    assert isinstance(picture, PIL.Image.Image)
    assert picture.size == (MAX_SIDE_PX, 14)
    assert isinstance(failure, ImageFailure)
    assert "gone.png: cannot be read any more" in failure.detail
