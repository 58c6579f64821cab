"""Files of many images: tar, Parquet and Arrow, listed and read as intake and annotations do it."""

import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fuzz.table import Reader
from ostensive.errors import SettingsError
from ostensive.images.formats import IMAGE_FILES, open_table
from ostensive.images.items import Sidecars
from ostensive.images.loader import ImageLoader
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items

_READ: Final = 40  # images of one input
_SETTINGS: Final = IntakeSettings()


def _jpeg(seed: int) -> bytes:
    sink = io.BytesIO()
    Image.frombytes("RGB", (16, 16), random.Random(seed).randbytes(768)).save(sink, "JPEG", quality=30)
    return sink.getvalue()


def _images(count: int = 3) -> list[bytes]:
    return [_jpeg(seed) for seed in range(count)]


def _tables() -> list[pa.Table]:
    images = _images()
    texts = {"question": ["what?", None, "where \u2603"], "label": pa.array([0, 1, 0], pa.int32())}
    structs = [{"bytes": data, "path": f"{place}.jpg"} for place, data in enumerate(images)]
    nested = pa.array([[{"role": "user", "content": "a"}], [], None])
    cells: list[pa.Array] = [
        pa.array(images, pa.binary()),
        pa.array(images, pa.large_binary()),
        pa.array(images, pa.binary_view()),
        pa.array(structs),
        pa.array([[value] for value in structs]),
    ]
    tables = [pa.table({"image": column, **texts, "messages": nested}) for column in cells]
    words = pa.array(["yes", "no", "yes"]).dictionary_encode()
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    tables.append(pa.table({"image": cells[0], "answer": words}))
    tables.append(pa.table({"image": cells[0], "answer": runs, "sizes": pa.array(np.arange(3), pa.float16())}))
    return tables


def _arrow_seeds() -> list[bytes]:
    seeds = []
    for table in _tables():
        for make, codec in ((pa.ipc.new_stream, None), (pa.ipc.new_file, None), (pa.ipc.new_stream, "zstd")):
            sink = io.BytesIO()
            with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
                writer.write_table(table, max_chunksize=2)
            seeds.append(sink.getvalue())
    return seeds


def _parquet_seeds() -> list[bytes]:
    seeds = []
    for table in _tables()[:-1]:
        if any(pa.types.is_binary_view(kind) for kind in table.schema.types):
            continue
        for options in (
            {"compression": "zstd"},
            {"compression": "none", "data_page_version": "2.0", "use_dictionary": False},
            {"compression": "snappy", "row_group_size": 2},
        ):
            sink = io.BytesIO()
            pq.write_table(table, sink, **options)
            seeds.append(sink.getvalue())
    return seeds


def _tar_seeds() -> list[bytes]:
    members = [(f"{place}.jpg", data) for place, data in enumerate(_images())]
    members += [
        ("0.json", json.dumps({"question": "what?"}).encode()),
        ("1.txt", b"a cat"),
        ("x" * 90 + ".jpg", _jpeg(7)),
    ]
    seeds = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w", format=form) as tar:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                info.mtime = 0
                if form == tarfile.PAX_FORMAT:
                    info.pax_headers = {"comment": "\u2603", "mtime": "0.5"}
                tar.addfile(info, io.BytesIO(data))
            for name, kind in (("l.jpg", tarfile.SYMTYPE), ("h.jpg", tarfile.LNKTYPE), ("d", tarfile.DIRTYPE)):
                info = tarfile.TarInfo(name)
                info.type = kind
                info.linkname = "0.jpg"
                tar.addfile(info)
        seeds.append(sink.getvalue().rstrip(b"\0") + bytes(1536))
    return seeds


def _read_as(suffix: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        path = folder / f"input{suffix}"
        path.write_bytes(data)
        _read_images(path)
        _read_texts(path)

    return read


def _read_images(path: Path) -> None:
    try:
        items = list_items(path, _SETTINGS)
    except SettingsError as error:
        _check_line(error)
        return
    loader = ImageLoader(_SETTINGS)
    for item in items[:_READ]:
        if item.problem is None:
            try:
                loader.read_location(item.location)
            except ImageRefusedError:
                continue


def _check_line(error: SettingsError) -> None:
    assert "\n" not in str(error), "an error is one line"


def _read_texts(path: Path) -> None:
    """What lies beside the images, and the same file as one of annotations."""
    sidecars = Sidecars(lambda _: True)
    try:
        keys: dict[int, str] = {}
        for item in IMAGE_FILES[path.suffix].items(str(path), path.name, _SETTINGS, sidecars):
            if item.location.offset is not None:
                keys.setdefault(item.location.offset, item.key)
        for table in sidecars.tables:
            for _ in table.open(keys, None).rows:
                pass
        if path.suffix != ".tar":
            for _ in open_table(str(path), path.name, None, lambda _: True).rows:
                pass
    except SettingsError as error:
        _check_line(error)


READERS: Final[Mapping[str, Reader]] = {
    "arrow": Reader(_arrow_seeds, _read_as(".arrow")),
    "parquet": Reader(_parquet_seeds, _read_as(".parquet")),
    "tar": Reader(_tar_seeds, _read_as(".tar")),
}
