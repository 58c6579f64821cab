import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from ostensive.errors import SettingsError
from ostensive.images.annotation_columns import AnnotationColumns
from ostensive.images.annotation_joining import read_annotations
from ostensive.images.files import is_packed
from ostensive.images.items import SourceItem
from ostensive.images.loader import ImageLoader
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.images.sources import list_items, list_source

SETTINGS = IntakeSettings()
_PACKED = ["p.tar.Z", "p.jpg.gz", "p.parquet.zst", "p.7z.001", "p.tar.gz.part-aa", "p.tar.aa", "p.tar.gz.00"]
LOADER = ImageLoader(SETTINGS)


def jpeg(shade: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (20, 20), (shade, 0, 0)).save(sink, "JPEG")
    return sink.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))


def bytes_of(items: list[SourceItem]) -> list[bytes]:
    return [LOADER.read_location(item.location) for item in items]


def summary(items: list[SourceItem]) -> list[tuple[str, str | None]]:
    return [(item.key, item.problem) for item in items]


def error_of(path: Path, settings: IntakeSettings = SETTINGS) -> str:
    with pytest.raises(SettingsError) as caught:
        list_items(path, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_tar_that_webdataset_wrote(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "000.tar")) as writer:
        for number in range(3):
            writer.write(
                {"__key__": f"s{number}", "left.jpg": jpeg(number), "right.jpg": jpeg(10 + number), "txt": "x"}
            )
    items = list_items(tmp_path / "000.tar", SETTINGS)
    names = [f"000.tar!s{number}.{side}.jpg" for number in range(3) for side in ("left", "right")]
    assert summary(items) == [(name, None) for name in names]
    assert bytes_of(items) == [jpeg(shade) for shade in (0, 10, 1, 11, 2, 12)]
    assert items[0].size_bytes == len(jpeg(0))
    assert items[0].modified_ns == (tmp_path / "000.tar").stat().st_mtime_ns


def test_a_folder_of_tars_is_taken_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, shade in (("b/1.tar", 1), ("a.tar", 2)):
        write_tar(tmp_path / name, [("x.jpg", jpeg(shade)), ("x.json", b"{}")])
    (tmp_path / "README.md").write_text("shards")
    items = list_items(tmp_path, SETTINGS)
    assert summary(items) == [("a.tar!x.jpg", None), ("b/1.tar!x.jpg", None)]
    assert bytes_of(items) == [jpeg(2), jpeg(1)]
    (tmp_path / "list.txt").write_text("b/1.tar\na.tar\n")
    assert [item.key for item in list_items(tmp_path / "list.txt", SETTINGS)] == ["b/1.tar!x.jpg", "a.tar!x.jpg"]


def test_members_of_all_kinds_of_names(tmp_path: Path) -> None:
    long = "d" * 120 + "/" + "n" * 120 + ".jpg"
    names = ["a b.jpg", "日本😀.jpg", "two\nlines.jpg", os.fsdecode(b"\xe9.jpg"), long, "twice.jpg", "twice.jpg"]
    passed_over = ["__MACOSX/a.jpg", "._a.jpg", ".hidden/a.jpg", "text.txt"]
    write_tar(tmp_path / "t.tar", [(name, jpeg(shade)) for shade, name in enumerate([*names, *passed_over])])
    items = list_items(tmp_path / "t.tar", SETTINGS)
    assert [item.key for item in items] == [
        "t.tar!a b.jpg",
        "t.tar!日本😀.jpg",
        "t.tar!two\nlines.jpg",
        "bytes:t.tar!%E9.jpg",
        f"t.tar!{long}",
        "t.tar!twice.jpg",
        "t.tar!twice.jpg#2",
    ]
    assert [item.source for item in items] == [item.key.removesuffix("#2") for item in items]
    assert bytes_of(items) == [jpeg(shade) for shade in range(len(names))]


def test_folders_and_links_out_of_a_tar_are_no_images(tmp_path: Path) -> None:
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "dir": tarfile.DIRTYPE, "pipe": tarfile.FIFOTYPE}
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name, kind in kinds.items():
            info = tarfile.TarInfo(f"{name}.jpg")
            info.type = kind
            info.linkname = "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("a.heic")
        tar.addfile(info)
    assert summary(list_items(tmp_path / "t.tar", SETTINGS)) == [
        ("t.tar!pipe.jpg", "not a regular file"),
        ("t.tar!a.heic", "format not supported"),
        ("t.tar!link.jpg", "leads out of the folder"),
        ("t.tar!hard.jpg", "leads out of the folder"),
    ]


def test_links_within_a_tar_are_what_they_lead_to(tmp_path: Path) -> None:
    links = {
        "before.jpg": (tarfile.SYMTYPE, "deep/er/a.jpg"),
        "b/hard.jpg": (tarfile.LNKTYPE, "./deep/er/a.jpg"),
        "b/link.jpg": (tarfile.SYMTYPE, "../deep/er/a.jpg"),
        "b/wrong.jpg": (tarfile.SYMTYPE, "deep/er/a.jpg"),
        "text.jpg": (tarfile.SYMTYPE, "a.txt"),
    }
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for number, (name, (kind, target)) in enumerate(links.items()):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
            for member, body in (("deep/er/a.jpg", jpeg(1)), ("a.txt", b"words")):
                if number == 1:
                    info = tarfile.TarInfo(member)
                    info.size = len(body)
                    tar.addfile(info, io.BytesIO(body))
    items = list_items(tmp_path / "t.tar", SETTINGS)
    assert summary(items) == [
        ("t.tar!deep/er/a.jpg", None),
        ("t.tar!before.jpg", None),
        ("t.tar!b/hard.jpg", None),
        ("t.tar!b/link.jpg", None),
        ("t.tar!b/wrong.jpg", "leads out of the folder"),
        ("t.tar!text.jpg", None),
    ]
    assert bytes_of([item for item in items if item.problem is None]) == [jpeg(1)] * 4 + [b"words"]


def test_texts_beside_a_link_go_to_the_image_that_it_leads_to(tmp_path: Path) -> None:
    link = tarfile.TarInfo("b.jpg")
    link.type, link.linkname = tarfile.LNKTYPE, "a.jpg"
    write_tar(
        tmp_path / "t.tar", [("a.jpg", jpeg(1)), ("a.json", b'{"label": "one"}'), ("b.json", b'{"label": "two"}')]
    )
    with tarfile.open(tmp_path / "t.tar", "a") as tar:
        tar.addfile(link)
    columns = AnnotationColumns(AnnotationSettings())
    found = read_annotations(list_source(tmp_path / "t.tar", SETTINGS, columns), columns)
    assert {key: [item.label for item in items] for key, items in found.items.items()} == {
        "t.tar!a.jpg": ["one", "two"]
    }
    assert not found.lost


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("size", [-512, -1024, -1])
def test_a_tar_whose_next_header_lies_before_ends(tmp_path: Path, place: int, size: int) -> None:
    write_tar(tmp_path / "t.tar", [("a.jpg", jpeg(1)), ("b.jpg", jpeg(2))])
    whole = (tmp_path / "t.tar").read_bytes()
    header = bytearray(whole[:512])
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    at = place * 1536
    assert whole[at : at + 5] == (b"a.jpg", b"b.jpg")[place]
    (tmp_path / "t.tar").write_bytes(whole[:at] + header + whole[at:])
    if place == 0:
        assert "not a readable tar" in error_of(tmp_path / "t.tar")
    else:
        assert summary(list_items(tmp_path / "t.tar", SETTINGS)) == [("t.tar!a.jpg", None), ("t.tar!", "truncated")]


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (
            512 + 100,
            [
                ("t.tar!a.jpg", "truncated"),
            ],
        ),
        (1024 + 512, [("t.tar!a.jpg", None), ("t.tar!", "truncated")]),
        (1024 + 512 + 200, [("t.tar!a.jpg", None), ("t.tar!", "truncated")]),
        (1024 + 1024 + 100, [("t.tar!a.jpg", None), ("t.tar!b.jpg", "truncated")]),
        (3072, [("t.tar!a.jpg", None), ("t.tar!b.jpg", None), ("t.tar!", "truncated")]),
        (3072 + 1024, [("t.tar!a.jpg", None), ("t.tar!b.jpg", None)]),
    ],
)
def test_a_cut_tar_gives_what_is_whole(tmp_path: Path, cut: int, expected: list[tuple[str, str | None]]) -> None:
    assert 512 < len(jpeg(1)) <= 1024
    write_tar(tmp_path / "t.tar", [("a.jpg", jpeg(1)), ("b.jpg", jpeg(2))])
    whole = (tmp_path / "t.tar").read_bytes()
    (tmp_path / "t.tar").write_bytes(whole[:cut])
    items = list_items(tmp_path / "t.tar", SETTINGS)
    assert summary(items) == expected
    for item in items:
        assert item.detail if item.problem else LOADER.read_location(item.location)[:2] == b"\xff\xd8"


def test_a_tar_that_is_cut_after_the_last_byte_of_a_member_gives_that_member(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("a.jpg", jpeg(1)), ("b.jpg", jpeg(2))])
    whole = (tmp_path / "t.tar").read_bytes()
    (tmp_path / "t.tar").write_bytes(whole[: 512 + len(jpeg(1))])
    items = list_items(tmp_path / "t.tar", SETTINGS)
    assert summary(items) == [("t.tar!a.jpg", None), ("t.tar!", "truncated")]
    assert LOADER.read_location(items[0].location) == jpeg(1)
    assert items[1].detail == "the rest of the tar: cut within a member"


def test_tars_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    tar = tmp_path / "x.tar"
    advice = "a compressed tar cannot be read image by image; unpack it to a plain .tar or a folder"
    for mode, name in (("w:gz", "x.tar.gz"), ("w:xz", "x.tgz"), ("w:bz2", "x.tar")):
        with tarfile.open(tmp_path / name, mode) as compressed:  # type: ignore[call-overload]  # a plain str
            compressed.addfile(tarfile.TarInfo("a.jpg"))
        assert error_of(tmp_path / name) == f"{tmp_path / name}: {advice}"
        if name != "x.tar":
            assert error_of(tmp_path) == f"{tmp_path / name}: {advice}"
            (tmp_path / name).unlink()
    write_tar(tar, [("a.txt", b"text")])
    assert error_of(tar) == f"{tar}: no image in it; files with a suffix such as .jpg, .png or .webp are expected"
    tar.write_bytes(b"")
    assert error_of(tar) == f"{tar}: not a readable tar: empty file"
    tar.write_bytes(b"text" * 1000)
    assert error_of(tar).startswith(f"{tar}: not a readable tar: ")


def test_in_a_folder_of_tars_a_broken_one_is_a_refused_item(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("a.jpg", jpeg(1))])
    (tmp_path / "b.tar").write_bytes(b"")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    os.mkfifo(tmp_path / "d.tar")
    write_tar(tmp_path.parent / "outside.tar", [("a.jpg", jpeg(1))])
    (tmp_path / "e.tar").symlink_to(tmp_path.parent / "outside.tar")
    assert summary(list_items(tmp_path, SETTINGS)) == [
        ("a.tar!a.jpg", None),
        ("b.tar", "unreadable"),
        ("c.parquet", "unreadable"),
        ("d.tar", "not a regular file"),
        ("e.tar", "leads out of the folder"),
    ]


def image_dataset(count: int) -> datasets.Dataset:
    """Rows of an image, and of two columns that look like images to whoever does not read the features."""
    sound = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = {
        "n": datasets.Value("int64"),
        "sound": sound,
        "photo": datasets.Image(),
        "raw": datasets.Value("binary"),
    }
    rows = {
        "n": list(range(count)),
        "sound": [{"bytes": b"RIFF", "path": "a.wav"}] * count,
        "photo": [{"bytes": jpeg(shade), "path": None} for shade in range(count)],
        "raw": [b"raw"] * count,
    }
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def test_parquet_that_datasets_wrote(tmp_path: Path) -> None:
    image_dataset(5).to_parquet(str(tmp_path / "rows.parquet"), batch_size=2)
    items = list_items(tmp_path / "rows.parquet", SETTINGS)
    assert summary(items) == [(f"rows.parquet#{row}", None) for row in range(5)]
    assert items[3].location.column == "photo"
    assert bytes_of(items) == [jpeg(shade) for shade in range(5)]
    assert bytes_of(items[::-1]) == [jpeg(shade) for shade in range(4, -1, -1)]


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(2):
        image_dataset(2 + number).to_parquet(str(tmp_path / "data" / f"train-0000{number}-of-00002.parquet"))
    (tmp_path / "README.md").write_text("card")
    items = list_items(tmp_path, SETTINGS)
    assert [item.key for item in items] == [
        *(f"data/train-00000-of-00002.parquet#{row}" for row in range(2)),
        *(f"data/train-00001-of-00002.parquet#{row}" for row in range(3)),
    ]
    assert bytes_of(items) == [jpeg(shade) for shade in (0, 1, 0, 1, 2)]


def test_a_folder_that_save_to_disk_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    image_dataset(5).save_to_disk(str(folder), num_shards=2)
    (folder / "cache-0123.arrow").write_bytes((folder / "data-00000-of-00002.arrow").read_bytes())
    items = list_items(folder, SETTINGS)
    assert [item.key for item in items] == [
        *(f"data-00000-of-00002.arrow#{row}" for row in range(3)),
        *(f"data-00001-of-00002.arrow#{row}" for row in range(2)),
    ]
    assert bytes_of(items) == [jpeg(shade) for shade in range(5)]
    (folder / "state.json").write_text("{}")
    assert error_of(folder) == (
        f"{folder}/state.json: not the state of a data set saved by `datasets`: "
        "KeyError('_data_files'); save it again with save_to_disk"
    )


def test_splits_that_save_to_disk_wrote(tmp_path: Path) -> None:
    splits = datasets.DatasetDict({"train": image_dataset(2), "test": image_dataset(1)})
    splits.save_to_disk(str(tmp_path / "saved"))
    items = list_items(tmp_path / "saved", SETTINGS)
    assert [item.key for item in items] == [
        "test/data-00000-of-00001.arrow#0",
        "train/data-00000-of-00001.arrow#0",
        "train/data-00000-of-00001.arrow#1",
    ]


def write_parquet(path: Path, columns: dict[str, pa.Array], **options: Any) -> Path:  # Any: pyarrow's options
    pq.write_table(pa.table(columns), path, **options)
    return path


BYTES_AND_PATH = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_parquet_that_pyarrow_wrote(tmp_path: Path) -> None:
    shades = list(range(7))
    values = [jpeg(shade) for shade in shades]
    for kind in (pa.binary(), pa.large_binary()):
        path = write_parquet(
            tmp_path / "rows.parquet", {"n": pa.array(shades), "x": pa.array(values, kind)}, row_group_size=3
        )
        assert bytes_of(list_items(path, SETTINGS)) == values
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink:
        table = pa.table({"x": pa.array(values)})
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    assert bytes_of(list_items(tmp_path / "rows.arrow", SETTINGS)) == values


@pytest.mark.parametrize("saved", [True, False])
def test_rows_of_trl_have_their_image_in_a_list(tmp_path: Path, saved: bool) -> None:
    said = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]
    shown = [[Image.open(io.BytesIO(jpeg(shade))) for shade in shades] for shades in ([7], [], [8, 9])]
    rows = datasets.Dataset.from_dict({"messages": [said] * 3, "images": shown})
    rows = rows.cast_column("images", datasets.List(datasets.Image()))
    path = tmp_path / "rows"
    if saved:
        rows.save_to_disk(str(path))
    else:
        path.mkdir()
        rows.to_parquet(str(path / "rows.parquet"))
    columns = AnnotationColumns(AnnotationSettings())
    listing = list_source(path, SETTINGS, columns)
    first, empty, several = listing.items
    found_image, saved_image = (Image.open(io.BytesIO(d)) for d in (LOADER.read_location(first.location), jpeg(7)))
    assert found_image.tobytes() == saved_image.tobytes()
    with pytest.raises(ImageRefusedError, match=r"^no image in the row$"):
        LOADER.read_location(empty.location)
    with pytest.raises(ImageRefusedError, match=r"^several images in the row: the list has 2$"):
        LOADER.read_location(several.location)
    found = read_annotations(listing, columns)
    assert [[(turn.role, turn.text) for turn in item.turns] for item in found.items[first.key]] == [
        [("user", "Who?"), ("assistant", "Ann.")]
    ]


def test_a_column_of_images_goes_before_one_of_lists(tmp_path: Path) -> None:
    image = {"bytes": jpeg(1), "path": None}
    rows: list[dict[str, Any]] = [{"others": [image], "image": image, "names": ["a"], "blobs": [b"x"]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [item.location.column for item in list_items(tmp_path / "a.parquet", SETTINGS)] == ["image"]
    pq.write_table(pa.Table.from_pylist([{"blobs": [b"x"]}]), tmp_path / "a.parquet")
    assert "no image column; one of images, of {bytes, path} or of bytes is expected" in error_of(
        tmp_path / "a.parquet"
    )


def test_rows_without_an_image_are_refused_when_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "named.jpg").write_bytes(jpeg(9))
    (tmp_path.parent / "secret.jpg").write_bytes(jpeg(8))
    cells = [
        {"bytes": jpeg(1), "path": "a.jpg"},
        None,
        {"bytes": None, "path": None},
        {"bytes": None, "path": "named.jpg"},
        {"bytes": None, "path": "../secret.jpg"},
        {"bytes": None, "path": "/etc/hostname"},
        {"bytes": None, "path": "gone.jpg"},
    ]
    path = write_parquet(tmp_path / "rows.parquet", {"image": pa.array(cells, BYTES_AND_PATH)})
    found = []
    for item in list_items(path, SETTINGS):
        try:
            found.append(LOADER.read_location(item.location))
        except ImageRefusedError as error:
            found.append(str(error).encode())
    assert found == [
        jpeg(1),
        b"no image in the row",
        b"no image in the row",
        jpeg(9),
        b"leads out of the folder: the row names ../secret.jpg",
        b"leads out of the folder: the row names /etc/hostname",
        b"missing file: No such file or directory",
    ]


def test_the_image_column_has_to_be_clear(tmp_path: Path) -> None:
    cell = pa.array([{"bytes": jpeg(1), "path": None}], BYTES_AND_PATH)
    one = pa.array([1])
    path = write_parquet(tmp_path / "rows.parquet", {"left": cell, "right": cell, "n": one})
    assert error_of(path) == f"{path}: several image columns (left, right); choose one with intake.column"
    chosen = list_items(path, IntakeSettings(column="right"))
    assert chosen[0].location.column == "right"
    assert error_of(path, IntakeSettings(column="n")) == f"{path}: column 'n' (intake.column) holds int64, not images"
    assert error_of(path, IntakeSettings(column="no")) == (
        f"{path}: no column 'no' (intake.column); its columns are left, right, n"
    )
    path = write_parquet(tmp_path / "rows.parquet", {"n": one, "m": one})
    assert error_of(path) == (
        f"{path}: no image column; one of images, of {{bytes, path}} or of bytes is expected, its columns are n, m;"
        " if the images are in tars beside it, give the tar, or a list of the tars"
    )


def test_parquet_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", {"x": pa.array([], pa.binary())})
    assert error_of(path) == f"{path}: no image in it; files with a suffix such as .jpg, .png or .webp are expected"
    write_parquet(path, {"x": pa.array([jpeg(1)])})
    path.write_bytes(path.read_bytes()[:-20])
    assert error_of(path).startswith(f"{path}: not a readable Parquet or Arrow file: ")
    (tmp_path / "x.arrow").write_bytes(b"nothing")
    assert error_of(tmp_path / "x.arrow").startswith(f"{tmp_path}/x.arrow: not a readable Parquet or Arrow file: ")


def test_many_threads_read_one_parquet(tmp_path: Path) -> None:
    values = [jpeg(number % 256) + str(number).encode() for number in range(200)]
    path = write_parquet(tmp_path / "rows.parquet", {"x": pa.array(values)}, row_group_size=10)
    items = list_items(path, SETTINGS)
    order = [(number * 37) % 200 for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: LOADER.read_location(items[number].location), order))
    assert found == [values[number] for number in order]


def test_a_parquet_that_shrank_is_noticed(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", {"x": pa.array([jpeg(1), jpeg(2)])})
    last = list_items(path, SETTINGS)[1]
    assert LOADER.read_location(last.location) == jpeg(2)
    write_parquet(path, {"x": pa.array([jpeg(3)])})
    with pytest.raises(ImageRefusedError, match="missing file: the file has no row 1 any more"):
        LOADER.read_location(last.location)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_file_of_rows_that_was_replaced_is_read_anew(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    found = []
    for turn, value in enumerate((b"aaaa", b"bbbb")):
        table = pa.table({"x": pa.array([value])})
        path.unlink(missing_ok=True)
        if suffix == "parquet":
            pq.write_table(table, path, write_statistics=False)
        else:
            with pa.ipc.new_stream(str(path), table.schema) as writer:
                writer.write_table(table)
        os.utime(path, ns=(turn, turn))
        found.append((path.stat().st_size, bytes_of(list_items(path, SETTINGS))))
    assert found[0][0] == found[1][0]
    assert [values for _, values in found] == [[b"aaaa"], [b"bbbb"]]


# ---- what tools leave beside data sets ------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """What img2dataset writes: a tar, a table of metadata and its figures, for each shard."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(2):
        members = [(f"{number}.jpg", jpeg(number)), (f"{number}.json", b"{}"), (f"{number}.txt", b"a caption")]
        write_tar(folder / f"0000{number}.tar", members)
        table = {"url": pa.array(["http://x"]), "key": pa.array(["0"])}
        write_parquet(folder / f"0000{number}.parquet", table)
        (folder / f"0000{number}_stats.json").write_text("{}")
    return folder


NO_COLUMN = "no image column; one of images, of {bytes, path} or of bytes is expected, its columns are url, key"


def test_tables_without_images_beside_tars_are_refused_items(shards: Path) -> None:
    with pa.OSFile(str(shards / "more.arrow"), "wb") as sink, pa.ipc.new_stream(sink, pa.schema([("n", pa.int64())])):
        pass
    write_parquet(shards / "metadata.parquet", {"file_name": pa.array(["a"])})
    items = list_items(shards, SETTINGS)
    assert summary(items) == [
        ("00000.parquet", "no image column"),
        ("00000.tar!0.jpg", None),
        ("00001.parquet", "no image column"),
        ("00001.tar!1.jpg", None),
        ("metadata.parquet", "no image column"),
        ("more.arrow", "no image column"),
    ]
    assert items[0].detail == NO_COLUMN
    (shards / "list").write_text("00001.parquet\n00001.tar\n")
    assert summary(list_items(shards / "list", SETTINGS)) == [
        ("00001.parquet", "no image column"),
        ("00001.tar!1.jpg", None),
    ]


def test_data_sets_that_are_empty_are_told_of(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [])
    write_tar(tmp_path / "b.tar", [("x.json", b"{}")])
    write_parquet(tmp_path / "c.parquet", {"image": pa.array([], pa.binary())})
    (tmp_path / "list").write_text("a.tar\nb.tar\nc.parquet\n")
    for given in (tmp_path, tmp_path / "list"):
        assert error_of(given).startswith(f"{given}: no image in it")
    write_tar(tmp_path / "d.tar", [("x.jpg", jpeg(1))])
    without = "data set without images"
    assert summary(list_items(tmp_path, SETTINGS)) == [
        *((name, without) for name in ("a.tar", "b.tar", "c.parquet")),
        ("d.tar!x.jpg", None),
    ]


def test_tables_without_images_beside_parquet_with_images(tmp_path: Path) -> None:
    image_dataset(1).to_parquet(str(tmp_path / "b.parquet"))
    write_parquet(tmp_path / "a.parquet", {"n": pa.array([1])})
    write_parquet(tmp_path / "c.parquet", {"photo": pa.array(["no image"])})
    assert summary(list_items(tmp_path, SETTINGS)) == [
        ("a.parquet", "no image column"),
        ("b.parquet#0", None),
        ("c.parquet", "no image column"),
    ]
    chosen = list_items(tmp_path, IntakeSettings(column="photo"))
    assert summary(chosen) == summary(list_items(tmp_path, SETTINGS))
    assert [item.detail for item in chosen if item.problem] == [
        "no column 'photo' (intake.column); its columns are n",
        "column 'photo' (intake.column) holds string, not images",
    ]


def test_tables_without_images_alone_are_an_error_that_says_what_to_give(shards: Path) -> None:
    advice = "; if the images are in tars beside it, give the tar, or a list of the tars"
    assert error_of(shards / "00000.parquet") == f"{shards}/00000.parquet: {NO_COLUMN}{advice}"
    for tar in shards.glob("*.tar"):
        tar.unlink()
    expected = f"{shards}/00000.parquet: {NO_COLUMN} (and 1 more from which nothing can be taken){advice}"
    assert error_of(shards) == expected
    (shards / "00002.tar").write_bytes(b"no tar")
    assert error_of(shards) == expected.replace("1 more", "2 more")
    assert error_of(shards, IntakeSettings(column="jpg")).endswith("from which nothing can be taken)")


def test_a_data_set_that_cannot_be_read_in_a_list_costs_no_other(shards: Path) -> None:
    (shards / "00000.tar").write_bytes(b"no tar")
    with tarfile.open(shards / "z.tar", "w:gz"):
        pass
    (shards / "list").write_text("00000.tar\n00001.tar\nz.tar\nphotos.tgz\n")
    (shards / "photos.tgz").write_bytes(b"")
    assert summary(list_items(shards / "list", SETTINGS)) == [
        ("00000.tar", "unreadable"),
        ("00001.tar!1.jpg", None),
        ("z.tar", "packed archive"),
        ("photos.tgz", "packed archive"),
    ]


@pytest.mark.parametrize("name", ["p.tar.gz", "p.TGZ", "p.tar.zst", "p.zip", "p.ZIP", "p.7z", "p.rar", *_PACKED])
def test_archives_are_told_of_wherever_they_lie(shards: Path, name: str) -> None:
    (shards / "below").mkdir()
    (shards / "below" / name).write_bytes(b"PK")
    for parquet in shards.glob("*.parquet"):
        parquet.unlink()
    assert summary(list_items(shards, SETTINGS)) == [
        ("00000.tar!0.jpg", None),
        ("00001.tar!1.jpg", None),
        (f"below/{name}", "packed archive"),
    ]
    (shards / "a.jpg").write_bytes(jpeg(9))
    assert summary(list_items(shards, SETTINGS)) == [
        ("00000.tar", "data set among images"),
        ("00001.tar", "data set among images"),
        ("a.jpg", None),
        (f"below/{name}", "packed archive"),
    ]
    for place in (shards / "below", shards / "below" / name):
        assert error_of(place).startswith(f"{shards}/below/{name}: a")
        assert "cannot be read image by image; unpack it to a" in error_of(place)


def test_what_our_own_corpus_holds_can_be_taken_in(tmp_path: Path) -> None:
    for folder in ("data", "rows", "shards"):
        (tmp_path / folder).mkdir()
    image_dataset(2).to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    write_parquet(tmp_path / "rows" / "train-00000-of-00001.parquet", {"question": pa.array(["Who?"])})
    write_tar(tmp_path / "shards" / "x-train-000000.tar", [("k.jpg", jpeg(7)), ("k.json", b"{}")])
    assert [item.problem for item in list_items(tmp_path, SETTINGS)] == [None, None, "no image column", None]


def test_a_compressed_tar_beside_tars_costs_no_other(shards: Path) -> None:
    with tarfile.open(shards / "00001.tar", "w:gz"):
        pass
    found = {item.key: item.problem for item in list_items(shards, SETTINGS)}
    assert (found["00000.tar!0.jpg"], found["00001.tar"]) == (None, "packed archive")


@pytest.mark.parametrize(
    "name", ["labels.csv.gz", "notes.txt", "a.b.c", "model.v2.001", "README", "x.js", ".zip", "z01"]
)
def test_what_holds_no_images_is_no_archive(name: str) -> None:
    assert not is_packed(name)


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """The header of a tar's member, with its size field as it is given."""
    block = bytearray(512)
    for at, value in ((0, name.encode()), (124, size), (148, b" " * 8), (156, kind), (257, b"ustar\x0000")):
        block[at : at + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(records: bytes, kind: bytes = b"x") -> bytes:
    return header("pax", b"%011o\0" % len(records), kind) + records + bytes(-len(records) % 512)


@pytest.mark.parametrize(
    ("middle", "detail"),
    [
        (header("b.jpg", (-512).to_bytes(12, "big", signed=True)), "a member of -512 bytes"),
        (extended(b"13 size=-512\n") + header("b.jpg", bytes(12)), "a member of -512 bytes"),
        (header("././@LongLink", b"77777777777\0", b"L"), "a header of 8589934592 bytes"),
        (header("pax", b"77777777777\0", b"x"), "a header of 8589934592 bytes"),
        (header("pax", b"77777777777\0", b"g"), "a header of 8589934592 bytes"),
        (header("././@LongLink", (-512).to_bytes(12, "big", signed=True), b"L"), "a header of -512 bytes"),
        (extended(b"13 comment=x\n") * 3_000, "maximum recursion depth exceeded"),
        ((header("././@LongLink", b"%011o\0" % 1, b"L") + b"a" + bytes(511)) * 3_000, "maximum recursion depth"),
    ],
    ids=[
        "negative",
        "negative in pax",
        "long name",
        "pax",
        "global pax",
        "negative name",
        "pax of pax",
        "names of names",
    ],
)
def test_headers_of_a_tar_that_lie_end_the_listing(tmp_path: Path, middle: bytes, detail: str) -> None:
    body = jpeg(3)
    first = header("a.jpg", b"%011o\0" % len(body)) + body + bytes(-len(body) % 512)
    path = tmp_path / "a.tar"
    path.write_bytes(first + middle + first + bytes(1024))
    items = list_items(path, SETTINGS)
    assert summary(items) == [("a.tar!a.jpg", None), ("a.tar!", "truncated")]
    assert items[1].detail.startswith(f"the rest of the tar: {detail}")
    assert bytes_of(items[:1]) == [body]


def test_a_size_beyond_the_tar_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    for size in (b"\x80" + (1 << 60).to_bytes(11, "big"), b"77777777777\0"):
        path.write_bytes(header("a.jpg", b"%011o\0" % 3) + b"abc" + bytes(509) + header("b.jpg", size) + bytes(1024))
        assert summary(list_items(path, SETTINGS)) == [("a.tar!a.jpg", None), ("a.tar!b.jpg", "truncated")]
