"""WebDataset shards: tars of bounded size that are the same bytes whenever they hold the same samples.

Headers are plain USTAR with fixed times, owners and modes: names are short ASCII and sizes fit, so that no reader meets
an extension. `webdataset.ShardWriter` stamps the time, writes under the final name, and pads by block.
"""

import json
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path

from cards.files import CHUNK_BYTES, FileDigest, HashedFile, WrittenFile, write_text

BLOCK_BYTES = 512
END_BYTES = 2 * BLOCK_BYTES  # two blocks of zeros close an archive
_MAX_MEMBER_BYTES = 8**11 - 1  # eleven octal digits
_MAX_NAME_BYTES = 100
_CHECKSUM = slice(148, 156)


def tar_header(name: str, size: int) -> bytes:
    """The USTAR header of a plain file (POSIX.1-1988): mode 0644, owner 0, time 0; raises `ValueError` if it cannot be.

    The same bytes as `tarfile.TarInfo.tobuf`, in a tenth of its time.
    """
    raw_name = name.encode("ascii")
    if not 0 < len(raw_name) <= _MAX_NAME_BYTES or not 0 <= size <= _MAX_MEMBER_BYTES:
        raise ValueError(f"a tar member has 1-100 ASCII characters and at most 8 GiB, not {name!r} of {size} bytes")
    header = bytearray(
        raw_name.ljust(100, b"\0")
        + b"0000644\0" + b"0000000\0" + b"0000000\0"  # mode, user, group
        + b"%011o\0" % size + b"00000000000\0"  # size, time
        + b"        " + b"0"  # checksum, counted as blanks; a plain file
        + b"\0" * 100 + b"ustar\00000" + b"\0" * 64  # link, version, names of user and group
        + b"\0" * 183  # device numbers, prefix of the name, filling
    )  # fmt: skip
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def sample_bytes(jpeg_bytes: int, json_bytes: int) -> int:
    """What a sample takes in a shard: two headers and two members, each padded to whole blocks."""
    return 2 * BLOCK_BYTES + sum(size + -size % BLOCK_BYTES for size in (jpeg_bytes, json_bytes))


class ShardWriter:
    """Writes samples into `<prefix>-000000.tar`, `<prefix>-000001.tar` and so on in `folder`.

    A shard has at most `max_samples` samples and `max_bytes` bytes; a sample that is larger by itself has its own.
    Use it as a context manager.
    """

    def __init__(self, folder: Path, prefix: str, *, max_bytes: int, max_samples: int) -> None:
        self._folder = folder
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._max_samples = max_samples
        self._file: HashedFile | None = None
        self._samples = 0
        self._shards: list[WrittenFile] = []

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            self._file.abandon()

    def add(self, key: str, jpeg: bytes, row: bytes) -> str:
        """Write the members `<key>.jpg` and `<key>.json`; returns the name of the shard."""
        file = self._room_for(sample_bytes(len(jpeg), len(row)))
        for suffix, data in (("jpg", jpeg), ("json", row)):
            file.write(tar_header(f"{key}.{suffix}", len(data)))
            file.write(data)
            file.write(bytes(-len(data) % BLOCK_BYTES))
        self._samples += 1
        return self._shard_name()

    def finish(self) -> list[WrittenFile]:
        """Close the last shard; returns all of them in order."""
        self._close_shard()
        return self._shards

    def _room_for(self, size: int) -> HashedFile:
        if self._file is not None and (
            self._samples >= self._max_samples or self._file.tell() + size + END_BYTES > self._max_bytes
        ):
            self._close_shard()
        if self._file is None:
            self._file = HashedFile(self._folder / self._shard_name())
        return self._file

    def _shard_name(self) -> str:
        return f"{self._prefix}-{len(self._shards):06d}.tar"

    def _close_shard(self) -> None:
        if self._file is None:
            return
        self._file.write(bytes(END_BYTES))
        self._file.close()
        digest = self._file.digest
        self._shards.append(WrittenFile(self._shard_name(), self._samples, digest.byte_count, digest.sha256))
        self._file, self._samples = None, 0


def without_samples(source: Path, target: Path, keys: Collection[str]) -> WrittenFile | None:
    """Write shard `source` to `target` less the samples `keys`, the same bytes; None, and no file, if none is left."""
    items = 0
    with tarfile.open(source) as tar, HashedFile(target) as file, source.open("rb") as data:
        for member in tar:
            if member.name.partition(".")[0] in keys:
                continue
            items += member.name.endswith(".json")
            data.seek(member.offset)
            left = BLOCK_BYTES + member.size + -member.size % BLOCK_BYTES
            while left:
                left -= file.write(data.read(min(left, CHUNK_BYTES)))
        file.write(bytes(END_BYTES))
    if not items:
        target.unlink()
        return None
    return WrittenFile(target.name, items, file.digest.byte_count, file.digest.sha256)


def write_shard_index(path: Path, name: str, shards: Sequence[WrittenFile]) -> FileDigest:
    """Write the index that `wids` reads (`wids-shard-index-v1`): shards with their sizes.

    Without its optional `md5sum`: MD5 takes longer than writing does, and the manifest has the SHA-256.
    """
    index = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": name,
        "shardlist": [{"url": shard.name, "nsamples": shard.items, "filesize": shard.byte_count} for shard in shards],
    }
    return write_text(path, json.dumps(index, indent=2) + "\n")
