import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.images.paths import (
    is_inside,
    openable_path,
    shown_json,
    shown_name,
    shown_text,
    storable_path,
    unicode_name,
)

# Names in which the stored form of others, and what cannot be seen, are likely.
PIECES = st.sampled_from(["bytes:", "%", "%FF", "%41", "%25", "a", "/", "é", "\u202f", "\u200d", "\n", "\x1b", "\x85"])
NAMES = st.lists(PIECES, max_size=12).map("".join)
BYTE_NAMES = st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=3)), max_size=12).map(b"".join)


@given(st.one_of(st.binary(max_size=40), BYTE_NAMES))
def test_any_file_name_can_be_stored_and_opened_again(raw: bytes) -> None:
    path = os.fsdecode(raw)
    stored = storable_path(path)
    assert pa.array([stored]).to_pylist() == [stored]
    assert openable_path(stored) == path
    assert os.fsencode(openable_path(stored)) == raw


@given(st.lists(st.one_of(st.binary(max_size=6), BYTE_NAMES), min_size=2, max_size=2, unique=True))
def test_different_names_are_stored_differently(names: list[bytes]) -> None:
    first, second = (storable_path(os.fsdecode(name)) for name in names)
    assert first != second


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), NAMES))
def test_a_name_that_is_unicode_is_stored_as_it_is_unless_another_is_stored_so(name: str) -> None:
    taken = name.startswith("bytes:") and openable_path(name) != name
    assert (storable_path(name) == name) is not taken


@pytest.mark.parametrize(
    "path",
    [
        *("/a/100%.jpg", "/a/ñ/日本 😀.jpg", "/a/new\nline.jpg", "", "%41", "a:b"),
        *(
            "Screenshot at 9.41\u202fAM.png",
            "v\xa01.png",
            "\u5199\u3000\u6d77.png",
            "\u0646\u200c\u0647.png",
            "👨\u200d👩.png",
        ),
        *(
            "\u200fשלום\u200e.png",
            "a\u2028b.png",
            "\u202efdp.png",
            "e\u0301.png",
            "\ufeffx.png",
            "\xad.png",
            "\x07\x1b[2J.png",
        ),
        *(
            "bytes:photo.jpg",
            "bytes:%41",
            "bytes:100%.jpg",
            "bytes:bytes:",
            "\U000e0001.png",
            "\ufffe.png",
            "\ue000.png",
        ),
    ],
)
def test_plain_unicode_is_stored_as_it_is(path: str) -> None:
    assert storable_path(path) == path


def test_names_that_look_stored_and_undecodable_ones_are_escaped() -> None:
    assert storable_path("bytes:%FF.jpg") == "bytes:bytes:%25FF.jpg"
    deep = "bytes:" * 600 + "%FF"  # as long as a path may be
    assert openable_path(storable_path(deep)) == deep != storable_path(deep)
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


def test_text_for_a_terminal_keeps_its_lines_and_what_is_only_invisible() -> None:
    kept = "two\nlines\tand \u202f\xa0\u200d\u200c\u3000\u200f e\u0301"
    assert shown_text(kept) == kept
    acting = "\x1b[2J\x07\r\x7f\x85\x9b\u2028\u2029\u202e\u2066\udcff\ud800\x00"
    assert shown_text(acting) == r"\x1b[2J\x07\r\x7f\x85\x9b\u2028\u2029\u202e\u2066\xff\ud800\x00"


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_shown_as_json_says_the_same_and_acts_on_nothing(text: str) -> None:
    shown = shown_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(shown) == {"name": text}
    assert shown_text(shown) == shown


def test_the_detail_of_a_loss_has_the_name_as_it_is_where_that_can_be() -> None:
    assert unicode_name("a\u202f\n.jpg") == "a\u202f\n.jpg"
    assert unicode_name(os.fsdecode(b"\xe9.jpg")) == r"\xe9.jpg"
    assert unicode_name("\ud800\n") == r"\ud800\n"


# ---- the cache of the Hub -------------------------------------------------------------------------------------------

SHARED = "ab" + "0" * 62


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with a file in the blobs of two repositories and one in those that they share."""
    cache = tmp_path.resolve() / "hub"
    for name in ("datasets--me--pics", "datasets--me--secret", "pics"):
        (cache / name / "snapshots" / "abc" / "train").mkdir(parents=True)
        (cache / name / "blobs").mkdir()
        (cache / name / "blobs" / "1f").touch()
    (cache / "blobs" / "ab").mkdir(parents=True)
    (cache / "blobs" / "ab" / SHARED).touch()
    (cache / "blobs" / "ab" / "other").touch()
    (cache / "datasets--me--pics" / "blobs" / "2e").symlink_to(f"../../blobs/ab/{SHARED}")
    return cache


def test_a_snapshot_of_the_hub_may_lead_to_the_blobs_of_its_repository(cache: Path) -> None:
    for root in ("snapshots/abc", "snapshots/abc/train", "snapshots", ""):
        for repository in ("datasets--me--pics", "datasets--me--secret"):
            folder = cache / repository / root
            for blob in ("1f", "2e"):
                link = cache / repository / "snapshots" / "abc" / "train" / f"{blob}.jpg"
                if not link.is_symlink():
                    link.symlink_to(f"../../../blobs/{blob}")
            assert is_inside(str(folder / link.parent / "1f.jpg"), str(folder)), folder
    pics = cache / "datasets--me--pics" / "snapshots" / "abc"
    assert is_inside(str(pics / "train" / "2e.jpg"), str(pics)), "what repositories share belongs to each"


@pytest.mark.parametrize("kind", ["models", "datasets", "spaces", "kernels"])
def test_repositories_of_every_type(tmp_path: Path, kind: str) -> None:
    snapshot = tmp_path.resolve() / f"{kind}--a--b" / "snapshots" / "0" / "x"
    snapshot.mkdir(parents=True)
    (snapshot / "a.jpg").symlink_to("../../../blobs/0")
    assert is_inside(str(snapshot / "a.jpg"), str(snapshot))


@pytest.mark.parametrize(
    ("root", "target"),
    [
        ("datasets--me--pics/snapshots/abc", "datasets--me--secret/blobs/1f"),
        ("datasets--me--pics/snapshots/abc", "datasets--me--pics/snapshots/other/1f"),
        ("datasets--me--pics/snapshots/abc", "datasets--me--pics/blobs/below/1f"),
        ("datasets--me--pics/snapshots/abc", "datasets--me--pics/1f"),
        ("datasets--me--pics/snapshots/abc", "blobs/ab/other"),
        ("datasets--me--pics/snapshots/abc", f"blobs/cd/{SHARED}"),
        ("datasets--me--pics/snapshots/abc", f"blobs/{SHARED}"),
        ("datasets--me--pics/refs", "datasets--me--pics/blobs/1f"),
        ("pics/snapshots/abc", "pics/blobs/1f"),
        ("datasets--me--pics/snapshots/abc/pics/snapshots/abc", "datasets--me--pics/snapshots/abc/pics/blobs/1f"),
    ],
)
def test_a_snapshot_may_lead_nowhere_else(cache: Path, root: str, target: str) -> None:
    for path in (cache / root, (cache / target).parent):
        path.mkdir(parents=True, exist_ok=True)
    (cache / target).touch()
    (cache / root / "link.jpg").symlink_to(cache / target)
    assert not is_inside(str(cache / root / "link.jpg"), str(cache / root))


def test_blobs_that_are_links_themselves_lead_out(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a").touch()
    pics = cache / "datasets--me--pics"
    (pics / "blobs" / "3d").symlink_to(tmp_path / "private" / "a")
    (pics / "snapshots" / "abc" / "a.jpg").symlink_to("../../blobs/3d")
    assert not is_inside(str(pics / "snapshots" / "abc" / "a.jpg"), str(pics / "snapshots" / "abc"))
    other = cache / "datasets--me--other"
    (other / "snapshots" / "abc").mkdir(parents=True)
    (other / "blobs").symlink_to(tmp_path / "private")
    (other / "snapshots" / "abc" / "a.jpg").symlink_to("../../blobs/a")
    assert not is_inside(str(other / "snapshots" / "abc" / "a.jpg"), str(other / "snapshots" / "abc"))
