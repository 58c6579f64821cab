"""Prompts on one picture that share its encoding, over real architectures with tiny random weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.chat.records import Completion, Conversation, Message, NoReply, Sampling
from ostensive.models.generator import NOT_TAKEN, Generator
from ostensive.models.generator_settings import GeneratorSettings

CHAT_MODELS = ["idefics3", "llava", "qwen2-vl", "qwen3-vl", "smolvlm"]
QUESTIONS = [
    "What is it?",
    "Where is this taken, and what can be seen beside the water?",
    "Who?",
    "Is it light?",
    "In one short phrase, describe the sky.",
    "Does a dog run over the grass?",
    "What is it?",  # drawn with another seed
]
DRAWN = Sampling(1.1, 0.95, 8)


def pictures(count: int = 3) -> list[PIL.Image.Image]:
    """Of different shapes, so that prefixes differ in length where models cut pictures up."""
    rng = np.random.default_rng(5)
    sides = [(40, 40), (28, 90), (70, 30)][:count]
    return [PIL.Image.fromarray(rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)) for wide, high in sides]


def probes(sampling: Sampling, images: Sequence[PIL.Image.Image]) -> list[Conversation]:
    """Every question about every picture; the pictures take turns."""
    return [
        Conversation((Message("user", text, (image,)),), (), replace(sampling, seed=seed))
        for seed, text in enumerate(QUESTIONS)
        for image in images
    ]


@pytest.fixture(scope="module", params=CHAT_MODELS)
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generator]:
    folder = tiny_models.tiny_model(str(request.param), tmp_path_factory)
    with Generator(GeneratorSettings(model=str(folder), device="cpu", batch_size=8)) as entered:
        yield entered


def other(generator: Generator, size: int, *, shares_prefixes: bool = True) -> Generator:
    """The same loaded model, not tried yet."""
    made = Generator(generator.settings.model_copy(update={"batch_size": size}), shares_prefixes=shares_prefixes)
    made._loaded = generator.loaded
    return made


@contextmanager
def numbers_seen(generator: Generator) -> Iterator[list[int]]:
    """How many numbers of pictures each pass through the model's vision tower had."""
    seen: list[int] = []

    def look(_module: object, args: tuple[object, ...], inputs: dict[str, object]) -> None:
        pixels = next(value for value in (*args, *inputs.values()) if isinstance(value, torch.Tensor))
        seen.append(pixels.numel())

    inner = generator.loaded.model.model
    tower = next(getattr(inner, name) for name in ("vision_tower", "visual", "vision_model") if hasattr(inner, name))
    hook = tower.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize("sampling", [Sampling(0.0, max_tokens=8), DRAWN], ids=["greedy", "drawn"])
def test_replies_are_those_of_one_prompt_at_a_time(generator: Generator, sampling: Sampling) -> None:
    asked = probes(sampling, pictures())
    alone = other(generator, 1, shares_prefixes=False).generate(asked)
    assert all(isinstance(reply, Completion) for reply in alone)
    assert len({reply.text for reply in alone if isinstance(reply, Completion)}) > len(asked) // 3
    for size in (1, 3, 8, 64):
        assert other(generator, size).generate(asked) == alone, f"batches of {size}; prompt tokens count as well"


def test_a_picture_is_looked_at_once(generator: Generator) -> None:
    asked = probes(DRAWN, pictures())
    sharing, anew = other(generator, 64), other(generator, 64, shares_prefixes=False)
    sharing.generate(asked[:1] * 2)  # the trial
    with numbers_seen(generator) as once:
        sharing.generate(asked)
    with numbers_seen(generator) as each_time:
        anew.generate(asked)
    assert sum(each_time) == len(set(QUESTIONS)) * sum(once) > 0


def test_pictures_stay_together_in_a_batch(generator: Generator) -> None:
    sharing = other(generator, 2 * len(QUESTIONS) + 1)
    asked = probes(DRAWN, pictures())
    sizes = [len(batch) for batch in sharing.stream_batches(asked)]
    assert sizes == [2 * len(QUESTIONS), len(QUESTIONS)]


def test_prompts_that_share_nothing_are_left_alone(generator: Generator) -> None:
    image, also = pictures(2)
    sampling = replace(DRAWN, seed=1)
    other_start = (Message("system", "Be brief.", ()), Message("user", "Where?", (image,)))
    two = Conversation((Message("user", "Which is it?", (image, also)),), (), sampling)
    asked = [
        Conversation((Message("user", "Where?", (image,)),), (), sampling),
        Conversation(other_start, (), sampling),
        Conversation((Message("user", "Where?", (also,)),), (), sampling),
        Conversation((Message("user", "Where?", (image,)),), (), replace(sampling, max_tokens=3)),
        Conversation((Message("user", "Where?", ()),), (), sampling),
        two,
    ]
    made = other(generator, 8)
    assert made.generate(asked) == [other(generator, 1, shares_prefixes=False).generate([one])[0] for one in asked]
    assert made._shares is None, "there was nothing to try"
    again = other(generator, 8)
    assert again.generate([two, two]) == other(generator, 1, shares_prefixes=False).generate([two, two])


def test_a_request_that_fails_costs_no_other(generator: Generator) -> None:
    asked = probes(DRAWN, pictures(1))
    token = generator.loaded.processor.image_token
    bad = Conversation((Message("user", f"what is {token}?", (pictures(1)[0],)),), (), replace(DRAWN, seed=0))
    long = Conversation((Message("user", "and so on " * 400, asked[0].images),), (), replace(DRAWN, seed=0))
    found = other(generator, 64).generate([bad, *asked, long])
    assert isinstance(found[0], NoReply)
    assert found[0].reason == NOT_TAKEN
    assert found[1:-1] == other(generator, 64, shares_prefixes=False).generate(asked)


def test_a_model_that_reads_otherwise_is_read_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One that begins to count positions anew when it goes on from what it has read."""
    folder = tiny_models.tiny_model("llava", tmp_path_factory)
    with Generator(GeneratorSettings(model=str(folder), device="cpu", batch_size=8)) as odd:
        asked = probes(DRAWN, pictures())
        expected = other(odd, 8, shares_prefixes=False).generate(asked)
        inner = odd.loaded.model.model.language_model

        def forgets(_module: object, _args: object, inputs: dict[str, object]) -> object:
            positions = inputs.get("position_ids")
            if positions is not None and positions.shape[-1] > 1:  # type: ignore[attr-defined]  # a tensor
                inputs["position_ids"] = positions - positions.min()  # type: ignore[attr-defined]
            return _args, inputs

        hook = inner.register_forward_pre_hook(forgets, with_kwargs=True)
        try:
            assert odd.generate(asked) == expected
            assert odd._shares is False
        finally:
            hook.remove()
