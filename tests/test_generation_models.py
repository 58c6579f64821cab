"""The generator over real architectures with tiny random weights, loaded as the large ones are."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import tiny_models
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.chat.records import Completion, Conversation, Message, NoReply, Sampling
from ostensive.models.generator import NOT_TAKEN, TOO_LONG, Generator
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import PLAIN_FORMS, image_slots, prompt_text

NAMES = sorted(tiny_models.SAVERS)
SHORT = Sampling(0.0, max_tokens=8, seed=0)
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


def talk(text: str, *images: PIL.Image.Image, sampling: Sampling = SHORT) -> Conversation:
    return Conversation((Message("user", text, images),), (), sampling)


def ask(generator: Generator, sampling: Sampling = SHORT, samples: int = 1) -> list[Conversation]:
    """`samples` of each prompt, one after the other."""
    return [
        talk(prompt, image, sampling=replace(sampling, seed=seed, draw=draw))
        for seed, (prompt, image) in enumerate(zip(prompts(generator), images(), strict=True))
        for draw in range(samples)
    ]


def texts(results: Sequence[Completion | NoReply]) -> list[str]:
    assert all(isinstance(result, Completion) for result in results), results
    return [result.text for result in results if isinstance(result, Completion)]


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
    for asked in ask(generator):
        text = prompt_text(asked.messages, generator.form, processor)
        assert image_slots(text, processor) == (1 if generator.form == "chat" else 0)
        shown = [asked.images] if name in CUTTERS else list(asked.images)
        given = processor(text=[text], images=shown, return_tensors="pt")
        token = processor.tokenizer.convert_tokens_to_ids(str(processor.image_token))
        slots = int((given["input_ids"] == token).sum())
        assert slots == (4 * given["pixel_values"].shape[1] if name in CUTTERS else TOKENS.get(name, slots)) > 0


def test_the_distribution_follows_the_image(generator: Generator) -> None:
    import torch

    loaded, prompt = generator.loaded, prompts(generator)[0]
    found = []
    for colour in ("red", "blue", "red"):
        picture = PIL.Image.new("RGB", (40, 40), colour)
        text = prompt_text(talk(prompt, picture).messages, generator.form, loaded.processor)
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
    asked = ask(generator)
    together = texts(generator.generate(asked))
    alone = [texts(generator.generate([one]))[0] for one in asked]
    assert together == alone
    assert len(set(together)) >= 3, "the texts have to differ for this to mean anything"


def test_prompt_i_meets_image_i(generator: Generator) -> None:
    """One prompt, five images, in any order: each image keeps its text."""
    asked = [talk(prompts(generator)[0], image) for image in images()]
    straight = texts(generator.generate(asked))
    order = [3, 0, 4, 2, 1]
    shuffled = texts(of_size(generator, 2).generate([asked[place] for place in order]))
    assert shuffled == [straight[place] for place in order]
    assert len(set(straight)) >= 3


@pytest.mark.parametrize("sampling", [SHORT, Sampling(1.1, 0.95, 8)], ids=["greedy", "sampled"])
def test_batch_sizes_change_nothing(generator: Generator, sampling: Sampling) -> None:
    found = [texts(of_size(generator, size).generate(ask(generator, sampling, samples=2))) for size in (1, 2, 5)]
    assert found[0] == found[1] == found[2]
    pairs = list(zip(found[0][::2], found[0][1::2], strict=True))
    assert all(one == other for one, other in pairs) if sampling.temperature == 0 else any(a != b for a, b in pairs)


def test_draws_of_a_request_share_a_batch(generator: Generator) -> None:
    """So that the image is looked at once for all of them; requests with other numbers of draws are told apart."""
    sampling = Sampling(1.1, 0.95, 4)
    in_pairs = [len(batch) for batch in generator.stream_batches(ask(generator, sampling, samples=2))]
    assert in_pairs == [4, 4, 2]
    several = ask(generator, sampling, samples=7)
    counts = (2, 1, 7, 2, 1)
    mixed = [one for place, count in enumerate(counts) for one in several[7 * place : 7 * place + count]]
    order = sorted(range(len(mixed)), key=lambda place: place * 5 % len(mixed))
    together = dict(zip(order, texts(generator.generate([mixed[place] for place in order])), strict=True))
    assert [together[place] for place in range(len(mixed))] == [texts(generator.generate([one]))[0] for one in mixed]
    assert [together[place] for place in range(3, 10)] == texts(of_size(generator, 3).generate(mixed[3:10])), (
        "torn apart"
    )


def test_an_image_is_read_once_for_all_draws(generator: Generator) -> None:
    rows: list[int] = []
    processor = generator.loaded.processor

    class Counting:
        """The processor, which counts what it is given."""

        def __call__(self, **inputs: object) -> object:
            rows.append(len(inputs["text"]))  # type: ignore[arg-type]  # a list
            return processor(**inputs)

        def __getattr__(self, name: str) -> object:
            return getattr(processor, name)

    counting = of_size(generator, 10)
    counting._shares = False  # by the samples of one prompt alone; see test_models_shared_prefix
    counting._loaded = replace(generator.loaded, processor=Counting())
    asked = ask(generator, Sampling(1.1, 0.95, 4), samples=5)
    seeded = [replace(one, sampling=replace(one.sampling, seed=k, draw=0)) for k, one in enumerate(asked)]
    assert texts(counting.generate(seeded)) == texts(of_size(generator, 3).generate(seeded))
    assert rows == [2, 2, 1], "two images of five draws each fit a batch of ten, whether draws or seeds tell them apart"


def test_seeds_decide_what_is_drawn(generator: Generator) -> None:
    first = ask(generator, Sampling(1.1, 0.95, 8))[0]
    seeded = [replace(first, sampling=replace(first.sampling, seed=seed)) for seed in (1, 2, 3, 1)]
    found = texts(generator.generate(seeded))
    assert found[0] == found[3]
    assert len(set(found)) > 1


def test_top_k_leaves_the_likeliest_alone(generator: Generator) -> None:
    asked = ask(generator)
    hot = [replace(one, sampling=replace(one.sampling, temperature=5.0, top_k=1)) for one in asked]
    assert texts(generator.generate(hot)) == texts(generator.generate(asked))
    free = [replace(one, sampling=replace(one.sampling, temperature=5.0)) for one in asked]
    assert texts(generator.generate(free)) != texts(generator.generate(asked))


def test_extreme_images_cost_no_neighbour(generator: Generator) -> None:
    prompt = prompts(generator)[0]
    shapes = [(1, 1), (40, 40), (20_000, 10), (10, 20_000), (2, 1)]
    few = replace(SHORT, max_tokens=4)
    asked = [talk(prompt, PIL.Image.new("RGB", shape, "green"), sampling=few) for shape in shapes]
    found = texts(generator.generate(asked))
    assert found[1] == texts(generator.generate([asked[1]]))[0]


def test_prompt_and_special_tokens_are_left_out(generator: Generator) -> None:
    for result in generator.generate(ask(generator, replace(SHORT, max_tokens=3))):
        assert isinstance(result, Completion)
        special = generator.loaded.processor.tokenizer.all_special_tokens
        assert not [token for token in special if token in result.text]
        assert "assistant" not in result.text
        assert "Describe" not in result.text
        assert 1 <= result.completion_tokens <= 3
        assert result.finish_reason == "stop" or result.completion_tokens == 3
        assert result.prompt_tokens >= 4


def test_nothing_is_asked(generator: Generator) -> None:
    assert generator.generate([]) == []


def test_a_request_that_cannot_be_asked_costs_no_other(generator: Generator) -> None:
    good = ask(generator)[0]
    (message,) = good.messages
    token = str(generator.loaded.processor.image_token)
    extra = replace(good, messages=(replace(message, text=f"What is {token}?"),))
    bare = replace(good, messages=(replace(message, images=()),))
    longer = replace(good, messages=(message, Message("assistant", "It is."), Message("user", "Why?")))
    results = generator.generate([extra, good, bare, longer])
    assert texts([results[1]]) == texts(generator.generate([good]))
    if generator.form == "chat":
        assert results[0] == NoReply(NOT_TAKEN, "1 images and 2 places for them in the prompt")
        assert len(texts(results[2:])) == 2
    else:
        assert results[0] == NoReply(NOT_TAKEN, "the text holds the token that stands for an image")
        assert results[2] == NoReply(NOT_TAKEN, "this model takes one image a prompt, not 0")
        assert results[3] == NoReply(NOT_TAKEN, "this model takes one prompt and no conversation")


def test_forms(generator: Generator, name: str) -> None:
    expected = {"blip2-opt": "blip-2", "blip2-t5": "blip-2", "florence2": "florence2", "instructblip": "instructblip"}
    assert generator.form == (PLAIN_FORMS[expected[name]] if name in expected else "chat")


def test_a_prompt_beyond_the_model_is_its_own_failure(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    picture = PIL.Image.new("RGB", (40, 40))
    asked = [talk(text, picture, sampling=replace(SHORT, max_tokens=4)) for text in ("Who?", "x9 " * 1100)]
    with Generator(GeneratorSettings(model=str(folder), device="cpu")) as generator:
        answered, failed = generator.generate(asked)
        assert isinstance(answered, Completion)
        assert isinstance(failed, NoReply)
    assert failed.reason == TOO_LONG
    assert failed.detail.endswith("tokens and 4 to come; the model has 2048")


def test_two_images_in_a_conversation(generator: Generator) -> None:
    if generator.form != "chat":
        return  # the others take one image a prompt, see above
    pair = images()[:2]
    asked = [talk("Which?", *pair), talk("Which is it then?", pair[0]), talk("Which?", *pair[::-1])]
    together = texts(generator.generate(asked))
    assert together == [texts(generator.generate([one]))[0] for one in asked]
    assert together[0] != together[2], "their order is told"
