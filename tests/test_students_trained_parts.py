"""Which weights change when parts of LLaVA and BLIP-2 are trained, and how BLIP-2, without a template, is told rows."""

from collections.abc import Set
from pathlib import Path
from typing import Any  # Any: parts of transformers and TRL

import pytest
from student_trainings import NOUNS, base_model, digests, settings_of, supervised, trained
from tiny_models import one_thread, save_blip2, save_llava  # noqa: F401 - a fixture

from ostensive.errors import SettingsError
from ostensive.models.loading import LoadedModel
from students.training.bases import continuing_template, load_base
from students.training.image_check import check_sees
from students.training.settings import StudentSettings
from students.training.trainers import make_trainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip2(tmp_path_factory.mktemp("blip2"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return supervised(tmp_path_factory.mktemp("rows"))


def changed(loaded: LoadedModel, rows: Any, settings: StudentSettings, folder: Path) -> Set[str]:
    """The names of the weights that two steps change."""
    before = digests(loaded.model)
    trainer = make_trainer(loaded.model, loaded.processor, rows, settings, folder)
    trainer.train()
    after = digests(trainer.model if settings.lora is None else trainer.model.merge_and_unload())
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def without_dropout(loaded: LoadedModel) -> LoadedModel:
    for module in loaded.model.modules():
        for name in ("p", "dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return loaded


def whole(*parts: str, **values: Any) -> StudentSettings:
    return settings_of(lora=None, train=parts, max_steps=2, warmup=0.0, **values)


@pytest.mark.parametrize(
    ("part", "prefix"),
    [
        ("projector", "model.multi_modal_projector."),
        pytest.param("vision", "model.vision_tower.", marks=pytest.mark.slow),
        pytest.param("language", "model.language_model.", marks=pytest.mark.slow),
    ],
)
def test_a_part_of_llava_is_trained_alone(rows: Any, tmp_path: Path, part: str, prefix: str) -> None:
    found = changed(base_model(), rows, whole(part), tmp_path)
    head = {"lm_head.weight"} if part == "language" else set()
    assert found
    assert {name for name in found if not name.startswith(prefix)} <= head


def test_only_the_q_former_of_blip2_changes(blip2: Path, rows: Any, tmp_path: Path) -> None:
    settings = whole("qformer", base=str(blip2))
    loaded = load_base(settings)
    every = {name for name in loaded.model.state_dict() if name.startswith("qformer.") or name == "query_tokens"}
    found = changed(loaded, rows, settings, tmp_path)
    assert found <= every
    assert "query_tokens" in found
    # What reads texts lies idle: queries alone go through it.
    assert {name for name in every if "crossattention" in name and name.endswith("weight")} <= found
    assert {name for name in every if "intermediate_query" in name} <= found


@pytest.mark.slow
@pytest.mark.parametrize(("part", "prefix"), [("projector", "language_projection."), ("language", "language_model.")])
def test_other_parts_of_blip2(blip2: Path, rows: Any, tmp_path: Path, part: str, prefix: str) -> None:
    settings = whole(part, base=str(blip2))
    found = changed(load_base(settings), rows, settings, tmp_path)
    assert found
    assert all(name.startswith(prefix) for name in found)


@pytest.mark.slow
def test_adapters_and_a_part_together(blip2: Path, rows: Any, tmp_path: Path) -> None:
    for base, loaded, part in (
        ("", base_model(), "multi_modal_projector"),
        (str(blip2), load_base(settings_of(base=str(blip2))), "language_projection"),
    ):
        settings = settings_of(train=("projector",), max_steps=2, warmup=0.0, **({"base": base} if base else {}))
        found = changed(loaded, rows, settings, tmp_path / part)
        assert any(f"{part}." in name for name in found)
        assert any("language_model." in name and "proj" in name for name in found)
        assert all(f"{part}." in name or "language_model." in name for name in found)


def test_a_part_that_a_model_lacks_is_one_line(rows: Any, tmp_path: Path) -> None:
    loaded = base_model()
    with pytest.raises(SettingsError) as caught:
        make_trainer(loaded.model, loaded.processor, rows, whole("qformer"), tmp_path)
    assert str(caught.value) == (
        "train: the model has no qformer, which others call qformer; its outermost modules are language_model, lm_head,"
        " model, multi_modal_projector, vision_tower"
    )
    with pytest.raises(ValueError, match="train: language and lora exclude each other"):
        settings_of(train=("language",))


# ---- a model without a chat template --------------------------------------------------------------------------------


def test_blip2_is_trained_on_what_it_is_asked_later(blip2: Path, rows: Any, tmp_path: Path) -> None:
    """The tokens of a prompt are those that the processor makes of its text; the reply alone is learned."""
    settings = whole("qformer", base=str(blip2))
    loaded = load_base(settings)
    trainer = make_trainer(loaded.model, loaded.processor, rows, settings, tmp_path)
    tokenizer = loaded.processor.tokenizer
    for place, row in enumerate(rows):
        batch = trainer.data_collator([dict(row)])
        text = " ".join(NOUNS[: place + 1])
        asked = loaded.processor(images=row["images"], text=text, return_tensors="pt")["input_ids"][0]
        ids, labels = batch["input_ids"][0], batch["labels"][0]
        assert ids[: len(asked)].tolist() == asked.tolist()
        assert set(labels[: len(asked)].tolist()) == {-100}
        reply = row["completion"][0]["content"][0]["text"]
        assert tokenizer.decode(ids[len(asked) :]) == f" {reply}{tokenizer.eos_token}"
        assert labels[len(asked) :].tolist() == ids[len(asked) :].tolist()


def test_the_template_of_blip2_begins_as_the_tokenizer_does(blip2: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    processor = load_base(settings_of(base=str(blip2))).processor
    tokenizer = processor.tokenizer
    begin = ("<s>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[begin])
    processor.chat_template = continuing_template(tokenizer)
    talk = [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in (("user", "what ?"), ("assistant", "red"), ("user", "why ?"), ("assistant", "so"))
    ]
    asked = processor.apply_chat_template(talk[:3], add_generation_prompt=True, tokenize=False)
    assert asked == "<s>what ? red\nwhy ?"
    ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
    assert ids == tokenizer("what ? red\nwhy ?")["input_ids"]
    assert processor.apply_chat_template(talk, tokenize=False) == f"{asked} so{tokenizer.eos_token}"


def test_the_loss_of_blip2_is_a_mean_over_the_tokens_of_a_step(blip2: Path, rows: Any, tmp_path: Path) -> None:
    import torch

    settings = whole("qformer", base=str(blip2))
    loaded = load_base(settings)
    found = check_sees(loaded.model, loaded.processor, rows, batch_size=1)
    assert found.sees
    trainers = []
    for size in (4, 1):
        own = whole("qformer", base=str(blip2), batch_size=size, accumulate=4 // size)
        part = without_dropout(load_base(own))
        trainers.append(make_trainer(part.model, part.processor, rows, own, tmp_path / str(size)))
        trainers[-1].train()
    logs = [trainer.state.log_history for trainer in trainers]
    assert logs[0][0]["loss"] == pytest.approx(found.own_pictures, rel=1e-4)
    assert [one["loss"] for one in logs[0][:2]] == pytest.approx([one["loss"] for one in logs[1][:2]], rel=1e-4)
    weights = [trainer.model.state_dict() for trainer in trainers]
    for name, value in weights[0].items():
        if name.endswith("key.bias"):
            continue  # moves no attention, so that its gradient is rounding alone, of which Adam makes whole steps
        assert torch.allclose(value, weights[1][name], atol=1e-4), name


def test_a_base_without_a_template_is_one_line(blip2: Path, tmp_path: Path) -> None:
    def refused(settings: StudentSettings) -> str:
        with pytest.raises(SettingsError) as caught:
            load_base(settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert refused(settings_of(base=str(blip2), objective="dpo")).startswith("objective: TRL cannot score pairs with a")
    encoding = save_blip2(tmp_path / "t5", language="t5")
    assert "reads a prompt with an encoder of its own" in refused(settings_of(base=str(encoding)))
    mute = save_llava(tmp_path / "mute", template=None)
    assert "no chat template" in refused(settings_of(base=str(mute)))


@pytest.mark.slow
def test_one_batch_can_be_learned_by_heart(rows: Any, tmp_path: Path) -> None:
    trainer = trained(rows, settings_of(max_steps=30, learning_rate=1e-2, lora={"rank": 8, "alpha": 16}), tmp_path)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] > 2.0
    assert losses[-1] < 0.2
