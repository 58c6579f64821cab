"""Likelihoods of replies about pictures are those of plain transformers, whatever shares a batch."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import tiny_models
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.chat.records import Message
from ostensive.models.batching import BatchSize
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.likelihoods import TooLongError
from ostensive.models.loading import LoadedModel, RequestError, load_model, reply_text
from ostensive.models.reply_likelihoods import AskedReply, ReplyLikelihood, reply_likelihoods

pytestmark = pytest.mark.usefixtures("one_thread")
MODELS: dict[str, Callable[[Path], Path]] = {
    "llava": tiny_models.save_llava,
    "smolvlm": tiny_models.save_smolvlm,
    "qwen2-vl": tiny_models.save_qwen2_vl,
    "blip2-opt": tiny_models.save_blip2,
    "blip2-t5": lambda folder: tiny_models.save_blip2(folder, language="t5"),
    "florence2": tiny_models.save_florence2,
    "instructblip": tiny_models.save_instructblip,
}
QUESTIONS = ("What is it?", "Where is it taken, and is the light bright?")
REPLIES = ("A dog.", "Two people sit beside the water.", "yes", "The sky is blue and wide, and the grass is wet.")


USUAL = ("llava", "blip2-opt", "blip2-t5")
"""One that holds conversations, one that is gone on with, and one with an encoder; the others are slow together."""


@pytest.fixture(
    scope="module", params=[name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(MODELS[request.param](tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(tiny_models.save_llava(tmp_path_factory.mktemp("llava")))


def load(folder: Path) -> LoadedModel:
    return load_model(GeneratorSettings(model=str(folder), device="cpu", dtype="float32"))


def picture(seed: int, width: int = 40, height: int = 30) -> PIL.Image.Image:
    pixels = random.Random(seed).randbytes(width * height * 3)
    return PIL.Image.frombytes("RGB", (width, height), pixels)


def asked(question: str, reply: str, seed: int = 1) -> AskedReply:
    return AskedReply((Message("user", question, (picture(seed),)),), reply)


ROWS = [asked(question, reply, seed) for seed, question in enumerate(QUESTIONS) for reply in REPLIES]


def by_hand(loaded: LoadedModel, row: AskedReply) -> float:
    """The row alone, in the library's own calls, without a token of padding."""
    import torch

    prompt, reply = reply_text(row.messages, row.reply, loaded.form, loaded.processor)
    tokenizer, images = loaded.processor.tokenizer, [row.messages[-1].images[0]]
    with torch.no_grad():
        if loaded.encodes:
            inputs = loaded.processor(text=prompt, images=images, return_tensors="pt")
            labels = tokenizer(reply.strip(), add_special_tokens=False, return_tensors="pt")["input_ids"]
            return -float(loaded.model(**inputs, labels=labels).loss) * int(labels.shape[-1])
        inputs = loaded.processor(text=prompt + reply, images=images, return_tensors="pt")
        logits = loaded.model(**inputs).logits[0].log_softmax(-1)
    ids = inputs["input_ids"][0]
    offsets = tokenizer(prompt + reply, return_offsets_mapping=True)["offset_mapping"]
    count = sum(end > len(prompt) for _, end in offsets)  # a token that begins in the prompt and ends in the reply, too
    places = torch.arange(len(ids) - count, len(ids))
    return float(logits[places - 1, ids[places]].sum())


def values(found: list[ReplyLikelihood | Exception]) -> list[float]:
    assert all(isinstance(one, ReplyLikelihood) for one in found), found
    return [one.log_likelihood for one in found if isinstance(one, ReplyLikelihood)]


def test_they_are_those_of_transformers_in_every_batch(loaded: LoadedModel) -> None:
    wanted = [by_hand(loaded, row) for row in ROWS]
    for rows in (1, 3, len(ROWS)):
        assert values(reply_likelihoods(loaded, ROWS, BatchSize(rows, "m"))) == pytest.approx(wanted, abs=2e-4)
    assert len({round(value, 3) for value in wanted}) == len(wanted), "every row has a value of its own"


def test_picture_question_and_reply_all_count(loaded: LoadedModel) -> None:
    rows = [asked(QUESTIONS[0], "A dog."), asked(QUESTIONS[0], "A dog.", 7), asked(QUESTIONS[1], "A dog.")]
    found = values(reply_likelihoods(loaded, rows, BatchSize(8, "m")))
    assert abs(found[0] - found[1]) > 1e-4
    assert abs(found[0] - found[2]) > 1e-4


def test_only_tokens_of_the_reply_are_counted(llava: LoadedModel) -> None:
    tokenizer: Any = llava.processor.tokenizer
    (found,) = reply_likelihoods(llava, [asked("Where?", "Two people sit.")], BatchSize(1, "m"))
    assert isinstance(found, ReplyLikelihood)
    assert found.tokens == len(tokenizer("Two people sit.", add_special_tokens=False)["input_ids"])
    assert found.mean == pytest.approx(found.log_likelihood / found.tokens)


def test_what_cannot_be_scored_costs_no_other(llava: LoadedModel) -> None:
    assert llava.max_positions is not None
    rows = [
        asked("Where?", "A dog."),
        asked("Where?", "word " * llava.max_positions),
        asked("Where?", "  "),
        asked("Where <image>?", "A dog."),
        asked("Where?", "A <image>."),
    ]
    good, long, empty, slots, slot = reply_likelihoods(llava, rows, BatchSize(8, "m"))
    assert isinstance(good, ReplyLikelihood)
    assert isinstance(long, TooLongError)
    assert isinstance(empty, RequestError)
    assert str(empty) == "the reply is empty"
    assert isinstance(slots, RequestError)
    assert str(slot) == "the reply holds the token that stands for an image"


def test_a_reply_follows_the_prompt_as_the_template_writes_it(llava: LoadedModel) -> None:
    messages = (Message("user", "Where?", (picture(1),)), Message("assistant", "Here."), Message("user", "Why?"))
    prompt, reply = reply_text(messages, "It is so.", "chat", llava.processor)
    assert prompt.endswith("assistant: Here.user: Why?assistant: ")
    assert reply == "It is so."
