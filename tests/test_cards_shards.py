"""Shard bytes and files that hash themselves, against `tarfile` and `hashlib`."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cards.files import CHUNK_BYTES, HashedFile
from cards.shards import ShardWriter, sample_bytes, tar_header


@given(stem=st.text("0123456789abcdef", min_size=1, max_size=96), size=st.integers(0, 8**11 - 1))
def test_headers_are_those_of_tarfile(stem: str, size: int) -> None:
    info = tarfile.TarInfo(f"{stem}.jpg")
    info.size = size
    assert tar_header(info.name, size) == info.tobuf(tarfile.USTAR_FORMAT)


def test_what_a_header_cannot_hold() -> None:
    for name, size in (("", 1), ("x" * 101, 1), ("a.jpg", 8**11), ("a.jpg", -1)):
        with pytest.raises(ValueError, match=r"^a tar member has 1-100 ASCII characters and at most 8 GiB, not "):
            tar_header(name, size)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12), max_samples=st.integers(1, 5))
def test_shards_hold_everything_within_bounds(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], max_samples: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    samples = [(f"{place:032x}", os.urandom(size), b"{}") for place, size in enumerate(sizes)]
    with ShardWriter(folder, "n-test", max_bytes=6000, max_samples=max_samples) as writer:
        names = [writer.add(*sample) for sample in samples]
        shards = writer.finish()
    assert sorted(set(names)) == [shard.name for shard in shards] == [f"n-test-{k:06d}.tar" for k in range(len(shards))]
    found = []
    for shard in shards:
        data = (folder / shard.name).read_bytes()
        assert (shard.byte_count, shard.items) == (len(data), names.count(shard.name))
        assert shard.sha256 == hashlib.sha256(data).hexdigest()
        assert shard.items <= max_samples
        assert shard.byte_count <= 6000
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                found.append((member.name, content.read()))
    assert found == [(f"{key}.{s}", data) for key, jpeg, row in samples for s, data in (("jpg", jpeg), ("json", row))]


def test_a_shard_that_fits_exactly(tmp_path: Path) -> None:
    size = sample_bytes(100, 2)
    for max_bytes, expected in ((2 * size + 1024, 1), (2 * size + 1023, 2)):
        folder = tmp_path / str(max_bytes)
        folder.mkdir()
        with ShardWriter(folder, "n", max_bytes=max_bytes, max_samples=9) as writer:
            for place in range(2):
                writer.add(f"{place:032x}", bytes(100), b"{}")
            assert len(writer.finish()) == expected


def test_no_samples_no_shards(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "n", max_bytes=6000, max_samples=1) as writer:
        assert writer.finish() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 20 * CHUNK_BYTES + 7])
def test_a_file_hashes_itself(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    with HashedFile(tmp_path / "f") as file:
        for start in range(0, size, 300_007):
            file.write(data[start : start + 300_007])
        assert file.tell() == size
    assert (tmp_path / "f").read_bytes() == data
    assert file.digest.byte_count == size
    assert file.digest.sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("there")
    with pytest.raises(FileExistsError):
        HashedFile(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "there"


def test_an_abandoned_file_takes_no_more(tmp_path: Path) -> None:
    file = HashedFile(tmp_path / "f")
    file.write(b"half")
    file.abandon()
    file.write(b"more")
    file.close()
    assert (tmp_path / "f").read_bytes() == b""
    with pytest.raises(AssertionError, match="a file has a digest once it is closed"):
        _ = file.digest
