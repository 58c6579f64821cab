"""The scripted teacher: what it says is true of the picture that it is shown, but for what it was asked to make up."""

from collections import Counter

import pytest
from drawing import draw_scene

from builders.preferences.scripted import BLIND, make_script
from builders.preferences.settings import PreferencesSettings, prompt_sets
from builders.scripted_sight import sentences_on
from ostensive.chat.records import Message, Sampling
from ostensive.chat.scripted import script_reply
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


def test_errors_come_as_often_as_asked_and_are_those_that_filters_catch() -> None:
    replies = [said("imagine_1", seed, 0.5) for seed in range(80)]
    kinds: Counter[str] = Counter()
    for text in replies:
        message = Message("user", PROMPTS.render("imagine_1", {}), (SCENE,))
        finish = script_reply(lambda _messages, _seed, text=text: text, [message], Sampling()).finish_reason  # type: ignore[misc] # a default of a lambda
        tame = all(sentence in said("describe", wording) for wording in range(1) for sentence in [text])
        kinds[
            "cut"
            if finish == "length"
            else "empty"
            if not text
            else "short"
            if text == "A scene."
            else "tame"
            if tame
            else "good"
        ] += 1
    assert 25 < kinds["good"] < 60
    assert kinds["cut"] > 3
    assert kinds["empty"] > 3
    assert kinds["short"] > 3


def test_without_a_picture_it_says_so() -> None:
    assert make_script()([Message("user", "Describe.")], 0) == BLIND
