import dataclasses
import hashlib
import io
import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile, JpegImagePlugin

from ostensive.arrow import from_table, to_table
from ostensive.images.files import read_file
from ostensive.images.intake import FirstMet, Intake, distinct_stage
from ostensive.images.items import SourceItem
from ostensive.images.loader import ImageLoader
from ostensive.images.refusals import ImageChangedError, ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.records import ImageRecord, Location
from ostensive.stage import Dropped, Failed, Kept

SETTINGS = IntakeSettings()


def jpeg(shade: int, size: tuple[int, int] = (32, 20), orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(sink, "JPEG", exif=exif)
    return sink.getvalue()


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def record_of(path: Path, settings: IntakeSettings = SETTINGS) -> ImageRecord:
    (outcome,) = Intake(settings, 1).process(list_items(path, settings), {})
    assert isinstance(outcome, Kept)
    return outcome.records[0]


def test_each_item_has_its_outcome_and_nothing_stops(tmp_path: Path) -> None:
    files = {
        "a.jpg": jpeg(1, (30, 20), orientation=6),
        "b copy.jpg": jpeg(2),
        "b.jpg": jpeg(2),
        "bomb.png": bomb(),
        "empty.jpg": b"",
        "small.jpg": jpeg(3, (15, 40)),
        "text.jpg": b"only text",
        "trunc.jpg": jpeg(4)[:-30],
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    items = list_items(tmp_path, SETTINGS)
    outcomes = Intake(SETTINGS, 3).process(items, {})
    named = dict(zip([item.key for item in items], outcomes, strict=True))
    first, second = (hashlib.sha256(files[name]).hexdigest() for name in ("a.jpg", "b.jpg"))
    assert named["a.jpg"] == Kept(
        (
            ImageRecord(
                image_id=first,
                width=20,
                height=30,
                format="JPEG",
                mode="RGB",
                byte_count=len(files["a.jpg"]),
                source="a.jpg",
                location=Location(str(tmp_path.resolve() / "a.jpg")),
            ),
        )
    )
    assert isinstance(named["b copy.jpg"], Kept)
    repeated = named["b.jpg"]
    assert isinstance(repeated, Dropped)
    assert (repeated.reason, repeated.detail) == ("exact duplicate", "same bytes as b copy.jpg")
    assert repeated.record is not None
    assert repeated.record.image_id == second, "what it repeats can be told"
    assert named["bomb.png"] == Dropped("over the pixel limit", "60000 x 60000 pixels, limit 80000000")
    assert named["empty.jpg"] == Failed("empty file")
    assert named["gone.jpg"] == Failed("missing file", "No such file or directory")
    assert named["pipe.jpg"] == Failed("not a regular file", "pipe")
    assert named["small.jpg"] == Dropped("too small", "15 x 40 pixels, at least 16 a side")
    assert named["text.jpg"] == Failed("not an image", "starts with b'only text'")
    truncated = named["trunc.jpg"]
    assert isinstance(truncated, Failed)
    assert truncated.reason == "truncated"
    assert len(named) == 10


def test_what_an_earlier_partition_has_is_dropped_from_a_later_one(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "b.jpg").write_bytes(jpeg(2))
    rows = [record_of(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    met = FirstMet()
    assert met.repeated([rows[0].image_id]) == frozenset()
    repeated = met.repeated([row.image_id for row in rows])
    assert repeated == {rows[0].image_id}
    stage = distinct_stage(repeated)
    assert stage.process(rows, {}) == [
        Dropped("exact duplicate", f"same bytes as {rows[0].image_id}", rows[0]),
        Kept((rows[1],)),
    ]
    assert distinct_stage(frozenset()).process(rows, {}) == [Kept((rows[0],)), Kept((rows[1],))]
    assert distinct_stage(frozenset()).identity != stage.identity


def test_what_cannot_be_published_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a library that codes no colour, for no file is known that this one cannot code."""
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    Image.new("RGB", (32, 20), "red").save(tmp_path / "b.png")
    monkeypatch.delitem(JpegImagePlugin.RAWMODE, "RGB")
    kept, failed = Intake(SETTINGS, 1).process(list_items(tmp_path, SETTINGS), {})
    assert isinstance(kept, Kept), "its bytes stay as they are"
    detail = "PNG of mode RGB: OSError: cannot write mode RGB as JPEG"
    assert failed == Failed("cannot be published", detail)


def test_of_equal_broken_files_each_is_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    items = list_items(tmp_path, SETTINGS)
    assert Intake(SETTINGS, 2).process(items, {}) == [Failed("empty file"), Failed("empty file")]


def test_no_items_have_no_outcomes() -> None:
    assert Intake(SETTINGS, 2).process([], {}) == []


def test_outcomes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number % 5))
    items = list_items(tmp_path, SETTINGS)
    assert Intake(SETTINGS, 1).process(items, {}) == Intake(SETTINGS, 8).process(items, {})


def test_a_file_that_became_a_pipe_after_it_was_listed_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1))
    items = list_items(tmp_path, SETTINGS)
    path.unlink()
    os.mkfifo(path)
    outcomes: list[object] = []
    worker = threading.Thread(target=lambda: outcomes.extend(Intake(SETTINGS, 1).process(items, {})), daemon=True)
    worker.start()
    worker.join(20)
    assert outcomes == [Failed("not a regular file")]


def test_a_file_that_may_not_be_read_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "a.jpg").chmod(0)
    if os.access(tmp_path / "a.jpg", os.R_OK):
        pytest.skip("this user may read everything")
    assert Intake(SETTINGS, 1).process(list_items(tmp_path, SETTINGS), {}) == [
        Failed("unreadable", "Permission denied")
    ]


def test_a_file_in_place_of_a_folder_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    item = SourceItem("a/b.jpg", "a/b.jpg", Location(str(tmp_path / "a" / "b.jpg")), 0, 0)
    assert Intake(SETTINGS, 1).process([item], {}) == [Failed("unreadable", "Not a directory")]


def test_files_far_larger_than_any_image_are_not_read(tmp_path: Path) -> None:
    limits = IntakeSettings(max_pixels=1)
    with (tmp_path / "film.jpg").open("wb") as file:
        file.truncate((64 << 20) + 17)
    items = list_items(tmp_path, limits)
    assert Intake(limits, 1).process(items, {}) == [Dropped("over the byte limit", "67108881 bytes, limit 67108880")]


def test_the_identity_says_what_outcomes_depend_on() -> None:
    assert Intake(SETTINGS, 1).identity == Intake(SETTINGS, 9).identity
    assert Intake(SETTINGS, 1).identity != Intake(IntakeSettings(min_side=17), 1).identity
    assert (Intake.name, Intake.record_out) == ("images", ImageRecord)


def test_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "cut.jpg").write_bytes(jpeg(1)[:-30])
    Intake(SETTINGS, 2).process(list_items(tmp_path, SETTINGS), {})
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_images_are_read_again_by_their_record(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.jpg")
    (tmp_path / name).write_bytes(jpeg(200, (30, 20), orientation=8))
    record = record_of(tmp_path)
    (stored,) = from_table(to_table([record], ImageRecord), ImageRecord)
    assert stored == record
    loader = ImageLoader(SETTINGS)
    assert loader.read(stored) == jpeg(200, (30, 20), orientation=8)
    image = loader.load(stored)
    assert (image.mode, image.size) == ("RGB", (20, 30))
    assert (image.width, image.height) == (record.width, record.height)


def test_an_image_that_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1))
    record = record_of(tmp_path)
    loader = ImageLoader(SETTINGS)
    path.write_bytes(jpeg(2))
    with pytest.raises(ImageChangedError) as caught:
        loader.read(record)
    assert str(caught.value) == (
        f"a.jpg: changed since it was taken in as {record.image_id[:12]}; "
        "put the old file back, or build into a new folder"
    )
    path.unlink()
    with pytest.raises(ImageChangedError) as caught:
        loader.load(record)
    assert str(caught.value) == (
        "a.jpg: cannot be read any more (missing file: No such file or directory); "
        "put it back, or build into a new folder"
    )


def test_a_part_that_ends_too_early_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"0123456789")
    assert read_file(str(path), 10) == b"0123456789"
    assert read_file(str(path), 10, offset=4, length=3) == b"456"
    assert read_file(str(path), 10, offset=4, length=0) == b""
    with pytest.raises(ImageRefusedError, match="truncated: 2 of 4 bytes are missing"):
        read_file(str(path), 10, offset=8, length=4)
    with pytest.raises(ImageRefusedError, match="not a regular file"):
        read_file(str(tmp_path), 10)
    with pytest.raises(ImageRefusedError, match="over the byte limit: 10 bytes, limit 9"):
        read_file(str(path), 9)


def test_a_listed_file_costs_little_memory(tmp_path: Path) -> None:
    """A million files have to fit beside a model: what an item and its texts take, by their own account."""
    for number in range(50):
        (tmp_path / f"photograph-{number:06}.jpg").touch()
    total = 0
    for item in list_items(tmp_path, SETTINGS):
        parts = [item, item.key, item.location, item.location.path, item.size_bytes, item.modified_ns]
        total += sum(sys.getsizeof(part) for part in parts)
        assert item.source is item.key
        assert not hasattr(item, "__dict__")
    assert total / 50 < 600
    assert dataclasses.is_dataclass(SourceItem)
