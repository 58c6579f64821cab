import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from critics.labels import read_labels
from critics.row_files import read_rows
from ostensive.errors import SettingsError
from ostensive.images.whole_parquet import read_whole_parquet


def table_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def refused(path: Path) -> str:
    told = []
    for read in (read_labels, lambda file: list(read_rows(file)), lambda file: read_whole_parquet(file, "a table")):
        with pytest.raises(SettingsError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        told.append(str(caught.value))
    return told[-1]


def test_a_sound_file_is_read_whole(tmp_path: Path) -> None:
    table = pa.table({"a": ["x", None], "b": [[1], []]})
    (tmp_path / "t.parquet").write_bytes(table_bytes(table))
    assert read_whole_parquet(tmp_path / "t.parquet", "a table").to_pylist() == table.to_pylist()
    with pytest.raises(FileNotFoundError):
        read_whole_parquet(tmp_path / "none.parquet", "a table")


def test_what_a_small_file_unpacks_to_is_measured_first(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000), ["x" * (1 << 20)])
    path.write_bytes(table_bytes(pa.table({"a": shared})))
    assert path.stat().st_size < 100_000
    assert "unpack" in refused(path)


def test_names_and_texts_that_are_none(tmp_path: Path) -> None:
    data = table_bytes(pa.table({"quite-a-name": ["quite-a-text"]}))
    for number, (old, new) in enumerate(((b"quite-a-name", b"quite-\xff-name"), (b"quite-a-text", b"quite-\xff-text"))):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(data.replace(old, new))
        assert "cannot be read as a table (" in refused(path)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 3, b"x" * 50, b"PAR1\xff\xff\xff\x7fPAR1"])
def test_what_is_no_parquet(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(data)
    assert "cannot be read as a table (" in refused(tmp_path / "t.parquet")
    (tmp_path / "folder.parquet").mkdir()
    refused(tmp_path / "folder.parquet")
