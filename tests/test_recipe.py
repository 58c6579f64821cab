from pathlib import Path

import pytest

from ostensive.errors import SettingsError
from ostensive.recipe import Recipe, dump, merge, parse_assignments, recipe_hash
from ostensive.settings import validate
from ostensive.yaml_text import parse_yaml, read_yaml


def test_later_values_win_section_by_section() -> None:
    assert merge({"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"y": 3}, "b": [2]}) == {"a": {"x": 1, "y": 3}, "b": [2]}


def test_a_section_whose_kind_changes_starts_afresh() -> None:
    scripted = {"teacher": {"kind": "scripted", "error_rate": 0.5}}
    assert merge(scripted, {"teacher": {"kind": "served", "model": "m"}}) == {
        "teacher": {"kind": "served", "model": "m"}
    }
    assert merge(scripted, {"teacher": {"kind": "scripted"}})["teacher"]["error_rate"] == 0.5
    assert merge({"teacher": {"model": "m"}}, {"teacher": {"kind": "served"}}) == {
        "teacher": {"model": "m", "kind": "served"}
    }


def test_the_words_of_assignments_are_texts_and_their_lists_are_yaml() -> None:
    values = parse_assignments(["a.b=3", "a.c=[x, y]", "d=true", "e= a b ", "f=", "g.h.i=x=y"])
    assert values == {"a": {"b": "3", "c": ["x", "y"]}, "d": "true", "e": "a b", "f": None, "g": {"h": {"i": "x=y"}}}


def test_several_assignments_to_a_section_add_up_whatever_their_order() -> None:
    one = parse_assignments(["teacher.kind=served", "teacher.model=m"])
    assert one == parse_assignments(["teacher.model=m", "teacher.kind=served"])


@pytest.mark.parametrize("assignment", ["a", "=3", "a..b=1", ".a=1"])
def test_an_assignment_without_a_key_or_a_value_is_refused(assignment: str) -> None:
    with pytest.raises(SettingsError, match=r"KEY=VALUE is expected, e\.g\. --set teacher\.temperature=0\.5"):
        parse_assignments([assignment])


def test_yaml_that_is_none_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("recipe: localized\nteacher: {kind: [\n")
    with pytest.raises(SettingsError, match=r"r\.yaml, line 3: not YAML \("):
        read_yaml(path)
    path.write_text("- a\n")
    with pytest.raises(SettingsError, match=r"r\.yaml: a mapping of settings is expected"):
        read_yaml(path)
    with pytest.raises(SettingsError, match=r"s\.yaml: there is no such file"):
        read_yaml(tmp_path / "s.yaml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"r\.yaml: cannot be read as UTF-8 text"):
        read_yaml(path)


def test_yaml_tags_make_no_objects() -> None:
    with pytest.raises(SettingsError, match="not YAML"):
        parse_yaml("a: !!python/object/apply:os.getcwd []", "x")


def recipe(**teacher: object) -> Recipe:
    values = {"recipe": "r", "corpus": {"license": "cc0-1.0", "source": "mine"}, "teacher": teacher}
    return validate(Recipe, values, "x")


def test_the_resolved_recipe_has_every_default_and_no_secret_and_reads_back() -> None:
    secret = recipe(kind="served", model="m", api_key="sk-secret")
    text = dump(secret)
    assert "sk-secret" not in text
    assert "max_in_flight: 64" in text
    assert recipe_hash(validate(Recipe, parse_yaml(text, "x"), "x")) == recipe_hash(secret)


def test_the_recipe_hash_changes_with_what_rows_depend_on_and_with_nothing_else() -> None:
    base = recipe(kind="served", model="m")
    assert recipe_hash(base) == recipe_hash(recipe(kind="served", model="m", max_in_flight=3, api_key="sk"))
    assert recipe_hash(base) != recipe_hash(recipe(kind="served", model="n"))
