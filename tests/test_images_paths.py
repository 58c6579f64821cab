import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.images.paths import is_inside, openable_path, shown_name, storable_path


@given(st.binary(max_size=40))
def test_any_file_name_can_be_stored_and_opened_again(raw: bytes) -> None:
    path = os.fsdecode(raw)
    stored = storable_path(path)
    assert pa.array([stored]).to_pylist() == [stored]
    assert openable_path(stored) == path
    assert os.fsencode(openable_path(stored)) == raw


@given(st.lists(st.binary(max_size=6), min_size=2, max_size=2, unique=True))
def test_different_names_are_stored_differently(names: list[bytes]) -> None:
    first, second = (storable_path(os.fsdecode(name)) for name in names)
    assert first != second


@pytest.mark.parametrize("path", ["/a/100%.jpg", "/a/ñ/日本 😀.jpg", "/a/new\nline.jpg", "", "%41", "a:b"])
def test_plain_unicode_is_stored_as_it_is(path: str) -> None:
    assert storable_path(path) == path


def test_names_that_look_stored_and_undecodable_ones_are_escaped() -> None:
    assert storable_path("bytes:%41") == "bytes:bytes:%2541"
    assert storable_path(os.fsdecode(b"/p/caf\xe9 50%.jpg")) == "bytes:/p/caf%E9 50%25.jpg"


@given(st.binary(max_size=40))
def test_shown_names_are_printable(raw: bytes) -> None:
    assert shown_name(os.fsdecode(raw)).isprintable()


def test_shown_names_escape_only_what_cannot_be_printed() -> None:
    assert shown_name("日本 😀 a.b.jpg") == "日本 😀 a.b.jpg"
    assert shown_name("a\nb\x1b[31m") == r"a\nb\x1b[31m"
    assert shown_name(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"


def test_inside_follows_links_and_is_not_fooled_by_a_common_prefix(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "root"
    beside = tmp_path.resolve() / "root-beside"
    root.mkdir()
    beside.mkdir()
    (root / "in.jpg").touch()
    (beside / "out.jpg").touch()
    (root / "link.jpg").symlink_to(beside / "out.jpg")
    assert is_inside(str(root / "in.jpg"), str(root))
    assert not is_inside(str(root / "link.jpg"), str(root))
    assert not is_inside(str(beside / "out.jpg"), str(root))
