"""What the tiny models are said to know, on their cards and in the documentation, and that they do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from microworld.training.evaluate import measure_blip2, measure_clip, measure_vlm
from microworld.training.evaluate_teacher import measure_teacher
from microworld.training.lessons import verbalize_scenes
from ostensive.models.files import located

DOCUMENT = Path(__file__).parent.parent / "docs" / "microworld.md"
NAMED = {
    "place, with something marked": "place marked",
    "colour of the marked thing": "colour marked",
    "shape of the marked thing": "shape marked",
    "whether something is there": "existence",
    "how many there are": "count",
    "whether one is left of or above another, or which": "left/above",
    "what stands on a side of a thing": "what stands left/above",
    "colour of a named thing": "colour",
    "shape of a described thing": "shape",
    "size": "size",
    "pattern": "pattern",
    "hat": "hat",
    "what it holds": "holds",
    "what is nearest": "nearest",
    "what is in a numbered box": "thing numbered",
    "whether it is so what is said of numbered boxes": "statement on numbered",
    "narrative, true to the last sentence": "narrative",
}
TEACHER = "microworld:teacher"
REQUIRED = {"place marked", "colour marked", "shape marked", "existence", "count", "left/above"}


def recorded(name: str) -> dict[str, Any]:  # JSON values
    figures: dict[str, Any] = json.loads((Path(located(name)) / "training.json").read_text("utf-8"))["figures"]
    return figures


def test_the_document_says_what_was_measured() -> None:
    strong, base = recorded("microworld:vlm"), recorded("microworld:vlm-base")
    rows = {
        NAMED[cells[0]]: cells[1:5]
        for line in DOCUMENT.read_text("utf-8").splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0] in NAMED
    }
    assert rows.keys() == set(NAMED.values()) == strong.keys() == base.keys()
    for measure, cells in rows.items():
        guess = strong[measure]["guess"]
        assert cells == [
            str(strong[measure]["asked"]),
            f"{strong[measure]['right']:.1%}",
            f"{base[measure]['right']:.1%}",
            "" if guess is None else f"{guess:.1%}",
        ], measure


@pytest.mark.parametrize("name", ["microworld:vlm", "microworld:vlm-base"])
def test_a_card_says_what_was_measured(name: str) -> None:
    card = (Path(located(name)) / "README.md").read_text("utf-8")
    said = dict(re.findall(r"^\| ([^|]+) \| \d+ \| ([\d.]+%) \|", card, re.MULTILINE))
    assert said == {measure: f"{figure['right']:.1%}" for measure, figure in recorded(name).items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microworld:vlm", "microworld:vlm-base"])
def test_they_know_what_is_said_of_them(name: str) -> None:
    figures = measure_vlm(Path(located(name)), range(400, 460))  # of other scenes than the document's
    for measure, figure in recorded(name).items():
        found = figures[measure]  # type: ignore[index]  # one of the literals
        assert found.right == pytest.approx(figure["right"], abs=4 * (0.25 / found.asked) ** 0.5), measure


@pytest.mark.slow
def test_contrastive_ones_know_places_and_shapes() -> None:
    seeds = range(400, 460)
    clip = measure_clip(Path(located("microworld:clip")), seeds)
    blip2 = measure_blip2(Path(located("microworld:blip2")), seeds)
    assert clip.place_first >= 0.95
    assert clip.objects_found >= 0.85
    assert blip2.place_first >= 0.95
    assert blip2.objects_found >= 0.85


def test_there_is_room_on_both_sides_of_the_beginner() -> None:
    strong, base = recorded("microworld:vlm"), recorded("microworld:vlm-base")
    for measure in REQUIRED:
        assert strong[measure]["guess"] < base[measure]["right"] < strong[measure]["right"], measure


# The one that teaches


def test_its_card_says_what_was_measured() -> None:
    card = (Path(located(TEACHER)) / "README.md").read_text("utf-8")
    for one in recorded(TEACHER)["triples"]:
        given = "text and picture" if one["seeing"] else "text"
        true = f"{one['true'] / one['decided']:.1%}"
        row = f"| {one['mode']} | {given} | {one['asked']} | {one['kept']} | {one['decided']} | {true} |"
        assert row in card
    said = dict(re.findall(r"^\| `([^`]+)` \| \d+ \| ([\d.]+%) \|", card, re.MULTILINE))
    assert said == {one["prompt"]: f"{one['false'] / one['decided']:.1%}" for one in recorded(TEACHER)["descriptions"]}


def test_it_says_too_much_when_it_is_asked_to() -> None:
    told, made_up = recorded(TEACHER)["descriptions"]
    assert made_up["invented"] > 5 * told["invented"]
    assert made_up["false"] / made_up["decided"] > told["false"] / told["decided"]


@pytest.mark.slow
def test_it_knows_what_is_said_of_it(tmp_path: Path) -> None:
    verbalize_scenes(tmp_path, range(400, 420))  # of other scenes than the card's
    found = measure_teacher(Path(located(TEACHER)), tmp_path)
    for said, one in zip(recorded(TEACHER)["triples"], found.triples, strict=True):
        assert one.kept / one.asked == pytest.approx(said["kept"] / said["asked"], abs=0.2)
        spread = 4 * (0.25 / max(1, one.decided)) ** 0.5
        assert one.true / one.decided == pytest.approx(said["true"] / said["decided"], abs=spread)
    told, made_up = found.descriptions
    assert made_up.invented > 3 * told.invented
