"""Lists of labels: those that are built in, files of any make, and what counts as one label."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.errors import SettingsError
from verbalizers.label_lists import BUILT_IN, LabelList, distinct, load_labels, parse_labels, sense_key


def test_the_built_in_lists() -> None:
    lists = {name: load_labels(name) for name in BUILT_IN}
    assert len(lists["places"].labels) >= 300
    assert len(lists["concepts"].labels) >= 400
    assert 990 <= len(lists["imagenet"].labels) <= 1000
    assert "tench" in lists["imagenet"].labels
    assert {"beach", "kitchen"} <= {label.rpartition(" ")[2] for label in lists["places"].labels}
    for name in ("places", "concepts"):
        assert lists[name].repeated == 0
        assert len({sense_key(label) for label in lists[name].labels}) == len(lists[name].labels)


def test_the_names_of_imagenet_are_read_without_importing_open_clip() -> None:
    code = (
        "import sys; from verbalizers.label_lists import load_labels; load_labels('imagenet');"
        "assert not {'torch', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


def test_a_file_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffcafé\r\n\r\n# a comment\r\n  ice\t cream  \r\n日本庭園\r\nC#\r\n".encode())
    assert load_labels(str(path)) == LabelList(("café", "ice cream", "日本庭園", "C#"), 0)
    path.write_text("one", "utf-8")
    assert load_labels(str(path)).labels == ("one",)


def test_labels_that_differ_in_case_or_form_alone_are_one() -> None:
    assert distinct(["Cat", "cat", "CAT ", "dog", "cafe\u0301", "caf\u00e9"]) == LabelList(
        ("Cat", "dog", "cafe\u0301"), 3
    )
    assert distinct([]) == LabelList((), 0)


def test_the_fingerprint_is_of_labels_and_order() -> None:
    one, other, same = LabelList(("a", "b"), 0), LabelList(("b", "a"), 0), LabelList(("a", "b"), 7)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert LabelList(("a,b",), 0).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    "alike",
    [
        ("dog", "Dogs", "DOG "),
        ("hot dog", "hot-dogs", "hot_dog"),
        ("city", "Cities"),
        ("box", "boxes"),
        ("beach", "beaches"),
        ("dish", "dishes"),
        ("dress", "dresses"),
    ],
)
def test_what_means_the_same(alike: tuple[str, ...]) -> None:
    assert len({sense_key(label) for label in alike}) == 1


@pytest.mark.parametrize(
    "apart",
    [("bus", "bu"), ("grass", "gras"), ("tennis", "tenni"), ("gas", "ga"), ("dogs house", "dog house"), ("pie", "py")],
)
def test_what_does_not(apart: tuple[str, str]) -> None:
    assert sense_key(apart[0]) != sense_key(apart[1])


@given(st.text(max_size=20))
def test_space_around_a_label_means_nothing(label: str) -> None:
    assert sense_key(f" {label}\t") == sense_key(label)
    assert distinct([label, f" {label} "]).repeated == 1


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1)))
def test_nothing_is_lost_or_made_up(labels: list[str]) -> None:
    made = distinct(labels)
    assert len(made.labels) + made.repeated == len(labels)
    assert set(made.labels) <= set(labels)
    assert distinct(made.labels) == LabelList(made.labels, 0)


def refusal(source: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_labels(source)
    return str(caught.value)


def test_files_that_are_no_lists(tmp_path: Path) -> None:
    assert refusal("place") == "labels: there is no file place; the nearest built-in list is places"
    gone = tmp_path / "x.txt"
    assert refusal(str(gone)) == f"labels: there is no file {gone}; built in are {', '.join(BUILT_IN)}"
    assert refusal(str(tmp_path)) == f"labels: {tmp_path} cannot be read: Is a directory"
    gone.write_bytes(b"caf\xe9\n")
    assert refusal(str(gone)) == f"labels: {gone} is not UTF-8 text (byte 3); convert it to UTF-8"
    gone.write_text("\n# nothing but a comment\n   \n")
    assert refusal(str(gone)) == f"labels: {gone} holds no labels; one a line is expected"
    gone.write_text(f"cat\n{'long ' * 60}\n")
    assert refusal(str(gone)) == (
        f"labels: {gone}, line 2: {('long ' * 60)[:40]!r}... is no label; "
        "one label a line of at most 200 printable characters is expected"
    )
    with pytest.raises(SettingsError, match=r"labels: here, line 1: 'c\\x00t'\.\.\. is no label"):
        parse_labels("c\x00t", "here")
