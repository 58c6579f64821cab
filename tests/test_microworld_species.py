"""Species: their table, specimens and what is to be seen of them, sentences about them, folders of them."""

import csv
import json
import random
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from microworld import findings as why
from microworld.claims import HeldKind, Kind
from microworld.findings import TruthValue
from microworld.folder import read_specimens, read_truth, write_specimens
from microworld.oracle import judge_explanation, judge_species_text, judge_text
from microworld.render import render_pixels
from microworld.sample import SpecimenOptions, sample_scene, sample_specimen
from microworld.scenes import COLOURS, MIN_VISIBLE, PATTERNS, POSES, Held, Scene, Thing
from microworld.sentences import VOCABULARY, tokens_of
from microworld.species import NAMES, SPECIES, Species, concept_words, part_visibility, species_named, species_of
from microworld.species_truth import (
    COVERED,
    NO_MARK,
    NO_SPECIMEN,
    WRONG_SPECIES,
    corrupt_species,
    explanation,
    specimens_in,
)
from microworld.species_words import SPECIES_WORDS, read_species, write_species
from microworld.truth import scope_of
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.records import Box

BIG, LITTLE = 12 / 64, 7 / 64


def box(x: float, y: float, radius: float) -> Box:
    return Box(x - radius, y - radius, x + radius, y + radius)


def differences(one: Species, other: Species) -> tuple[int, int]:
    """In how many marks no individual of one can be like one of the other: on the body, and elsewhere."""
    patterns = None not in (one.pattern, other.pattern) and one.pattern != other.pattern
    poses = one.shape == other.shape and not set(one.poses) & set(other.poses) and bool(one.poses)
    body = (one.shape != other.shape) + (not set(one.colours) & set(other.colours)) + patterns + poses
    hats = None not in (one.hat, other.hat) and one.hat != other.hat
    held = [kind for kind in (one.holds, other.holds) if isinstance(kind, HeldKind)]
    apart = len(held) == 2 and any(
        None not in (a, b) and a != b for a, b in ((held[0].shape, held[1].shape), (held[0].colour, held[1].colour))
    )
    return body, hats + (apart or len(held) == 1)


def test_species_differ_in_two_marks_and_one_of_them_is_on_the_body() -> None:
    for one, other in combinations(SPECIES, 2):
        body, rest = differences(one, other)
        assert body >= 1, (one.name, other.name)
        assert body + rest >= 2, (one.name, other.name)


def test_no_mark_tells_a_species() -> None:
    thing = Thing(0, "star", "red", "large", "plain", None, None, None, box(0.5, 0.5, BIG), 1.0)
    looks = [
        replace(thing, shape=shape, colour=colour, pattern=pattern, pose=pose, hat=hat, holds=held)
        for shape in ("star", "heart", "hexagon", "figure")
        for colour in COLOURS
        for pattern in PATTERNS
        for pose in (POSES if shape == "figure" else (None,))
        for hat in (None, "red", "green", "white", "black")
        for held in (
            None,
            *(Held(shape, inside) for shape in ("ring", "cross", "heart", "diamond") for inside in ("white", "black")),
        )
    ]
    members = {look: species.name for look in looks if (species := species_of(look)) is not None}
    assert set(members.values()) == set(NAMES)
    for species in SPECIES:
        for concept in species.concepts:
            kinds = {name for look, name in members.items() if concept.what.fits(look)}
            assert len(kinds) >= 2, (species.name, concept.words)
    assert all(sum(one.includes(look) for one in SPECIES) <= 1 for look in looks)


def test_expert_lists() -> None:
    assert len(set(NAMES)) == len(NAMES) == 15
    assert not set(NAMES) & set(VOCABULARY), "names have no other use in this world"
    for species in SPECIES:
        concepts = species.concepts
        assert 6 <= len(concepts) <= 9, species.name
        assert (
            len({concept.words for concept in concepts}) == len({concept.what for concept in concepts}) == len(concepts)
        )
        assert any(concept.constant for concept in concepts)
        assert {token for concept in concepts for token in tokens_of(concept.words)} <= SPECIES_WORDS
    velm = [concept.words for concept in species_named("velm").concepts]
    assert velm == [
        "the shape of a star",
        "a red body",
        "an orange body",
        "a striped body",
        "a hat",
        "a green hat",
        "holds something",
        "holds a ring",
    ]
    assert species_named("bavri").concepts[-1].words == "holds nothing"
    assert species_named("tarnu").concepts[3].words == "no hat"
    assert concept_words(Kind(hat="orange")) == "an orange hat"
    with pytest.raises(ValueError, match="a concept says one thing, and not of a size"):
        concept_words(Kind(size="small"))


def test_specimens_are_drawn_from_their_seed_and_are_what_was_asked_for() -> None:
    drawn = [sample_specimen(seed) for seed in range(300)]
    assert drawn == [sample_specimen(seed) for seed in range(300)]
    assert {specimens_in(scene)[0].species for scene in drawn} == set(NAMES)
    for seed, scene in enumerate(drawn):
        found = specimens_in(scene)
        assert len(found) == 1
        assert len(scene.things) <= 3
        assert [thing.number for thing in scene.things] == list(range(len(scene.things)))
        assert all(thing.visible >= MIN_VISIBLE for thing in scene.things)
        assert sample_specimen(seed, found[0].species) == scene, "asking for what comes anyway changes nothing"
    for name in NAMES:
        assert specimens_in(sample_specimen(3, name))[0].species == name
    with pytest.raises(ValueError, match="there is no species 'dodo'; there are bavri, dorvel"):
        sample_specimen(0, "dodo")


def test_options_of_specimens() -> None:
    whole = [sample_specimen(seed, options=SpecimenOptions(lost_share=0, covered_share=0)) for seed in range(60)]
    for scene in whole:
        open_ones = [one for one in specimens_in(scene)[0].concepts if one.standing != "visible"]
        assert all(one.concept.what.colour is not None for one in open_ones), "only the other colours are not there"
    alone = sample_specimen(5, options=SpecimenOptions(max_others=0, places=("beach",)))
    assert (alone.place, len(alone.things)) == ("beach", 1)


def test_concepts_stand_in_every_way() -> None:
    """Of parts that may be lost a good share is to be seen, and some are gone and some are covered."""
    standings: Counter[tuple[str, bool]] = Counter()
    for seed in range(300):
        for one in specimens_in(sample_specimen(seed))[0].concepts:
            standings[one.standing, one.concept.what.hat is not None or one.concept.what.holds is not None] += 1
    of_parts = {
        name: standings[name, True] / sum(standings[s, True] for s in ("visible", "hidden", "absent"))
        for name in ("visible", "hidden", "absent")
    }
    assert of_parts["visible"] > 0.5
    assert of_parts["hidden"] > 0.02
    assert of_parts["absent"] > 0.1
    assert standings["hidden", False] == 0, "the body is never covered by more than half"


def test_what_is_visible_is_what_the_rendered_picture_shows() -> None:
    """Without the part, the picture changes where the part is to be seen: counted on pixels, not on masks."""
    checked: Counter[str] = Counter()
    for seed in range(250):
        scene = sample_specimen(seed)
        thing = scene.things[specimens_in(scene)[0].thing]
        seen = part_visibility(scene.things, thing)
        bares = {"hat": replace(thing, hat=None), "held": replace(thing, holds=None)}
        for part, share in (("hat", seen.hat), ("held", seen.held)):
            bare = bares[part]
            if bare == thing:
                continue
            things = tuple(bare if one is thing else one for one in scene.things)
            changed = _differing(scene, replace(scene, things=things))
            alone = _differing(replace(scene, things=(thing,)), replace(scene, things=(bare,)))
            assert abs(changed / alone - share) < 0.15, (seed, part)
            checked["hidden" if share < MIN_VISIBLE else "visible"] += 1
    assert checked["hidden"] >= 5
    assert checked["visible"] >= 100


def _differing(one: Scene, other: Scene) -> int:
    pictures = [render_pixels(scene).astype(int) for scene in (one, other)]
    return int((np.abs(pictures[0] - pictures[1]).sum(axis=2) > 60).sum())


def test_the_place_of_a_hat_that_is_not_there_is_covered_too() -> None:
    star = Thing(0, "star", "blue", "large", "striped", None, None, None, Box(0.3, 0, 0.3 + 2 * BIG, 2 * BIG), 1.0)
    assert part_visibility([star], star).hat == 1.0, "a hat would rise above the picture, and none is there"
    over = replace(star, number=1, shape="square", size="small", box=Box(0.3 + 5 / 64, 0, 0.3 + 19 / 64, 14 / 64))
    assert part_visibility([star, over], star).hat < MIN_VISIBLE <= part_visibility([star, over], star).body
    hidden = specimens_in(Scene(0, "beach", (star, over)))[0].standing("hidden")
    assert [concept.words for concept in hidden if "hat" in concept.words] == ["no hat"]


VELM = Scene(
    0,
    "meadow",
    (
        Thing(0, "star", "red", "large", "striped", "green", None, None, Box(0.1, 0.175, 0.1 + 2 * BIG, 0.675), 1.0),
        Thing(1, "circle", "blue", "small", "plain", None, None, None, box(0.8, 0.8, LITTLE), 1.0),
    ),
)
YOUNG = replace(VELM, things=(replace(VELM.things[0], hat=None, box=Box(0.1, 0.3, 0.1 + 2 * BIG, 0.675)),))
COVER = replace(VELM.things[1], box=Box(0.1 + 5 / 64, 0.15, 0.1 + 19 / 64, 0.15 + 14 / 64))
BEHIND = replace(VELM, things=(VELM.things[0], COVER))
TWO = replace(
    YOUNG, things=(*YOUNG.things, replace(VELM.things[0], number=1, colour="blue", box=box(0.7, 0.7, BIG), hat=None))
)
NONE = replace(VELM, things=VELM.things[1:])
CARD: tuple[tuple[Scene, str, TruthValue, str], ...] = (
    (VELM, "This is a velm.", "true", ""),
    (VELM, "It is a velm", "true", ""),
    (VELM, "The species is velm.", "true", ""),
    (VELM, "The species of the star is velm.", "true", ""),
    (VELM, "The star is a velm because it has a striped body.", "true", ""),
    (VELM, "This is a gresk.", "false", WRONG_SPECIES),
    (VELM, "The circle is a velm.", "false", NO_SPECIMEN),
    (VELM, "The heart is a velm.", "false", why.NO_SUCH_THING),
    (VELM, "This is a velm because it is striped, wears a green hat and has the shape of a star.", "true", ""),
    (VELM, "This is a velm, as it has a red body and it has a hat.", "true", ""),
    (VELM, "This is a velm because it has a red body and a dotted body.", "false", why.WRONG["pattern"]),
    (VELM, "This is a velm because it holds a ring.", "false", why.WRONG["holds"]),
    (VELM, "This is a velm because it holds nothing.", "false", NO_MARK),
    (VELM, "This is a velm. It holds nothing.", "true", ""),
    (VELM, "This is a velm. It holds nothing. The circle is blue.", "true", ""),
    (VELM, "This is a velm. The circle is red.", "false", why.WRONG["colour"]),
    (VELM, "It has a purple body.", "false", why.WRONG["colour"]),
    (VELM, "This is a velm because it has a striped body, a red body.", "not checkable", why.NO_FORM),
    (VELM, "This is an velm.", "not checkable", why.NO_FORM),
    (VELM, "This is a velm because.", "not checkable", why.NO_FORM),
    (VELM, "This is a velm because it flies.", "not checkable", why.UNKNOWN_WORD),
    (VELM, "velm " * 130, "not checkable", why.TOO_LONG),
    (YOUNG, "This is a velm.", "true", ""),
    (YOUNG, "This is a velm because it has a green hat.", "false", why.WRONG["hat"]),
    (YOUNG, "This is a velm. It has no hat.", "true", ""),
    (BEHIND, "This is a velm.", "true", ""),
    (BEHIND, "This is a velm because it has a green hat.", "not checkable", COVERED),
    (BEHIND, "This is a velm. It has a red hat.", "not checkable", COVERED),
    (BEHIND, "This is a velm. It has no hat.", "not checkable", COVERED),
    (BEHIND, "This is a gresk because it has a green hat.", "false", WRONG_SPECIES),
    (TWO, "This is a velm.", "not checkable", why.MANY_SUCH),
    (TWO, "The red star is a velm.", "true", ""),
    (TWO, "The blue star is a tarnu.", "true", ""),
    (NONE, "This is a velm.", "false", NO_SPECIMEN),
    (VELM, "The star is red.", "true", ""),
)


def test_what_lies_under_the_own_hat_is_no_part_of_the_body_to_be_seen() -> None:
    over = replace(VELM.things[1], shape="square", box=Box(11 / 64, 8 / 64, 25 / 64, 22 / 64))
    seen = part_visibility([VELM.things[0], over], VELM.things[0])
    assert (seen.body, seen.held) == (1.0, 1.0), "it covers the tip of the star, where the hat is"
    assert seen.hat < MIN_VISIBLE


@pytest.mark.parametrize(("scene", "text", "value", "reason"), CARD)
def test_sentences_judged_by_hand(scene: Scene, text: str, value: TruthValue, reason: str) -> None:
    finding = judge_text(text, scene)
    assert (finding.value, finding.reason) == (value, reason)


def test_true_explanations_are_true_and_corrupted_ones_false() -> None:
    told = wrong = 0
    for seed in range(350):
        scene, rng = sample_specimen(seed), random.Random(seed)
        claim = explanation(specimens_in(scene)[0], rng)
        for said in (claim, replace(claim, species=None), replace(claim, marks=())):
            text = write_species(said, rng)
            assert text is not None
            assert read_species(tokens_of(text)) == said, text
            finding = judge_species_text(text, scene)
            assert finding.is_true, (seed, text, finding)
            told += 1
            changed = corrupt_species(said, scope_of(scene), rng)
            if changed is not None:
                text = write_species(changed, rng) or ""
                assert judge_species_text(text, scene).is_false, (seed, text)
                wrong += 1
    assert (told, wrong) == (1050, 1050)


def test_what_an_explanation_cites() -> None:
    text = "This is a velm because it has a striped body and holds a ring. It is red and has no hat. It is dotted."
    found = judge_explanation(text, BEHIND)
    assert (found.named, found.label_is_right, found.whole.is_false) == (("velm",), True, True)
    assert [(one.words, one.standing, one.listed) for one in found.cited] == [
        ("a striped body", "visible", True),
        ("holds a ring", "absent", True),
        ("a red body", "visible", True),
        ("no hat", "hidden", False),
        ("a dotted body", "absent", False),
    ]
    assert (found.is_there, found.holding_share) == (True, 2 / 5)
    bare = judge_explanation("The species is gresk. The circle has a hat. What a day!", BEHIND)
    assert (bare.named, bare.label_is_right, bare.cited, bare.holding_share) == (("gresk",), False, (), None)
    assert not bare.is_there
    both = judge_explanation("This is a velm. It is a gresk.", VELM)
    assert (both.named, both.label_is_right) == (("velm", "gresk"), False)
    assert judge_explanation("It wears a green hat.", VELM).holding_share == 1.0, "no species need be named"
    with pytest.raises(ValueError, match="scene 0 has 2 specimens; explanations are judged where there is one"):
        judge_explanation(text, TWO)


def test_a_true_explanation_scores_in_full() -> None:
    for seed in range(100):
        scene, rng = sample_specimen(seed), random.Random(seed)
        found = judge_explanation(write_species(explanation(specimens_in(scene)[0], rng), rng) or "", scene)
        assert (found.label_is_right, found.holding_share, found.whole.is_true) == (True, 1.0, True)


def test_ordinary_scenes_are_read_as_before() -> None:
    scene = sample_scene(1)
    for text in ("It is red.", "It has a hat and holds a ring.", "This is a dog."):
        assert not judge_text(text, scene).decided


def test_a_folder_of_specimens_is_rendered_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    options = ["--species", "--count", "5", "--first-seed", "7"]
    done = CliRunner().invoke(app, ["microworld", "render", str(folder), *options])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("5 scenes in ")
    assert done.output.rstrip().endswith("labels.csv")
    scenes, specimens = read_truth(folder), read_specimens(folder)
    assert list(scenes.values()) == [sample_specimen(seed) for seed in range(7, 12)]
    assert specimens == {image_id: specimens_in(scene)[0] for image_id, scene in scenes.items()}
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(folder / row["file"]).is_file() for row in rows] == [True] * 5
    assert [row["label"] for row in rows] == [one.species for one in specimens.values()]
    concepts = json.loads((folder / "concepts.json").read_text("utf-8"))
    assert {name: len(found) for name, found in concepts.items()} == {one.name: len(one.concepts) for one in SPECIES}
    write_specimens(tmp_path / "b", 5, first_seed=7)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), "same seeds, same bytes"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no such file; a folder that `ostensive microworld render --species` wrote is expected"),
        (b"{", r"specimens\.jsonl:1: no specimen of the microworld: the line: Invalid JSON"),
        (b'{"file": "a.png"}', r":1: no specimen of the microworld: image_id: Field required"),
        (b"\xff", r"specimens\.jsonl cannot be read: 'utf-8' codec"),
    ],
)
def test_a_truth_of_specimens_that_is_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "specimens.jsonl").write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_specimens(tmp_path)
