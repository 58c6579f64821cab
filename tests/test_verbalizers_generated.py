"""Narratives, captions and probes by real image-text models with tiny random weights, through the stage."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from PIL import Image
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.errors import SettingsError
from ostensive.models.pictures import shrunk
from ostensive.recipe import SelfTeacherSettings
from ostensive.records import Box, ImageRecord, Location, Verbalization
from ostensive.settings import validate
from ostensive.stage import Failed, Kept, Outcome
from verbalizers.choice import Proposal
from verbalizers.image_text.parts import ModelCaptions, ModelNarratives, cut_out, with_box
from verbalizers.image_text.questions import distinct_questions
from verbalizers.image_text.settings import (
    FIRST_QUESTIONS,
    DrawSettings,
    GeneratorCaptionSettings,
    GeneratorNarrativeSettings,
    GeneratorProbeSettings,
)
from verbalizers.image_text.wordings import answer_prompt, caption_prompt, location_tokens, told
from verbalizers.parts import PartTools, Unsaid, View, Workers
from verbalizers.settings import VerbalizeSettings
from verbalizers.stage import NOT_VERBALIZED, VerbalizeStage

SIZES = [(60, 40), (40, 60), (33, 90), (1, 1), (2000, 4)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    folder, rng, found = tmp_path_factory.mktemp("images"), np.random.default_rng(5), []
    for index, (width, height) in enumerate(SIZES):
        path = folder / f"{index}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        image_id = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(
            ImageRecord(image_id, width, height, "PNG", "RGB", path.stat().st_size, path.name, Location(str(path)))
        )
    return found


def load(image: ImageRecord) -> Image.Image:
    with Image.open(image.location.path) as picture:
        return picture.convert("RGB")


def settings(folder: Path, batch_size: int = 4, *, probes: bool = True, view: str = "drawn") -> VerbalizeSettings:
    generator = {"model": str(folder), "device": "cpu", "batch_size": batch_size}
    draw = {"temperature": 1.1, "top_p": 0.95, "max_new_tokens": 6}
    section = {
        "narratives": {"kind": "generator", **generator, "count": 2, "draw": draw},
        "captions": {"kind": "generator", **generator, "view": view, "draw": {"max_new_tokens": 6}},
    }
    if probes:
        section["probes"] = {"kind": "generator", **generator, "draw": {"max_new_tokens": 6}}
    return validate(VerbalizeSettings, section, "verbalize")


def stage(chosen: VerbalizeSettings, *, seed: int = 0) -> VerbalizeStage:
    return VerbalizeStage(chosen, load, seed=seed, threads=2)


def process(chosen: VerbalizeSettings, rows: list[ImageRecord], seed: int = 0) -> list[Outcome[Verbalization]]:
    with stage(chosen, seed=seed) as entered:
        return entered.process(rows, {})


@pytest.mark.parametrize("name", ["llava", "idefics3", "blip2-opt", "florence2"])
def test_every_family_verbalizes(name: str, rows: list[ImageRecord], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, probes = tiny_models.tiny_model(name, tmp_path_factory), name != "florence2"
    outcomes = process(settings(folder, probes=probes), rows)
    kept = [outcome.records[0] for outcome in outcomes if isinstance(outcome, Kept)]
    for outcome in outcomes:  # random weights may say nothing but signs; that is counted and never a caption
        if isinstance(outcome, Failed):
            assert outcome.reason == NOT_VERBALIZED
            assert "the model said nothing" in outcome.detail
    assert len(kept) >= 3
    for said in kept:
        assert 1 <= len(said.narratives) <= 2
        assert all(region.caption for region in said.regions)
        if probes:
            assert {probe.question for probe in said.probes} <= set(FIRST_QUESTIONS)
            assert all(probe.answer for probe in said.probes)
    assert len({said.narratives for said in kept}) == len(kept), "different images are told differently"


def test_neither_batch_size_nor_order_nor_company_matters(
    rows: list[ImageRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    whole = process(settings(folder, 5), rows)
    assert process(settings(folder, 1), rows) == whole
    assert process(settings(folder, 2), rows[::-1]) == whole[::-1]
    assert process(settings(folder, 3), rows[2:3]) == whole[2:3]
    assert process(settings(folder, 5), rows, seed=1) != whole


def test_the_identity_holds_what_rows_depend_on(tmp_path: Path) -> None:
    folder = tiny_models.save_llava(tmp_path / "model")
    before = stage(settings(folder)).identity
    assert stage(settings(folder, 9)).identity == before
    assert stage(settings(folder, view="crop")).identity != before
    (folder / "chat_template.jinja").write_text(tiny_models.CHAT_TEMPLATE + " ", "utf-8")
    assert stage(settings(folder)).identity != before


def test_the_region_decides_the_caption(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whether it is drawn, cut out or told as text: two boxes of one image give two captions."""
    picture = Image.new("RGB", (60, 60), "white")
    picture.paste((0, 90, 0), (0, 0, 60, 25))
    view = View("a" * 64, picture, 160, 384)
    boxes = [Box(0.0, 0.0, 0.3, 0.4), Box(0.5, 0.5, 1.0, 1.0), Box(0.0, 0.0, 0.3, 0.4)]
    found = tuple(Proposal(box, "area", None, "area", 1.0) for box in boxes)
    for name, shown in (("llava", "drawn"), ("llava", "crop"), ("florence2", "crop")):
        folder = str(tiny_models.tiny_model(name, tmp_path_factory))
        chosen = GeneratorCaptionSettings(model=folder, device="cpu", view=shown, draw=DrawSettings(max_new_tokens=16))
        with Workers(1) as workers, ModelCaptions(chosen, PartTools(workers, 0)) as part:
            (captions,) = part.captions([view], [found])
        assert isinstance(captions, tuple), (name, shown, captions)
        assert captions[0] == captions[2] != captions[1], (name, shown)


def test_captions_in_any_number_of_shares_are_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    """More regions than are drawn at a time, one image that cannot be drawn on, one without regions."""
    rng = np.random.default_rng(2)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(5)]
    pictures[1].close()
    views = [View(letter * 64, picture, 160, 384) for letter, picture in zip("abcde", pictures, strict=True)]
    corners = [(x / 8, y / 8) for x in range(7) for y in range(7)]
    found = [
        tuple(Proposal(Box(x, y, x + 0.12, y + 0.12), "area", None, "area", 1.0) for x, y in corners[:count])
        for count in (49, 3, 0, 40, 20)
    ]
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    chosen = GeneratorCaptionSettings(model=folder, device="cpu", draw=DrawSettings(max_new_tokens=12), batch_size=32)
    with Workers(2) as workers, ModelCaptions(chosen, PartTools(workers, 0)) as part:
        together = part.captions(views, found)
        alone = [part.captions([view], [regions])[0] for view, regions in zip(views, found, strict=True)]
    assert together == alone
    assert together[1] == Unsaid("ValueError: Operation on closed image")
    assert together[2] == ()
    told_of = [said for said in together if isinstance(said, tuple)]
    assert sorted(map(len, told_of)) in ([0, 20, 40, 49], [0, 40, 49], [0, 20, 49], [0, 20, 40])
    assert len({text for said in told_of for text in said}) > 5


def test_a_caption_is_drawn_alike_whatever_the_last_digits_of_its_box(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Those depend on the batch that the detector found it in; a seed made of them would draw other words."""
    view = View("a" * 64, Image.effect_noise((60, 60), 90).convert("RGB"), 160, 384)
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    draw = DrawSettings(temperature=1.1, max_new_tokens=12)
    chosen = GeneratorCaptionSettings(model=folder, device="cpu", draw=draw)
    corners = [(0.1, 0.1, 0.4, 0.5), (0.1, 0.1, 0.4, 0.5000001), (0.1, 0.1, 0.4, 0.5)]
    found = [tuple(Proposal(Box(*box), "area", None, "area", 1.0) for box in boxes) for boxes in (corners, corners[1:])]
    with Workers(1) as workers, ModelCaptions(chosen, PartTools(workers, 0)) as part:
        all_three, last_two = part.captions([view, view], found)
    assert not isinstance(all_three, Unsaid), all_three
    assert not isinstance(last_two, Unsaid), last_two
    assert all_three[:2] == last_two
    assert len(set(all_three)) == 3, "regions of one image have seeds of their own"


def test_each_image_has_a_seed_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same picture under two ids is told in different words; under one id in the same."""
    picture = Image.new("RGB", (40, 40), "red")
    views = [View(letter * 64, picture, 160, 384) for letter in "aba"]
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    chosen = GeneratorNarrativeSettings(model=folder, device="cpu")
    with ModelNarratives(chosen, PartTools(Workers(1), 0)) as part:
        first, second, third = part.narratives(views)
    assert first == third != second


def test_florence_answers_no_questions(rows: list[ImageRecord], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_models.tiny_model("florence2", tmp_path_factory)
    with pytest.raises(SettingsError) as caught:
        process(settings(folder), rows)
    assert str(caught.value) == (
        f"{folder}: answers no questions (it knows only its tasks); name another model for probes"
    )


def test_a_model_that_is_not_there_stops_before_any_work(rows: list[ImageRecord]) -> None:
    with pytest.raises(SettingsError, match=r"^\./nowhere: there is no such folder"):
        process(settings(Path("./nowhere")).model_copy(
            update={"narratives": GeneratorNarrativeSettings(model="./nowhere")}
        ), rows)  # fmt: skip


def test_pictures_of_regions() -> None:
    image = Image.new("RGB", (200, 100), "white")
    assert cut_out(image, Box(0.4, 0.4, 0.6, 0.6), 0.5).size == (80, 40)
    assert cut_out(image, Box(0.0, 0.0, 1.0, 1.0), 0.5).size == (200, 100)
    assert cut_out(image, Box(0.999, 0.999, 1.0, 1.0), 0.0).size == (1, 1)
    assert shrunk(image, 200) is image
    assert shrunk(image, 64).size == (64, 32)
    assert shrunk(Image.new("RGB", (20_000, 10)), 64).size == (64, 1)
    boxed = with_box(image, Box(0.25, 0.25, 0.75, 0.75))
    assert boxed.size == image.size
    assert boxed.getpixel((100, 50)) == (255, 255, 255), "what is inside is not tinted"
    assert len(boxed.getcolors() or ()) > 1


def test_wordings() -> None:
    assert location_tokens(Box(0.0, 0.052, 0.5, 1.0)) == "<loc_0><loc_52><loc_500><loc_999>"
    box = Box(0.1, 0.2, 0.3, 0.4)
    assert caption_prompt("task", box, None, drawn=True) == "<REGION_TO_DESCRIPTION>" + location_tokens(box)
    assert caption_prompt("task", box, "<REGION_TO_CATEGORY>", drawn=True) == (
        "<REGION_TO_CATEGORY>" + location_tokens(box)
    )
    assert caption_prompt("chat", box, "What?", drawn=False) == "What?"
    assert answer_prompt("m", "continuation", "Why?", None) == "Question: Why? Answer:"
    assert answer_prompt("m", "chat", "Why {x}?", "Tell: {question}") == "Tell: Why {x}?"
    assert distinct_questions(["Who?", " who ", "WHO", "Why?", "How?"], 2) == ("Who?", "Why?")
    assert distinct_questions([], 3) == ()
    assert told(" a \n dog. ") == "a dog."
    assert told("... \n") == ""
    assert told("犬") == "犬"
    assert told("a red car<loc_52><loc_332><loc_932><loc_774>") == "a red car"
    assert told("<loc_52><loc_332>") == "", "a place alone says nothing"


def test_settings() -> None:
    chosen = GeneratorNarrativeSettings(model="m")
    assert (chosen.count, chosen.draw.temperature, chosen.draw.top_p) == (5, 1.1, 0.95)
    assert GeneratorProbeSettings(model="m").questions == FIRST_QUESTIONS
    assert [(need.role, need.name) for need in chosen.needs()] == [("narratives", "m")]
    sections = (chosen, GeneratorCaptionSettings(model="m"), GeneratorProbeSettings(model="m"))
    assert {section.generator for section in (*sections, SelfTeacherSettings(model="m"))} == {chosen.generator}, (
        "one loaded model for all of them and the teacher"
    )
    with pytest.raises(SettingsError, match=r"probes\.prompt: a text with \{question\} in it, once, is expected"):
        validate(
            VerbalizeSettings,
            {"probes": {"kind": "generator", "model": "m", "prompt": "Answer!"}},
            "verbalize",
        )
    with pytest.raises(SettingsError, match=r"narratives\.model: field required"):
        validate(VerbalizeSettings, {"narratives": {"kind": "generator"}}, "verbalize")
