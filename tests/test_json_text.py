"""Whatever others write as JSON or YAML is a value or one line, and lines end where people end them."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.errors import SettingsError
from ostensive.json_text import MAX_DEPTH, RepeatedKeyError, parse_cut_json, parse_json
from ostensive.text_lines import lines_of
from ostensive.yaml_text import parse_value, parse_yaml

BAD = [
    "[" * 100_000, "[" * 1_200 + "]" * 1_200, '{"a":' * 1_200 + "1" + "}" * 1_200, "NaN", "[-Infinity]", "1e999",
    "9" * 5_000, str(1 << 64), '{"a": 1, "a": 1}', r'["\ud800"]', r'{"\udfff": 1}', '"\ud800"', "", "[1,]", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_json_of_anybody_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_bytes_that_are_no_text_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="decode"):
        parse_json(b'["\xff"]')
    assert parse_json(b'\xef\xbb\xbf["\xc3\xa9"]') == ["\u00e9"]


def test_a_key_that_stands_twice_is_named() -> None:
    with pytest.raises(RepeatedKeyError, match="the key 'a' stands twice"):
        parse_json('[{"a": 1, "b": {"a": 2}, "a": 3}]')


def test_what_people_write_is_read() -> None:
    text = r'{"pair": "\ud83d\ude00", "brackets": "[[[[", "quote": "\"[", "n": [18446744073709551615, -1.5e3, null]}'
    assert parse_json(text) == json.loads(text)
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(deep) == json.loads(deep)


def test_what_is_not_strict_is_refused_for_its_depth_alone() -> None:
    assert parse_json('{"a": 1, "a": Infinity}', strict=False) == {"a": float("inf")}
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        parse_json("[" * 5_000 + "]" * 5_000, strict=False)


def test_what_is_too_deep_may_count_as_null() -> None:
    found = parse_cut_json('{"bad": ' + "[" * 5_000 + "]" * 5_000 + ', "good": 1}')
    assert found["good"] == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)  # fmt: skip


@given(values, st.booleans())
def test_json_that_holds_nothing_odd_is_what_it_is(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only)) == value


@given(st.text(alphabet='[]{}",:\\u19d8ab NaN-e.'))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    try:
        parse_json(text)
    except ValueError:
        return
    json.loads(text)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 20))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "holds more than 100,000 values"),
        ("a: " + "[" * 200 + "]" * 200, "nested too deeply"),
        ("a: " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("a: &a [*a]", "not"),
        ("a: &a {b: *a}", "not"),
    ],
)
def test_yaml_that_unfolds_is_one_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        parse_yaml(text, "recipe.yaml")
    assert str(caught.value).startswith("recipe.yaml")
    assert "\n" not in str(caught.value)


def test_yaml_with_a_few_aliases_is_read() -> None:
    assert parse_yaml("a: &a {b: 1}\nc: *a\nd: {<<: *a}\n", "x")["c"] == {"b": "1"}
    assert isinstance(parse_value("[" * 400 + "]" * 400), str)  # text like any other


def test_a_line_ends_at_a_line_feed_or_a_return() -> None:
    inner = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei"
    assert lines_of(f"{inner}\r\nx\n\ry\n") == [inner, "x", "", "y"]
    assert lines_of("") == []
    assert lines_of("a") == ["a"]
    assert sys.getrecursionlimit() < 5_000
