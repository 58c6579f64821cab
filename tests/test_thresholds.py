from dataclasses import replace
from pathlib import Path

import pytest

from cards.card_text import thresholds
from ostensive.errors import SettingsError
from ostensive.run.summary import RunFacts
from ostensive.run.thresholds import ThresholdChoice, ThresholdFigures, in_force, read_choices, write_choice

FIGURES = ThresholdFigures(300, 60, 0.45, 61, 0.2033, 0.7, 0.62, 0.78, 0.31, 0.43, "none")
CHOICE = ThresholdChoice("trained", "abc", 0.8, "--keep 0.2", 1234, 0.2, FIGURES)


def test_a_choice_comes_back_and_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    assert read_choices(tmp_path) == ()
    other = replace(CHOICE, critic="evidence", figures=None)
    write_choice(tmp_path, replace(CHOICE, min_accept_probability=0.1))
    write_choice(tmp_path, other)
    write_choice(tmp_path, CHOICE)
    assert read_choices(tmp_path) == (other, CHOICE)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"choices": [{}]}', '{"choices": [{"figures": {"rows": 1}}]}'])
def test_a_file_that_was_changed_by_hand(tmp_path: Path, text: str) -> None:
    (tmp_path / "thresholds.json").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_choices(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'thresholds.json'}: not a file of chosen thresholds; remove it and choose again"
    )


def test_a_choice_is_in_force_while_recipe_and_critic_are_what_they_were() -> None:
    critic = {"kind": "trained", "name": None, "min_accept_probability": 0.8}
    versions = {"trained": "abc", "rules": "x"}
    assert in_force([CHOICE], {"critics": [critic]}, versions) == (CHOICE,)
    nested = {"critics": [{"kind": "any_of", "critics": [{"kind": "all_of", "critics": [critic]}]}]}
    assert in_force([CHOICE], nested, versions) == (CHOICE,)
    moved = {"critics": [critic | {"min_accept_probability": 0.7}]}
    assert in_force([CHOICE], moved, versions) == ()
    assert in_force([CHOICE], {"critics": [critic | {"name": "other"}]}, versions) == ()
    assert in_force([CHOICE], {"critics": [critic]}, {"trained": "other"}) == ()
    assert in_force([CHOICE], {}, versions) == ()


def told(choice: ThresholdChoice) -> str:
    return thresholds(facts(choice))


def facts(*choices: ThresholdChoice) -> RunFacts:
    return RunFacts(
        recipe={},
        recipe_hash="0" * 16,
        stages=(),
        records={},
        accepted=0,
        teachers=(),
        prompt_hashes=(),
        critics=(),
        ostensive_version="0",
        thresholds=choices,
    )


def test_what_the_card_says() -> None:
    assert told(CHOICE) == (
        "The threshold of the critic trained was chosen by --keep 0.2: rows are kept from 0.8 on, 20.0% of 1,234"
        " candidates. It was measured on 300 labelled candidates of 60 images that the critic did not learn from."
        " People accept 45.0% of them, and of the 61 that this threshold keeps 70.0% (95 %, of resampled images: 62.0%"
        " to 78.0%). Recall 31.0%, F1 0.430. Filtering at random would leave the first share as it is."
    )
    doubtful = replace(CHOICE, figures=replace(FIGURES, training_use="unknown"))
    assert "of 60 images, which the critic may have learned from: it may be worse than this. People" in told(doubtful)
    mild = replace(CHOICE, figures=replace(FIGURES, training_use="held out", left_out=1240))
    assert (
        "of 60 images, some of which chose when its training ended and its temperature: it may be a little worse than"
        " this. 1,240 labels of images that it learned from are left out. People accept"
    ) in told(mild)
    assert told(replace(CHOICE, figures=None)).endswith(
        "candidates. No candidate was labelled, so it is not known how good these are."
    )
    assert r"the critic \<b\> was" in told(replace(CHOICE, critic="<b>"))
    assert thresholds(facts()) == ""
