"""The stage on real files: what it keeps, what it fails, and that nothing else changes what is said."""

import hashlib
import io
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: a field whose name is a parameter

import pytest
import skimage.data
from opened_verbalizers import Load, load_file, services
from PIL import Image, ImageDraw

from ostensive.arrow import from_table, to_table
from ostensive.errors import OstensiveError
from ostensive.records import ImageRecord, Location, Verbalization
from ostensive.stage import Failed, Kept, Outcome
from verbalizers.choice import WHOLE_BOX, ChoiceSettings
from verbalizers.left_out import LeftOutSettings
from verbalizers.pixels.proposals import PixelRegionSettings
from verbalizers.pixels.verbalizers import PixelNarrativeSettings
from verbalizers.stage import NOT_VERBALIZED, UNREADABLE, VERBALIZED, VerbalizeStage, groups
from verbalizers.table import VerbalizeSettings

TESTS = Path(__file__).parent


def record(path: Path, size: tuple[int, int] | None = None) -> ImageRecord:
    if size is None:
        with Image.open(path) as picture:
            size = picture.size
    image_id = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRecord(image_id, *size, "PNG", "RGB", path.stat().st_size, path.name, Location(str(path)))


def stage(settings: VerbalizeSettings | None = None, *, seed: int = 0) -> VerbalizeStage:
    return VerbalizeStage(settings or VerbalizeSettings(), seed=seed)


def process(
    rows: list[ImageRecord], made: VerbalizeStage | None = None, *, load: Load = load_file, threads: int = 2
) -> list[Outcome[Verbalization]]:
    with (made or stage()).opened(services(load, threads=threads)) as ready:
        return ready.process(rows, {})


def said(outcome: Outcome[Verbalization]) -> Verbalization:
    assert isinstance(outcome, Kept)
    (verbalization,) = outcome.records
    return verbalization


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRecord]:
    folder, rows = tmp_path_factory.mktemp("drawn"), []
    for index in range(12):
        picture = Image.new("RGB", (80 + 5 * index, 60), ["white", "navy", "beige"][index % 3])
        pen = ImageDraw.Draw(picture)
        pen.rectangle((5 + 3 * index, 10, 30 + 3 * index, 30), fill="red")
        pen.ellipse((40, 30, 60, 50), fill="green")
        path = folder / f"drawn {index}.png"
        picture.save(path)
        rows.append(record(path))
    return rows


def test_outcomes_are_of_the_same_length_and_order(drawn: list[ImageRecord]) -> None:
    outcomes = process(drawn)
    assert [said(outcome).image_id for outcome in outcomes] == [row.image_id for row in drawn]
    for outcome in outcomes:
        verbalization = said(outcome)
        assert len(verbalization.concepts) == 3
        assert len(verbalization.narratives) == 5
        assert [region.number for region in verbalization.regions] == list(range(len(verbalization.regions)))
        assert verbalization.regions
        assert 1 <= len(verbalization.probes) <= 15
        assert any("vivid red" in region.caption for region in verbalization.regions)
    assert process([]) == []


@pytest.mark.parametrize("threads", [1, 5])
def test_neither_neighbours_nor_threads_matter(drawn: list[ImageRecord], threads: int) -> None:
    whole = process(drawn)
    few_pixels = stage(VerbalizeSettings(max_pixels_at_once=1))
    assert process(drawn, few_pixels, threads=threads) == whole
    assert process(drawn[::-1], threads=threads) == whole[::-1]
    assert process(drawn[3:4]) == whole[3:4]


def test_the_seed_changes_words_and_not_regions(drawn: list[ImageRecord]) -> None:
    one, other = (said(process(drawn[:1], stage(seed=seed))[0]) for seed in (0, 1))
    assert one.narratives != other.narratives
    assert [region.box for region in one.regions] == [region.box for region in other.regions]


def test_images_do_not_all_sound_alike(drawn: list[ImageRecord]) -> None:
    openings = {said(outcome).narratives[0].split(" ")[0] for outcome in process(drawn)}
    assert len(openings) > 1


def test_a_verbalization_survives_arrow(drawn: list[ImageRecord]) -> None:
    records = [said(outcome) for outcome in process(drawn[:3])]
    assert from_table(to_table(records, Verbalization), Verbalization) == records


def test_unreadable_images_fail_alone(drawn: list[ImageRecord], tmp_path: Path) -> None:
    broken, gone = tmp_path / "broken.png", tmp_path / "gone.png"
    broken.write_bytes(b"no image at all")
    rows = [drawn[0], record(broken, (10, 10)), drawn[1], record(broken, (10, 10))]
    gone.write_bytes(b"x")
    rows[3] = record(gone, (10, 10))
    gone.unlink()
    outcomes = process(rows)
    assert [type(outcome) for outcome in outcomes] == [Kept, Failed, Kept, Failed]
    assert isinstance(outcomes[1], Failed)
    assert isinstance(outcomes[3], Failed)
    assert outcomes[1].reason == outcomes[3].reason == UNREADABLE == "image cannot be read"
    assert outcomes[1].detail.startswith("UnidentifiedImageError: cannot identify image file")
    assert "0x" not in outcomes[1].detail
    assert outcomes[3].detail.startswith("FileNotFoundError: ")
    assert outcomes[0] == process(drawn[:1])[0]


def test_errors_are_told_the_same_in_every_run(drawn: list[ImageRecord]) -> None:
    def load_bytes(row: ImageRecord) -> Image.Image:
        if row is drawn[0]:
            raise ImageGoneError("a.png: cannot be read any more")
        return Image.open(io.BytesIO(b"no image"))

    outcomes = process(drawn[:2], load=load_bytes, threads=1)
    assert outcomes == [
        Failed(UNREADABLE, "a.png: cannot be read any more"),
        # Pillow's own message goes on to say at which address the object lies.
        Failed(UNREADABLE, "UnidentifiedImageError: cannot identify image file <_io.BytesIO object>"),
    ]


class ImageGoneError(OstensiveError):
    """One of our own errors, whose message is whole without its name."""


class _Unmeasurable(Image.Image):
    """A picture that is decoded and then fails in the arithmetic, as for want of memory."""

    def resize(self, *_: object, **__: object) -> Image.Image:
        raise MemoryError("no room for it")


def test_an_image_that_cannot_be_worked_out_fails_alone(drawn: list[ImageRecord]) -> None:
    def load_some(row: ImageRecord) -> Image.Image:
        picture = load_file(row)
        if row is drawn[1]:
            picture = picture.resize((400, 400))
            picture.__class__ = _Unmeasurable
        return picture

    outcomes = process(drawn[:3], load=load_some)
    assert outcomes[1] == Failed(NOT_VERBALIZED, "concepts: MemoryError: no room for it")
    assert NOT_VERBALIZED == "verbalizing failed"
    assert [type(outcome) for outcome in outcomes] == [Kept, Failed, Kept]


@pytest.mark.parametrize("mode", ["blank", "noise", "wide", "tall", "tiny", "grey"])
def test_odd_images_have_a_region_to_speak_of(tmp_path: Path, mode: str) -> None:
    picture = {
        "blank": lambda: Image.new("RGB", (64, 64), "pink"),
        "noise": lambda: Image.effect_noise((128, 128), 120).convert("RGB"),
        "wide": lambda: Image.linear_gradient("L").resize((1600, 40)).convert("RGB"),
        "tall": lambda: Image.radial_gradient("L").resize((40, 1600)).convert("RGB"),
        "tiny": lambda: Image.effect_noise((16, 16), 60).convert("RGB"),
        "grey": lambda: Image.radial_gradient("L").convert("RGB"),
    }[mode]()
    path = tmp_path / f"{mode}.png"
    picture.save(path)
    verbalization = said(process([record(path)])[0])
    assert verbalization.regions
    if mode == "blank":
        (region,) = verbalization.regions
        assert region.box == WHOLE_BOX
        assert "pink area" in region.caption
    assert all(text.strip() and "  " not in text for text in (*verbalization.concepts, *verbalization.narratives))


def test_real_photographs(tmp_path: Path) -> None:
    rows = [record(Path(skimage.data.__file__).parent / name) for name in ("astronaut.png", "coffee.png", "grass.png")]
    astronaut, coffee, grass = (said(outcome) for outcome in process(rows))
    assert [region.label for region in astronaut.regions].count("face") == 1
    assert any("one part looks like one" in probe.answer for probe in astronaut.probes) or len(astronaut.probes) == 15
    assert "warm colours prevail" in coffee.concepts[0]
    assert len(coffee.regions) == 8
    assert "almost entirely grey" in grass.concepts[0]


def test_settings_reach_the_parts(drawn: list[ImageRecord]) -> None:
    settings = VerbalizeSettings(
        narratives=PixelNarrativeSettings(count=2),
        regions=PixelRegionSettings(faces=False, choice=ChoiceSettings(max_regions=1)),
    )
    verbalization = said(process(drawn[:1], stage(settings))[0])
    assert (len(verbalization.narratives), len(verbalization.regions)) == (2, 1)


@pytest.mark.parametrize("part", ["concepts", "narratives", "captions", "probes"])
def test_a_part_that_is_left_out_changes_no_other(drawn: list[ImageRecord], part: str) -> None:
    whole, without = (
        said(process(drawn[:1], stage(settings))[0])
        for settings in (VerbalizeSettings(), VerbalizeSettings.model_validate({part: LeftOutSettings()}))
    )
    if part == "captions":
        regions = tuple(replace(region, caption="") for region in whole.regions)
        # Probes of the kind pixels are computed, and read no captions.
        assert without == replace(whole, regions=regions)
    else:
        assert getattr(whole, part)
        values: dict[str, Any] = {part: ()}
        assert without == replace(whole, **values)


def test_identity_knows_settings_and_seed() -> None:
    plain = stage().identity
    assert plain != stage(seed=1).identity
    assert plain != stage(VerbalizeSettings(working_side_px=100)).identity
    assert (stage().name, stage().record_in, stage().record_out) == (VERBALIZED, ImageRecord, Verbalization)
    assert stage().partitions_at_once == 1


def test_a_stage_pickles_and_says_the_same_in_another_process(drawn: list[ImageRecord]) -> None:
    made = stage(seed=3)
    before = process(drawn[:2], made)
    code = (
        "import pickle, sys\n"
        "from opened_verbalizers import services\n"
        "stage, rows = pickle.load(sys.stdin.buffer)\n"
        "with stage.opened(services()) as ready:\n"
        "    sys.stdout.buffer.write(pickle.dumps((ready.process(rows, {}), stage.identity, ready.images_at_once)))"
    )
    given = pickle.dumps((made, drawn[:2]))
    result = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True, cwd=TESTS)
    assert pickle.loads(result.stdout) == (before, made.identity, made.images_at_once)


def test_more_threads_are_given_more_images_at_a_time() -> None:
    made = stage()
    assert made.images_at_once is None, "nobody knows before it is opened"
    with made.opened(services(threads=9)) as ready:
        assert ready.images_at_once == 2 * 4 * 9


def test_a_stage_can_be_opened_again_and_leaves_no_threads(drawn: list[ImageRecord]) -> None:
    made = stage()
    first = process(drawn[:2], made)
    assert process(drawn[:2], made) == first
    assert process(drawn[:2], pickle.loads(pickle.dumps(made))) == first
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("verbalize")]


def test_only_a_few_images_are_decoded_at_a_time(drawn: list[ImageRecord]) -> None:
    alive: set[int] = set()
    most, lock = 0, threading.Lock()

    class Counted(Image.Image):
        def __del__(self) -> None:
            with lock:
                alive.discard(id(self))

    def load_counted(row: ImageRecord) -> Image.Image:
        nonlocal most
        picture = load_file(row)
        picture.__class__ = Counted
        with lock:
            alive.add(id(picture))
            most = max(most, len(alive))
        return picture

    rows = drawn * 5
    settings = VerbalizeSettings(max_pixels_at_once=25_000)  # four or five of these images
    assert all(isinstance(outcome, Kept) for outcome in process(rows, stage(settings), load=load_counted, threads=3))
    assert 1 <= most <= 10, "one group and the one that follows it"


def test_groups_are_bounded_and_keep_the_order(drawn: list[ImageRecord]) -> None:
    sizes = [row.width * row.height for row in drawn]
    for max_images, max_pixels in ((1, 10**9), (5, 10**9), (100, 20_000), (100, 1)):
        parts = list(groups(drawn, max_images, max_pixels))
        assert [row for part in parts for row in part] == drawn
        assert all(len(part) <= max_images for part in parts)
        assert all(len(part) == 1 or sum(row.width * row.height for row in part) <= max_pixels for part in parts)
    assert len(list(groups(drawn, 100, 1))) == len(sizes)
    assert list(groups([], 4, 4)) == []


def test_importing_is_quick_and_loads_no_heavy_library() -> None:
    code = (
        "import sys, verbalizers.stage, verbalizers.table\n"
        "print([name for name in ('skimage', 'scipy', 'torch', 'sklearn') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""
