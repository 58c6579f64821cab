import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import Hub, serve
from PIL import Image

from ostensive.images.files import IMAGE_SUFFIXES
from ostensive.images.items import SourceItem
from ostensive.images.loader import ImageLoader
from ostensive.images.paths import openable_path
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items

SETTINGS = IntakeSettings()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def save(path: Path | str, colour: str = "red") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("wb") as file:
        Image.new("RGB", (20, 20), colour).save(file, "JPEG")


def summary(items: list[SourceItem]) -> list[tuple[str, str | None]]:
    return [(item.key, item.problem) for item in items]


def error_of(path: Path | str) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is asserted below, in one place
        list_items(path, SETTINGS)
    assert type(caught.value).__mro__[1].__name__ in ("OstensiveError", "SettingsError")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_is_listed_with_all_below_it_in_order(photos: Path) -> None:
    for name in ("b.jpg", "a/z.JPEG", "a/b/c/deep.png", "a.webp", "c.TIFF"):
        save(photos / name)
    (photos / "notes.txt").write_text("no image")
    (photos / "noextension").write_bytes(b"")
    (photos / "empty").mkdir()
    items = list_items(photos, SETTINGS)
    assert [item.key for item in items] == ["a.webp", "a/b/c/deep.png", "a/z.JPEG", "b.jpg", "c.TIFF"]
    first = items[0]
    status = (photos / "a.webp").stat()
    assert (first.source, first.problem, first.image_id, first.record_id) == ("a.webp", None, "", "a.webp")
    assert (first.size_bytes, first.modified_ns) == (status.st_size, status.st_mtime_ns)
    assert first.location.path == str(photos.resolve() / "a.webp")
    assert (first.location.offset, first.location.length, first.location.column) == (None, None, None)


def test_hidden_files_and_what_macos_adds_are_passed_over(photos: Path) -> None:
    for name in ("ok.jpg", ".hidden.jpg", ".git/x.jpg", "._ok.jpg", "__MACOSX/ok.jpg", "sub/.thumbs/ok.jpg"):
        save(photos / name)
    assert summary(list_items(photos, SETTINGS)) == [("ok.jpg", None)]


def test_a_folder_that_is_hidden_itself_is_taken(tmp_path: Path) -> None:
    save(tmp_path / ".cache" / "ok.jpg")
    assert summary(list_items(tmp_path / ".cache", SETTINGS)) == [("ok.jpg", None)]


@pytest.mark.parametrize(
    "name",
    [
        "with space.jpg",
        "two\nlines.jpg",
        "dots.in.the.name.jpg",
        "日本😀é.jpg",
        "-dash.jpg",
        "100%.jpg",
        "a'b\"c.jpg",
        "#1.jpg",
        "9.41\u202fAM v\xa01 \u200d\u200c\u3000\u200f\u2028\u202e.jpg",
        "\x1b[31m\x07\x85.jpg",
        "bytes:a.jpg",
    ],
)
def test_any_name_is_listed_and_opens(photos: Path, name: str) -> None:
    save(photos / name)
    (item,) = list_items(photos, SETTINGS)
    assert item.key == item.source == name
    assert Path(openable_path(item.location.path)).read_bytes()[:2] == b"\xff\xd8"


def test_a_name_that_is_no_unicode_is_listed_and_opens(photos: Path) -> None:
    raw = os.fsencode(photos) + b"/caf\xe9.jpg"
    save(os.fsdecode(raw))
    (item,) = list_items(photos, SETTINGS)
    assert item.key == item.source == "bytes:caf%E9.jpg"
    item.location.path.encode()
    assert os.fsencode(openable_path(item.location.path)) == os.path.realpath(raw)
    with Path(openable_path(item.location.path)).open("rb") as file:
        assert file.read(2) == b"\xff\xd8"


def test_links_inside_are_followed_and_links_out_refused(photos: Path, tmp_path: Path) -> None:
    save(photos / "real" / "a.jpg")
    save(tmp_path / "elsewhere" / "secret.jpg")
    (photos / "alias.jpg").symlink_to(photos / "real" / "a.jpg")
    (photos / "again").symlink_to(photos / "real")
    (photos / "out.jpg").symlink_to(tmp_path / "elsewhere" / "secret.jpg")
    (photos / "out").symlink_to(tmp_path / "elsewhere")
    (photos / "dangling.jpg").symlink_to(photos / "nothing.jpg")
    (photos / "note.txt").symlink_to(tmp_path / "elsewhere" / "secret.jpg")
    items = list_items(photos, SETTINGS)
    assert summary(items) == [
        ("alias.jpg", None),
        ("dangling.jpg", "missing file"),
        ("out", "leads out of the folder"),
        ("out.jpg", "leads out of the folder"),
        ("real/a.jpg", None),
    ]
    assert items[2].detail == "link"


def test_a_cycle_of_links_ends(photos: Path) -> None:
    save(photos / "sub" / "a.jpg")
    (photos / "sub" / "up").symlink_to(photos)
    (photos / "sub" / "self").symlink_to(photos / "sub" / "self")
    (photos / "sub" / "loop.jpg").symlink_to(photos / "sub" / "loop.jpg")
    items = list_items(photos, SETTINGS)
    assert [item.key for item in items] == ["sub/a.jpg", "sub/loop.jpg"]
    assert items[1].problem == "unreadable"
    assert items[1].detail == "Too many levels of symbolic links"


def test_the_given_folder_may_be_a_link_or_relative(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(photos / "a.jpg")
    link = photos.parent / "link"
    link.symlink_to(photos)
    assert list_items(link, SETTINGS) == list_items(photos, SETTINGS)
    monkeypatch.chdir(photos.parent)
    assert list_items("photos", SETTINGS) == list_items(f"{photos}/", SETTINGS)


def test_what_is_no_file_is_refused_without_waiting(photos: Path) -> None:
    save(photos / "a.jpg")
    (photos / "album.jpg").mkdir()
    save(photos / "album.jpg" / "b.jpg")
    os.mkfifo(photos / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(photos / "s.jpg"))
        items = list_items(photos, SETTINGS)
    assert summary(items) == [
        ("a.jpg", None),
        ("album.jpg/b.jpg", None),
        ("pipe.jpg", "not a regular file"),
        ("s.jpg", "not a regular file"),
    ]
    assert [item.detail for item in items[2:]] == ["pipe", "socket"]


def test_formats_that_are_not_decoded_are_not_passed_over_silently(photos: Path) -> None:
    save(photos / "a.jpg")
    save(photos / "b.HEIC")
    save(photos / "c.dcm")
    items = list_items(photos, SETTINGS)
    assert summary(items) == [("a.jpg", None), ("b.HEIC", "format not supported"), ("c.dcm", "format not supported")]
    assert items[1].detail == ".heic; convert it to JPEG"


def test_folders_that_may_not_be_read(photos: Path) -> None:
    save(photos / "a.jpg")
    save(photos / "shut" / "b.jpg")
    (photos / "shut").chmod(0)
    if os.access(photos / "shut", os.R_OK):
        pytest.skip("this user may read everything")
    assert summary(list_items(photos, SETTINGS)) == [("a.jpg", None), ("shut", "unreadable")]
    assert error_of(photos / "shut") == f"{photos}/shut: cannot be read: Permission denied"
    (photos / "shut").chmod(0o700)


def test_a_folder_of_refused_images_alone_is_listed_in_order(photos: Path) -> None:
    for name in ("z.heic", "b/m.heic", "a/n.heic", "c.heic"):
        save(photos / name)
    items = list_items(photos, SETTINGS)
    assert [item.key for item in items] == ["a/n.heic", "b/m.heic", "c.heic", "z.heic"]


def test_every_suffix_that_is_taken_is_one_that_pillow_knows() -> None:
    Image.init()
    assert set(Image.EXTENSION) >= IMAGE_SUFFIXES


def test_one_image_is_a_source_too(photos: Path) -> None:
    save(photos / "a.jpg")
    assert summary(list_items(photos / "a.jpg", SETTINGS)) == [("a.jpg", None)]


def test_what_is_not_there_or_empty_is_refused(photos: Path) -> None:
    assert error_of(photos / "no") == (
        f"{photos}/no: no such file or folder; images are taken from a folder, list, tar or Parquet"
    )
    assert error_of(photos) == f"{photos}: no image in this folder; files such as .jpg, .png or .webp are expected"
    os.mkfifo(photos / "pipe")
    assert error_of(photos / "pipe") == f"{photos}/pipe: not a regular file; a folder, list, tar or Parquet is expected"


def test_a_list_keeps_its_order_and_refuses_what_is_missing(photos: Path, tmp_path: Path) -> None:
    for name in ("b.jpg", "a b .jpg", "sub/ü.jpg"):
        save(photos / name)
    save(tmp_path / "outside.jpg")
    listing = photos / "list.txt"
    lines = ["sub/ü.jpg", "b.jpg", "gone.jpg", "a b .jpg", "./b.jpg", str(tmp_path / "outside.jpg"), "sub", "b.jpg"]
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = list_items(listing, SETTINGS)
    assert summary(items) == [
        ("sub/ü.jpg", None),
        ("b.jpg", None),
        ("gone.jpg", "missing file"),
        ("a b .jpg", None),
        ("./b.jpg", "listed twice"),
        (str(tmp_path / "outside.jpg"), None),
        ("sub", "not a regular file"),
        ("b.jpg#2", "listed twice"),
    ]
    assert items[2].detail == "No such file or directory"
    assert items[0].location.path == str(photos / "sub/ü.jpg")


def test_lists_of_other_systems_are_read(photos: Path) -> None:
    save(photos / "a.jpg")
    save(photos / "b.jpg")
    save(photos / "two\nlines.jpg")
    for content in (b"a.jpg\r\nb.jpg\r\n", b"\xef\xbb\xbfa.jpg\nb.jpg", b"a.jpg\0b.jpg\0"):
        (photos / "list").write_bytes(content)
        assert summary(list_items(photos / "list", SETTINGS)) == [("a.jpg", None), ("b.jpg", None)]
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):  # as PowerShell and Notepad write them
        (photos / "list").write_bytes("\ufeffa.jpg\r\né\u3000.jpg\r\n".encode(encoding))
        assert [item.key for item in list_items(photos / "list", SETTINGS)] == ["a.jpg", "é\u3000.jpg"]
    (photos / "list").write_bytes(b"two\nlines.jpg\0a.jpg\0")
    assert summary(list_items(photos / "list", SETTINGS)) == [("two\nlines.jpg", None), ("a.jpg", None)]


def test_a_list_may_hold_names_that_are_no_unicode(photos: Path) -> None:
    save(os.fsdecode(os.fsencode(photos) + b"/\xff.jpg"))
    (photos / "list").write_bytes(b"\xff.jpg\n")
    (item,) = list_items(photos / "list", SETTINGS)
    assert (item.key, item.problem) == ("bytes:%FF.jpg", None)


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"\xff\xfea.jpg", b"\xfe\xff.jpg"])
@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_a_name_that_begins_like_a_byte_order_mark_is_one(photos: Path, name: bytes, end: bytes) -> None:
    save(os.fsdecode(os.fsencode(photos) + b"/" + name))
    save(photos / "a.jpg")
    (photos / "list").write_bytes(name + end + b"a.jpg" + end)
    assert [item.problem for item in list_items(photos / "list", SETTINGS)] == [None, None]


def test_lists_that_name_nothing_are_refused(photos: Path) -> None:
    save(photos / "a.jpg")
    listing = photos / "list.txt"
    listing.write_bytes(b"")
    assert error_of(listing) == f"{listing}: an empty list; one path a line is expected, relative to the list"
    listing.write_bytes(b"\n\n")
    assert error_of(listing) == f"{listing}: an empty list; one path a line is expected, relative to the list"
    listing.write_bytes(b"a.jpg\n \na.jpg\n")
    assert error_of(listing) == f"{listing}: line 2 names nothing; one path a line is expected"
    listing.write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 300 + b"\0" + b"y" * 300)  # no name of a file is that long
    assert "none of its 2 lines names a file (the first is" in error_of(listing)
    listing.write_bytes(b"x.jpg\ny.jpg\n")
    assert error_of(listing) == (
        f"{listing}: none of its 2 lines names a file (the first is 'x.jpg'); "
        "one path a line is expected, relative to the list"
    )


def test_data_sets_among_images_are_refused_items(photos: Path) -> None:
    save(photos / "a.jpg")
    (photos / "shard.tar").write_bytes(b"")
    (photos / "rows.parquet").write_bytes(b"")
    items = list_items(photos, SETTINGS)
    assert summary(items) == [
        ("a.jpg", None),
        ("rows.parquet", "data set among images"),
        ("shard.tar", "data set among images"),
    ]
    assert items[1].detail == "give it by itself"


# ---- what other tools leave -----------------------------------------------------------------------------------------

LEAVINGS = (
    *(".DS_Store", "Thumbs.db", "desktop.ini", "._a.jpg", "__MACOSX/._a.jpg", "__MACOSX/a.jpg", "Icon\r"),
    *("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/old.jpg", "@Recycle/old.jpg", "$RECYCLE.BIN/$R1.jpg"),
    *("lost+found/a.jpg", ".Trash-1000/files/old.jpg", ".thumbnails/a.png", ".ipynb_checkpoints/a-checkpoint.jpg"),
    *(".cache/huggingface/download/a.jpg.metadata", ".cache/huggingface/.gitignore", ".git/annex/a.jpg"),
    *("README.md", ".gitattributes", "labels.txt", "classes.txt", "annotations/instances_train2017.json"),
    *("labels/a.txt", "data.yaml", "00000_stats.json", "a.json", "a.txt", "a.xml", "dataset_info.json"),
)


def test_what_tools_and_systems_leave_beside_images_is_passed_over(photos: Path) -> None:
    for name in LEAVINGS:
        save(photos / name)
    save(photos / "a.jpg")
    save(photos / "lost" / "recycle.jpg")
    assert summary(list_items(photos, SETTINGS)) == [("a.jpg", None), ("lost/recycle.jpg", None)]


def test_tables_and_archives_beside_images_are_told_of(photos: Path) -> None:
    for name in ("a.jpg", "data/train-00000-of-00001.parquet", "photos.zip", "old/photos.tar.gz", "._photos.zip"):
        save(photos / name)
    items = list_items(photos, SETTINGS)
    assert summary(items) == [
        ("a.jpg", None),
        ("data/train-00000-of-00001.parquet", "data set among images"),
        ("old/photos.tar.gz", "packed archive"),
        ("photos.zip", "packed archive"),
    ]
    assert items[2].detail == "a compressed tar cannot be read image by image; unpack it to a plain .tar or a folder"
    assert items[3].detail == "an archive cannot be read image by image; unpack it to a folder"


# ---- snapshots of the Hub -------------------------------------------------------------------------------------------


def jpeg(colour: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(sink, "JPEG")
    return sink.getvalue()


def parquet_of(cells: list[dict[str, object]]) -> bytes:
    sink = io.BytesIO()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), sink)
    return sink.getvalue()


def tar_of(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


CELLS: list[dict[str, object]] = [{"bytes": jpeg("red"), "path": None}, {"bytes": None, "path": "pics/a.jpg"}]
FILES = {
    "me/pics": {"README.md": b"x", "c.jpg": jpeg("green"), "train/a.jpg": jpeg("red"), "train/b.jpg": jpeg("blue")},
    "me/parquet": {"README.md": b"x", "data/train.parquet": parquet_of(CELLS[:1])},
    "me/tar": {"README.md": b"x", "data/train.tar": tar_of("a.jpg", jpeg("red"))},
    "me/rows": {"rows.parquet": parquet_of([CELLS[1], {"bytes": None, "path": "out.jpg"}]), "pics/a.jpg": jpeg("red")},
}
DOWNLOAD = """
import sys
from huggingface_hub import snapshot_download
for name in sys.argv[2:]:
    print(snapshot_download(name, cache_dir=sys.argv[1]))
"""


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the Hub's own library filled."""
    cache, hub = tmp_path_factory.mktemp("hub") / "cache", Hub()
    for name, files in FILES.items():
        hub.add(name, files)
    with serve(hub):
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        subprocess.run(
            [sys.executable, "-c", DOWNLOAD, cache, *FILES], env=environment, check=True, capture_output=True
        )
    return cache


@pytest.fixture
def cache(downloads: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(downloads, tmp_path / "cache", symlinks=True))


def snapshot_of(name: str, cache: Path) -> Path:
    (snapshot,) = (cache / f"models--{name.replace('/', '--')}" / "snapshots").iterdir()
    files = [path for path in snapshot.rglob("*") if not path.is_dir()]
    assert len(files) == len(FILES[name])
    assert all(path.is_symlink() for path in files)
    return snapshot


def test_a_snapshot_of_images_is_taken_whole_and_in_part(cache: Path, tmp_path: Path) -> None:
    snapshot = snapshot_of("me/pics", cache)
    assert summary(list_items(snapshot, SETTINGS)) == [("c.jpg", None), ("train/a.jpg", None), ("train/b.jpg", None)]
    assert summary(list_items(snapshot / "train", SETTINGS)) == [("a.jpg", None), ("b.jpg", None)]
    assert summary(list_items(snapshot / "train" / "a.jpg", SETTINGS)) == [("a.jpg", None)]
    assert {item.key for item in list_items(snapshot.parent.parent, SETTINGS)} == {
        f"snapshots/{snapshot.name}/{name}" for name in FILES["me/pics"] if name.endswith(".jpg")
    }
    (tmp_path / "elsewhere").symlink_to(cache)
    (item, *_) = list_items(tmp_path / "elsewhere" / snapshot.relative_to(cache), SETTINGS)
    assert ImageLoader(SETTINGS).read_location(item.location) == jpeg("green")
    (snapshot / "secret.jpg").symlink_to("/etc/hostname")
    assert summary(list_items(snapshot, SETTINGS))[1] == ("secret.jpg", "leads out of the folder")


@pytest.mark.parametrize(("name", "file"), [("me/parquet", "data/train.parquet"), ("me/tar", "data/train.tar")])
def test_a_snapshot_of_a_data_set_is_taken_whole_and_in_part(cache: Path, name: str, file: str) -> None:
    snapshot, loader = snapshot_of(name, cache), ImageLoader(SETTINGS)
    for given in (snapshot, snapshot / "data", snapshot / file, snapshot.parent.parent):
        (item,) = list_items(given, SETTINGS)
        assert (item.problem, loader.read_location(item.location)) == (None, jpeg("red"))


def test_rows_of_a_snapshot_may_name_the_files_beside_them(cache: Path, tmp_path: Path) -> None:
    snapshot, loader = snapshot_of("me/rows", cache), ImageLoader(SETTINGS)
    (snapshot / "out.jpg").symlink_to(tmp_path / "private.jpg")
    save(tmp_path / "private.jpg")
    inside, outside = list_items(snapshot / "rows.parquet", SETTINGS)
    assert loader.read_location(inside.location) == jpeg("red")
    with pytest.raises(ImageRefusedError, match="leads out of the folder"):
        loader.read_location(outside.location)
