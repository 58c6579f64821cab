import io
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from wide_images import Samples, tiff_file, wide_png

from ostensive.images.decode import examine, open_rgb
from ostensive.images.publish import publishable_jpeg
from ostensive.images.sample_bits import bits_holding, eight_bit
from ostensive.images.settings import IntakeSettings

SETTINGS = IntakeSettings()


def ramp(top: int, channels: int = 1) -> Samples:
    """16 x 64 numbers from 0 to `top`, the same in each row; odd ones among them, so that no low bit is unused."""
    line = (np.arange(64) * top // 63).astype(np.uint16)
    return np.tile(line, (16, 1)) if channels == 1 else np.tile(line[:, None], (16, 1, channels))


def encoded(samples: Samples, image_format: str, **options: Any) -> bytes:  # Any: Pillow's options
    sink = io.BytesIO()
    Image.fromarray(samples).save(sink, image_format, **options)
    return sink.getvalue()


def grey_tiff(samples: Samples, tags: dict[int, Any], order: str = "<") -> bytes:
    data = samples.astype(f"{order}u2").tobytes()
    return tiff_file(data, (samples.shape[1], samples.shape[0]), tags, order=order)


def told(data: bytes) -> int | None:
    return examine(data, SETTINGS).sample_bits


def brightest(data: bytes) -> int:
    """Of the picture that is looked at; it is the one that is published."""
    bits = told(data)
    seen = np.asarray(open_rgb(data, None, bits))
    assert np.array_equal(seen, np.asarray(open_rgb(data, None))), "told anew it is the same"
    published = np.asarray(Image.open(io.BytesIO(publishable_jpeg(data, jpeg_quality=100, sample_bits=bits))))
    assert np.abs(seen.astype(int) - published).max() <= 3
    return int(seen.max())


@pytest.mark.parametrize(
    ("top", "bits"), [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (16383, 14), (16384, 16), (65535, 16)]
)
@pytest.mark.parametrize("container", ["png", "tiff", "big-endian tiff", "lzw tiff", "32-bit tiff", "float tiff"])
def test_greys_are_scaled_by_the_bits_that_hold_them(top: int, bits: int, container: str) -> None:
    samples = ramp(top)
    data = {
        "png": lambda: encoded(samples, "PNG"),
        "tiff": lambda: encoded(samples, "TIFF"),
        "big-endian tiff": lambda: grey_tiff(samples, {}, ">"),
        "lzw tiff": lambda: encoded(samples, "TIFF", compression="tiff_lzw"),
        "32-bit tiff": lambda: encoded(samples.astype(np.int32), "TIFF"),
        "float tiff": lambda: encoded((samples / 65535).astype(np.float32), "TIFF"),
    }[container]()
    assert told(data) == bits
    assert brightest(data) == round(255 * top / (2**bits - 1))


@pytest.mark.parametrize("top", [700, 4095, 12_000])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_sixteen_bits_keep_their_lower_bits(top: int, channels: int) -> None:
    samples = ramp(top, channels)
    if channels != 3:
        samples[:, :, -1] = 65535
    bits = bits_holding(top)
    shades = np.rint(np.arange(64) * top // 63 * 255 / (2**bits - 1))
    data = wide_png(samples)
    assert told(data) == bits
    assert np.abs(np.asarray(open_rgb(data, None))[5, :, 1] - shades).max() <= 1
    if channels == 2:
        return
    for order in "<>":
        raw = samples.astype(f"{order}u2").tobytes()
        colours: dict[int, Any] = {258: ("H", [16] * channels), 262: ("H", [2]), 277: ("H", [channels])}
        if channels == 4:
            colours[338] = ("H", [2])  # the fourth is alpha
        for pixels, compression in ((raw, 1), (zlib.compress(raw), 8)):
            data = tiff_file(pixels, (64, 16), {**colours, 259: ("H", [compression])}, order=order)
            assert told(data) == bits
            assert np.abs(np.asarray(open_rgb(data, None))[5, :, 1] - shades).max() <= 1


def test_half_transparent_dark_colours_are_mixed_with_white() -> None:
    samples = np.full((16, 64, 4), 4095, np.uint16)
    samples[:, :, 0], samples[:, :, 3] = 0, 32768
    assert np.asarray(open_rgb(wide_png(samples), None))[3, 3].tolist() == [127, 255, 255]


def test_bright_colours_of_sixteen_bits_are_as_they_were() -> None:
    data = wide_png(ramp(65535, 3))
    assert told(data) is None
    assert np.array_equal(np.asarray(open_rgb(data, None))[3, :, 0], np.arange(64) * 65535 // 63 >> 8)


def test_twelve_bits_that_are_packed_are_read_as_such() -> None:
    dark = (np.arange(64) * 300 // 63).astype(np.uint16)
    bits = "".join(f"{value:012b}" for value in np.tile(dark, 16))
    pixels = int(bits, 2).to_bytes(len(bits) // 8, "big")
    data = tiff_file(pixels, (64, 16), {258: ("H", [12])})
    assert told(data) == 12
    assert brightest(data) == round(300 * 255 / 4095), "a dark picture stays one where the file says its range"


@pytest.mark.parametrize(
    ("tags", "top", "bits"),
    [
        ({281: ("H", [4095])}, 300, 12),
        ({281: ("H", [65535])}, 300, 16),
        ({281: ("H", [16383])}, 4000, 14),
        ({341: ("H", [1023])}, 300, 10),
        ({341: ("d", [4095.0])}, 300, 12),
        ({281: ("H", [1023])}, 4000, 12),  # not true of its samples
        ({281: ("H", [0])}, 4000, 12),
        ({281: ("I", [2**32 - 1])}, 4000, 12),
        ({341: ("d", [float("nan")])}, 4000, 12),
        ({281: ("B", list(b"many"))}, 4000, 12),
    ],
)
def test_what_the_tags_of_a_tiff_say_goes_first(tags: dict[int, Any], top: int, bits: int) -> None:
    assert told(grey_tiff(ramp(top), tags)) == bits


@pytest.mark.parametrize(("most", "bits"), [(1.0, 16), (0.06, 12), (4095.0, 10), (0.0, 10)])
def test_what_the_tags_of_a_tiff_of_floats_say_is_in_its_unit(most: float, bits: int) -> None:
    samples = (ramp(700) / 65535).astype("<f4")
    tags = {258: ("H", [32]), 339: ("H", [3]), 341: ("f", [most])}
    assert told(tiff_file(samples.tobytes(), (64, 16), tags)) == bits


@pytest.mark.parametrize(
    ("samples", "chunk", "bits"),
    [
        (ramp(1000), b"\x0c", 12),  # never scaled, as many writers leave them
        (ramp(1000), b"\x10", 16),  # dark
        (ramp(4095), b"\x0c", 12),
        (ramp(4095) << 4, b"\x0c", 16),  # scaled, as the standard has it
        (ramp(200) << 4, b"\x0c", 16),  # likewise, and dark
        (ramp(200) << 4 | ramp(200) >> 8, b"\x0c", 16),
        (ramp(1000), b"\x09", 10),  # more than nine bits
        (ramp(200), b"\x08", 8),
        (ramp(1000), b"", 10),
        (ramp(1000), b"\x00", 10),
        (ramp(1000, 3), b"\x0c\x0b\x0c", 12),
        (ramp(1000, 2), b"\x0c\x10", 12),
    ],
)
def test_what_the_chunk_of_a_png_says_goes_first(samples: Samples, chunk: bytes, bits: int) -> None:
    assert told(wide_png(samples, chunks=[(b"sBIT", chunk)])) == bits
    assert told(wide_png(samples)) == bits_holding(int(samples.max()))


@pytest.mark.parametrize("maximum", [1023, 4095, 32767])
def test_a_pgm_is_scaled_by_the_maximum_in_its_header(maximum: int) -> None:
    samples = ramp(300)
    data = b"P5 64 16 %d\n" % maximum + samples.astype(">u2").tobytes()
    assert told(data) == 16
    assert abs(brightest(data) - 300 * 255 / maximum) <= 1


@pytest.mark.parametrize("head", [b"P5 64 16 65535\n", b"P5\n# 12 bits\n64 16\n#\n65535\n"])
def test_sixteen_bits_in_a_header_say_no_more_than_a_file_without_one(head: bytes) -> None:
    for data in (head + ramp(4095).astype(">u2").tobytes(), encoded(ramp(4095), "JPEG2000")):
        assert (told(data), brightest(data)) == (12, 255)


def test_a_jpeg_2000_is_scaled_by_its_own_precision() -> None:
    codestream = encoded(ramp(300), "JPEG2000", no_jp2=True)
    at = codestream.index(b"\xff\x4f\xff\x51") + 42
    assert codestream[at] == 15
    twelve = codestream[:at] + b"\x0b" + codestream[at + 1 :]
    assert told(twelve) == 16


@pytest.mark.parametrize("top", [1000, 4095, 65535])
def test_a_tiff_in_which_white_is_zero_is_turned_round(top: int) -> None:
    samples = ramp(top)
    bits = told(grey_tiff(samples, {262: ("H", [0])}))
    positive = np.asarray(open_rgb(grey_tiff(samples, {262: ("H", [1])}), None))
    negative = np.asarray(open_rgb(grey_tiff(samples, {262: ("H", [0])}), None, bits))
    assert np.array_equal(negative, 255 - positive)


def test_a_number_of_bits_for_all_wins() -> None:
    for data in (encoded(ramp(4095), "PNG"), wide_png(ramp(4095, 3)), grey_tiff(ramp(4095), {281: ("H", [4095])})):
        for bits, top in ((16, 16), (14, 64), (12, 255), (8, 255)):
            facts = examine(data, IntakeSettings(sample_bits=bits))
            assert facts.sample_bits == bits
            assert abs(int(np.asarray(open_rgb(data, None, bits)).max()) - top) <= 1
    plain = encoded(np.zeros((16, 16), np.uint8), "PNG")
    assert examine(plain, IntakeSettings(sample_bits=12)).sample_bits is None


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5])
def test_numbers_that_are_none_tell_nothing(odd: float, place: int) -> None:
    samples = (ramp(4095) / 65535).astype(np.float32)
    samples[0, place] = odd
    data = encoded(samples, "TIFF")
    assert told(data) == 12
    assert np.asarray(open_rgb(data, None))[0, place, 0] == (255 if odd > 0 else 0)
    assert brightest(data) == 255


def test_other_numbers_are_scaled_by_their_extremes() -> None:
    for samples in (ramp(4095).astype(np.int32) - 7, ramp(4095).astype(np.int32) * 100, ramp(4095).astype(np.float32)):
        data = encoded(samples, "TIFF")
        assert told(data) is None
        assert np.asarray(open_rgb(data, None))[0, [0, 63], 0].tolist() == [0, 255]


@given(st.integers(0, 65535), st.integers(0, 65535), st.none() | st.integers(8, 16))
def test_a_brighter_sample_never_comes_out_darker(first: int, second: int, bits: int | None) -> None:
    low, high = eight_bit(np.array([sorted((first, second))], np.uint16), bits)[0]
    assert low <= high
    used = bits or bits_holding(max(first, second))
    assert abs(int(high) - min(255, 255 * max(first, second) / (2**used - 1))) <= 0.5


def test_strips_of_an_image_are_scaled_alike() -> None:
    samples = np.arange(3_000 * 1_000, dtype=np.uint32).reshape(3_000, 1_000) % 60_000
    whole = (samples * 255 + 32767) // 65535
    assert np.array_equal(eight_bit(samples.astype(np.uint16)), whole)
    floats = samples.astype(np.float32)
    assert np.abs(eight_bit(floats) - samples * (255 / 59_999)).max() <= 0.51
