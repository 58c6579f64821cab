"""Placeholders of images in texts of models and people."""

import pytest

from ostensive.image_slots import has_slot, without_slots


@pytest.mark.parametrize(
    "text",
    ["<image>", "<IMAGE>", "a <|image|> b", "<|vision_start|>", "<start_of_image>", "<image_soft_token>", "[IMG]"],
)
def test_placeholders_of_several_models_are_known(text: str) -> None:
    assert has_slot(text)
    assert not has_slot(without_slots(text))


@pytest.mark.parametrize("text", ["an image", "<images>", "image>", "< image >", "[img 1]", "a < b"])
def test_words_are_no_placeholders(text: str) -> None:
    assert not has_slot(text)
    assert without_slots(text) == text
