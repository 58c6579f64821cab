"""Backbones of real architectures: what is said of a row depends on its picture and its text, and on nothing else."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import tiny_critics
import tiny_models
from tiny_models import one_thread  # noqa: F401 - a fixture

from critics.trained.inputs import InputFormat, Pictures
from critics.trained.model import Backbone, head_outputs, load_backbone, make_heads
from critics.trained.settings import BackboneName, ShowingSettings
from critics.trained.vlm import AnswerIds, answer_ids
from ostensive.errors import SettingsError
from ostensive.images.drawing import draw_regions
from ostensive.recipe_kind import ShownText
from ostensive.records import ImageRecord

SHORT = "Question: Is it bright?"
LONG = "Question: What does the light around [1] tell of it? Answer: It is bright. Rationale: Around [0] it is so."
KINDS: dict[str, tuple[BackboneName, Callable[[Path], Path]]] = {
    "blip2": ("blip2", tiny_critics.save_matching),
    "blip2 with image tokens": ("blip2", lambda folder: tiny_critics.save_matching(folder, image_token=True)),
    "llava": ("vlm", tiny_models.save_llava),
    "smolvlm": ("vlm", tiny_models.save_smolvlm),
    "qwen2-vl": ("vlm", tiny_models.save_qwen2_vl),
}


@pytest.fixture(scope="module", params=list(KINDS))
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    name, save = KINDS[request.param]
    folder = save(tmp_path_factory.mktemp("model"))
    return load(name, folder)


def load(name: BackboneName, folder: Path | str) -> Backbone:
    return load_backbone(name, str(folder), None, dtype="float32", device="cpu")


def picture(seed: int) -> PIL.Image.Image:
    rng = random.Random(seed)
    image = PIL.Image.new("RGB", (56, 56))
    image.putdata([(rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(56 * 56)])
    return image


def states(backbone: Backbone, pictures: list[PIL.Image.Image], texts: list[str]) -> list[list[float]]:
    import torch

    with torch.inference_mode():
        return [row.flatten().tolist() for row in backbone.states(backbone.prepare(pictures, texts))]


def test_padding_and_neighbours_change_nothing(backbone: Backbone) -> None:
    one, two = picture(1), picture(2)
    alone = [states(backbone, [one], [SHORT])[0], states(backbone, [two], [LONG])[0]]
    for together in (
        states(backbone, [one, two], [SHORT, LONG]),
        states(backbone, [two, one], [LONG, SHORT])[::-1],
    ):
        for found, expected in zip(together, alone, strict=True):
            assert found == pytest.approx(expected, abs=2e-5)


def test_picture_text_and_drawn_box_are_all_consumed(backbone: Backbone) -> None:
    import torch

    plain = picture(1)
    regions = tiny_critics.regions(2)
    others = {
        "another picture": (picture(2), LONG),
        "a box drawn": (draw_regions(plain, regions[:1]), LONG),
        "another box drawn": (draw_regions(plain, regions[1:]), LONG),
        "another last word": (plain, LONG.replace("so.", "odd.")),
    }
    found = states(
        backbone, [plain] + [one for one, _ in others.values()], [LONG] + [text for _, text in others.values()]
    )
    for name, other in zip(others, found[1:], strict=True):
        assert not torch.allclose(torch.tensor(other), torch.tensor(found[0]), atol=1e-4), name
    assert not torch.allclose(torch.tensor(found[2]), torch.tensor(found[3]), atol=1e-4)


def test_states_have_the_width_that_is_told_and_the_tower_is_a_part(backbone: Backbone) -> None:
    found = backbone.states(backbone.prepare([picture(1)], [SHORT]))
    assert found.shape[0] == 1
    assert found.shape[-1] == backbone.width
    tower = {id(parameter) for parameter in backbone.image_tower.parameters()}
    whole = {id(parameter) for parameter in backbone.model.parameters()}
    assert tower
    assert tower < whole


def test_tokens_are_counted_as_the_model_takes_them(backbone: Backbone) -> None:
    count = backbone.token_count(LONG, picture(1))
    assert count > backbone.token_count(SHORT, picture(1)) > 4


def test_a_saved_backbone_says_the_same(backbone: Backbone, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    name, _ = KINDS[request.node.callspec.params["backbone"]]
    backbone.save(tmp_path / "saved")
    again = load(name, tmp_path / "saved")
    assert states(again, [picture(1)], [LONG])[0] == pytest.approx(states(backbone, [picture(1)], [LONG])[0], abs=1e-6)


def test_a_chat_model_begins_with_what_it_answers_to_a_yes_or_no_question() -> None:
    import torch

    found: Any = load("vlm", "microworld:vlm")
    made = make_heads(found.width, 0, 0, found.first_accept_weights())
    pictures, texts = [picture(1), picture(2)], ["is it true that [1] is big ?", "Answer: red. Is it so?"]
    inputs = found.prepare(pictures, texts)
    no, yes = found._loaded.processor.tokenizer.convert_tokens_to_ids(["no", "yes"])
    with torch.inference_mode():
        logits = head_outputs(made, found.states(inputs)).accept_logits
        said = found.model(**inputs).logits
    last = inputs["attention_mask"].sum(-1) - 1
    for row, place in enumerate(last.tolist()):
        assert (logits[row, 1] - logits[row, 0]).item() == pytest.approx(
            (said[row, place, yes] - said[row, place, no]).item(), abs=1e-4
        )
    assert logits.abs().max() > 0.1


def test_answers_are_words_of_their_own_in_every_spelling_or_none() -> None:
    known = ["<unk>", "Yes", "No", " Yes", " No", "yes"]
    assert answer_ids(words_only(known)) == AnswerIds(no=(2, 4), yes=(1, 3))
    assert answer_ids(words_only(["<unk>", "yes", "perhaps"])) is None


def words_only(known: list[str]) -> Any:  # Any: transformers types its tokenizers in part
    """A tokenizer that takes a whole text for a word, the first of which stands for all that it does not know."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(known)}, unk_token=known[0]))
    kind: Any = PreTrainedTokenizerFast
    return kind(tokenizer_object=made, unk_token=known[0])


def test_models_of_another_kind_are_refused_in_one_line(tmp_path: Path) -> None:
    llava, matching = tiny_models.save_llava(tmp_path / "llava"), tiny_critics.save_matching(tmp_path / "matching")
    with pytest.raises(SettingsError) as refused:
        load("blip2", llava)
    assert str(refused.value) == (
        f"{llava}: is a model of type 'llava'; the backbone blip2 takes BLIP-2 for image-text retrieval"
        " (Salesforce/blip2-itm-vit-g or one trained from it); for others set backbone=vlm"
    )
    with pytest.raises(SettingsError, match="no such folder"):
        load("blip2", tmp_path / "none")
    with pytest.raises(SettingsError, match="weights"):
        load("vlm", matching)
    captioner = tiny_models.save_blip2(tmp_path / "captioner")
    with pytest.raises(SettingsError) as refused:
        load("vlm", captioner)
    assert str(refused.value) == (
        f"{captioner}: is a model of type 'blip-2'; the backbone vlm takes a decoder with a chat template (LLaVA,"
        " SmolVLM, Qwen-VL, ...); for BLIP-2's matching model set backbone=blip2"
    )


def mentioning(*numbers: int) -> tuple[ShownText, ...]:
    return (ShownText("caption", "It is so.", numbers),)


def test_an_image_is_decoded_once_for_all_its_rows(tmp_path: Path) -> None:
    record = tiny_critics.save_picture(tmp_path / "one.png", (200, 10, 10), side=64)
    asked: list[str] = []

    def decode(image: ImageRecord) -> PIL.Image.Image:
        asked.append(image.image_id)
        return PIL.Image.open(image.location.path).convert("RGB")

    inputs, cache = InputFormat("blip2", "So?", ShowingSettings(image_side_px=32), 0), Pictures(decode, 32)
    drawn = [
        cache.drawn(inputs.input_of(str(number), mentioning(number), record, tiny_critics.regions(2)))
        for number in (0, 1, 0)
    ]
    assert asked == [record.image_id]
    assert [image.size for image in drawn] == [(32, 32)] * 3
    assert drawn[0].tobytes() == drawn[2].tobytes() != drawn[1].tobytes()


def test_pictures_that_were_not_asked_for_lately_make_room(tmp_path: Path) -> None:
    records = [tiny_critics.save_picture(tmp_path / f"{n}.png", (n, n, n), side=32) for n in range(3)]
    asked: list[str] = []

    def decode(image: ImageRecord) -> PIL.Image.Image:
        asked.append(image.source)
        return PIL.Image.open(image.location.path).convert("RGB")

    cache = Pictures(decode, 32, max_bytes=2 * 3 * 32 * 32)
    inputs = InputFormat("vlm", "So?", ShowingSettings(), 0)
    for number in (0, 1, 0, 2, 0, 1):
        cache.drawn(inputs.input_of("x", mentioning(), records[number], ()))
    assert asked == ["0.png", "1.png", "2.png", "1.png"]


@pytest.mark.parametrize(("name", "model"), [("blip2", "microworld:blip2"), ("vlm", "microworld:vlm")])
def test_models_that_come_with_the_package_are_found_by_name(name: BackboneName, model: str) -> None:
    backbone = load(name, model)
    one, other = states(backbone, [picture(1), picture(2)], ["Answer: It is [0].", "Answer: It is [0]."])
    assert len(one) % backbone.width == 0
    assert one != pytest.approx(other, abs=1e-4)
    with pytest.raises(SettingsError, match="microworld:nose: no such model comes with this package"):
        load(name, "microworld:nose")
