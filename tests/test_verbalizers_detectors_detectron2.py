"""Regions by detectron2: real calls to a stand-in with its interface, whose detector sees colours and sizes."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import detectron2_stand_in as stand_in
import PIL.Image
import PIL.ImageDraw
import pytest
import torch
from opened_verbalizers import CONTEXT, opened

from ostensive.commands.api import doctor, preview
from ostensive.commands.show import doctor_lines
from ostensive.errors import SettingsError
from ostensive.run.options import BuildOptions
from ostensive.run.preview import as_text
from ostensive.settings import validate
from verbalizers.base import DecodedImage, open_workers
from verbalizers.choice import Proposal
from verbalizers.detectors.detection import Detection
from verbalizers.detectors.detectron2_backend import Detectron2Detector, detectron2_regions
from verbalizers.detectors.detectron2_models import load_model
from verbalizers.detectors.detectron2_weights import INSTALL_PAGE, Detectron2RegionSettings
from verbalizers.table import VerbalizeSettings

RED_PX, BLUE_PX = (30, 12, 90, 60), (150, 40, 270, 100)  # left, top, right, bottom


@pytest.fixture(autouse=True)
def _no_package_stays() -> Iterator[None]:
    """Each test has a package of its own, or none."""
    forget()
    yield
    forget()


def forget() -> None:
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == "detectron2"]:
        del sys.modules[name]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder on the path that the stand-in is in."""
    folder = stand_in.write_package(tmp_path / "site")
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def ready(package: Path, tmp_path: Path) -> Callable[..., Detectron2RegionSettings]:
    """Settings whose config and checkpoint are there, with changes."""

    def make(*, config: str | None = None, colours: str = "BGR", **changes: Any) -> Detectron2RegionSettings:
        file, weights = tmp_path / "blocks.py", tmp_path / "blocks.pth"
        file.write_text(config or stand_in.lazy_config(input_format=colours))
        torch.save({"model": {"roi_heads.colours": torch.tensor(stand_in.colours(colours))}, "iteration": 7}, weights)
        values = {"model": str(file), "weights": str(weights), "device": "cpu", **changes}
        return Detectron2RegionSettings.model_validate(values)

    return make


Ready = Callable[..., Detectron2RegionSettings]


def blocks(width: int = 300, height: int = 120) -> PIL.Image.Image:
    """A red and a blue rectangle on grey."""
    picture = PIL.Image.new("RGB", (width, height), (128, 128, 128))
    pen = PIL.ImageDraw.Draw(picture)
    for colour, (left, top, right, bottom) in (("red", RED_PX), ("blue", BLUE_PX)):
        pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
    return picture


def detect(settings: Detectron2RegionSettings, *pictures: PIL.Image.Image) -> list[list[Detection]]:
    with open_workers(2) as workers, Detectron2Detector(settings).opened() as detector:
        return detector.detect(detector.prepare(pictures, workers))


def refusal(settings: Detectron2RegionSettings) -> str:
    """Why a run with these settings cannot begin, in one line."""
    with pytest.raises(SettingsError) as refused, Detectron2Detector(settings).opened():
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ---- what is seen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_colours_are_in_the_models_order_and_boxes_in_pixels_of_the_picture(ready: Ready, order: str) -> None:
    (found,) = detect(ready(colours=order), blocks())
    assert {detection.label: detection.corners_px for detection in found} == {
        "red_block": pytest.approx(RED_PX, abs=4),
        "blue_block (toy)": pytest.approx(BLUE_PX, abs=4),
    }
    assert [detection.probability for detection in found] == sorted((d.probability for d in found), reverse=True)
    assert all(detection.probability > 0.8 for detection in found)


def test_the_best_come_first(ready: Ready) -> None:
    picture = PIL.Image.new("RGB", (96, 64), (128, 128, 128))
    pen = PIL.ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 15, 15), fill="red")
    pen.rectangle((32, 0, 47, 15), fill="red")  # a third of the red box is grey
    pen.rectangle((64, 0, 95, 31), fill=(0, 255, 0))
    pen.rectangle((0, 48, 7, 63), fill="blue")
    pen.rectangle((88, 48, 95, 63), fill="blue")  # and most of the blue one
    (found,) = detect(ready(), picture)
    assert [detection.label for detection in found] == ["green_block", "red_block", "blue_block (toy)"]
    assert [detection.probability for detection in found] == pytest.approx([1, 2 / 3, 1 / 6], abs=0.01)


@pytest.mark.slow
def test_the_order_of_channels_is_the_models_then_the_configs_then_bgr(ready: Ready) -> None:
    def lefts(config: str) -> dict[str, float]:
        """How far left each thing is by a model whose weights are for BGR."""
        return {found.label: found.corners_px[0] for found in detect(ready(config=config), blocks())[0]}

    silent = stand_in.lazy_config(input_format=None)
    assert lefts(silent)["red_block"] < lefts(silent)["blue_block (toy)"]
    mapper = silent.replace("image_format=None", "image_format='RGB'")
    assert lefts(mapper)["red_block"] > lefts(mapper)["blue_block (toy)"], "each under the other's name"
    both = mapper.replace("input_format=None", "input_format='BGR'")
    assert lefts(both) == lefts(silent)


@pytest.mark.slow
def test_pictures_are_scaled_as_the_config_tests(ready: Ready) -> None:
    def shapes(settings: Detectron2RegionSettings, *pictures: PIL.Image.Image) -> list[list[tuple[int, ...]]]:
        with open_workers(1) as workers, Detectron2Detector(settings).opened() as detector:
            detector.detect(detector.prepare(pictures, workers))
            seen: list[list[tuple[int, ...]]] = detector.loaded.network.seen
            return seen

    wide, tall = blocks(), blocks().rotate(90, expand=True)
    assert shapes(ready(), wide) == [[(3, 38, 96)]]
    assert shapes(ready(), wide, tall, wide) == [[(3, 38, 96)] * 2, [(3, 96, 38)]], "only those of one size meet"
    square = ready(config=stand_in.lazy_config(square_pad=96))
    assert shapes(square, wide, tall, wide) == [[(3, 38, 96), (3, 96, 38), (3, 38, 96)]]
    unscaled = stand_in.lazy_config().replace("L(ResizeShortestEdge)(short_edge_length=64, max_size=96)", "")
    assert shapes(ready(config=unscaled), wide) == [[(3, 120, 300)]]
    silent = stand_in.lazy_config().partition("dataloader")[0]
    labels = write_labels(Path(square.model).parent, "red", "green", "blue")
    assert shapes(ready(config=silent, labels=str(labels)), wide) == [[(3, 533, 1333)]], "as detectron2 does unasked"


def test_a_batch_gives_what_each_picture_gives_alone(ready: Ready) -> None:
    pictures = [blocks(), blocks().rotate(90, expand=True), blocks(280, 110), PIL.Image.new("RGB", (20, 20))]
    together = detect(ready(), *pictures)
    assert together == [detect(ready(), picture)[0] for picture in pictures]
    assert [len(found) for found in together] == [2, 2, 2, 0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(ready: Ready, dtype: str) -> None:
    assert len(detect(ready(dtype=dtype), blocks())[0]) == 2


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20_000, 10), (10, 3_000)])
def test_pictures_of_any_size_through_the_part(ready: Ready, width: int, height: int) -> None:
    picture = PIL.Image.new("RGB", (width, height), "blue")
    (chosen,) = regions(ready(), picture)
    assert [proposal.label for proposal in chosen] == ["blue block"]
    assert chosen[0].box.area == pytest.approx(1)


def regions(settings: Detectron2RegionSettings, *pictures: PIL.Image.Image) -> list[tuple[Proposal, ...]]:
    images = [DecodedImage(str(number), picture) for number, picture in enumerate(pictures)]
    with opened(detectron2_regions(settings, CONTEXT)) as proposer:
        found = proposer.regions(images)
    assert all(isinstance(chosen, tuple) for chosen in found), found
    return [chosen for chosen in found if isinstance(chosen, tuple)]


def test_regions_are_chosen_among_detections(ready: Ready) -> None:
    (chosen,) = regions(ready(), blocks())
    assert [proposal.label for proposal in chosen] == ["red block", "blue block"]
    red = chosen[0].box
    assert (red.x1, red.y1, red.x2, red.y2) == pytest.approx((0.1, 0.1, 0.3, 0.5), abs=0.03)
    (one,) = regions(ready(choice={"max_regions": 1}), blocks())
    assert [proposal.label for proposal in one] == ["blue block"], "the larger one"


def test_nobody_looks_at_masks(ready: Ready) -> None:
    loaded = load_model(ready())
    assert loaded.network.roi_heads.mask_on is False
    (output,) = loaded.network([{"image": torch.zeros(3, 9, 9, dtype=torch.uint8), "height": 9, "width": 9}])
    assert not hasattr(output["instances"], "pred_masks")


# ---- configs --------------------------------------------------------------------------------------------------------


def test_configs_of_the_model_zoo_and_of_a_folder(ready: Ready, tmp_path: Path) -> None:
    assert len(detect(ready(model="new_baselines/blocks.py"), blocks())[0]) == 2
    project = tmp_path / "checkout" / "projects" / "ViTDet"
    project.mkdir(parents=True)
    (project / "blocks.py").write_text(stand_in.lazy_config())
    below = {"model": "projects/ViTDet/blocks.py", "config_folder": str(tmp_path / "checkout")}
    assert len(detect(ready(**below), blocks())[0]) == 2
    zoo = tmp_path / "site" / "detectron2" / "model_zoo" / "configs"
    assert refusal(ready(model="projects/ViTDet/blocks.py")) == (
        f"projects/ViTDet/blocks.py: there is no config projects/ViTDet/blocks.py or {zoo}/projects/ViTDet/blocks.py; "
        "those of detectron2's projects, ViTDet among them, are only in a checkout of its source: name that in "
        "config_folder"
    )
    assert refusal(ready(model="blocks.py", config_folder=str(tmp_path / "checkout"))).startswith(
        f"blocks.py: there is no config {tmp_path}/checkout/blocks.py; "
    )


def test_classic_configs(ready: Ready, tmp_path: Path) -> None:
    file = tmp_path / "classic.yaml"
    file.write_text(
        "MODEL: {NUM_CLASSES: 3}\nINPUT: {MIN_SIZE_TEST: 64, MAX_SIZE_TEST: 96}\nDATASETS: {TEST: [blocks_val]}\n"
    )
    (found,) = detect(ready(model=str(file)), blocks())
    assert {detection.label for detection in found} == {"red_block", "blue_block (toy)"}
    ran = tmp_path / "ran"
    file.write_text(f"MODEL: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{ran}']]\n")
    assert "could not determine a constructor" in refusal(ready(model=str(file)))
    assert not ran.exists(), "of a classic config only values are read"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("model = (", "SyntaxError: '(' was never closed"),
        ("other = {}", "holds no `model`; a LazyConfig with one is expected"),
        ("raise ValueError('two\\nlines')", "ValueError: two"),
        ("model = {'_target_': 'detectron2.modeling.NoSuch'}", "has no attribute 'NoSuch'"),
        (
            stand_in.lazy_config()
            .replace("ResizeShortestEdge", "RandomFlip")
            .replace("(short_edge_length=64, max_size=96)", "()"),
            "tests with RandomFlip; ResizeShortestEdge alone is expected",
        ),
        (stand_in.lazy_config(input_format="YUV-BT.601"), "wants pictures as 'YUV-BT.601'; BGR or RGB is expected"),
    ],
)
def test_configs_that_cannot_be_used_are_named(ready: Ready, config: str, message: str) -> None:
    settings = ready(config=config)
    told = refusal(settings)
    assert told.startswith(f"{settings.model}: ")
    assert message in told


def test_only_configs_are_taken_for_configs(ready: Ready, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}")
    assert refusal(ready(model=str(file))) == f"{file}: {file} is no config; a .py or .yaml file is expected"


# ---- weights --------------------------------------------------------------------------------------------------------


class Ran:
    """What a pickle may do when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:  # Any: as pickle wants it
        return Path.touch, (self.file,)


@pytest.mark.slow
def test_checkpoints_in_each_form(ready: Ready, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = {"roi_heads.colours": torch.tensor(stand_in.colours())}
    save_file(weights, tmp_path / "blocks.safetensors")
    torch.save(weights, tmp_path / "bare.pth")
    zoo = stand_in.write_pickle(tmp_path / "zoo.pkl", stand_in.colours())
    expected = detect(ready(), blocks())
    assert len(expected[0]) == 2
    assert detect(ready(weights=str(tmp_path / "blocks.safetensors")), blocks()) == expected
    assert detect(ready(weights=str(tmp_path / "bare.pth")), blocks()) == expected
    assert detect(ready(weights=str(zoo), allow_pickle=True), blocks()) == expected


def test_no_pickle_is_read_unless_the_user_says_so(ready: Ready, tmp_path: Path) -> None:
    ran, zoo, mixed = tmp_path / "ran", tmp_path / "zoo.pkl", tmp_path / "mixed.pth"
    stand_in.write_pickle(zoo, stand_in.colours())
    settings = ready(weights=str(zoo))
    assert refusal(settings) == (
        f"{settings.model}: {zoo} is a pickle, and reading one runs whatever code is in it; set allow_pickle: true if "
        "you trust where it comes from, or give a .safetensors or .pth file"
    )
    values = {"model": {"roi_heads.colours": torch.tensor(stand_in.colours())}, "other": Ran(ran)}
    torch.save(values, mixed)
    assert refusal(ready(weights=str(mixed))) == (
        f"{settings.model}: {mixed} holds more than tensors, or is damaged; what else is in it would be run: set "
        "allow_pickle: true if you trust where it comes from, or give a .safetensors file"
    )
    assert not ran.exists()
    assert len(detect(ready(weights=str(mixed), allow_pickle=True), blocks())[0]) == 2
    assert ran.exists(), "this is what the setting is for"


def test_checkpoints_of_another_model_are_refused(ready: Ready, tmp_path: Path) -> None:
    other, shaped, empty = tmp_path / "other.pth", tmp_path / "shaped.pkl", tmp_path / "empty.safetensors"
    torch.save({"backbone.stem": torch.ones(3)}, other)
    stand_in.write_pickle(shaped, stand_in.colours()[:2])
    empty.write_bytes(b"")
    settings = ready(weights=str(other))
    lacks = "lacks 1 of the 1 tensors of this model or has them in another shape, among them roi_heads.colours; "
    assert refusal(settings) == (f"{settings.model}: {other} {lacks}give the checkpoint that goes with the config")
    assert lacks in refusal(ready(weights=str(shaped), allow_pickle=True))
    torch.save({"roi_heads.colours": torch.ones(2, 3)}, other)
    assert lacks in refusal(ready(weights=str(other)))
    assert f"{empty} cannot be read as a checkpoint: SafetensorError: " in refusal(ready(weights=str(empty)))
    gone = tmp_path / "gone.pth"
    assert refusal(ready(weights=str(gone))) == (
        f"{settings.model}: there is no file {gone}; the checkpoint of this config is expected"
    )


# ---- names of classes -----------------------------------------------------------------------------------------------


def write_labels(folder: Path, *labels: str) -> Path:
    file = folder / "classes.txt"
    file.write_text("\n".join(labels))
    return file


def test_a_person_of_lvis_is_no_baby(ready: Ready) -> None:
    lvis = ready(config=stand_in.lazy_config(data_set="lvis_v1_val"))
    assert load_model(lvis).labels == ("person", "aerosol_can", "zebra")
    assert [found.label for found in detect(lvis, blocks())[0]] == ["zebra", "person"]
    nursery = ready(config=stand_in.lazy_config(data_set="nursery_val"))
    assert load_model(nursery).labels == ("baby", "cot", "pram")


def test_names_from_a_file(ready: Ready, tmp_path: Path) -> None:
    named = ready(labels=str(write_labels(tmp_path, "rot", "grün", "blau")))
    assert {found.label for found in detect(named, blocks())[0]} == {"rot", "blau"}


def test_names_that_do_not_fit_the_classes_are_refused(ready: Ready, tmp_path: Path) -> None:
    file = write_labels(tmp_path, "rot", "blau")
    settings = ready(labels=str(file))
    assert refusal(settings) == f"{settings.model}: has 3 classes, and {file} names 2; one each is expected"
    write_labels(tmp_path, "rot", "Rot", "blau", "grün")
    assert refusal(settings) == f"labels: {file} repeats 1 of its labels; one for each class is expected"
    unknown = ready(config=stand_in.lazy_config(data_set="my_val"))
    assert refusal(unknown) == (
        f"{settings.model}: detectron2 knows no class names for the data set my_val; give a file with a class a line "
        "in labels"
    )


# ---- the package ----------------------------------------------------------------------------------------------------


def test_without_the_package_the_error_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Detectron2RegionSettings(model="config.py", weights="weights.pth")
    expected = f"regions: the package detectron2 is not installed; build it from source: {INSTALL_PAGE}"
    assert refusal(settings) == expected
    (tmp_path / "detectron2").mkdir()  # as a checkout of its source leaves one
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refusal(settings) == expected


def test_a_package_that_cannot_be_imported_is_told_with_its_cause(ready: Ready, package: Path) -> None:
    settings = ready()
    module = package / "detectron2" / "checkpoint.py"
    module.write_text("raise OSError('libtorch.so: undefined symbol')")
    assert refusal(settings) == (
        "regions: detectron2 is installed and cannot be imported: OSError: libtorch.so: undefined symbol; see "
        f"{INSTALL_PAGE}"
    )
    forget()
    module.write_text("import iopath_that_is_not_there")
    assert refusal(settings) == (
        "regions: detectron2 is installed and cannot be imported: ModuleNotFoundError: No module named "
        f"'iopath_that_is_not_there'; see {INSTALL_PAGE}"
    )


def test_a_model_zoo_that_asks_for_an_old_setuptools(ready: Ready, package: Path) -> None:
    zoo = package / "detectron2" / "model_zoo" / "__init__.py"
    zoo.write_text("raise ModuleNotFoundError(\"No module named 'pkg_resources'\", name='pkg_resources')")
    settings = ready(config="from detectron2 import model_zoo")
    assert refusal(settings) == (
        f"{settings.model}: cannot be built from {settings.model}: ModuleNotFoundError: No module named 'pkg_resources'"
        f"; setuptools below version 82 has that; see {INSTALL_PAGE}"
    )


# ---- identity, settings, commands -----------------------------------------------------------------------------------


def test_the_version_follows_the_content_of_the_files(ready: Ready, tmp_path: Path) -> None:
    def version(**changes: Any) -> str:
        return detectron2_regions(ready(**changes), CONTEXT).version

    first = version()
    assert version() == first
    assert version(config=stand_in.lazy_config(shorter=65)) != first
    other = tmp_path / "other.pth"
    torch.save({"model": {"roi_heads.colours": torch.zeros(3, 3)}}, other)
    assert version(weights=str(other)) != first
    named = version(labels=str(write_labels(tmp_path, "a", "b", "c")))
    assert named != first
    assert version(labels=str(write_labels(tmp_path, "a", "c", "b"))) != named


def test_settings_say_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    settings = Detectron2RegionSettings(
        model="projects/x.py",
        config_folder="checkout",
        weights="w.pkl",
        labels="l.txt",
        choice={"frequencies": "c.tsv"},
    )
    needs = [*settings.needs(), *settings.choice.needs()]
    assert [(need.kind, need.name) for need in needs] == [
        ("package", "detectron2"),
        ("file", "/w.pkl"),
        ("file", "/checkout/projects/x.py"),
        ("file", "/l.txt"),
        ("file", "/c.tsv"),
    ]
    assert len(Detectron2RegionSettings(model="m.py", weights="w.pth").needs()) == 2
    with pytest.raises(SettingsError, match=r"^recipe: regions\.weights: field required$"):
        validate(VerbalizeSettings, {"regions": {"kind": "detectron2", "model": "m.py"}}, "recipe")


def test_the_doctor_says_how_to_get_detectron2_for_the_profile_of_the_paper() -> None:
    options = BuildOptions(
        settings=("corpus.license=other", "corpus.source=a test", "corpus.intended_use=to test"), profile="paper"
    )
    lines = list(doctor_lines(doctor("localized", options=options, environment={})))
    place = next(number for number, line in enumerate(lines) if "package detectron2" in line)
    assert lines[place].endswith("package detectron2: missing")
    assert lines[place + 1].strip() == (
        f"the package detectron2 is not installed; build it from source: {INSTALL_PAGE} (verbalize.regions)"
    )


def test_the_whole_way_from_a_recipe(ready: Ready, tmp_path: Path) -> None:
    settings = ready()
    (tmp_path / "photos").mkdir()
    blocks().save(tmp_path / "photos" / "blocks.png")
    section = f"{{kind: detectron2, model: '{settings.model}', weights: '{settings.weights}', device: cpu}}"
    chosen = (
        "corpus.license=other",
        "corpus.source=a test",
        "corpus.intended_use=to test",
        f"verbalize.regions={section}",
    )
    text = as_text(preview("localized", images=tmp_path / "photos", options=BuildOptions(settings=chosen)))
    assert "red block" in text
    assert "blue block" in text
