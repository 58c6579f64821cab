"""YAML that people write: recipes, price tables, values of `--set`."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ostensive.errors import SettingsError
from ostensive.yaml_text import parse_value, parse_yaml, read_yaml

AS_GIVEN = [
    "Flickr album #42, CC BY 4.0",
    "&me mine",
    "*all rights",
    "!important note",
    "| a",
    "> a",
    "@home",
    "%s",
    "`x`",
    "key: value",
    "- a dash",
    "? a",
    "a=b=c",
    "1_000",
    "0x1F",
    "0o17",
    "1e3",
    "010",
    ".5",
    ".nan",
    "yes",
    "NO",
    "off",
    "true",
    "2026-01-02",
    "2026-01-02T10:00:00Z",
    "12:30:00",
    "[1] Flickr",
    "[unclosed",
    "{unclosed",
    "[a, b] # and more",
    "[a #b, c]",
    "'a' and 'b'",
    "'a' # b",
    "Ada's photographs",
    '"unclosed',
    "first\nsecond",
    "--- a",
    "Fotos ☃ 写真",
    "<<",
    "[" * 5_000,
]


@pytest.mark.parametrize("text", AS_GIVEN)
def test_a_value_is_text_as_it_is_given(text: str) -> None:
    assert parse_value(text) == text
    assert parse_value(f"  {text} ") == text


@pytest.mark.parametrize("text", ["", " ", "~", "null", "Null", "NULL"])
def test_nothing_is_null(text: str) -> None:
    assert parse_value(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[a, b]", ["a", "b"]),
        ("[NO, yes, 010, 1e3, null]", ["NO", "yes", "010", "1e3", None]),
        ("{train: 0.9, test: 0.1}", {"train": "0.9", "test": "0.1"}),
        ("[{kind: rules, hedging: false}]", [{"kind": "rules", "hedging": "false"}]),
        ("[]", []),
        ("{}", {}),
        ("'quoted'", "quoted"),
        ('""', ""),
        ("' a '", " a "),
        ("'null'", "null"),
        ("'[a]'", "[a]"),
        ('"a\\nb"', "a\nb"),
        ("['&a', '#b']", ["&a", "#b"]),
    ],
)
def test_brackets_braces_and_quotes_are_yaml_where_they_are_whole(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["[&me mine]", "[!!int 3]", "{a: &b c}"])
def test_what_yaml_would_take_away_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="begins with &, \\* or ! is more than text in YAML; put it in quotes"):
        parse_value(text)


def test_a_key_that_stands_twice_in_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="the key 'a' stands twice in this line; leave one of them"):
        parse_value("{a: 1, a: 2}")


@given(st.text())
def test_no_text_raises_anything_else_and_nothing_else_is_lost(text: str) -> None:
    try:
        value = parse_value(text)
    except ValueError:
        assert text.strip().startswith(("[", "{"))
        return
    if not text.strip().startswith(("[", "{", '"', "'")):
        assert value in (None, text.strip())


@given(st.text().filter(lambda text: "\x00" not in text))
def test_any_text_that_is_written_as_yaml_is_read_back(text: str) -> None:
    """As `recipe.yaml` in the run folder is."""
    written = yaml.safe_dump({"source": text}, allow_unicode=True, width=100)
    assert parse_yaml(written, "x") == {"source": text}


def test_words_are_texts_whatever_they_look_like() -> None:
    text = "a: 2026-01-02\nb: NO\nc: 010\nd: 1.10\ne: ~\nf:\ng: 'null'\nh: 12:30:00\ni: [yes, 0x1F]\n3: x\nnull: y\n"
    assert parse_yaml(text, "x") == {
        "a": "2026-01-02",
        "b": "NO",
        "c": "010",
        "d": "1.10",
        "e": None,
        "f": None,
        "g": "null",
        "h": "12:30:00",
        "i": ["yes", "0x1F"],
        "3": "x",
        "null": "y",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teacher: {}\nseed: 1\nteacher: {}\n", "x, line 3: the key 'teacher' stands here and in line 1"),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", "x, line 4: the key 'b' stands here and in line 2"),
        ("a:\n- {b: 1, b: 2}\n", "x, line 2: the key 'b' stands twice in this line"),
        ("1: a\n'1': b\n", "x, line 2: the key '1' stands here and in line 1"),
        ('a: 1\n"a": 2\n', "x, line 2: the key 'a' stands here and in line 1"),
        ("a: {<<: {b: 1, b: 2}}\n", "x, line 1: the key 'b' stands twice in this line"),
        ("x: &x {b: 1}\ny: &y {c: 1}\nz:\n  <<: *x\n  <<: *y\n", "x, line 5: the key '<<' stands here and in line 4"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_yaml(text, "x")
    assert str(caught.value) == f"{message}; leave one of them"


def test_what_is_merged_may_be_overridden() -> None:
    text = "base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  b: 3\n"
    assert parse_yaml(text, "x")["own"] == {"a": "1", "b": "3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n---\nb: 2\n", "x, line 2: a second document begins here (---); one is expected"),
        ("---\na: 1\n---\n", "x, line 3: a second document begins here (---); one is expected"),
        ("a:\n\tb: 1\n", "a tab stands before it, and YAML is indented by spaces"),
        ("? [a]\n: b\n", "x, line 1: not YAML (a key is expected to be text)"),
        ("a: !!int x\n", "x: not YAML (invalid literal for int()"),
        ("a: \x07\n", "x: not YAML (unacceptable character #x0007"),
        ("a: " + "[" * 5_000, "x: not read: nested too deeply"),
        ("", "x: a mapping of settings is expected"),
        ("just text", "x: a mapping of settings is expected"),
    ],
)
def test_other_faults_are_one_line(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_yaml(text, "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfa: b\n", b"a: b\r\n", b"---\na: b\n...\n", b"%YAML 1.2\n---\na: b\n"]
)
def test_marks_and_line_ends_of_editors_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    assert read_yaml(tmp_path / "r.yaml") == {"a": "b"}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused_with_what_to_do(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "r.yaml").write_text("source: Übersee\n", encoding)
    with pytest.raises(SettingsError, match=r"r\.yaml: cannot be read as UTF-8 text \(byte \d+\); save it in UTF-8"):
        read_yaml(tmp_path / "r.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r": cannot be read \(Is a directory\)"):
        read_yaml(tmp_path)
