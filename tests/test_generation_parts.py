"""The parts of the generator that need no model, and what is said when a model cannot be had."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.chat.pictures import MAX_SIDE_PX, MIN_SIDE_PX, presentable
from ostensive.chat.records import Completion, Conversation, Message, Sampling
from ostensive.errors import SettingsError
from ostensive.models.generator import Generator, GeneratorPool
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import form_of, load_model
from ostensive.models.sampling import RowSampler, draw_tokens, likelier, likeliest, nucleus, pick
from ostensive.settings import validate


@given(width=st.integers(1, 9000), height=st.integers(1, 60), turned=st.booleans())
def test_images_are_brought_into_bounds(width: int, height: int, turned: bool) -> None:
    size = (height, width) if turned else (width, height)
    shown = presentable(PIL.Image.new("L", size, 200))
    assert shown.mode == "RGB"
    assert min(shown.size) >= MIN_SIDE_PX
    assert max(shown.size) <= MAX_SIDE_PX
    assert shown.getpixel((shown.width // 2, shown.height // 2)) == (200, 200, 200)


def test_an_image_within_bounds_stays_itself() -> None:
    image = PIL.Image.new("RGB", (MIN_SIDE_PX, MAX_SIDE_PX))
    assert presentable(image) is image
    assert presentable(PIL.Image.new("RGB", (1, 1), "red")).getcolors() == [(MIN_SIDE_PX**2, (255, 0, 0))]
    assert presentable(PIL.Image.new("RGB", (20_000, 10))).size == (MAX_SIDE_PX, MIN_SIDE_PX)


def test_the_nucleus() -> None:
    import torch

    probabilities = torch.tensor([[0.1, 0.4, 0.3, 0.2]], dtype=torch.float64)

    def inside(top_p: float) -> list[int]:
        return nucleus(probabilities, torch.tensor([[top_p]])).nonzero()[:, 1].tolist()

    assert [inside(top_p) for top_p in (0.01, 0.39, 0.41, 0.69, 0.71, 0.89, 0.91, 1.0)] == [
        [1], [1], [1, 2], [1, 2], [1, 2, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3],
    ]  # fmt: skip


@given(
    # Shares of a power of two, so that every sum is exact; many are alike.
    weights=st.lists(st.integers(0, 4), min_size=1, max_size=40).filter(any),
    wanted=st.integers(1, 64),
)
def test_the_nucleus_is_the_least_set_and_tokens_know_whether_they_are_in_it(weights: list[int], wanted: int) -> None:
    import torch

    weights, whole = list(weights), 1 << (sum(weights) - 1).bit_length()
    weights[weights.index(max(weights))] += whole - sum(weights)
    probabilities = torch.tensor([weights], dtype=torch.float64) / whole
    top_p = wanted / 64
    falling = sorted((place for place, weight in enumerate(weights) if weight), key=lambda place: -weights[place])
    least = next(n for n in range(1, len(falling) + 1) if sum(weights[k] for k in falling[:n]) / whole >= top_p)
    kept = nucleus(probabilities, torch.tensor([[top_p]], dtype=torch.float64))[0]
    assert set(kept.nonzero()[:, 0].tolist()) == set(falling[:least])
    assert all(kept[place] == probabilities[0, place] for place in falling[:least])
    for place, weight in enumerate(weights):
        if weight:
            mass = likelier(probabilities, torch.tensor([place]))
            assert (float(mass[0]) < top_p) == (place in falling[:least])


@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=30).filter(lambda found: sum(found) > 0.01),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_a_number_falls_on_a_token_that_can_be(weights: list[float], uniform: float) -> None:
    import torch

    probabilities = torch.tensor([weights], dtype=torch.float64) / sum(weights)
    cumulated = probabilities.cumsum(-1)
    token = int(pick(cumulated, torch.tensor([[uniform]], dtype=torch.float64))[0])
    assert probabilities[0, token] > 0
    assert cumulated[0, token] >= uniform * cumulated[0, -1]
    assert token == 0 or cumulated[0, token - 1] <= uniform * cumulated[0, -1]


def test_a_number_that_rounds_to_one_falls_on_the_last_token_that_can_be() -> None:
    import torch

    cumulated = torch.tensor([[0.25, 1.0, 1.0]])  # float32, as on Apple's devices
    assert pick(cumulated, torch.tensor([[1 - 2**-53]])).tolist() == [1]


def test_draws_stay_in_the_nucleus_and_keep_its_proportions() -> None:
    import torch

    probabilities = torch.tensor([0.1, 0.4, 0.3, 0.2, 0.0], dtype=torch.float64).repeat(3000, 1)
    generators = [Random(seed) for seed in range(3000)]
    counts = draw_tokens(probabilities, [0.69] * 3000, generators).bincount(minlength=5).tolist()
    assert counts[0] == counts[3] == counts[4] == 0
    assert abs(counts[1] - 3000 * 4 / 7) < 136  # five standard deviations


def test_a_nucleus_that_is_hard_to_hit_is_cut_out() -> None:
    import torch

    flat = torch.full((3, 5000), 1 / 5000, dtype=torch.float64)
    generators = [Random(seed) for seed in range(3)]
    tokens = draw_tokens(flat, [1e-9, 1.0, 3.5 / 5000], generators)
    alone = [draw_tokens(flat[:1], [top_p], [Random(seed)]) for seed, top_p in enumerate([1e-9, 1.0, 3.5 / 5000])]
    assert tokens.tolist() == [int(token[0]) for token in alone]
    assert tokens[0] == 0, "the first of equally likely ones"
    assert tokens[1] > 100
    assert tokens[2] in range(4)


def test_draws_follow_the_probabilities() -> None:
    import torch

    scores = torch.tensor([0.5, 0.25, 0.25, 0.0]).log().repeat(2000, 1)
    sampler = RowSampler([Sampling(1.0, 1.0, 1, seed) for seed in range(2000)])
    counts = sampler(torch.zeros(2000, 0), scores).argmax(-1).bincount(minlength=4).tolist()
    assert counts[3] == 0
    assert abs(counts[0] - 1000) < 110  # five standard deviations
    assert abs(counts[1] - 500) < 97


def test_only_the_likeliest_are_drawn() -> None:
    import torch

    scores = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().repeat(2000, 1)
    sampler = RowSampler([Sampling(1.0, 1.0, 1, seed, top_k=2) for seed in range(2000)])
    counts = sampler(torch.zeros(2000, 0), scores).argmax(-1).bincount(minlength=4).tolist()
    assert counts[2] == counts[3] == 0
    assert abs(counts[0] - 2000 * 4 / 7) < 111  # five standard deviations
    tied = likeliest(torch.tensor([0.25, 0.5, 0.25]), 2)
    assert tied.tolist() == [0.25, 0.5, 0.25], "those as likely as the last stay, as in transformers"
    both = RowSampler([Sampling(1.0, 0.5, 1, seed, top_k=2) for seed in range(200)])
    assert set(both(torch.zeros(200, 0), scores[:200]).argmax(-1).tolist()) == {0}, "the nucleus is that of the two"


def test_a_row_is_drawn_alike_in_any_batch() -> None:
    import torch

    scores = torch.randn(6, 50, generator=torch.Generator().manual_seed(1))
    samplings = [
        Sampling(0.0 if row == 2 else 1.0 + row / 5, 0.9, 1, row % 4, row // 4, 7 if row == 3 else None)
        for row in range(6)
    ]
    whole, ids = RowSampler(samplings), torch.zeros(6, 0)
    together = torch.stack([whole(ids, scores).argmax(-1) for _ in range(20)])
    for row in range(6):
        single = RowSampler([samplings[row]])
        alone = torch.stack([single(ids[:1], scores[row : row + 1]).argmax(-1) for _ in range(20)])[:, 0]
        assert torch.equal(together[:, row], alone)
    assert set(together[:, 2].tolist()) == {int(scores[2].argmax())}
    assert not torch.equal(together[:, 0], together[:, 4]), "draws of one seed differ"


def test_a_model_without_a_form_is_named() -> None:
    assert form_of("m", "llava", has_template=True) == "chat"
    assert form_of("m", "blip-2", has_template=True) == "continuation"
    with pytest.raises(SettingsError) as caught:
        form_of("some/kosmos", "kosmos-2", has_template=False)
    assert str(caught.value) == (
        "some/kosmos: its processor has no chat template, and no plain form of prompt is known for 'kosmos-2'; name a"
        " model with a chat template (instruction-tuned ones have it), BLIP-2, InstructBLIP or Florence-2"
    )


def problem_of(model: Path | str, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_model(GeneratorSettings(model=str(model), **{"device": "cpu", **settings}))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(model), "MODEL")


def test_a_processor_without_a_template(tmp_path: Path) -> None:
    tiny_models.save_llava(tmp_path, template=None)
    assert problem_of(tmp_path).startswith("MODEL: its processor has no chat template, and no plain form of prompt")


@pytest.mark.parametrize("name", ["idefics3", "smolvlm", "qwen2-vl", "qwen3-vl"])
def test_no_family_is_spoken_to_without_its_template(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (copy_of(name, tmp_path_factory, tmp_path) / "chat_template.jinja").unlink()
    assert problem_of(tmp_path).startswith("MODEL: its processor has no chat template, and no plain form of prompt")


@pytest.mark.parametrize("name", sorted(tiny_models.SAVERS))
def test_no_family_is_loaded_without_its_weights(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (copy_of(name, tmp_path_factory, tmp_path) / "model.safetensors").unlink()
    assert problem_of(tmp_path) == "MODEL: holds no weights; *.safetensors files are expected beside config.json"


def copy_of(name: str, factory: pytest.TempPathFactory, to: Path) -> Path:
    return shutil.copytree(tiny_models.tiny_model(name, factory), to, dirs_exist_ok=True)


def test_folders_that_hold_no_model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert problem_of(tmp_path / "absent") == (
        "MODEL: there is no such folder; a folder or a name on the Hugging Face Hub is expected"
    )
    assert problem_of(tmp_path) == "MODEL: holds no config.json; a folder written by save_pretrained is expected"
    folder = copy_of("llava", tmp_path_factory, tmp_path / "llava")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    assert problem_of(folder) == "MODEL: holds no weights; *.safetensors files are expected beside config.json"
    weights.write_bytes(whole[: len(whole) // 2])
    assert problem_of(folder).startswith("MODEL: cannot be loaded: SafetensorError: ")
    weights.write_bytes(whole)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}), "utf-8")
    assert problem_of(folder) == "MODEL: is a model of type 'bert', which does not turn images into text"


def test_missing_weights_are_not_made_up(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy_of("llava", tmp_path_factory, tmp_path / "llava")
    tensors = load_file(folder / "model.safetensors")
    dropped = sorted(tensors)[0]
    save_file({k: v for k, v in tensors.items() if k != dropped}, folder / "model.safetensors", {"format": "pt"})
    problem = problem_of(folder)
    assert problem.startswith("MODEL: 1 of its weights are missing, among them ")
    assert problem.endswith("; fetch it anew")


def test_a_missing_shard_is_not_made_up(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from transformers import AutoModelForImageTextToText

    folder = copy_of("llava", tmp_path_factory, tmp_path / "llava")
    model = AutoModelForImageTextToText.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="50KB")
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2
    load_model(GeneratorSettings(model=str(folder), device="cpu"))
    shards[1].unlink()
    assert problem_of(folder).startswith("MODEL: cannot be loaded: ")


def test_a_name_that_is_nowhere() -> None:
    assert problem_of("nobody/has-this-model") == (
        "MODEL: is not in the local cache, and HF_HUB_OFFLINE is set; unset it, or bring it there: hf download MODEL"
    )


def test_a_device_that_is_not_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    assert problem_of(folder, device="cuda:99").startswith("device: this machine has no cuda:99; ")
    with pytest.raises(SettingsError, match=r"^recipe: device: string should match pattern"):
        validate(GeneratorSettings, {"model": "m", "device": "tpu"}, "recipe")


def test_a_pool_lends_one_model_to_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = GeneratorSettings(model=str(tiny_models.tiny_model("llava", tmp_path_factory)), device="cpu")
    pool = GeneratorPool()
    with pool.lend(settings) as one:
        with (
            pool.lend(settings.model_copy()) as same,
            pool.lend(settings.model_copy(update={"batch_size": 3})) as other,
        ):
            assert one is same
            assert one is not other
        assert one.form == "chat"
    with pytest.raises(AssertionError, match="is entered before it is asked"):
        one.generate([Conversation((Message("user", "What?"),))])
    with pytest.raises(SettingsError, match="there is no such folder"), pool.lend(GeneratorSettings(model="./no")):
        pass


def test_half_precision(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tiny_models.tiny_model("llava", tmp_path_factory))
    red = PIL.Image.new("RGB", (30, 30), "red")
    asked = Conversation((Message("user", "What?", (red,)),), (), Sampling(0.0, max_tokens=3, seed=0))
    with Generator(GeneratorSettings(model=folder, device="cpu", dtype="bfloat16")) as generator:
        assert str(generator.loaded.model.dtype) == "torch.bfloat16"
        assert isinstance(generator.generate([asked])[0], Completion)
    with Generator(GeneratorSettings(model=folder, device="cpu")) as generator:
        assert str(generator.loaded.model.dtype) == "torch.float32"
