"""The tiny model that teaches: what it learns from, what it is asked with, and what it is said to know."""

import random
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from builders.localized.records import Qar
from builders.localized.settings import MODES, Mode
from builders.localized.triples import Absent, Limits, TurnText, turn_triples
from microworld.oracle import judge_qar
from microworld.render import render
from microworld.sample import sample_scene
from microworld.scenes import Scene
from microworld.training.evaluate_teacher import INVENTED, sentence_findings
from microworld.training.lessons import (
    FIRST_SEED,
    Lesson,
    lesson_files,
    make_lesson_files,
    make_lessons,
    prompt_set,
    read_lessons,
    triples_prompt,
    verbalize_scenes,
    write_lessons,
)
from microworld.training.pool import HELD_OUT
from microworld.training.triples import imagined, triples_text
from microworld.training.words import (
    DESCRIBE,
    IMAGINE,
    LINE,
    TRIPLE_WORDS,
    UNKNOWN_ID,
    make_tokenizer,
)
from ostensive.prompts import load_prompts
from ostensive.records import Box, Probe, Region, Verbalization

SEEDS = range(900, 940)
ROW = Verbalization(
    "0" * 64,
    ("The scene most likely shows this kind of place: beach or street.",),
    ("a red circle on a beach.",),
    (
        Region(0, Box(0.1, 0.2, 0.5, 0.6), "", None, "a small red circle"),
        Region(1, Box(0.0, 0.0, 1.0, 1.0), "", None, "nothing"),
    ),
    (Probe("what place is this ?", "on a beach"), Probe("is there a figure ?", "no")),
)


def regions_on(scene: Scene) -> tuple[Region, ...]:
    return tuple(Region(3 + thing.number, thing.box, "", None, "nothing") for thing in scene.things)


# What it is asked with


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (
            "ids",
            "[0] a small red circle 3 4 4 3\n[1] nothing 5 5 9 9\nwhat place is this ? on a beach\n"
            "is there a figure ? no\n2 question answer rationale [ ]",
        ),
        (
            "descriptions",
            "a small red circle 3 4 4 3\nnothing 5 5 9 9\nwhat place is this ? on a beach\n"
            "is there a figure ? no\n2 question answer rationale",
        ),
    ],
)
def test_a_prompt_puts_a_verbalization_in_few_words(mode: Mode, expected: str) -> None:
    assert triples_prompt(ROW, mode, 2) == expected
    assert UNKNOWN_ID not in make_tokenizer(TRIPLE_WORDS)(expected).input_ids


def test_prompts_for_descriptions_are_those_it_learned() -> None:
    prompts = load_prompts(str(prompt_set("preferences")), files("builders"), required=["describe"], variables=())
    texts = {name: prompts.render(name, {}) for name in prompts.names}
    assert texts == {"describe": DESCRIBE, "caption_1": DESCRIBE, "imagine_1": IMAGINE}
    assert UNKNOWN_ID not in make_tokenizer(TRIPLE_WORDS)(IMAGINE).input_ids


def test_lines_come_back_from_its_words_alone() -> None:
    tokenizer = make_tokenizer(TRIPLE_WORDS)
    ids = tokenizer("Question : what is [3] ?\nAnswer : red").input_ids
    assert tokenizer.decode(ids) == "question : what is [ 3 ]? \n answer : red"
    assert tokenizer(tokenizer.decode(ids)).input_ids == ids
    assert len(tokenizer) == len(TRIPLE_WORDS)
    assert TRIPLE_WORDS.index(LINE) in ids


# What it learns from


@pytest.mark.parametrize("mode", MODES)
def test_triples_that_are_taught_are_true_and_of_the_form(mode: Mode) -> None:
    tokenizer, made = make_tokenizer(TRIPLE_WORDS), 0
    for seed in SEEDS:
        scene = sample_scene(seed)
        regions = regions_on(scene)
        text = triples_text(scene, regions, mode, 2, random.Random(seed))
        if text is None:
            continue
        made += 1
        ids = tokenizer(text).input_ids
        assert UNKNOWN_ID not in ids
        limits = Limits(mode, frozenset(region.number for region in regions), 2, 5)
        for one in turn_triples(TurnText(str(tokenizer.decode(ids)), "stop"), limits):
            assert not isinstance(one, Absent)
            assert not one.reason
            qar = Qar("", "", mode, one.question, one.answer, one.rationale, one.mentions, "", "", "")
            assert judge_qar(qar, regions, scene).whole.is_true, one
    assert made > 30


def test_without_a_region_that_shows_a_thing_there_are_no_triples_on_regions() -> None:
    scene = sample_scene(900)
    assert triples_text(scene, (), "ids", 1, random.Random(0)) is None


def test_what_is_imagined_is_not_there_and_the_rest_is() -> None:
    for seed in SEEDS:
        scene = sample_scene(seed)
        found = sentence_findings(imagined(scene, random.Random(seed)), scene)
        false = [finding for finding in found if finding.is_false]
        assert 2 <= len(false) <= 3
        assert all(finding.reason in INVENTED for finding in false)
        assert sum(finding.is_true for finding in found) >= 1
        assert all(finding.decided for finding in found)


def lessons() -> Iterator[Lesson]:
    pixels = np.asarray(render(sample_scene(900)))
    for kind in ("ids", "descriptions", "describe", "imagine"):
        for length in (2, 3):
            yield Lesson(kind, 900 + length, pixels + length, tuple(range(20, 20 + length)), ((30,), (31,) * length))


def test_lessons_come_back_from_their_files(tmp_path: Path) -> None:
    made = list(lessons())
    write_lessons(made[:3], tmp_path / "a.npz")
    write_lessons(made[3:], tmp_path / "b.npz")
    read = read_lessons([tmp_path / "a.npz", tmp_path / "b.npz"])
    for before, after in zip(made, read, strict=True):
        assert (before.kind, before.seed, before.prompt, before.replies) == (
            after.kind,
            after.seed,
            after.prompt,
            after.replies,
        )
        assert np.array_equal(before.pixels, after.pixels)


def test_what_it_learns_from_is_not_held_out() -> None:
    assert FIRST_SEED not in HELD_OUT


@pytest.mark.slow
def test_lessons_are_made_of_what_the_models_find(tmp_path: Path) -> None:
    verbalize_scenes(tmp_path, range(930, 934))
    made = list(make_lessons(tmp_path))
    assert {one.seed for one in made} == set(range(930, 934))
    assert {one.kind for one in made} == {"ids", "descriptions", "describe", "imagine"}
    for one in made:
        assert UNKNOWN_ID not in (*one.prompt, *(word for reply in one.replies for word in reply))
        changed = (one.pixels != np.asarray(render(sample_scene(one.seed)))).any()
        assert changed == (one.kind == "ids")


def test_lesson_files_that_are_there_are_kept(tmp_path: Path) -> None:
    for start in (0, 1000):
        (tmp_path / f"lessons-{start:06}").mkdir()
        write_lessons(list(lessons()), tmp_path / f"lessons-{start:06}" / "lessons.npz")
    before = [path.read_bytes() for path in lesson_files(tmp_path)]
    assert make_lesson_files(tmp_path, seed=0, is_time_left=lambda: False) == 2000
    assert [path.read_bytes() for path in lesson_files(tmp_path)] == before
