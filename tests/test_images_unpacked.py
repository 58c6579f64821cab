"""Files of many images that state what is not so, or unpack to far more than they are."""

import io
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ostensive.errors import SettingsError
from ostensive.images.formats import open_table
from ostensive.images.loader import ImageLoader
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.rows import BadRow, Row
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items

SETTINGS = IntakeSettings()
PICTURES = [random.Random(seed).randbytes(300 + 40 * seed) for seed in range(5)]
STRUCTS = [{"bytes": data, "path": f"{place}.jpg"} for place, data in enumerate(PICTURES)]
COLUMNS: dict[str, pa.Array] = {
    "binary": pa.array(PICTURES, pa.binary()),
    "large": pa.array(PICTURES, pa.large_binary()),
    "view": pa.array(PICTURES, pa.binary_view()),
    "struct": pa.array(STRUCTS),
    "list": pa.array([[value] for value in STRUCTS]),
}


def arrow_bytes(table: pa.Table, make: Callable[..., pa.RecordBatchFileWriter], codec: str | None = None) -> bytes:
    sink = io.BytesIO()
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def images_in(path: Path) -> list[bytes] | None:
    """What is read of the images in a file; None where the file is refused as a whole."""
    try:
        items = list_items(path, SETTINGS)
    except SettingsError:
        return None
    loader = ImageLoader(SETTINGS)
    found = []
    for item in items:
        try:
            found.append(loader.read_location(item.location))
        except ImageRefusedError:
            continue
    return found


def refusal(path: Path, row: int = 0) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        ImageLoader(SETTINGS).read_location(list_items(path, SETTINGS)[row].location)
    return caught.value


@pytest.mark.parametrize("make", [pa.ipc.new_stream, pa.ipc.new_file], ids=["stream", "file"])
@pytest.mark.parametrize("column", COLUMNS)
def test_no_length_that_an_arrow_file_states_is_believed(
    tmp_path: Path, column: str, make: Callable[..., pa.RecordBatchFileWriter]
) -> None:
    sound = arrow_bytes(pa.table({"image": COLUMNS[column]}), make)
    path = tmp_path / "a.arrow"
    path.write_bytes(sound)
    assert images_in(path) == PICTURES
    body = sound.find(PICTURES[0])
    rng = random.Random(column)
    for place in range(0, len(sound) - 8, 8):
        if body <= place < body + sum(map(len, PICTURES)):
            continue
        new = rng.choice((0, 1, 3, 100_000, 1 << 29, 1 << 40, -1, (1 << 63) - 1))
        path.write_bytes(sound[:place] + struct.pack("<q", new) + sound[place + 8 :])
        found = images_in(path)
        assert found is None or all(data in sound for data in found), f"{new} at byte {place}"


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("make", [pa.ipc.new_stream, pa.ipc.new_file], ids=["stream", "file"])
def test_an_arrow_file_is_not_unpacked_to_far_more_than_it_is(
    tmp_path: Path, codec: str, make: Callable[..., pa.RecordBatchFileWriter]
) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(arrow_bytes(pa.table({"image": COLUMNS["struct"]}), make, codec))
    assert images_in(path) == PICTURES
    path.write_bytes(arrow_bytes(pa.table({"image": pa.array([bytes(110 << 20)])}), make, codec))
    with pytest.raises(SettingsError, match="its buffers unpack to more than"):
        list_items(path, SETTINGS)


def test_more_rows_than_a_file_can_hold_are_refused(tmp_path: Path) -> None:
    nulls = pa.table({"image": pa.nulls(3_000_000, pa.binary())})
    pq.write_table(nulls, tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "a.arrow").write_bytes(arrow_bytes(nulls, pa.ipc.new_stream, "zstd"))
    for name in ("a.parquet", "a.arrow"):
        with pytest.raises(SettingsError, match="3000000 rows in a file of"):
            list_items(tmp_path / name, SETTINGS)
        with pytest.raises(SettingsError, match="3000000 rows in a file of"):
            open_table(str(tmp_path / name), name, None, lambda _: True)


def shared(values: int, size: int, kind: str) -> pa.Table:
    """A table in which all rows hold one value."""
    value = pa.array([bytes(size)], pa.binary())
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(values, np.int32)), value)
    if kind == "binary":
        return pa.table({"image": column})
    path = pa.array([f"{number}.jpg" for number in range(values)])
    return pa.table({"image": pa.StructArray.from_arrays([column, path], ["bytes", "path"])})


@pytest.mark.parametrize("kind", ["binary", "struct"])
def test_rows_that_share_a_value_are_read_in_any_order(tmp_path: Path, kind: str) -> None:
    pq.write_table(shared(400, 1 << 20, kind), tmp_path / "a.parquet", compression="zstd", store_schema=False)
    items = list_items(tmp_path / "a.parquet", SETTINGS)
    loader = ImageLoader(SETTINGS)
    for row in (0, 1, 399, 2, 33, 31, 399, 0):
        assert loader.read_location(items[row].location) == bytes(1 << 20), row


def test_rows_that_were_packed_as_usual_are_read_in_any_order(tmp_path: Path) -> None:
    pictures = [random.Random(seed).randbytes(100_000) for seed in range(200)]  # one dictionary of 20 MB
    table = pa.table({"image": [{"bytes": data, "path": None} for data in pictures]})
    pq.write_table(table, tmp_path / "a.parquet")
    items = list_items(tmp_path / "a.parquet", SETTINGS)
    loader = ImageLoader(SETTINGS)
    for row in (0, 199, 1, 30, 0):
        assert loader.read_location(items[row].location) == pictures[row]


def test_a_page_that_unpacks_to_far_more_than_it_is_stays_packed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [bytes(101 << 20)]}), tmp_path / "a.parquet", compression="zstd")
    error = refusal(tmp_path / "a.parquet")
    assert error.reason == "over the byte limit"
    assert "unpacks to 1059" in error.detail


def test_values_that_share_their_beginning_do_not_fill_memory(tmp_path: Path) -> None:
    texts = [bytes(1 << 20) + bytes([place]) for place in range(200)]
    pq.write_table(
        pa.table({"image": texts}),
        tmp_path / "a.parquet",
        use_dictionary=False,
        column_encoding={"image": "DELTA_BYTE_ARRAY"},
    )
    assert (tmp_path / "a.parquet").stat().st_size < 2 << 20
    items = list_items(tmp_path / "a.parquet", SETTINGS)
    loader = ImageLoader(SETTINGS)
    assert [loader.read_location(items[row].location) == texts[row] for row in (0, 199, 7)] == [True] * 3


_HOSTILE = """
import resource, sys
from pathlib import Path
from ostensive.images.intake import Intake
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
items = list_items(Path(sys.argv[1]), IntakeSettings())
Intake(IntakeSettings(), 2).process(items, {})
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)
"""


def test_three_gigabytes_in_a_kilobyte_take_little_memory(tmp_path: Path) -> None:
    pq.write_table(shared(1_500, 1 << 20, "binary"), tmp_path / "a.parquet", compression="zstd", store_schema=False)
    command = [sys.executable, "-c", _HOSTILE, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    assert int(done.stdout) < 500, "megabytes"


def rows_of(path: Path) -> list[Row | BadRow]:
    return list(open_table(str(path), path.name, None, lambda _: True).rows)


def test_texts_that_many_rows_share_are_read_row_by_row(tmp_path: Path) -> None:
    long = "x" * (1 << 20)
    words = pa.array([long] * 200 + ["y"]).dictionary_encode()
    table = pa.table({"image": [f"{row}.jpg" for row in range(201)], "question": words})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    for number, row in enumerate(open_table(str(path), path.name, None, lambda _: True).rows):
        assert isinstance(row, Row)
        assert row.values == {"image": f"{number}.jpg", "question": "y" if number == 200 else long}


@pytest.mark.parametrize("kind", ["text", "list"])
def test_a_cell_that_is_too_large_costs_its_row(tmp_path: Path, kind: str) -> None:
    large = "x" * (17 << 20) if kind == "text" else [None] * 600_000
    small = "y" if kind == "text" else [None]
    table = pa.table({"image": ["a.jpg", "b.jpg"] * 3, "question": [large, small] * 3})
    path = tmp_path / "a.arrow"
    path.write_bytes(arrow_bytes(table, pa.ipc.new_stream))
    found = rows_of(path)
    assert [type(row) for row in found] == [BadRow, Row] * 3
    assert isinstance(found[0], BadRow)
    assert found[0].detail.startswith("a cell of up to")
