"""The scripted teacher: what it says is true of the picture that it is shown, but for what it was asked to make up."""

from collections import Counter

import pytest
from drawing import draw_scene

from builders.preferences.scripted import BLIND, make_script
from builders.preferences.settings import PreferencesSettings, prompt_sets
from builders.scripted_sight import sentences_on
from ostensive.chat.records import Message, Sampling
from ostensive.prompts import load_prompts

PROMPTS = load_prompts(PreferencesSettings().prompt_set, prompt_sets(), required=(), variables=())
SCENE = draw_scene(2)
TRUE = {sentence for wording in range(4) for sentence in sentences_on(SCENE, wording)}


def said(template: str, seed: int = 0, error_rate: float = 0.0) -> str:
    message = Message("user", PROMPTS.render(template, {}), (SCENE,))
    return make_script(error_rate)([message], seed)


@pytest.mark.parametrize("name", PROMPTS.names)
def test_every_prompt_is_answered_as_it_asks(name: str) -> None:
    for seed in range(4):
        rest, true = said(name, seed), 0
        for sentence in sorted(TRUE, key=len, reverse=True):
            true += sentence in rest
            rest = rest.replace(sentence, "")
        if name == "describe":
            assert (rest.strip(), true) == ("", 9)
        elif name.startswith("caption_"):
            assert (rest.strip(), true) == ("", 2)
        else:
            assert true == 4
            assert rest.strip().count(".") == 3, "three things are made up"


def kind_of(text: str) -> str:
    """What is wrong with a reply to a hallucination prompt, if anything."""
    if not text:
        return "empty"
    if len(text.split()) > Sampling().max_tokens:
        return "without an end"
    if text == "A scene.":
        return "too short"
    return "true" if any(text == said("describe", seed) for seed in range(4)) else "good"


def test_errors_come_as_often_as_asked_and_of_every_kind() -> None:
    kinds = Counter(kind_of(said("imagine_1", seed, 0.5)) for seed in range(80))
    assert 25 < kinds["good"] < 55
    assert min(kinds[kind] for kind in ("empty", "without an end", "too short", "true")) > 3
    assert {kind_of(said("imagine_1", seed)) for seed in range(20)} == {"good"}
    assert "" in {said("describe", seed, 0.5) for seed in range(20)}


def test_without_a_picture_it_says_so() -> None:
    assert make_script()([Message("user", "Describe.")], 0) == BLIND
