"""The generator over real architectures with tiny random weights, loaded as the large ones are."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import tiny_models
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.models.forms import PLAIN_FORMS, image_slots, prompt_text
from ostensive.models.generation import Draw, Generated, GenerationRequest, NotGenerated, Turn
from ostensive.models.generator import NOT_TAKEN, TOO_LONG, Generator
from ostensive.models.generator_settings import GeneratorSettings

NAMES = sorted(tiny_models.SAVERS)
SHORT = Draw(max_new_tokens=8)
SIZES = [(40, 40), (60, 30), (31, 90), (33, 33), (28, 200)]
CUTTERS = {"idefics3", "smolvlm"}  # their images are cut into tiles of 4 tokens
TOKENS = {"llava": 4, "blip2-opt": 4, "blip2-t5": 4, "instructblip": 4, "florence2": 17}  # that an image takes


def images() -> list[PIL.Image.Image]:
    """Five images of different content and size."""
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in SIZES]
    return [PIL.Image.fromarray(pixels) for pixels in noise]


def prompts(generator: Generator) -> list[str]:
    """Five prompts of different length in the model's own form."""
    if generator.form == "task":
        region = "<REGION_TO_DESCRIPTION><loc_1><loc_2><loc_300><loc_4>"
        return ["<CAPTION>", region, "<MORE_DETAILED_CAPTION>", region, "<CAPTION>"]
    long = "Describe what can be seen in this picture, in one short phrase."
    return ["What is it?", long, "Where?", long + long, "" if generator.form == "continuation" else "Who is it?"]


def ask(generator: Generator, draw: Draw = SHORT, samples: int = 1) -> list[GenerationRequest]:
    return [
        GenerationRequest((Turn("user", prompt, (image,)),), replace(draw, seed=seed), samples)
        for seed, (prompt, image) in enumerate(zip(prompts(generator), images(), strict=True))
    ]


def texts(results: list[Generated | NotGenerated]) -> list[list[str]]:
    assert all(isinstance(result, Generated) for result in results), results
    return [[drawn.text for drawn in result.drawn] for result in results if isinstance(result, Generated)]


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def generator(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generator]:
    folder = tiny_models.tiny_model(name, tmp_path_factory)
    with Generator(GeneratorSettings(model=str(folder), device="cpu", batch_size=5)) as entered:
        yield entered


def of_size(generator: Generator, size: int) -> Generator:
    """The same loaded model with another batch size."""
    other = Generator(generator.settings.model_copy(update={"batch_size": size}))
    other._loaded = generator.loaded
    return other


def test_one_slot_an_image(generator: Generator, name: str) -> None:
    processor = generator.loaded.processor
    for request in ask(generator):
        text = prompt_text(request, generator.form, processor)
        assert image_slots(text, processor) == (1 if generator.form == "chat" else 0)
        images = [request.images] if name in CUTTERS else list(request.images)
        given = processor(text=[text], images=images, return_tensors="pt")
        token = processor.tokenizer.convert_tokens_to_ids(str(processor.image_token))
        slots = int((given["input_ids"] == token).sum())
        assert slots == (4 * given["pixel_values"].shape[1] if name in CUTTERS else TOKENS.get(name, slots)) > 0


def test_the_distribution_follows_the_image(generator: Generator) -> None:
    import torch

    loaded, first = generator.loaded, ask(generator)[0]
    found = []
    for colour in ("red", "blue", "red"):
        picture = PIL.Image.new("RGB", (40, 40), colour)
        text = prompt_text(replace(first, turns=(replace(first.turns[0], images=(picture,)),)), generator.form,
                           loaded.processor)  # fmt: skip
        inputs = loaded.processor(text=[text], images=[picture], return_tensors="pt")
        with torch.inference_mode():
            out = loaded.model.generate(
                **inputs, max_new_tokens=1, do_sample=False, num_beams=1, output_logits=True,
                return_dict_in_generate=True,
            )  # fmt: skip
        found.append(out.logits[0].softmax(-1))
    assert (found[0] - found[1]).abs().sum() > 0.01
    assert torch.equal(found[0], found[2])


def test_a_batch_says_what_each_alone_says(generator: Generator) -> None:
    requests = ask(generator)
    together = texts(generator.generate(requests))
    alone = [texts(generator.generate([request]))[0] for request in requests]
    assert together == alone
    assert len({text for (text,) in together}) >= 3, "the texts have to differ for this to mean anything"


def test_prompt_i_meets_image_i(generator: Generator) -> None:
    """One prompt, five images, in any order: each image keeps its text."""
    prompt = prompts(generator)[0]
    requests = [GenerationRequest((Turn("user", prompt, (image,)),), Draw(max_new_tokens=8)) for image in images()]
    straight = texts(generator.generate(requests))
    order = [3, 0, 4, 2, 1]
    shuffled = texts(of_size(generator, 2).generate([requests[place] for place in order]))
    assert shuffled == [straight[place] for place in order]
    assert len({text for (text,) in straight}) >= 3


@pytest.mark.parametrize("draw", [Draw(max_new_tokens=8), Draw(1.1, 0.95, 8)], ids=["greedy", "sampled"])
def test_batch_sizes_change_nothing(generator: Generator, draw: Draw) -> None:
    found = [texts(of_size(generator, size).generate(ask(generator, draw, samples=2))) for size in (1, 2, 5)]
    assert found[0] == found[1] == found[2]
    pairs = [tuple(pair) for pair in found[0]]
    assert all(one == other for one, other in pairs) if draw.temperature == 0 else any(a != b for a, b in pairs)


def test_samples_of_a_request_share_a_batch(generator: Generator) -> None:
    """So that the image is looked at once for all of them; requests with other numbers of samples are told apart."""
    requests = [replace(request, draw=Draw(1.1, 0.95, 4, 1), samples=2) for request in ask(generator)]
    in_pairs = [len(batch) for batch in generator.stream_batches(requests)]
    assert in_pairs == [2, 2, 1]
    mixed = [replace(request, samples=samples) for request, samples in zip(requests, (2, 1, 7, 2, 1), strict=True)]
    together = texts(generator.generate(mixed))
    assert [len(said) for said in together] == [2, 1, 7, 2, 1]
    assert together == [texts(generator.generate([request]))[0] for request in mixed]
    assert together[2] == texts(of_size(generator, 3).generate([mixed[2]]))[0], "torn apart"


def test_seeds_decide_what_is_drawn(generator: Generator) -> None:
    first = ask(generator, Draw(1.1, 0.95, 8))[0]
    said = texts(generator.generate([replace(first, draw=replace(first.draw, seed=seed)) for seed in (1, 2, 3, 1)]))
    assert said[0] == said[3]
    assert len({text for (text,) in said}) > 1


def test_extreme_images_cost_no_neighbour(generator: Generator) -> None:
    prompt = prompts(generator)[0]
    shapes = [(1, 1), (40, 40), (20_000, 10), (10, 20_000), (2, 1)]
    requests = [
        GenerationRequest((Turn("user", prompt, (PIL.Image.new("RGB", shape, "green"),)),), Draw(max_new_tokens=4))
        for shape in shapes
    ]
    said = texts(generator.generate(requests))
    assert said[1] == texts(generator.generate([requests[1]]))[0]
    assert [tuple(request.images[0].size) for request in requests] == shapes


def test_prompt_and_special_tokens_are_left_out(generator: Generator) -> None:
    for result in generator.generate(ask(generator, Draw(max_new_tokens=3))):
        assert isinstance(result, Generated)
        drawn, special = result.drawn[0], generator.loaded.processor.tokenizer.all_special_tokens
        assert not [token for token in special if token in drawn.text]
        assert "assistant" not in drawn.text
        assert "Describe" not in drawn.text
        assert 1 <= drawn.completion_tokens <= 3
        assert drawn.finish_reason == "stop" or drawn.completion_tokens == 3
        assert result.prompt_tokens >= 4


def test_nothing_is_asked(generator: Generator) -> None:
    assert generator.generate([]) == []


def test_a_request_that_cannot_be_asked_costs_no_other(generator: Generator) -> None:
    good = ask(generator)[0]
    token = str(generator.loaded.processor.image_token)
    extra = replace(good, turns=(replace(good.turns[0], text=f"What is {token}?"),))
    bare = replace(good, turns=(replace(good.turns[0], images=()),))
    talk = replace(good, turns=(*good.turns, Turn("assistant", "It is."), Turn("user", "Why?")))
    results = generator.generate([extra, good, bare, talk])
    assert texts([results[1]]) == texts(generator.generate([good]))
    if generator.form == "chat":
        assert results[0] == NotGenerated(NOT_TAKEN, "1 images and 2 places for them in the prompt")
        assert len(texts(results[2:])) == 2
    else:
        assert results[0] == NotGenerated(NOT_TAKEN, "the text holds the token that stands for an image")
        assert results[2] == NotGenerated(NOT_TAKEN, "this model takes one image a prompt, not 0")
        assert results[3] == NotGenerated(NOT_TAKEN, "this model takes one prompt and no conversation")


def test_forms(generator: Generator, name: str) -> None:
    expected = {"blip2-opt": "blip-2", "blip2-t5": "blip-2", "florence2": "florence2", "instructblip": "instructblip"}
    assert generator.form == (PLAIN_FORMS[expected[name]] if name in expected else "chat")


def test_a_prompt_beyond_the_model_is_its_own_failure(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    picture = PIL.Image.new("RGB", (40, 40))
    short, long = (
        GenerationRequest((Turn("user", text, (picture,)),), Draw(max_new_tokens=4)) for text in ("Who?", "x9 " * 1100)
    )
    with Generator(GeneratorSettings(model=str(folder), device="cpu")) as generator:
        said, failed = generator.generate([short, long])
        assert isinstance(said, Generated)
        assert isinstance(failed, NotGenerated)
    assert failed.reason == TOO_LONG
    assert failed.detail.endswith("tokens and 4 to come; the model has 2048")


def test_two_images_in_a_conversation(generator: Generator) -> None:
    if generator.form != "chat":
        return  # the others take one image a prompt, see above
    pair = tuple(images()[:2])
    one = GenerationRequest((Turn("user", "Which?", pair),), Draw(max_new_tokens=6))
    other = GenerationRequest((Turn("user", "Which?", pair[::-1]),), Draw(max_new_tokens=6))
    single = GenerationRequest((Turn("user", "Which is it then?", pair[:1]),), Draw(max_new_tokens=6))
    together = texts(generator.generate([one, single, other]))
    assert together == [texts(generator.generate([request]))[0] for request in (one, single, other)]
    assert together[0] != together[2], "their order is told"
