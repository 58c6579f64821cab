from pathlib import Path

import pytest

from builders.table import load
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.recipe import CorpusSettings, Recipe, dump, merge, parse_assignments, recipe_hash
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


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["a.b=1", "a.b=2"], "--set a.b: is given twice, as '1' and as '2'; give it once"),
        (["a.kind=x", "a.kind=y"], "--set a.kind: is given twice, as 'x' and as 'y'; give it once"),
        (["a={b: 1}", "a.b=2"], "--set a.b: is given twice, as '1' and as '2'; give it once"),
        (["a.b=1", "a=null"], "--set a: is given twice, as a section and as None; give it once"),
        (["a=x", "a.b=1"], "--set a: is given twice, as 'x' and as a section; give it once"),
        (["a=[1]", "a=[2]"], "--set a: is given twice, as a list or section and as a list or section; give it once"),
        (["a.api_key=sk-1", "a.api_key=sk-2"], "--set a.api_key: is given twice; give it once"),
        (["a={b: 1, b: 2}"], "--set a: the key 'b' stands twice in this line; leave one of them"),
        (["a=[&b c]"], "--set a: a word in it that begins with &, * or ! is more than text in YAML; put it in quotes"),
    ],
)
def test_a_setting_that_is_given_two_values_is_refused(assignments: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_assignments(assignments)
    assert str(caught.value) == message


def test_the_profile_is_given_once() -> None:
    sets = ["corpus.license=mit", "corpus.source=b", "corpus.intended_use=to test"]
    with pytest.raises(SettingsError, match=r"^profile: is given twice, as 'served' and as 'open'; give it once$"):
        load("localized", profile="served", assignments=[*sets, "profile=open"])
    assert load("localized", profile="offline", assignments=[*sets, "profile=offline"]).profile == "offline"


def test_a_setting_of_the_user_wins_over_a_commands_stand_in() -> None:
    stand_ins = ["corpus.license=unknown", "corpus.source=unknown", "corpus.intended_use=to test"]
    made = load("localized", assignments=["corpus.license=mit"], stand_ins=stand_ins)
    assert (made.corpus.license, made.corpus.source) == ("mit", "unknown")


def test_a_setting_may_be_given_the_same_value_twice() -> None:
    assert parse_assignments(["a.b=1", "a.c=2", " a.b = 1"]) == {"a": {"b": "1", "c": "2"}}


@pytest.mark.parametrize(
    "text", ["123", "1.10", "NO", "true", "2026-01-02", "12:30:00", "0x1F", "Album #3", "&me", "'x"]
)
def test_a_text_field_takes_text_whatever_it_looks_like(text: str, tmp_path: Path) -> None:
    assigned = validate(
        Recipe,
        {
            "recipe": "r",
            **parse_assignments(["corpus.license=mit", f"corpus.source={text}", "corpus.intended_use=to test"]),
        },
        "x",
    )
    assert assigned.corpus.source == text
    path = tmp_path / "r.yaml"
    path.write_text(dump(assigned))
    assert validate(Recipe, read_yaml(path), "x") == assigned


def test_other_fields_take_words_for_what_they_are() -> None:
    texts = ["seed=010", "teacher.error_rate=1e-1", "run.threads=null", "corpus.splits={a: .5, b: 1}"]
    values = parse_assignments(
        [
            "recipe=r",
            "corpus.license=mit",
            "corpus.source=b",
            "corpus.intended_use=to test",
            "annotations.beside=no",
            "teacher.kind=scripted",
            *texts,
        ]
    )
    made = validate(Recipe, values, "x")
    assert (made.seed, made.run.threads, made.annotations.beside) == (10, None, False)
    assert made.corpus.splits == {"a": 0.5, "b": 1.0}
    assert isinstance(made.teacher, ScriptedTeacherSettings)
    assert made.teacher.error_rate == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=two", "seed: input should be a valid integer, unable to parse string as an integer, not 'two'"),
        ("seed=true", "seed: input should be a valid integer, unable to parse string as an integer, not 'true'"),
        ("teacher.error_rate=2", "teacher.error_rate: input should be less than or equal to 1, not 2"),
        ("teacher.error_rate=nan", "teacher.error_rate: input should be a finite number, not 'nan'"),
        ("corpus.splits.a=inf", "corpus.splits.a: input should be a finite number, not 'inf'"),
        (
            "corpus.name=[a]",
            "corpus.name: input should be a valid string; what was given is a YAML list or mapping: put text that looks"
            " like one in quotes",
        ),
        (
            "run={threads: 3",
            "run: input should be a valid dictionary or instance of RunSettings; what was given is no YAML list or"
            " mapping, so it counts as text",
        ),
    ],
)
def test_what_a_field_cannot_take_is_told_with_what_was_given(text: str, message: str) -> None:
    values = parse_assignments(
        [
            "recipe=r",
            "corpus.license=mit",
            "corpus.source=b",
            "corpus.intended_use=to test",
            "teacher.kind=scripted",
            text,
        ]
    )
    with pytest.raises(SettingsError) as caught:
        validate(Recipe, values, "x")
    assert str(caught.value) == f"x: {message}"


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
    values = {
        "recipe": "r",
        "corpus": {"license": "cc0-1.0", "source": "mine", "intended_use": "to test"},
        "teacher": teacher,
    }
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


def corpus(**changes: object) -> CorpusSettings:
    values = {"license": "cc0-1.0", "source": "mine", "intended_use": "to test", **changes}
    return validate(Recipe, {"recipe": "r", "corpus": values}, "r.yaml").corpus


def test_licence_and_language_become_what_the_hub_takes() -> None:
    one = corpus(license="CC-BY-4.0", language="English")
    assert (one.license, one.language, one.languages) == ("cc-by-4.0", "en", ("en",))
    several = corpus(language=[False, "Swedish, fi", "FI", "en-us"])  # `[no, Swedish, ...]` in YAML
    assert several.language == ["no", "sv", "fi", "en-US"]
    other = corpus(license="OTHER", license_name=" My own Licence 1.0", license_link="LICENSE.md")
    assert (other.license, other.license_name, other.license_link) == ("other", "my-own-licence-1.0", "LICENSE.md")
    for made in (one, several, other):
        whole = Recipe(recipe="r", corpus=made)
        again = validate(Recipe, parse_yaml(dump(whole), "x"), "x")
        assert again == whole, "what is written reads back"
        assert recipe_hash(again) == recipe_hash(whole)
    assert recipe_hash(Recipe(recipe="r", corpus=one)) == recipe_hash(
        Recipe(recipe="r", corpus=corpus(license="cc by 4.0", language="en"))
    ), "two ways of saying the same"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"license": "CC-BY"},
            "license: an id of the Hub's list is expected (nearest: cc-by-4.0, cc-by-3.0 or cc-by-2.5), or `other` with"
            " the name in corpus.license_name, not 'CC-BY'",
        ),
        (
            {"license": "Ours"},
            "license: an id of the Hub's list is expected, or `other` with the name in corpus.license_name, not 'Ours'",
        ),
        (
            {"license_name": "ours"},
            "license_name: this is for a corpus.license that is `other`, and it is `cc0-1.0`, not 'ours'",
        ),
        (
            {"license_link": "https://x.example"},
            "license_link: this is for a corpus.license that is `other`, and it is `cc0-1.0`, not 'https://x.example'",
        ),
        (
            {"license": "other", "license_name": "a/b"},
            "license_name: a name of letters, digits, '-', '.', '_' and '+' is expected, such as my-licence-1.0, not "
            "'a/b'",
        ),
        (
            {"license": "other", "license_link": "terms.txt"},
            "license_link: an address that starts with https://, or LICENSE or LICENSE.md is expected, not 'terms.txt'",
        ),
        (
            {"language": "Englsih"},
            "language: a code of ISO 639, a tag of BCP 47 or a language's name is expected (nearest: en or bn), not "
            "'Englsih'",
        ),
        (
            {"language": "en, Englsih"},
            "language: 'Englsih': a code of ISO 639, a tag of BCP 47 or a language's name is expected (nearest: en or "
            "bn), not 'en, Englsih'",
        ),
        ({"language": ["en", 3]}, "language: a language is expected, or a list of them, not ['en', 3]"),
        ({"language": []}, "language: a language is expected, or a list of them, not []"),
        ({"language": " , "}, "language: a language is expected, or a list of them, not ' , '"),
    ],
)
def test_a_licence_or_language_that_the_hub_refuses_is_told_with_the_nearest(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        corpus(**changes)
    assert str(caught.value) == f"r.yaml: corpus.{message}"
