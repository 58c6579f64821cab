"""The kind `clip` on a real, tiny model of open_clip: what it reads of an image, and what does not matter to it."""

import json
import logging
import pickle
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_verbalizers import CONTEXT, opened, services
from PIL import Image
from tiny_clip import MODEL, write_checkpoint, write_config, write_folder

from ostensive.errors import SettingsError
from ostensive.models.clip_model import ClipModel, central_part
from ostensive.records import ImageRecord, Location
from ostensive.stage import Kept
from verbalizers.base import DecodedImage, ImageFailure
from verbalizers.clip.concepts import ClipConcepts, concept_sentence
from verbalizers.clip.settings import ClipConceptSettings
from verbalizers.label_lists import load_labels
from verbalizers.stage import VerbalizeStage
from verbalizers.table import VerbalizeSettings

open_clip = pytest.importorskip("open_clip")
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    open_clip.add_model_config(write_config(folder))
    return write_checkpoint(folder / "weights.safetensors")


@pytest.fixture
def base(checkpoint: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": MODEL,
        "pretrained": str(checkpoint),
        "device": "cpu",
        "max_label_cosine": 1,
        "cache_folder": str(tmp_path / "cache"),
    }


def made(values: dict[str, Any]) -> ClipConcepts:
    return ClipConcepts(ClipConceptSettings.model_validate(values), CONTEXT)


def drawn(count: int, size: tuple[int, int] = (48, 40)) -> list[DecodedImage]:
    rng = np.random.default_rng(3)
    pictures = [Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)) for _ in range(count)]
    return [DecodedImage(f"image {place}", picture) for place, picture in enumerate(pictures)]


def tell(values: dict[str, Any], given: list[DecodedImage]) -> list[tuple[str, ...] | ImageFailure]:
    with opened(made(values)) as labeller:
        return list(labeller.concepts(given))


def test_three_sentences_name_as_many_labels_as_were_asked_for(base: dict[str, Any]) -> None:
    for said in tell(base, drawn(2)):
        assert not isinstance(said, ImageFailure)
        place, objects, ideas = said
        assert place.startswith("The scene most likely shows this kind of place: ")
        assert len(place.rpartition(": ")[2].split(" or ")) == 2
        assert objects.startswith("Among the things in view there seem to be: ")
        assert ideas.startswith("It may also have to do with: ")
        assert all(sentence.endswith(".") for sentence in said)


def test_the_words_of_a_sentence() -> None:
    assert concept_sentence("places", ["beach", "harbour"]) == [
        "The scene most likely shows this kind of place: beach or harbour."
    ]
    assert concept_sentence("objects", ["dog", "ball", "lead"]) == [
        "Among the things in view there seem to be: dog, ball and lead."
    ]
    assert concept_sentence("concepts", ["play"]) == ["It may also have to do with: play."]
    assert concept_sentence("objects", []) == []


def test_the_ranking_is_that_of_a_bare_loop(base: dict[str, Any], checkpoint: Path) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(MODEL, pretrained=str(checkpoint))
    model.eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    labels = load_labels("places").labels
    given = drawn(5)
    with torch.no_grad():
        texts = model.encode_text(tokenizer([f"a view of {label}, seen" for label in labels]), normalize=True)
        expected = []
        for view in given:
            image = model.encode_image(preprocess(view.pixels)[None], normalize=True)
            best = (image @ texts.T)[0].argsort(descending=True)[:3].tolist()
            expected.append((concept_sentence("places", [labels[place] for place in best])[0],))
    values = {
        **base,
        "places": {"labels": "places", "template": "a view of {label}, seen", "top_k": 3},
        "objects": {"labels": "imagenet", "top_k": 0},
        "concepts": {"labels": "concepts", "top_k": 0},
    }
    assert tell(values, given) == expected
    assert len(set(expected)) > 1, "the image is looked at"


def test_features_change_with_the_image(base: dict[str, Any]) -> None:
    with ClipModel(ClipConceptSettings.model_validate(base)).opened() as model:
        black, white = (model.preprocess(Image.new("RGB", (40, 40), colour)) for colour in ("black", "white"))
        features = model.encode_images(model.stack([black, white, black]))
    assert features.shape == (3, 32)
    assert features.dtype == torch.float32
    assert torch.allclose(features.norm(dim=1), torch.ones(3))
    assert (features[0] @ features[1]).item() < 0.99
    assert torch.allclose(features[0], features[2], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_neither_batch_nor_order_matters(base: dict[str, Any], batch_size: int) -> None:
    given = drawn(7)
    whole = tell({**base, "batch_size": 7}, given)
    assert tell({**base, "batch_size": batch_size}, given) == whole
    assert tell({**base, "batch_size": batch_size}, given[::-1]) == whole[::-1]
    assert tell(base, []) == []


def test_text_features_are_computed_once_and_shared(base: dict[str, Any], tmp_path: Path) -> None:
    first = tell(base, drawn(2))
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 3
    calls: list[int] = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _given, _made: calls.append(1) if type(module).__name__ == "Transformer" else None
    )
    try:
        with opened(made(base)) as labeller:
            assert calls == [], "everything is in the cache"
            assert labeller.concepts(drawn(2)) == first
            assert len(calls) == 1, "the image side alone"
        with opened(made({**base, "places": {"labels": "places", "template": "{label}", "top_k": 2}})):
            assert len(calls) == 3, "one list anew: 477 texts in two batches"
    finally:
        hook.remove()


def test_other_weights_under_the_same_name_are_noticed(base: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    shutil.copy(checkpoint, own)
    values = {**base, "pretrained": str(own)}
    before = made(values).version
    tell(values, drawn(1))
    write_checkpoint(own, seed=9)
    assert made(values).version != before
    tell(values, drawn(1))
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 6


def test_the_version_follows_the_labels_and_not_the_name_of_their_file(base: dict[str, Any], tmp_path: Path) -> None:
    one, other, third = tmp_path / "one.txt", tmp_path / "other.txt", tmp_path / "third.txt"
    for path, text in ((one, "cat\ndog\n"), (other, "# pets\ncat\ndog"), (third, "dog\ncat\n")):
        path.write_text(text)
    versions = [made({**base, "objects": {"labels": str(path), "top_k": 1}}).version for path in (one, other, third)]
    assert versions[0] == versions[1] != versions[2]
    assert versions[0].startswith("clip-1:")


def test_alike_labels_are_named_once(base: dict[str, Any], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("dog\nDogs\nDOG \nhot-dog\nhot dogs\n", "utf-8")
    off = {"labels": "imagenet", "top_k": 0}
    values = {**base, "places": off, "concepts": off, "objects": {"labels": str(labels), "top_k": 4}}
    (said,) = tell(values, drawn(1))
    assert not isinstance(said, ImageFailure)
    named = said[0].rpartition(": ")[2].removesuffix(".").split(" and ")
    assert sorted(name.casefold().rstrip("s").replace("-", " ") for name in named) == ["dog", "hot dog"]
    (merged,) = tell({**values, "max_label_cosine": 0.001}, drawn(1))
    assert not isinstance(merged, ImageFailure)
    assert " and " not in merged[0]


def test_what_one_list_said_the_next_does_not_say_again(base: dict[str, Any], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("beach\nforest\nstreet\nroom\n")
    section = {"labels": str(labels), "top_k": 2}
    (said,) = tell({**base, "places": section, "objects": section, "concepts": section}, drawn(1))
    assert not isinstance(said, ImageFailure)
    assert len(said) == 2, "four labels are used up by two lists"
    for label in ("beach", "forest", "street", "room"):
        assert " ".join(said).count(label) == 1


def test_one_bad_image_costs_no_neighbour(base: dict[str, Any]) -> None:
    given = drawn(3)
    alone = tell(base, [given[0], given[2]])
    closed = Image.new("RGB", (8, 8))
    closed.close()
    closed.im = None  # type: ignore[assignment]  # what is left of an image that was closed
    given[1] = DecodedImage("closed", closed)
    said = tell(base, given)
    assert isinstance(said[1], ImageFailure)
    assert [said[0], said[2]] == alone


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (10, 20_000), (2, 3)])
def test_odd_shapes(base: dict[str, Any], size: tuple[int, int]) -> None:
    (said,) = tell(base, drawn(1, size))
    assert not isinstance(said, ImageFailure)
    assert len(said) == 3


def test_a_long_image_is_not_blown_up(base: dict[str, Any]) -> None:
    strip = Image.new("RGB", (400_000, 1), "red")
    with ClipModel(ClipConceptSettings.model_validate(base)).opened() as model:
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert model.preprocess(strip).shape == (3, 32, 32)
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
        assert grown_mb < 500, "scaled before it is cut it would be 12.8 million pixels wide and take 1.2 GB"


def test_the_middle_of_a_long_image() -> None:
    strip = Image.new("RGB", (1000, 10), "red")
    strip.paste("blue", (480, 0, 520, 10))
    part = central_part(strip)
    assert part.size == (40, 10)
    assert part.getcolors() == [(400, (0, 0, 255))]
    assert central_part(part) is part
    assert central_part(strip.transpose(Image.Transpose.ROTATE_90)).size == (10, 40)


def test_weights_that_are_not_numbers_say_nothing(base: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint)
    weights["visual.proj"][:] = float("nan")
    save_file(weights, tmp_path / "broken.safetensors")
    said = tell({**base, "pretrained": str(tmp_path / "broken.safetensors")}, drawn(1))
    assert said == [ImageFailure("the model's features of the image are not finite numbers")]


def test_batches_halve_when_memory_runs_out(base: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    given = drawn(7)
    expected = tell(base, given)

    def refuse(limit: int) -> Any:  # Any: a hook of torch
        def hook(_module: object, inputs: tuple[Any, ...]) -> None:
            if len(inputs[0]) > limit:
                raise torch.OutOfMemoryError("too much")

        return hook

    with opened(made(base)) as labeller, caplog.at_level(logging.WARNING):
        labeller._model._model.visual.register_forward_pre_hook(refuse(2))
        assert labeller.concepts(given) == expected
        assert [record.getMessage() for record in caplog.records] == [
            f"{MODEL}: out of memory with 7 at a time; going on with 3",
            f"{MODEL}: out of memory with 3 at a time; going on with 1",
        ]
        labeller._model._model.visual.register_forward_pre_hook(refuse(0))
        assert labeller.concepts(given[:2]) == [ImageFailure("OutOfMemoryError: too much")] * 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_runs(base: dict[str, Any], dtype: str) -> None:
    with ClipModel(ClipConceptSettings.model_validate({**base, "dtype": dtype})).opened() as model:
        features = model.encode_images(model.stack([model.preprocess(image.pixels) for image in drawn(2)]))
    assert features.dtype == torch.float32
    assert features.isfinite().all()


def test_a_folder_and_a_checkpoint_of_the_same_weights_say_the_same(base: dict[str, Any], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    del base["pretrained"]
    said = tell({**base, "model": f"local-dir:{folder}"}, drawn(2))
    weights = str(folder / "open_clip_model.safetensors")
    assert said == tell({**base, "pretrained": weights}, drawn(2))


def test_weights_run_with_the_activation_they_were_trained_with(
    base: dict[str, Any], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = {"file": str(checkpoint), "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, MODEL, {"trained_quick": tag})
    with ClipModel(ClipConceptSettings.model_validate({**base, "pretrained": "trained_quick"})).opened() as model:
        pixels = model.preprocess(drawn(1)[0].pixels)
        found = model.encode_images(model.stack([pixels]))
    for quick in (True, False):
        bare, _ = open_clip.create_model_from_pretrained(MODEL, pretrained=str(checkpoint), force_quick_gelu=quick)
        with torch.no_grad():
            expected = bare.eval().encode_image(pixels[None], normalize=True)
        assert torch.allclose(found, expected, atol=1e-5) is quick


@pytest.mark.slow
def test_twenty_thousand_labels(base: dict[str, Any], tmp_path: Path) -> None:
    labels = tmp_path / "many.txt"
    labels.write_text("\n".join(f"thing {number} of many" for number in range(20_000)))
    off = {"labels": "imagenet", "top_k": 0}
    values = {**base, "places": off, "objects": {"labels": str(labels), "top_k": 3}, "concepts": off}
    tell(base, drawn(1))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = tell(values, drawn(40))
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    assert grown_mb < 300
    assert tell(values, drawn(40)) == first


def test_in_the_stage_beside_parts_of_another_kind(base: dict[str, Any]) -> None:
    settings = VerbalizeSettings.model_validate({"concepts": {"kind": "clip", **base}})
    pictures = {f"{place:064x}": image.pixels for place, image in enumerate(drawn(3, (64, 48)))}
    rows = [ImageRecord(image_id, 64, 48, "PNG", "RGB", 1, "x", Location("x")) for image_id in pictures]
    stage = pickle.loads(pickle.dumps(VerbalizeStage(settings, seed=0)))
    identity = json.dumps(stage.identity)
    with stage.opened(services(lambda row: pictures[row.image_id])):
        outcomes = stage.process(rows, {})
    assert json.dumps(stage.identity) == identity
    for outcome in outcomes:
        assert isinstance(outcome, Kept)
        (said,) = outcome.records
        assert [sentence.rpartition(": ")[0].split()[0] for sentence in said.concepts] == ["The", "Among", "It"]
        assert len(said.narratives) == 5


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        made(values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def late_refusal(values: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught, opened(made(values)):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_models_that_cannot_be_are_refused_before_work(base: dict[str, Any], tmp_path: Path) -> None:
    assert refusal({**base, "model": "ViT-L-14-363"}) == (
        "model: open_clip has no model called 'ViT-L-14-363'; the nearest one is ViT-L-14-336; "
        "for your own, name hf-hub:NAME or local-dir:FOLDER"
    )
    gone = tmp_path / "gone.safetensors"
    assert refusal({**base, "pretrained": str(gone)}) == (
        f"pretrained: there is no file {gone}; a tag of open_clip or a checkpoint is expected"
    )
    del base["pretrained"]
    assert refusal({**base, "model": "hf-hub:"}).startswith("model: hf-hub: has to be followed by")
    folder = tmp_path / "folder"
    local = {**base, "model": f"local-dir:{folder}"}
    assert refusal(local) == f"model: there is no folder {folder}; local-dir: has to be followed by one"
    folder.mkdir()
    assert refusal(local) == (
        f"model: {folder} has no open_clip_config.json; a model as open_clip saves it is expected"
    )
    config = folder / "open_clip_config.json"
    config.write_text("{")
    assert refusal(local).startswith(f"model: {config} cannot be read as JSON (Expecting property name")
    config.write_text("{}")
    assert refusal(local) == f"model: {config} has no model_cfg; a model as open_clip saves it is expected"
    config.write_text('{"model_cfg": {}}')
    assert refusal(local) == (f"model: {folder} has no weights; a file *.safetensors, *.bin, *.pth is expected in it")


def test_weights_that_cannot_be_are_named(base: dict[str, Any], tmp_path: Path) -> None:
    assert late_refusal({**base, "model": "ViT-B-32", "pretrained": "openia"}) == (
        "pretrained: open_clip has no weights 'openia' for ViT-B-32; the nearest one is openai"
    )
    assert late_refusal({**base, "pretrained": None}) == (
        f"pretrained: open_clip has no weights for {MODEL}; give a checkpoint file, not 'openai'"
    )
    assert late_refusal({**base, "model": "EVA01-g-14", "pretrained": "x"}) == (
        "pretrained: open_clip has no weights 'x' for EVA01-g-14; there are laion400m_s11b_b41k"
    )
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not weights")
    assert late_refusal({**base, "pretrained": str(damaged)}).startswith(
        f"model: {MODEL} with the weights {damaged} cannot be loaded: "
    )


def test_no_code_that_comes_with_a_model_is_run(base: dict[str, Any], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    config = folder / "open_clip_config.json"
    config.write_text(
        config.read_text().replace(
            '"context_length"', '"tokenizer_kwargs": {"trust_remote_code": true}, "context_length"'
        )
    )
    del base["pretrained"]
    assert late_refusal({**base, "model": f"local-dir:{folder}"}) == (
        f"model: local-dir:{folder} wants to run code that comes with its tokenizer, which is refused"
    )


def test_no_code_of_a_tokenizer_is_run_whatever_the_terminal_would_say(
    base: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_clip leaves it to transformers, which asks; the configuration itself says nothing of code."""
    folder = write_folder(tmp_path / "model")
    config = folder / "open_clip_config.json"
    config.write_text(config.read_text().replace('"context_length"', '"hf_tokenizer_name": "words", "context_length"'))
    (folder / "words.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Words: pass\n")
    words = {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": ["words.Words", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    (folder / "config.json").write_text('{"model_type": "words"}')
    asked: list[str] = []

    def answer(question: str = "") -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    del base["pretrained"]
    assert late_refusal({**base, "model": f"local-dir:{folder}"}) == (
        f"model: local-dir:{folder}: brings code of its own, which is never run; name a model that the installed"
        " libraries know"
    )
    assert asked == []
    assert not (tmp_path / "ran").exists()


class Harm:
    """What a pickle can do: opening it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_tensors_alone_are_read_of_a_pickle(base: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    own = tmp_path / "own.bin"
    torch.save({"state_dict": load_file(checkpoint)}, own)
    assert tell({**base, "pretrained": str(own)}, drawn(1)) == tell(base, drawn(1))
    harmful = tmp_path / "harmful.bin"
    torch.save({"state_dict": load_file(checkpoint), "more": Harm(tmp_path / "ran")}, harmful)
    assert late_refusal({**base, "pretrained": str(harmful)}).startswith(
        f"model: {MODEL} with the weights {harmful} cannot be loaded: Weights only load failed. "
    )
    assert not (tmp_path / "ran").exists()
    torch.load(harmful, weights_only=False)
    assert (tmp_path / "ran").exists(), "the file would do harm"


def test_repeated_labels_are_counted(base: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\nCat\ndog\n cat\n")
    made({**base, "objects": {"labels": str(labels), "top_k": 1}})
    assert [record.getMessage() for record in caplog.records] == [
        f"objects: {labels} repeats 2 of its labels; each counts once (2 labels)"
    ]


def test_loading_sets_up_no_logging(base: dict[str, Any]) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    with ClipModel(ClipConceptSettings.model_validate(base)).opened():
        assert root.handlers == before
