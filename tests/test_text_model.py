"""Which models go on with a text, and which are refused."""

import json
from pathlib import Path

import pytest
from tiny_models import tiny_model

from ostensive.errors import SettingsError
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.text_model import load_text_model


def test_the_language_model_of_an_image_text_model_goes_on_without_a_picture(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    import torch

    loaded = load_text_model(GeneratorSettings(model=str(tiny_model("llava", tmp_path_factory)), device="cpu"))
    ids = torch.tensor([loaded.tokenizer("Where is it taken? A dog")["input_ids"]])
    new = loaded.model.generate(
        ids, attention_mask=torch.ones_like(ids), generation_config=loaded.generation, max_new_tokens=4
    )
    assert new.shape[1] > ids.shape[1]
    assert (loaded.commit, loaded.max_positions, loaded.tokenizer.padding_side) == (None, 2048, "left")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "is a model of type 'bert', an encoder, which goes on with no text"),
        (
            {"model_type": "t5", "is_encoder_decoder": True},
            "is a model of type 't5', which goes on with no text",
        ),
        ({"model_type": "blip-2"}, "is a model of type 'blip-2', which goes on with no text of its own"),
        ({"model_type": "vit"}, "is a model of type 'vit', which is no language model"),
        ({"model_type": "gpt2"}, "cannot be loaded"),  # the tokenizer is not there
    ],
)
def test_models_that_complete_no_text_are_refused(tmp_path: Path, config: dict[str, object], message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(SettingsError) as caught:
        load_text_model(GeneratorSettings(model=str(tmp_path), device="cpu"))
    assert str(caught.value).startswith(f"{tmp_path}: {message}")
    assert "\n" not in str(caught.value)
