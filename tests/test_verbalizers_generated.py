"""Narratives, captions and probes by real image-text models with tiny random weights, through the stage."""

import hashlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_models
from drawing import write_scenes
from opened_verbalizers import CONTEXT, VerbalizerT, journaled_services, opened
from PIL import Image
from tiny_models import one_thread  # noqa: F401 - a fixture

import ostensive
from ostensive.chat.journal import Journal
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.pictures import shrunk
from ostensive.errors import Interrupted, SettingsError
from ostensive.records import NO_SPEND, Box, ImageRecord, Location, Verbalization
from ostensive.settings import validate
from ostensive.stage import Failed, Kept, Outcome
from verbalizers.base import DecodedImage, ImageFailure
from verbalizers.choice import Proposal
from verbalizers.image_text.settings import (
    FIRST_QUESTIONS,
    DrawSettings,
    GeneratorCaptionSettings,
    GeneratorNarrativeSettings,
    GeneratorProbeSettings,
)
from verbalizers.image_text.verbalizers import ModelCaptions, ModelNarratives, cut_out, with_box
from verbalizers.image_text.wordings import (
    answer_prompt,
    caption_prompt,
    clean_reply,
    distinct_questions,
    location_tokens,
)
from verbalizers.stage import NOT_VERBALIZED, VERBALIZED, VerbalizeStage
from verbalizers.table import VerbalizeSettings

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


def settings(folder: Path, batch_size: int = 4, *, probes: bool = True, show: str = "drawn") -> VerbalizeSettings:
    generator = {"model": str(folder), "device": "cpu", "batch_size": batch_size}
    draw = {"temperature": 1.1, "top_p": 0.95, "max_new_tokens": 6}
    section = {
        "narratives": {"kind": "generator", **generator, "count": 2, "draw": draw},
        "captions": {"kind": "generator", **generator, "show": show, "draw": {"max_new_tokens": 6}},
    }
    if probes:
        section["probes"] = {"kind": "generator", **generator, "draw": {"max_new_tokens": 6}}
    return validate(VerbalizeSettings, section, "verbalize")


def stage(chosen: VerbalizeSettings, *, seed: int = 0) -> VerbalizeStage:
    return VerbalizeStage(chosen, seed=seed)


def process(
    chosen: VerbalizeSettings,
    rows: list[ImageRecord],
    journal: Path,
    *,
    seed: int = 0,
    stop: threading.Event | None = None,
) -> list[Outcome[Verbalization]]:
    with journaled_services(journal, stop=stop) as services, stage(chosen, seed=seed).opened(services) as ready:
        return ready.process(rows, {})


@contextmanager
def ready(verbalizer: VerbalizerT) -> Iterator[VerbalizerT]:
    """`verbalizer`, open, with a journal of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        journaled_services(Path(folder) / "j") as services,
        opened(verbalizer, services) as found,
    ):
        yield found


@contextmanager
def forward_passes(after_each: Callable[[int], None] = lambda _count: None) -> Iterator[list[str]]:
    """The forward passes of image-text models in this process, by class; `after_each` is told how many by then."""
    import torch

    found: list[str] = []

    def count(module: Any, _inputs: Any, _outputs: Any) -> None:
        if type(module).__name__.endswith("ForConditionalGeneration"):
            found.append(type(module).__name__)
            after_each(len(found))

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        yield found
    finally:
        hook.remove()


def answers(journal: Path) -> tuple[int, int]:
    """How many answers a journal has, and how many that were generated although it had them."""
    query = "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM spoiled)"
    with closing(sqlite3.connect(journal)) as connection:
        found, again = connection.execute(query).fetchone()
    return found, again


@pytest.mark.parametrize("name", ["llava", "idefics3", "blip2-opt", "florence2"])
def test_every_family_verbalizes(
    name: str, rows: list[ImageRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, probes = tiny_models.tiny_model(name, tmp_path_factory), name != "florence2"
    outcomes = process(settings(folder, probes=probes), rows, tmp_path / "j")
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


@pytest.mark.slow
def test_neither_batch_size_nor_order_nor_company_matters(
    rows: list[ImageRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    whole = process(settings(folder, 5), rows, tmp_path / "a")
    assert process(settings(folder, 1), rows, tmp_path / "b") == whole
    assert process(settings(folder, 2), rows[::-1], tmp_path / "c") == whole[::-1]
    assert process(settings(folder, 3), rows[2:3], tmp_path / "d") == whole[2:3]
    assert process(settings(folder, 5), rows, tmp_path / "a", seed=1) != whole


def test_what_is_in_the_journal_is_not_generated_again(
    rows: list[ImageRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    first = process(settings(folder), rows, tmp_path / "j")
    assert answers(tmp_path / "j")[0] > 3 * len(rows)
    with forward_passes() as passes:
        assert process(settings(folder, 1), rows[::-1], tmp_path / "j") == first[::-1]
        assert passes == []
        moved = shutil.copytree(folder, tmp_path / "model")
        (moved / "chat_template.jinja").write_text(tiny_models.CHAT_TEMPLATE + " ", "utf-8")
        process(settings(moved), rows[:1], tmp_path / "j")
        assert passes, "another model has other answers"
    assert all(not outcome.spend.requests for outcome in first if isinstance(outcome, Kept)), "it costs nothing"
    with Journal(tmp_path / "j", "r") as journal:
        assert journal.totals("r") == NO_SPEND, "and no limit of a run counts it"


def test_a_limit_of_requests_is_not_for_models_that_look(
    rows: list[ImageRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = stage(settings(tiny_models.tiny_model("llava", tmp_path_factory)))
    with journaled_services(tmp_path / "j", max_requests=0) as services, made.opened(services):
        assert len(made.process(rows[:2], {})) == 2


def test_a_stopped_stage_generates_only_what_is_missing(
    rows: list[ImageRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chosen, stop = settings(tiny_models.tiny_model("llava", tmp_path_factory)), threading.Event()
    with forward_passes() as passes:
        whole = process(chosen, rows, tmp_path / "whole")
    every, half = answers(tmp_path / "whole")[0], len(passes) // 2
    with forward_passes(lambda count: stop.set() if count > half else None), pytest.raises(Interrupted):
        process(chosen, rows, tmp_path / "j", stop=stop)
    had, _ = answers(tmp_path / "j")
    assert 0 < had < every
    with forward_passes() as again:
        assert process(chosen, rows, tmp_path / "j") == whole
    assert len(again) <= len(passes) - half
    assert answers(tmp_path / "j") == (every, 0), "each text once, over both calls"


@pytest.mark.slow
def test_a_killed_build_generates_only_what_is_missing_and_another_run_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SIGKILL while a model verbalizes; then the same command, a run of its own, and a new run with that journal."""
    images = write_scenes(tmp_path / "images", 4)
    model = f"kind: generator, model: {tiny_models.tiny_model('llava', tmp_path_factory)}, device: cpu, batch_size: 2"
    sets = (
        "corpus.license=cc0-1.0",
        "corpus.source=drawn by a test",
        "corpus.intended_use=to test",
        "run.partition_size=2",
        f"verbalize.narratives={{{model}, count: 3, draw: {{max_new_tokens: 6, temperature: 1.1}}}}",
        f"verbalize.captions={{{model}, draw: {{max_new_tokens: 6}}}}",
    )
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ostensive", "build", "localized", "--images", images, "--out", run, "--quiet"]
    child = subprocess.Popen([*map(str, command), *(part for value in sets for part in ("--set", value))])
    deadline = time.monotonic() + 120
    while local_answers(run / "journal.sqlite") < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.wait()
    had = local_answers(run / "journal.sqlite")
    options = ostensive.BuildOptions(settings=sets)
    ostensive.build("localized", images=images, out=tmp_path / "whole", options=options)
    every = local_answers(tmp_path / "whole" / "journal.sqlite")
    assert 4 <= had < every
    ostensive.build("localized", images=images, out=run, options=options)
    assert verbalized(run) == verbalized(tmp_path / "whole")
    assert local_answers(run / "journal.sqlite") == every
    assert answers(run / "journal.sqlite")[1] == 0, "nothing was said twice"
    with forward_passes() as passes:
        shared = ostensive.BuildOptions(settings=sets, journal=run / "journal.sqlite")
        ostensive.build("localized", images=images, out=tmp_path / "new", options=shared)
    assert passes == []
    assert verbalized(tmp_path / "new") == verbalized(run)


def local_answers(journal: Path) -> int:
    """How many answers of models on this machine a journal has, which may not be whole yet."""
    if not journal.exists():
        return 0
    query = "SELECT count(*) FROM answers WHERE endpoint = 'local'"
    with closing(sqlite3.connect(journal)) as connection, suppress(sqlite3.OperationalError):
        return int(connection.execute(query).fetchone()[0])
    return 0


def verbalized(run: Path) -> list[dict[str, Any]]:
    """The rows of the stage, partition by partition."""
    paths = sorted((run / VERBALIZED).glob("part-*.parquet"))
    assert paths
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_the_identity_holds_what_rows_depend_on(tmp_path: Path) -> None:
    folder = tiny_models.save_llava(tmp_path / "model")
    before = stage(settings(folder)).identity
    assert stage(settings(folder, 9)).identity == before
    assert stage(settings(folder, show="crop")).identity != before
    (folder / "chat_template.jinja").write_text(tiny_models.CHAT_TEMPLATE + " ", "utf-8")
    assert stage(settings(folder)).identity != before


@pytest.mark.slow
def test_the_region_decides_the_caption(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whether it is drawn, cut out or told as text: two boxes of one image give two captions."""
    picture = Image.new("RGB", (60, 60), "white")
    picture.paste((0, 90, 0), (0, 0, 60, 25))
    image = DecodedImage("a" * 64, picture)
    boxes = [Box(0.0, 0.0, 0.3, 0.4), Box(0.5, 0.5, 1.0, 1.0), Box(0.0, 0.0, 0.3, 0.4)]
    found = tuple(Proposal(box, "area", None, "area", 1.0) for box in boxes)
    for name, shown in (("llava", "drawn"), ("llava", "crop"), ("florence2", "crop")):
        folder = str(tiny_models.tiny_model(name, tmp_path_factory))
        chosen = GeneratorCaptionSettings(model=folder, device="cpu", show=shown, draw=DrawSettings(max_new_tokens=16))
        with ready(ModelCaptions(chosen, CONTEXT)) as captioner:
            (captions,) = captioner.captions([image], [found])
        assert isinstance(captions, tuple), (name, shown, captions)
        assert captions[0] == captions[2] != captions[1], (name, shown)


@pytest.mark.slow
def test_captions_in_any_number_of_shares_are_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    """More regions than are drawn at a time, one image that cannot be drawn on, one without regions."""
    rng = np.random.default_rng(2)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(5)]
    pictures[1].close()
    images = [DecodedImage(letter * 64, picture) for letter, picture in zip("abcde", pictures, strict=True)]
    corners = [(x / 8, y / 8) for x in range(7) for y in range(7)]
    found = [
        tuple(Proposal(Box(x, y, x + 0.12, y + 0.12), "area", None, "area", 1.0) for x, y in corners[:count])
        for count in (49, 3, 0, 40, 20)
    ]
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    chosen = GeneratorCaptionSettings(model=folder, device="cpu", draw=DrawSettings(max_new_tokens=12), batch_size=32)
    with ready(ModelCaptions(chosen, CONTEXT)) as captioner:
        together = captioner.captions(images, found)
    with ready(ModelCaptions(chosen, CONTEXT)) as captioner:
        alone = [captioner.captions([image], [regions])[0] for image, regions in zip(images, found, strict=True)]
    assert together == alone
    assert together[1] == ImageFailure("ValueError: Operation on closed image")
    assert together[2] == ()
    captions = [said for said in together if isinstance(said, tuple)]
    assert sorted(map(len, captions)) in ([0, 20, 40, 49], [0, 40, 49], [0, 20, 49], [0, 20, 40])
    assert len({text for said in captions for text in said}) > 5


def test_a_caption_is_drawn_alike_whatever_the_last_digits_of_its_box(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Those depend on the batch that the detector found it in; a seed made of them would draw other words."""
    image = DecodedImage("a" * 64, Image.effect_noise((60, 60), 90).convert("RGB"))
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    draw = DrawSettings(temperature=1.1, max_new_tokens=12)
    chosen = GeneratorCaptionSettings(model=folder, device="cpu", draw=draw)
    corners = [(0.1, 0.1, 0.4, 0.5), (0.1, 0.1, 0.4, 0.5000001), (0.1, 0.1, 0.4, 0.5)]
    found = [tuple(Proposal(Box(*box), "area", None, "area", 1.0) for box in boxes) for boxes in (corners, corners[1:])]
    with ready(ModelCaptions(chosen, CONTEXT)) as captioner:
        all_three, last_two = captioner.captions([image, image], found)
    assert not isinstance(all_three, ImageFailure), all_three
    assert not isinstance(last_two, ImageFailure), last_two
    assert all_three[:2] == last_two
    assert len(set(all_three)) == 3, "regions of one image have seeds of their own"


def test_each_image_has_a_seed_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same picture under two ids is told in different words; under one id in the same."""
    picture = Image.new("RGB", (40, 40), "red")
    images = [DecodedImage(letter * 64, picture) for letter in "aba"]
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    chosen = GeneratorNarrativeSettings(model=folder, device="cpu")
    with ready(ModelNarratives(chosen, CONTEXT)) as narrator:
        first, second, third = narrator.narratives(images)
    assert first == third != second


def test_florence_answers_no_questions(
    rows: list[ImageRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_models.tiny_model("florence2", tmp_path_factory)
    with pytest.raises(SettingsError) as caught:
        process(settings(folder), rows, tmp_path / "j")
    assert str(caught.value) == (
        f"{folder}: answers no questions (it knows only its tasks); name another model for probes"
    )


def test_a_model_that_is_not_there_stops_before_any_work(rows: list[ImageRecord], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^\./nowhere: there is no such folder"):
        process(settings(Path("./nowhere")).model_copy(
            update={"narratives": GeneratorNarrativeSettings(model="./nowhere")}
        ), rows, tmp_path / "j")  # fmt: skip


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
    assert clean_reply(" a \n dog. ") == "a dog."
    assert clean_reply("... \n") == ""
    assert clean_reply("犬") == "犬"
    assert clean_reply("a red car<loc_52><loc_332><loc_932><loc_774>") == "a red car"
    assert clean_reply("<loc_52><loc_332>") == "", "a place alone says nothing"


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
