"""Detectors of real architectures with tiny random weights, loaded from disk as their users load theirs.

A random detector finds nonsense, so what is compared is the nonsense itself: with a bare loop over the library's own
model and processor, one picture at a time.
"""

import gc
import hashlib
import itertools
import logging
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import PIL.Image
import pytest
import tiny_detectors
import torch
import torchvision.models
import transformers
from drawing import draw_scene
from opened_verbalizers import CONTEXT, opened, services
from safetensors.torch import load_file, save_file
from tiny_detectors import CLASSES
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.errors import SettingsError
from ostensive.models.lookup import look_up
from ostensive.records import ImageRecord, Location
from ostensive.settings import Settings
from ostensive.stage import Failed, Kept
from verbalizers.base import DecodedImage, ImageFailure, RegionProposer, Workers, open_workers
from verbalizers.choice import ChoiceSettings, Proposal
from verbalizers.detectors.detection import DetectedRegions, Detection, Detector
from verbalizers.detectors.torchvision_backend import TorchvisionDetector, TorchvisionRegionSettings
from verbalizers.detectors.transformers_backend import DetectorRegionSettings, TransformersDetector, detector_regions
from verbalizers.detectors.zero_shot_backend import ZeroShotDetector, ZeroShotRegionSettings
from verbalizers.detectors.zero_shot_prompts import packed
from verbalizers.stage import VerbalizeStage
from verbalizers.table import REGIONS, VerbalizeSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CLOSED: dict[str, Callable[[Path], Path]] = {
    "rt_detr": tiny_detectors.save_rt_detr,
    "rt_detr_v2": tiny_detectors.save_rt_detr_v2,
    "d_fine": tiny_detectors.save_d_fine,
    "rf_detr": tiny_detectors.save_rf_detr,
    "detr": tiny_detectors.save_detr,
    "yolos": tiny_detectors.save_yolos,
}
TOLD: dict[str, Callable[[Path], Path]] = {
    "owlv2": tiny_detectors.save_owl,
    "owlvit": lambda folder: tiny_detectors.save_owl(folder, version=1),
    "grounding_dino": tiny_detectors.save_grounding_dino,
    "mm_grounding_dino": lambda folder: tiny_detectors.save_grounding_dino(folder, mm=True),
    "omdet_turbo": tiny_detectors.save_omdet_turbo,
}
VOCABULARY = ("Dog", "tea cup", "traffic light", "man in red")
# Two of one size, one on its side, one wide: those that are padded to share a batch would differ.
PICTURES = [
    draw_scene(1),
    draw_scene(2, width=60, height=110),
    draw_scene(3),
    draw_scene(4, width=200, height=60),
]
SSD = "ssdlite320_mobilenet_v3_large"
library: Any = transformers  # its automatic classes are typed in part only


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model, which is made when it is first asked for."""
    root = tmp_path_factory.mktemp("detectors")
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = (CLOSED | TOLD)[name](root / name)
        return made[name]

    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small detector of torchvision."""
    return tiny_detectors.save_torchvision(tmp_path_factory.mktemp("torchvision") / "own.safetensors")


def closed(folder: Path, **values: object) -> DetectorRegionSettings:
    given = {"model": str(folder), "device": "cpu", "min_probability": 0.0, "max_candidates": 12, **values}
    return DetectorRegionSettings.model_validate(given)


def told(folder: Path, **values: object) -> ZeroShotRegionSettings:
    given = {"model": str(folder), "vocabulary": VOCABULARY, "device": "cpu", "min_probability": 0.0, **values}
    return ZeroShotRegionSettings.model_validate(given)


def own(file: Path, **values: object) -> TorchvisionRegionSettings:
    given = {"model": SSD, "weights": str(file), "labels": CLASSES, "device": "cpu", "min_probability": 0.0}
    return TorchvisionRegionSettings.model_validate(given | values)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with open_workers(2) as threads, _LOADED:
        yield threads
    _DETECTORS.clear()
    gc.unfreeze()


def detector_of(settings: Any) -> Detector:
    kinds: dict[str, Any] = {
        "detector": TransformersDetector,
        "zero_shot": ZeroShotDetector,
        "torchvision": TorchvisionDetector,
    }
    detector: Detector = kinds[settings.kind](settings)
    return detector


_LOADED = ExitStack()  # detectors that are open: one for each settings, for loading takes longer than looking
_DETECTORS: dict[str, Detector] = {}


def open_detector(settings: Any) -> Detector:
    """A detector with these settings, ready to be used."""
    key = settings.model_dump_json()
    if key not in _DETECTORS:
        _DETECTORS[key] = _LOADED.enter_context(detector_of(settings).opened())
        gc.freeze()  # a detector that is left collects garbage, which takes long where all of transformers is imported
    return _DETECTORS[key]


def look(settings: Any, workers: Workers, pictures: Sequence[PIL.Image.Image] = PICTURES) -> list[list[Detection]]:
    """What is found in `pictures`, all at once."""
    detector = open_detector(settings)
    return detector.detect(detector.prepare(pictures, workers))


def assert_alike(found: Sequence[Detection], expected: Sequence[Detection]) -> None:
    """The same boxes, labels and scores up to rounding; those of one score may have changed places."""

    def order(detection: Detection) -> tuple[float, ...]:
        return (-round(detection.probability, 4), *(round(corner, 1) for corner in detection.corners_px))

    assert len(found) == len(expected) > 0
    for one, other in zip(sorted(found, key=order), sorted(expected, key=order), strict=True):
        assert one.label == other.label
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
        assert one.corners_px == pytest.approx(other.corners_px, abs=0.05)


def bare(results: Any, names: Any) -> list[Detection]:
    """What a processor's post-processing says of one picture."""
    boxes, scores, labels = (results[key].tolist() for key in ("boxes", "scores", "labels"))
    return [Detection(tuple(box), names[label], score) for box, score, label in zip(boxes, scores, labels, strict=True)]


@pytest.mark.parametrize("family", sorted(CLOSED))
def test_a_batch_finds_what_a_bare_loop_finds(family: str, folders: Callable[[str], Path], workers: Workers) -> None:
    folder = folders(family)
    model = library.AutoModelForObjectDetection.from_pretrained(folder).eval()
    processor = library.AutoImageProcessor.from_pretrained(folder)
    found = look(closed(folder), workers)
    for picture, detections in zip(PICTURES, found, strict=True):
        with torch.inference_mode():
            outputs = model(**processor(images=picture, return_tensors="pt"))
            (result,) = processor.post_process_object_detection(
                outputs, threshold=0.0, target_sizes=[(picture.height, picture.width)]
            )
        assert_alike(detections, bare(result, model.config.id2label)[: len(detections)])
        assert detections == sorted(detections, key=lambda detection: -detection.probability)
    assert {len(detections) for detections in found} == {12}  # as many as were asked for
    assert {detection.label for detections in found for detection in detections} <= set(CLASSES)


@pytest.mark.parametrize("family", sorted(CLOSED))
def test_the_picture_is_looked_at(family: str, folders: Callable[[str], Path], workers: Workers) -> None:
    first, second, third = look(closed(folders(family)), workers, [PICTURES[0], PICTURES[2], PICTURES[0]])
    assert_alike(first, third)
    strongest = [max(found, key=lambda detection: detection.probability) for found in (first, second)]
    assert strongest[0] != strongest[1]
    assert strongest[0].corners_px != pytest.approx(strongest[1].corners_px, abs=0.5)


@pytest.mark.parametrize("family", sorted(TOLD))
def test_one_batch_finds_what_one_picture_at_a_time_finds(
    family: str, folders: Callable[[str], Path], workers: Workers
) -> None:
    together = look(told(folders(family)), workers)
    for picture, found in zip(PICTURES, together, strict=True):
        assert_alike(found, look(told(folders(family)), workers, [picture])[0])
    assert {detection.label for found in together for detection in found} <= set(VOCABULARY)
    assert len({found[0].corners_px for found in together}) == len(PICTURES)


@pytest.mark.parametrize("family", ["owlv2", "owlvit", "omdet_turbo"])
def test_what_answers_by_label_finds_what_the_librarys_own_call_finds(
    family: str, folders: Callable[[str], Path], workers: Workers
) -> None:
    folder = folders(family)
    model = library.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    processor = library.AutoProcessor.from_pretrained(folder)
    template = "a photo of a {label}" if family != "omdet_turbo" else "{label}"  # whose sentence is to fit one prompt
    asked = [template.replace("{label}", label) for label in VOCABULARY]
    found = look(told(folder, template=template), workers)
    for picture, detections in zip(PICTURES, found, strict=True):
        with torch.inference_mode():
            outputs = model(**processor(images=picture, text=[asked], return_tensors="pt"))
            (result,) = processor.post_process_grounded_object_detection(
                outputs, threshold=0.0, target_sizes=[(picture.height, picture.width)]
            )
        assert_alike(detections, bare(result, VOCABULARY))


def test_boxes_of_owlv2_are_of_the_picture_and_not_of_its_padding(
    folders: Callable[[str], Path], workers: Workers
) -> None:
    """OWLv2 pads a picture to a square. One that is padded beforehand is the same square, so boxes stay in place."""
    wide = draw_scene(4, width=120, height=60)
    square = PIL.Image.new("RGB", (120, 120))
    square.paste(wide, (0, 0))
    of_wide, of_square = look(told(folders("owlv2")), workers, [wide, square])
    assert_alike(of_wide, of_square)


@pytest.mark.parametrize("family", ["grounding_dino", "mm_grounding_dino"])
def test_grounding_dino_names_the_label_of_its_likeliest_token(
    family: str, folders: Callable[[str], Path], workers: Workers
) -> None:
    folder = folders(family)
    model = library.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    processor = library.AutoProcessor.from_pretrained(folder)
    owner_of = {"dog": "Dog", "tea": "tea cup", "cup": "tea cup", "traffic": "traffic light", "light": "traffic light"}
    owner_of |= dict.fromkeys(("man", "in", "red"), "man in red")
    for picture, detections in zip(PICTURES, look(told(folder), workers), strict=True):
        inputs = processor(images=picture, text=[list(VOCABULARY)], return_tensors="pt")
        tokens = processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
        with torch.inference_mode():
            outputs = model(**inputs)
        (result,) = processor.post_process_grounded_object_detection(
            outputs, threshold=0.0, target_sizes=[(picture.height, picture.width)]
        )
        scores = outputs.logits.sigmoid()[0, :, : len(tokens)]
        of_words = [place for place, token in enumerate(tokens) if token in owner_of]
        assert len(of_words) == 8  # one for each word, so that nothing was taken apart
        best = scores[:, of_words].max(-1)
        expected = [
            Detection(tuple(box), owner_of[tokens[of_words[place]]], score)
            for box, place, score in zip(
                result["boxes"].tolist(), best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]
        assert_alike(detections, expected)


@pytest.mark.parametrize("family", ["grounding_dino", "omdet_turbo"])
def test_a_long_vocabulary_is_asked_in_several_prompts(
    family: str, folders: Callable[[str], Path], workers: Workers
) -> None:
    folder = folders(family)
    whole = look(told(folder, labels_at_once=3), workers)
    first = look(told(folder, vocabulary=VOCABULARY[:3]), workers)
    second = look(told(folder, vocabulary=VOCABULARY[3:]), workers)
    for found, one, other in zip(whole, first, second, strict=True):
        assert_alike(found, [*one, *other])


def test_how_many_labels_one_prompt_holds_makes_no_difference_to_owl(
    folders: Callable[[str], Path], workers: Workers
) -> None:
    at_once = look(told(folders("owlv2")), workers)
    for found, other in zip(look(told(folders("owlv2"), labels_at_once=1), workers), at_once, strict=True):
        assert_alike(found, other)


def test_a_prompt_is_never_longer_than_its_model_reads(folders: Callable[[str], Path], workers: Workers) -> None:
    """64 tokens here; what is beyond them the library would cut off without a word."""
    many = tuple(f"dog {'a' * place}" for place in range(1, 12))  # a token a letter
    (found,) = look(told(folders("grounding_dino"), vocabulary=many), workers, PICTURES[:1])
    assert len(found) == 12 * 2  # two prompts, 12 queries each
    assert {detection.label for detection in found} <= set(many)


@pytest.mark.parametrize(
    ("lengths", "most", "budget", "packs"),
    [
        ([], 3, 9, []),
        ([4], 3, 4, [range(1)]),
        ([1, 1, 1, 1], 3, 9, [range(3), range(3, 4)]),
        ([4, 4, 4], 3, 9, [range(2), range(2, 3)]),
        ([9, 1, 8], 3, 9, [range(1), range(1, 3)]),
    ],
)
def test_labels_are_packed_in_order(lengths: list[int], most: int, budget: int, packs: list[range]) -> None:
    assert packed(lengths, most, budget) == packs


@pytest.mark.parametrize(
    ("family", "label", "message"),
    [
        ("grounding_dino", "狗", "can read no word of '狗'; leave it out"),
        ("grounding_dino", "...", "can read no word of '...'; leave it out"),
        ("grounding_dino", "a" * 70, "is 71 tokens of {folder}, which takes 62; shorten it"),
        ("owlv2", "a" * 31, "is 33 tokens of {folder}, which takes 32; shorten it"),
        ("omdet_turbo", "a" * 80, "tokens of {folder}, which takes 77; shorten it"),
    ],
)
def test_a_label_that_the_model_cannot_read_is_refused(
    family: str, label: str, message: str, folders: Callable[[str], Path], workers: Workers
) -> None:
    with (
        pytest.raises(SettingsError) as refused,
        detector_of(told(folders(family), vocabulary=("dog", label))).opened(),
    ):
        pass
    assert str(refused.value).startswith("vocabulary: ")
    assert message.format(folder=folders(family)) in str(refused.value)


def test_full_stops_in_a_label_do_not_cut_it_in_two(folders: Callable[[str], Path], workers: Workers) -> None:
    (found,) = look(told(folders("grounding_dino"), vocabulary=("man. in?red",)), workers, PICTURES[:1])
    (plain,) = look(told(folders("grounding_dino"), vocabulary=("man in red",)), workers, PICTURES[:1])
    assert [d.corners_px for d in found] == [d.corners_px for d in plain]
    assert {d.label for d in found} == {"man. in?red"}


def test_a_vocabulary_is_a_file_too(
    folders: Callable[[str], Path], workers: Workers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("# what to look for\nDog\ntea cup\n\n  DOG \ntraffic light\nman in red\ntea  cup\n", "utf-8")
    asked = told(folders("owlv2"), vocabulary=str(file))
    with caplog.at_level(logging.WARNING):
        assert ZeroShotDetector(asked).vocabulary.labels == VOCABULARY
    assert caplog.messages == [f"vocabulary: {file} repeats 2 of its labels; each counts once (4 labels)"]
    assert look(asked, workers) == look(told(folders("owlv2")), workers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no labels; one a line is expected"),
        ("# nothing\n\n", "holds no labels; one a line is expected"),
        (None, "there is no file"),
    ],
)
def test_a_vocabulary_without_labels_is_refused(
    text: str | None, message: str, folders: Callable[[str], Path], workers: Workers, tmp_path: Path
) -> None:
    file = tmp_path / "labels.txt"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as refused:
        ZeroShotDetector(told(folders("owlv2"), vocabulary=str(file)))
    assert str(file) in str(refused.value)
    assert message in str(refused.value)


def test_versions_change_with_what_is_found_and_not_with_names(
    folders: Callable[[str], Path], workers: Workers, tmp_path: Path, weights: Path
) -> None:
    def version(vocabulary: object) -> str:
        return ZeroShotDetector(told(folders("owlv2"), vocabulary=vocabulary)).version

    (tmp_path / "one.txt").write_text("dog\ncat\n", "utf-8")
    (tmp_path / "two.txt").write_text("dog\ncat\n", "utf-8")
    (tmp_path / "three.txt").write_text("dog\ncow\n", "utf-8")
    assert version(str(tmp_path / "one.txt")) == version(str(tmp_path / "two.txt")) == version(("dog", "cat"))
    assert version(str(tmp_path / "one.txt")) != version(str(tmp_path / "three.txt"))

    copy = tmp_path / "copy"
    shutil.copytree(folders("detr"), copy)
    before = TransformersDetector(closed(folders("detr"))).version
    assert TransformersDetector(closed(copy)).version == before
    state = load_file(copy / "model.safetensors")
    state["class_labels_classifier.bias"] += 1
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    assert TransformersDetector(closed(copy)).version != before

    moved = Path(shutil.copy(weights, tmp_path / "own.safetensors"))
    assert TorchvisionDetector(own(weights)).version == TorchvisionDetector(own(moved)).version
    other = TorchvisionDetector(own(weights, labels=("a", "b", "c", "d"))).version
    assert TorchvisionDetector(own(weights)).version != other


def test_what_each_kind_needs(tmp_path: Path) -> None:
    def needed(settings: Settings) -> list[tuple[str, str, str | None, str | None]]:
        return [(need.kind, need.name, need.revision or need.weights, need.device) for need in settings.needs()]

    assert needed(DetectorRegionSettings(model="a/b", revision="v1", device="cuda:1")) == [
        ("hub", "a/b", "v1", "cuda:1")
    ]
    assert needed(ZeroShotRegionSettings(model="a/b", vocabulary=("dog",))) == [("hub", "a/b", None, None)]
    assert needed(ZeroShotRegionSettings(model="a/b", vocabulary="imagenet")) == [("hub", "a/b", None, None)]
    assert needed(ZeroShotRegionSettings(model="a/b", vocabulary="mine.txt")) == [
        ("hub", "a/b", None, None),
        ("file", "mine.txt", None, None),
    ]
    assert needed(TorchvisionRegionSettings(model=SSD)) == [("torchvision", SSD, "DEFAULT", None)]
    assert needed(TorchvisionRegionSettings(model=SSD, weights="own.pth", labels="mine.txt", device="cpu")) == [
        ("torchvision", SSD, "own.pth", "cpu"),
        ("file", "mine.txt", None, None),
    ]
    (of_a_tag,) = TorchvisionRegionSettings(model=SSD).needs()
    (of_nothing,) = TorchvisionRegionSettings(model=SSD, weights="gone.pth").needs()
    assert look_up(of_a_tag, {}).problem in (None, "not in the local cache; a build downloads it")
    assert look_up(of_nothing, {}).problem is not None


def changed(source: Path, folder: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(source, folder)
    change(folder)
    return folder


def without_a_weight(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["class_labels_classifier.bias"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def with_a_shorter_weight(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["class_labels_classifier.bias"] = state["class_labels_classifier.bias"][:2].clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def without_names(folder: Path) -> None:
    config = library.AutoConfig.from_pretrained(folder)
    config.id2label = {number: f"LABEL_{number}" for number in range(len(CLASSES))}
    config.save_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights; *.safetensors files are expected"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "cannot be loaded: "),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "cannot be loaded: "),
        (without_a_weight, "1 of its weights are missing, among them class_labels_classifier.bias"),
        (with_a_shorter_weight, "1 of its weights have another shape than config.json says, among them class_labels"),
        (without_names, "does not name its classes (id2label in config.json says LABEL_0 and so on)"),
        (shutil.rmtree, "there is no such folder"),
    ],
)
def test_a_folder_that_is_no_whole_detector_is_refused(
    change: Callable[[Path], object], message: str, folders: Callable[[str], Path], workers: Workers, tmp_path: Path
) -> None:
    folder = changed(folders("detr"), tmp_path / "broken", change)
    with pytest.raises(SettingsError) as refused, detector_of(closed(folder)).opened():
        pass
    assert str(refused.value).startswith(f"{folder}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_models_of_another_kind_are_refused(folders: Callable[[str], Path], workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused, detector_of(closed(folders("owlv2"))).opened():
        pass
    assert str(refused.value).endswith(
        "is a model of type 'owlv2', which does not detect objects; "
        "kind: zero_shot takes models that are told what to look for"
    )
    with pytest.raises(SettingsError) as refused, detector_of(told(folders("detr"))).opened():
        pass
    assert str(refused.value).endswith(
        "is a model of type 'detr', which does not detect what it is told; "
        "kind: detector takes models with classes of their own"
    )
    library.BertConfig().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(SettingsError) as refused, detector_of(closed(tmp_path)).opened():
        pass
    assert str(refused.value) == f"{tmp_path}: is a model of type 'bert', which does not detect objects"


@pytest.mark.parametrize(
    ("family", "size"),
    [
        *itertools.product((*CLOSED, *TOLD, "torchvision"), ((1, 1), (20_000, 10), (10, 20_000))),
        ("detr", (5000, 4000)),
    ],
)
def test_pictures_of_any_size_have_regions(
    family: str, size: tuple[int, int], folders: Callable[[str], Path], weights: Path, workers: Workers
) -> None:
    if family == "torchvision":
        settings: Any = own(weights)
    else:
        settings = closed(folders(family)) if family in CLOSED else told(folders(family))
    images = [DecodedImage("odd", PIL.Image.new("RGB", size, "red")), DecodedImage("plain", PICTURES[0])]
    with opened(DetectedRegions(_Lent(open_detector(settings)), settings)) as proposer:
        odd, plain = proposer.regions(images)
    assert not isinstance(odd, ImageFailure), odd
    assert not isinstance(plain, ImageFailure), plain
    assert odd
    assert plain


class _Lent:
    """A detector that somebody else closes."""

    def __init__(self, detector: Detector) -> None:
        self.version, self.prepare, self.detect = detector.version, detector.prepare, detector.detect

    @contextmanager
    def opened(self) -> Iterator[Self]:
        yield self


def proposer_of(settings: Any) -> RegionProposer:
    return REGIONS[type(settings)](settings, CONTEXT)


def labels_of(said: tuple[Proposal, ...] | ImageFailure) -> list[str]:
    assert not isinstance(said, ImageFailure), said
    return [region.label for region in said]


def test_full_memory_halves_the_batches(folders: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    images = [DecodedImage(str(number), draw_scene(number)) for number in range(5)]
    settings = closed(folders("rt_detr"), batch_size=5)

    def refuse(_module: object, _positional: object, inputs: dict[str, torch.Tensor]) -> None:
        if len(inputs["pixel_values"]) > 2:
            raise torch.OutOfMemoryError("too much")

    with opened(proposer_of(settings)) as proposer:
        expected = proposer.regions(images)
    with caplog.at_level(logging.WARNING), opened(detector_regions(settings, CONTEXT)) as limited:
        inner: Any = limited._detector
        inner.loaded.model.register_forward_pre_hook(refuse, with_kwargs=True)
        found = limited.regions(images)
    assert list(map(labels_of, found)) == list(map(labels_of, expected))
    assert f"{folders('rt_detr')}: out of memory with 5 at a time; going on with 2" in caplog.messages


@pytest.mark.parametrize("family", ["detr", "owlv2", "grounding_dino", "omdet_turbo"])
def test_scores_that_are_no_numbers_are_no_silence(family: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    def spoil(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        name = next(name for name in sorted(state) if "norm" in name.lower() and name.endswith("weight"))
        for key in state:
            is_first = key.rpartition(".")[0] == name.rpartition(".")[0] or "backbone" in key
            if is_first and state[key].is_floating_point():
                state[key] = torch.full_like(state[key], torch.nan)
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    folder = changed(folders(family), tmp_path / "spoilt", spoil)
    settings = closed(folder) if family in CLOSED else told(folder)
    with opened(proposer_of(settings)) as proposer:
        said = proposer.regions([DecodedImage("one", PICTURES[0])])
    assert said == [ImageFailure("the detector's scores are not numbers")]


@pytest.mark.parametrize("family", ["rt_detr", "detr", "owlv2", "grounding_dino"])
def test_lower_precision_runs(family: str, folders: Callable[[str], Path], workers: Workers) -> None:
    folder = folders(family)
    settings = closed(folder, dtype="bfloat16") if family in CLOSED else told(folder, dtype="bfloat16")
    for found, picture in zip(look(settings, workers), PICTURES, strict=True):
        assert found
        assert all(abs(corner) < 2 * max(picture.size) for detection in found for corner in detection.corners_px)


def test_the_stage_takes_its_regions_from_a_detector(
    folders: Callable[[str], Path], weights: Path, tmp_path: Path
) -> None:
    rows = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        draw_scene(number).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(ImageRecord(digest, 96, 72, "PNG", "RGB", path.stat().st_size, path.name, Location(str(path))))
    broken = ImageRecord("f" * 64, 96, 72, "PNG", "RGB", 0, "gone.png", Location(str(tmp_path / "gone.png")))

    choice = ChoiceSettings(max_regions=3)
    for section in (
        closed(folders("rt_detr"), choice=choice, min_area=0.0),
        told(folders("owlv2"), choice=choice, min_area=0.0),
        own(weights, choice=choice),
    ):
        stage = pickle.loads(pickle.dumps(VerbalizeStage(VerbalizeSettings(regions=section), seed=0)))
        with stage.opened(services()) as ready:
            outcomes = ready.process([*rows, broken], {})
        assert isinstance(outcomes[-1], Failed)
        for outcome in outcomes[:-1]:
            assert isinstance(outcome, Kept), outcome
            (said,) = outcome.records
            assert 1 <= len(said.regions) <= 3
            assert {region.label for region in said.regions} <= {*CLASSES, "dog", *VOCABULARY}
            assert all(region.label_probability is not None for region in said.regions)


def test_torchvision_finds_what_a_bare_loop_finds(weights: Path, workers: Workers) -> None:
    model = torchvision.models.get_model(SSD, weights=None, weights_backbone=None, num_classes=5)
    model.load_state_dict(load_file(weights))
    model.eval()
    to_tensor = torchvision.transforms.functional.to_tensor
    for picture, found in zip(PICTURES, look(own(weights), workers), strict=True):
        with torch.inference_mode():
            (result,) = model([to_tensor(picture)])
        assert_alike(found, bare(result, ("__background__", *CLASSES)))
        assert all(detection.label in CLASSES for detection in found)


def test_torchvision_with_proportions_of_its_own_leaks_nothing(tmp_path: Path, workers: Workers) -> None:
    """Faster R-CNN pads what shares a batch; masks and keypoints aside, all of its family do."""
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    file = tiny_detectors.save_torchvision(tmp_path / "own.pth", name)
    together = look(own(file, model=name), workers)
    for picture, found in zip(PICTURES, together, strict=True):
        assert_alike(found, look(own(file, model=name), workers, [picture])[0])
    assert len({found[0].corners_px for found in together}) == len(PICTURES)


def test_torchvisions_own_weights_come_from_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: Workers
) -> None:
    """Under the name and in the place where torchvision keeps what it downloads."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    table = torchvision.models.get_model_weights(SSD)
    file = tmp_path / "checkpoints" / Path(table["COCO_V1"].url).name
    tiny_detectors.save_torchvision(file, classes=90)
    settings = TorchvisionRegionSettings(model=SSD, device="cpu", min_probability=0.0)
    categories = set(table["COCO_V1"].meta["categories"])
    found = look(settings, workers)
    assert all(found)
    assert {detection.label for detections in found for detection in detections} <= categories - {"__background__"}
    version = TorchvisionDetector(settings).version
    assert TorchvisionDetector(settings.model_copy(update={"weights": "COCO_V1"})).version == version
    copied = shutil.copy(file, tmp_path / "coco.pth")
    own_file = TorchvisionRegionSettings(model=SSD, weights=str(copied), device="cpu", min_probability=0.0)
    for one, other in zip(look(own_file, workers), found, strict=True):
        assert_alike(one, other)

    torch.save({"model": torch.nn.Linear(1, 1)}, file)  # a pickle that would run code
    with pytest.raises(SettingsError) as refused, detector_of(settings).opened():
        pass
    assert str(refused.value).startswith(
        f"weights: DEFAULT of {SSD} cannot be loaded: UnpicklingError: Weights only load failed"
    )


def test_a_checkpoint_that_would_run_code_is_not_read(tmp_path: Path, workers: Workers) -> None:
    file = tmp_path / "whole.pth"
    torch.save({"model": torch.nn.Linear(1, 1)}, file)
    with pytest.raises(SettingsError) as refused, detector_of(own(file)).opened():
        pass
    assert "cannot be loaded: UnpicklingError: Weights only load failed" in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "ssdlite"}, "model: torchvision has no detector called 'ssdlite'; the nearest one is ssdlite320"),
        ({"model": "resnet18"}, "model: torchvision has no detector called 'resnet18'; the nearest one is "),
        (
            {"weights": "COCO_V9", "labels": None},
            "has no weights 'COCO_V9' for ssdlite320_mobilenet_v3_large; there are ",
        ),
        ({"weights": "nowhere/own.pth"}, "weights: there is no file nowhere/own.pth; a file or a tag is expected"),
        (
            {"labels": ("a", "b")},
            "with 3 classes (background included): 12 weights have another shape, among them head",
        ),
    ],
)
def test_weights_of_torchvision_that_do_not_fit_are_refused(
    values: dict[str, object], message: str, weights: Path, workers: Workers
) -> None:
    with pytest.raises(SettingsError) as refused, detector_of(own(weights, **values)).opened():
        pass
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("backbone.features.0.0.0.weight"), "1 weights are missing, among them backbone.fea"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 weights are none of the model's, among them extra"),
    ],
)
def test_a_file_of_another_model_is_refused(
    change: Callable[[dict[str, torch.Tensor]], object], problem: str, weights: Path, tmp_path: Path, workers: Workers
) -> None:
    state = load_file(weights)
    change(state)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(SettingsError) as refused, detector_of(own(tmp_path / "other.safetensors")).opened():
        pass
    assert f"does not fit {SSD} with 5 classes (background included): {problem}" in str(refused.value)


def test_class_names_of_a_file_are_its_lines(tmp_path: Path, weights: Path, workers: Workers) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(CLASSES), "utf-8")
    assert look(own(weights, labels=str(file)), workers) == look(own(weights), workers)
    file.write_text("\n".join([*CLASSES, "Dog"]), "utf-8")
    with pytest.raises(SettingsError) as refused:
        TorchvisionDetector(own(weights, labels=str(file)))
    assert str(refused.value) == f"labels: {file} repeats 1 of its classes; each line is the class of its number"


@pytest.mark.slow
def test_a_detector_that_learned_squares_finds_them(tmp_path: Path, workers: Workers) -> None:
    """RT-DETR trained for half a minute: boxes lie on what was drawn, in pixels of pictures that are no squares."""
    folder = tiny_detectors.save_trained_rt_detr(tmp_path / "trained")
    pictures, truths = tiny_detectors.draw_squares(24, seed=9, width=160, height=80)
    overlaps, right = [], []
    for truth, found in zip(truths, look(closed(folder), workers, pictures), strict=True):
        best = max(found, key=lambda detection: detection.probability)
        left, top, right_px, bottom = best.corners_px
        shared = max(0.0, min(right_px, truth.corners_px[2]) - max(left, truth.corners_px[0])) * max(
            0.0, min(bottom, truth.corners_px[3]) - max(top, truth.corners_px[1])
        )
        area = (truth.corners_px[2] - truth.corners_px[0]) * (truth.corners_px[3] - truth.corners_px[1])
        overlaps.append(shared / ((right_px - left) * (bottom - top) + area - shared))
        right.append(best.label == truth.label)
    assert sum(right) >= 22
    assert sum(overlaps) / len(overlaps) >= 0.5
