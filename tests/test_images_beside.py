"""Pictures that are decoded in a process beside: which, with what limits, and that nothing else is different."""

import io
import logging
import os
import signal
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from mosaic_jpeg import segment
from PIL import Image
from wide_images import tiff_file

from ostensive.images import beside
from ostensive.images.decode import decode_rgb, open_rgb
from ostensive.images.ordinary import is_ordinary
from ostensive.images.publish import make_jpeg, publishable_jpeg, take_in
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.settings import IntakeSettings

SETTINGS = IntakeSettings(min_side=1)


def photograph(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    values = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:  # Any: Pillow's save options
    sink = io.BytesIO()
    image.save(sink, image_format, **options)
    return sink.getvalue()


def refusal(data: bytes, settings: IntakeSettings = SETTINGS) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        take_in(data, settings)
    return caught.value


EXIF = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0))
JPEG = encoded(photograph(), "JPEG")
ORDINARY = {
    "jpeg": JPEG,
    "progressive": encoded(photograph(), "JPEG", progressive=True),
    "grey": encoded(photograph("L"), "JPEG"),
    "with EXIF": JPEG[:2] + EXIF + JPEG[2:],
    "with fill bytes": JPEG[:2] + b"\xff\xff" + JPEG[2:],
    "png": encoded(photograph(), "PNG"),
    "png with palette": encoded(photograph("P"), "PNG"),
}
ODD = {
    "two EXIF": JPEG[:2] + 2 * EXIF + JPEG[2:],
    "cut within its header": JPEG[:40],
    "16-bit png": encoded(photograph("I;16"), "PNG"),
    "gif": encoded(photograph("P"), "GIF"),
    "webp": encoded(photograph(), "WEBP"),
    "tiff": encoded(photograph(), "TIFF"),
    "avif": encoded(photograph(), "AVIF"),
    "jpeg 2000": encoded(photograph(), "JPEG2000"),
    "bmp": encoded(photograph(), "BMP"),
    "ppm": encoded(photograph(), "PPM"),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_pictures_stay_in_this_process(name: str) -> None:
    assert is_ordinary(ORDINARY[name])


@pytest.mark.parametrize("name", ODD)
def test_others_look_the_same_from_a_process_beside(name: str) -> None:
    data = ODD[name]
    assert not is_ordinary(data)
    if name.startswith("cut"):
        assert refusal(data).reason == "truncated"
        return
    facts = take_in(data, SETTINGS)
    picture = open_rgb(data, None, facts.sample_bits)
    assert (picture.size, picture.mode) == ((facts.width, facts.height), "RGB")
    assert picture.tobytes() == decode_rgb(data, None, facts.sample_bits).tobytes()
    published = publishable_jpeg(data, jpeg_quality=90, sample_bits=facts.sample_bits)
    assert published == make_jpeg(data, jpeg_quality=90, sample_bits=facts.sample_bits)


def flat_png(side: int) -> bytes:
    """A picture of one colour in as few bytes as there can be."""
    packer = zlib.compressobj(9)
    rows = b"".join([*(packer.compress(bytes(3 * side + 1)) for _ in range(side)), packer.flush()])
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def float_tiff(side: int) -> bytes:
    packer = zlib.compressobj(1)
    row = bytes(4 * side)
    packed = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    return tiff_file(packed, (side, side), {258: ("H", [32]), 259: ("H", [8]), 339: ("H", [3])})


def test_a_picture_that_takes_too_much_memory_is_refused() -> None:
    settings = SETTINGS.model_copy(update={"max_decoded_bytes": 20_000_000})
    data = float_tiff(3_000)
    assert take_in(data, SETTINGS).width == 3_000
    assert refusal(data, settings).reason == "over the byte limit"
    assert take_in(ODD["webp"], settings).format == "WEBP"  # the same process goes on


def test_a_large_flat_picture_goes_beside() -> None:
    data = flat_png(8_000)
    assert len(data) < 300_000
    assert not is_ordinary(data)
    assert is_ordinary(flat_png(2_000))
    assert refusal(data).reason == "over the byte limit"
    assert refusal(data).detail.startswith("8000 x 8000 pixels, which take 512000000 bytes, limit 4")


def many_scans(count: int, side: int) -> bytes:
    """A progressive JPEG of which each scan is another pass over all of a flat picture."""
    data = encoded(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + count * data[start:-2] + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_goes_beside() -> None:
    assert is_ordinary(many_scans(3, 64))
    assert not is_ordinary(many_scans(100, 64))


def test_a_picture_that_takes_too_long_is_refused() -> None:
    settings = SETTINGS.model_copy(update={"max_seconds": 0.1})
    error = refusal(many_scans(400, 3_000), settings)
    assert error.reason == "over the time limit"
    assert error.detail == "decoding it takes more than 0.1 s"
    assert take_in(ODD["gif"], SETTINGS).format == "GIF"


def test_what_a_library_complains_of_goes_to_the_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(encoded(photograph("1", (200, 200)), "TIFF", compression="group4"))
    for place in range(300, min(len(data) - 300, 900), 7):
        data[place] ^= 0x5A
    with caplog.at_level(logging.INFO, "ostensive.images.beside"):
        take_in(bytes(data), SETTINGS)
    assert capfd.readouterr() == ("", "")
    assert len(caplog.messages) == 1
    assert "Fax4Decode" in caplog.messages[0]


def test_a_process_that_is_killed_costs_one_picture_at_most() -> None:
    take_in(ODD["webp"], SETTINGS)
    child = beside._POOL.take()
    beside._POOL.give(child)
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()
    assert take_in(ODD["webp"], SETTINGS).format == "WEBP"


def test_many_threads_ask_at_once() -> None:
    names = [name for name in ODD if not name.startswith("cut")] * 4
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda name: open_rgb(ODD[name], None).size, names))
    assert set(sizes) == {(64, 48), (48, 64)}


def test_a_tiff_whose_tags_all_name_one_table_is_refused_at_once() -> None:
    for tags in ([273] * 60_000, range(300, 60_000)):
        table = 200_000
        entries = b"".join(struct.pack("<HHII", tag, 4, table, 8) for tag in tags)
        directory = struct.pack("<H", len(tags)) + entries + bytes(4)
        data = b"II*\0" + struct.pack("<I", 8 + 4 * table) + bytes(4 * table) + directory
        error = refusal(data)
        assert error.reason == "unreadable"
        assert "more bytes than the file has" in error.detail
