"""The sentences over photographs' boxes of `benchmarks/`: form, balance, and truth where a formula tells.

The formulas are this file's own, so that a label is not held to the critic that it measures. Each says True, False or
None, which is "too close to call": no sentence may depend on such a case.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from builders.demo import shipped_photographs
from ostensive.images.drawing import draw_regions
from ostensive.records import Box, Region

ROOT = Path(__file__).parent.parent
PHOTOGRAPHS = json.loads((ROOT / "benchmarks/geometry_photographs.json").read_text("ascii"))
SENTENCES = [
    json.loads(line) for line in (ROOT / "benchmarks/geometry_sentences.jsonl").read_text("ascii").splitlines()
]
TOPICS = {
    "sides",
    "above and below",
    "edge and centre",
    "size",
    "width and height",
    "count",
    "overlap and inside",
    "beside and between",
    "superlative",
}
FORMS = {"plain", "negation", "comparison", "yes or no", "which", "how many"}
MARGIN, AREA_RATIO, SIDE_RATIO = 0.06, 1.6, 1.25  # of the picture's side; larger over smaller; longer over shorter
Relation = dict[str, Any]  # as the JSON has it: kind, a, b and what else the kind asks for
Boxes = dict[int, list[float]]


def path_of(picture: str) -> Path:
    places = {path.parent for path in shipped_photographs()}
    return next(place / picture for place in sorted(places) if (place / picture).is_file())


def centre(box: list[float], axis: int) -> float:
    return (box[axis] + box[axis + 2]) / 2


def side(box: list[float], axis: int) -> float:
    return box[axis + 2] - box[axis]


def area(box: list[float]) -> float:
    return side(box, 0) * side(box, 1)


def off_centre(box: list[float]) -> float:
    return float(((centre(box, 0) - 0.5) ** 2 + (centre(box, 1) - 0.5) ** 2) ** 0.5)


def gap(box: list[float], edge: str) -> float:
    gaps = {"left": box[0], "top": box[1], "right": 1 - box[2], "bottom": 1 - box[3]}
    return min(gaps.values()) if edge == "any" else gaps[edge]


def shared(a: list[float], b: list[float], axis: int) -> float:
    """What two boxes share along an axis; below zero it is the gap between them."""
    return min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])


def less(a: float, b: float, margin: float = MARGIN) -> bool | None:
    return True if a <= b - margin else False if a >= b + margin else None


def times(a: float, b: float, ratio: float) -> bool | None:
    return True if a >= ratio * b else False if b >= ratio * a else None


def every(parts: list[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True


def between(c: float, a: float, b: float) -> bool | None:
    low, high = sorted((a, b))
    return every([less(low, c), less(c, high)])


def overlap(a: list[float], b: list[float]) -> bool | None:
    x, y = shared(a, b, 0), shared(a, b, 1)
    if min(x, y) <= 0:
        return False if min(x, y) <= -MARGIN else None
    return True if x * y >= 0.1 * min(area(a), area(b)) else None


def inside(a: list[float], b: list[float]) -> bool | None:
    beyond = max(b[0] - a[0], b[1] - a[1], a[2] - b[2], a[3] - b[3])
    return True if beyond <= 0.01 else False if beyond >= MARGIN else None


def beside(a: list[float], b: list[float]) -> bool | None:
    """At one height and with little between them; boxes that share no height are not beside each other."""
    x, y = shared(a, b, 0), shared(a, b, 1)
    if y <= -MARGIN or (y > 0 and x <= -0.3):
        return False
    return True if y >= 0.5 * min(side(a, 1), side(b, 1)) and -MARGIN <= x <= 0.02 else None


def touches(a: list[float], edge: str) -> bool | None:
    return True if gap(a, edge) <= 0.01 else False if gap(a, edge) >= MARGIN else None


PAIRS: dict[str, Callable[[list[float], list[float]], bool | None]] = {
    "left": lambda a, b: less(centre(a, 0), centre(b, 0)),
    "right": lambda a, b: less(centre(b, 0), centre(a, 0)),
    "above": lambda a, b: less(centre(a, 1), centre(b, 1)),
    "below": lambda a, b: less(centre(b, 1), centre(a, 1)),
    "larger": lambda a, b: times(area(a), area(b), AREA_RATIO),
    "smaller": lambda a, b: times(area(b), area(a), AREA_RATIO),
    "wider": lambda a, b: times(side(a, 0), side(b, 0), SIDE_RATIO),
    "taller": lambda a, b: times(side(a, 1), side(b, 1), SIDE_RATIO),
    "shorter": lambda a, b: times(side(b, 1), side(a, 1), SIDE_RATIO),
    "nearer centre": lambda a, b: less(off_centre(a), off_centre(b)),
    "nearer edge": lambda a, b: less(gap(a, "any"), gap(b, "any")),
    "nearer left": lambda a, b: less(gap(a, "left"), gap(b, "left")),
    "nearer right": lambda a, b: less(gap(a, "right"), gap(b, "right")),
    "nearer top": lambda a, b: less(gap(a, "top"), gap(b, "top")),
    "overlap": overlap,
    "inside": inside,
    "beside": beside,
}
SINGLES: dict[str, Callable[[list[float]], bool | None]] = {
    "left half": lambda a: less(centre(a, 0), 0.5),
    "right half": lambda a: less(0.5, centre(a, 0)),
    "top half": lambda a: less(centre(a, 1), 0.5),
    "bottom half": lambda a: less(0.5, centre(a, 1)),
    "central column": lambda a: less(abs(centre(a, 0) - 0.5), 0.1, 0.05),
    "touches left": lambda a: touches(a, "left"),
    "touches right": lambda a: touches(a, "right"),
    "touches top": lambda a: touches(a, "top"),
    "touches bottom": lambda a: touches(a, "bottom"),
}
SUPERLATIVES = {
    "leftmost": "left",
    "rightmost": "right",
    "topmost": "above",
    "bottommost": "below",
    "largest": "larger",
    "smallest": "smaller",
    "tallest": "taller",
}


def holds(relation: Relation, picture: str) -> bool | None:
    """Whether the boxes of `picture` bear `relation` out; None where it is too close to call."""
    kind, boxes = relation["kind"], {region["number"]: region["box"] for region in PHOTOGRAPHS[picture]["regions"]}
    if kind == "all":
        return every([holds(part, picture) for part in relation["of"]])
    found = _plain(kind, relation, boxes, picture)
    return found if found is None or not relation.get("not") else not found


def _plain(kind: str, relation: Relation, boxes: Boxes, picture: str) -> bool | None:
    if kind == "count":
        labels = [region["label"] for region in PHOTOGRAPHS[picture]["regions"]]
        return labels.count(relation["label"]) == int(relation["n"])
    a = boxes[relation["a"]]
    if kind == "between":
        return between(centre(a, 0), *(centre(boxes[number], 0) for number in relation["of"]))
    if kind in SUPERLATIVES:
        others = [number for number in relation.get("among", boxes) if number != relation["a"]]
        return every([PAIRS[SUPERLATIVES[kind]](a, boxes[number]) for number in others])
    if kind in ("wide", "tall"):
        with PIL.Image.open(path_of(picture)) as image:
            width_px, height_px = side(a, 0) * image.width, side(a, 1) * image.height
        return times(width_px, height_px, 1.15) if kind == "wide" else times(height_px, width_px, 1.15)
    return PAIRS[kind](a, boxes[relation["b"]]) if kind in PAIRS else SINGLES[kind](a)


def share(*, truth: str | None = None, **fields: str) -> int:
    rows = [row for row in SENTENCES if truth in (None, row["truth"])]
    return sum(all(row[name] == value for name, value in fields.items()) for row in rows)


def words_of(row: dict[str, Any]) -> str:
    return " ".join(text["text"] for text in row["texts"])


@pytest.mark.parametrize("picture", PHOTOGRAPHS)
def test_boxes_are_regions_that_can_be_drawn(picture: str) -> None:
    regions = [
        Region(row["number"], Box(*row["box"]), row["label"], None, row["caption"])
        for row in PHOTOGRAPHS[picture]["regions"]
    ]
    assert [region.number for region in regions] == list(range(len(regions)))
    assert all(region.label and region.caption for region in regions)
    with PIL.Image.open(path_of(picture)) as image:
        assert draw_regions(image, regions).size == image.size


def test_lines_have_one_form() -> None:
    for row in SENTENCES:
        assert set(row) == {"picture", "texts", "judged", "truth", "topic", "regions", "form", "relation"}, row
        names = [text["name"] for text in row["texts"]]
        assert len(set(names)) == len(names)
        assert set(names) <= {"question", "answer", "rationale", "caption"}
        assert all(
            set(text) == {"name", "text"} and text["text"].strip() == text["text"] != "" for text in row["texts"]
        )
        assert row["judged"] == [name for name in names if name != "question"] != []
        assert row["picture"] in PHOTOGRAPHS
        assert row["truth"] in {"right", "wrong"}
        assert row["topic"] in TOPICS
        assert row["form"] in FORMS
        assert ("question" in names) >= (row["form"] in {"yes or no", "which", "how many"})


def test_numbers_are_of_regions() -> None:
    for row in SENTENCES:
        numbers = {int(number) for number in re.findall(r"\[(\d+)\]", words_of(row))}
        assert numbers <= {region["number"] for region in PHOTOGRAPHS[row["picture"]]["regions"]}, row
        assert row["regions"] == ("numbers" if numbers else "descriptions"), row


def test_half_of_them_are_wrong_in_every_respect() -> None:
    assert len(SENTENCES) == 300
    assert share(truth="wrong") == 150
    for name, values in (("topic", TOPICS), ("form", FORMS), ("regions", {"numbers", "descriptions"})):
        for value in values:
            right, wrong = (share(truth=truth, **{name: value}) for truth in ("right", "wrong"))
            assert abs(right - wrong) <= 2, (value, right, wrong)
            assert right + wrong >= 15, value
    assert 0.55 <= share(regions="numbers") / len(SENTENCES) <= 0.65
    assert share(form="plain") / len(SENTENCES) <= 0.75
    for picture in PHOTOGRAPHS:
        assert share(picture=picture, truth="right") == share(picture=picture, truth="wrong")


def test_no_wording_returns_often() -> None:
    bare = Counter(re.sub(r"\d+", "k", words_of(row)).lower() for row in SENTENCES)
    assert max(bare.values()) <= 3
    assert len({(row["picture"], words_of(row)) for row in SENTENCES}) == len(SENTENCES)


def test_boxes_bear_the_truth_out() -> None:
    checked = [row for row in SENTENCES if row["relation"] is not None]
    assert [row for row in checked if holds(row["relation"], row["picture"]) is not (row["truth"] == "right")] == []


def test_nearly_all_are_checked_by_a_formula() -> None:
    assert sum(row["relation"] is not None for row in SENTENCES) >= 280


def test_what_is_too_close_is_not_called() -> None:
    a, b = [0.1, 0.1, 0.3, 0.3], [0.12, 0.1, 0.34, 0.3]
    assert PAIRS["left"](a, b) is None
    assert PAIRS["larger"](b, a) is None
    assert PAIRS["inside"](a, b) is None
    assert overlap(a, [0.31, 0.1, 0.4, 0.3]) is None
