"""Values of any shape where people's files hold JSON or YAML: read, left out with a note, or refused in one line.

The mutants of `benchmarks/fuzz` damage bytes; these are sound JSON and YAML with values that nobody expects.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzz.table import reader_named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from critics.annotation.items import read_items
from critics.annotation.label_studio import from_tasks, read_tasks
from critics.annotation.tasks import TASKS
from critics.labels import read_labels

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "one", "\u2028", "\ud800", "\x00", "\x1b[2J", "9" * 5000, "1e999", "é\r\n"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1, 2**63])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
JSON_READERS = ("label-studio", "items", "concepts", "annotations-json", "annotations-jsonl")


def replaced(value: Any, place: int, other: Any) -> tuple[Any, int]:
    """`value` with what stands at that place of it replaced, and how many places there were before the end."""
    if place == 0:
        return other, -1
    place -= 1
    if isinstance(value, dict):
        made = {}
        for key, one in value.items():
            made[key], place = replaced(one, place, other) if place >= 0 else (one, place)
        return made, place
    if isinstance(value, list):
        listed = []
        for one in value:
            changed, place = replaced(one, place, other) if place >= 0 else (one, place)
            listed.append(changed)
        return listed, place
    return value, place


def read(name: str, text: str, folder: Path) -> None:
    reader_named(name).read(text.encode("utf-8", "surrogatepass"), folder)


@pytest.mark.parametrize("name", JSON_READERS)
@given(data=st.data())
@FEW
def test_any_value_at_any_place_of_a_sound_file(name: str, data: st.DataObject, tmp_path: Path) -> None:
    sound = data.draw(st.sampled_from(reader_named(name).seeds())).decode("utf-8-sig")
    lines = sound.split("\n") if name in {"items", "annotations-jsonl"} else [sound]
    number = data.draw(st.integers(0, len(lines) - 1))
    if lines[number].strip():
        changed, _ = replaced(json.loads(lines[number]), data.draw(st.integers(0, 40)), data.draw(VALUES))
        lines[number] = json.dumps(changed)
    read(name, "\n".join(lines), tmp_path)


@pytest.mark.parametrize("name", JSON_READERS)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        '[{"data": ' * 99_999,
        "9" * 5000,
        f"[{'9' * 5000}]",
        '"\\ud800"',
        "",
        "\ufeff",
        "null",
    ],
)
def test_nesting_long_numbers_and_nothing(name: str, text: str, tmp_path: Path) -> None:
    read(name, text, tmp_path)


@given(data=st.data())
@settings(FEW, max_examples=15)  # a recipe is validated as a whole each time
def test_any_value_at_any_place_of_a_recipe(data: st.DataObject, tmp_path: Path) -> None:
    values, place = yaml.safe_load(reader_named("recipes").seeds()[0]), data.draw(st.integers(0, 60))
    changed, _ = replaced(values, place, data.draw(VALUES))
    read("recipes", yaml.safe_dump(changed, allow_unicode=False), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "? [a, b]\n: c",
        "? {a: b}\n: c",
        "recipe: !!python/object:os.system x",
        "recipe: !!binary a",
        *(
            "recipe: !!timestamp x",
            "recipe: !!bool maybe",
            "recipe: !!int ''",
            "recipe: !!float .",
            "recipe: !!float ''",
        ),
        *("a: !!int 0b", "a: !!int 1:x", "a: !!float 1:1:1e999", "a: !!null x", "a: !!pairs [1]", "a: !!omap {a: b}"),
        *("a: !!seq x", "a: !!map x", "a: !!str [x]", "a: !!set [x]", "a: !!timestamp 2001-01-01 25:00:00"),
        "!!set {a, b}",
        "a: " + "[" * 500,
        "a: " + "{a: " * 5000,
        "\x00",
        "a: \x1b",
        "<<: 1",
        "<<: [1]",
        "a: 0x" + "f" * 5000,
        "recipe: &x localized\ncorpus: *y",
        "%YAML 9.9\n---\na: b",
        "a: 2001-99-99",
        "recipe: localized\ncorpus: {<<: {license: mit}}",
        "a: &a {b: &b [1]}\nc: [*a, *a, *b]",
        "a" * 100_000,
        "!<tag:yaml.org,2002:int> x: y",
    ],
)
def test_yaml_that_nobody_writes(text: str, tmp_path: Path) -> None:
    read("recipes", text, tmp_path)


def test_aliases_that_unfold_are_no_work(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    read("recipes", "\n".join(lines), tmp_path)


def test_the_sound_inputs_are_sound(tmp_path: Path) -> None:
    task = TASKS["triple"]
    for data in reader_named("items").seeds():
        (tmp_path / "items.jsonl").write_bytes(data)
        assert read_items(tmp_path / "items.jsonl", task)
    (tmp_path / "labels.parquet").write_bytes(reader_named("labels").seeds()[0])
    assert len(read_labels(tmp_path / "labels.parquet")) == 2
    for data in reader_named("label-studio").seeds():
        (tmp_path / "export.json").write_bytes(data)
        from fuzz.texts import ITEMS

        assert len(from_tasks(read_tasks(tmp_path / "export.json"), ITEMS).judgements) == 3
