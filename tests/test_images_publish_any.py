"""Whatever intake takes in can be published: pictures of every kind, sound, odd and noisy."""

import io
import random
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaic_jpeg import mosaic_jpeg, segment
from PIL import Image, ImageCms, TiffImagePlugin
from wide_images import tiff_file

from ostensive.images.colour_profile import MAX_PROFILE_BYTES, colour_space_of, sound_profile
from ostensive.images.decode import ImageFacts, LoadedImage, load, open_rgb
from ostensive.images.publish import publishable_jpeg, try_publishing
from ostensive.images.refusals import FAULTS, ImageRefusedError
from ostensive.images.settings import IntakeSettings

SETTINGS = IntakeSettings(min_side=1, max_pixels=2_000_000)
PLANTED = b"PLANTED-SECRET"
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SRGB = _SRGB[:24] + bytes(12) + _SRGB[36:]  # without the second in which it was made: every worker has the same tests


def grown(profile: bytes, more: int) -> bytes:
    """A sound profile with a tag more, of that many bytes."""
    tags = struct.unpack_from(">I", profile, 128)[0]
    table = bytearray(profile[132 : 132 + 12 * tags])
    for number in range(tags):
        (offset,) = struct.unpack_from(">I", table, 12 * number + 4)
        struct.pack_into(">I", table, 12 * number + 4, offset + 12)
    body = profile[132 + 12 * tags :]
    table += b"more" + struct.pack(">II", 132 + 12 * (tags + 1) + len(body), more)
    whole = bytearray(profile[:128] + struct.pack(">I", tags + 1) + table + body + bytes(more))
    struct.pack_into(">I", whole, 0, len(whole))
    return bytes(whole)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8))


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:  # Any: Pillow's save options
    sink = io.BytesIO()
    image.save(sink, image_format, **options)
    return sink.getvalue()


def oriented(orientation: int, more: int = 0) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if more:
        exif[0x010F] = "x" * more
    return exif


def published(data: bytes, jpeg_quality: int = 95) -> bytes:
    """What intake and publishing make of a file."""
    loaded = load(data, SETTINGS)
    try_publishing(loaded, data)
    return publishable_jpeg(data, jpeg_quality=jpeg_quality, sample_bits=loaded.facts.sample_bits)


def distance(first: bytes, second: bytes) -> float:
    """The mean difference of the pictures that two files decode to, of 255."""
    seen, wanted = (np.asarray(open_rgb(data, None)).astype(float) for data in (first, second))
    assert seen.shape == wanted.shape
    return float(np.abs(seen - wanted).mean())


def profile_in(data: bytes) -> bytes | None:
    profile: bytes | None = Image.open(io.BytesIO(data)).info.get("icc_profile")
    return profile


# ---- sound pictures that take more bytes than a library reckons with ------------------------------------------------


@pytest.mark.parametrize("quality", [50, 90, 94, 95, 100])
@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_noise_is_published_at_every_quality(
    image_format: str, quality: int, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(noise(700, 500), image_format)
    one = published(data, quality)
    assert distance(one, data) < {50: 40, 90: 7, 94: 5, 95: 4.5, 100: 1}[quality]
    assert published(data, quality) == one
    assert capfd.readouterr() == ("", ""), "libraries that write such pictures complain to standard error"


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_turned_noise_of_the_finest_quality_is_published(
    orientation: int, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = noise(701, 509).convert(mode)
    data = encoded(pixels, quality=100, subsampling="4:4:4", exif=oriented(orientation, 60_000))
    assert distance(published(data), data) < 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(65_500, 3), (3, 65_500), (1, 1), (70_000 // 8, 9)])
def test_the_longest_sides_are_published(size: tuple[int, int]) -> None:
    data = encoded(noise(*size), "PNG")
    assert distance(published(data, 100), data) < 1.5


@pytest.mark.parametrize("more", [70_000, 900_000])
def test_a_profile_of_several_segments_is_published_whole(more: int) -> None:
    profile = grown(SRGB, more)
    small = noise(20, 20)
    for data in (
        encoded(small, "PNG", icc_profile=profile),
        encoded(small, icc_profile=profile),
        encoded(small, icc_profile=profile, exif=oriented(6, 60_000), quality=100),
        encoded(small, "TIFF", icc_profile=profile),
        encoded(small, "WEBP", icc_profile=profile),
    ):
        assert profile_in(published(data)) == profile


def test_a_profile_that_no_jpeg_can_hold_is_left_out() -> None:
    data = encoded(noise(20, 20), "TIFF", icc_profile=grown(SRGB, MAX_PROFILE_BYTES))
    assert profile_in(published(data)) is None


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_png_with_a_profile_or_text_beyond_a_library_s_limit_is_taken_in(kind: bytes, place: bytes) -> None:
    body = {b"iCCP": b"icc\0\0", b"zTXt": b"note\0\0", b"iTXt": b"note\0\1\0\0\0"}[kind]
    body += zlib.compress(grown(SRGB, 3_000_000))
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    plain = encoded(noise(40, 24), "PNG", exif=oriented(6))
    at = plain.index(place) - 4
    data = plain[:at] + chunk + plain[at:]
    assert distance(published(data), plain) < 6
    with pytest.raises(ImageRefusedError, match=r"^truncated"):
        load(data[: data.index(b"IDAT") + 400], SETTINGS)


# ---- odd files that decode ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("late", "steps"), [(True, (8, 8)), (True, (8, 8, 4)), (False, (8, 8, 4)), (False, (8,))])
def test_tables_behind_the_first_scan_are_no_fault(orientation: int, late: bool, steps: tuple[int, ...]) -> None:
    cells = np.random.default_rng(5).integers(40, 200, (9, 12, 3)).astype(np.uint8)
    data = mosaic_jpeg(cells, orientation=orientation, late=late, steps=steps)
    assert distance(published(data), data) < 3
    assert open_rgb(published(data), None).size == ((72, 96) if orientation >= 5 else (96, 72))


def test_a_table_that_changes_between_scans_is_not_taken_for_another() -> None:
    """The number of a table is given anew, far finer, behind the scan that needed the coarse one."""
    cells = np.random.default_rng(6).integers(80, 160, (9, 12, 3)).astype(np.uint8)
    data = mosaic_jpeg(cells, orientation=6, steps=(250,), changed=4)
    assert distance(published(data), data) < 3


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("step", [1, 255, 256, 40_000])
@pytest.mark.parametrize("tables", [1, 2, 3])
def test_tables_of_any_steps_are_published(orientation: int, step: int, tables: int) -> None:
    pixels = Image.new("RGB", (40, 24), (90, 120, 150))
    data = encoded(pixels, qtables=[[step] * 64] * tables, exif=oriented(orientation))
    assert distance(published(data), data) < 3


@pytest.mark.parametrize(
    "tag",
    [
        ("I", [7]), ("I", [7, 8, 9]), ("H", [65_535] * 200), ("d", [0.5]), ("B", []), ("B", [0]),
        ("B", [*PLANTED] * 20), ("f", [float("nan")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_a_tiff_that_is_none_is_left_out(tag: tuple[str, list[float]], mode: str) -> None:
    pixels = Image.new(mode, (40, 24), 90 if mode == "L" else (90, 20, 30, 40))
    bands = len(pixels.getbands())
    colours = {258: ("H", [8] * bands), 262: ("H", [1 if mode == "L" else 5]), 277: ("H", [bands])}
    data = tiff_file(pixels.tobytes(), pixels.size, {**colours, 34675: tag})
    one = published(data)
    assert profile_in(one) is None
    assert PLANTED not in one
    assert distance(one, data) < 3


# ---- what may stand where a profile does ----------------------------------------------------------------------------

FALSE_PROFILES = [
    b"",
    PLANTED,
    PLANTED * 30,
    SRGB[:36] + PLANTED * 30,
    SRGB[:128] + PLANTED * 30,
    SRGB[:-1],
    SRGB[:100],
    SRGB[:128] + struct.pack(">I", 2**31) + SRGB[132:],
    SRGB[:136] + struct.pack(">I", 2**32 - 1) + SRGB[140:],
    SRGB[:136] + struct.pack(">I", 40) + SRGB[140:],
    struct.pack(">I", 20) + SRGB[4:],
]


@pytest.mark.parametrize("false", FALSE_PROFILES, ids=range(len(FALSE_PROFILES)))
def test_what_is_no_profile_is_not_published(false: bytes) -> None:
    assert sound_profile(false) is None
    parts = [false[at : at + 60_000] for at in range(0, len(false), 60_000)] or [b""]
    segments = [
        segment(0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part) for number, part in enumerate(parts, 1)
    ]
    for orientation in (1, 6):
        plain = encoded(noise(40, 24), exif=oriented(orientation))
        data = plain[:2] + b"".join(segments) + plain[2:]
        one = published(data)
        assert profile_in(one) is None
        assert PLANTED not in one
        assert distance(one, data) < 12
    png = encoded(noise(40, 24), "PNG", icc_profile=false or None)
    assert profile_in(published(png)) is None


@pytest.mark.parametrize(
    "headers", [[(1, 3), (2, 3)], [(1, 2), (1, 2)], [(0, 2), (1, 2)], [(2, 2), (3, 2)], [(1, 1), (2, 2)]]
)
def test_a_profile_whose_segments_are_not_numbered_through_is_left_out(headers: list[tuple[int, int]]) -> None:
    plain, middle = encoded(noise(40, 24)), len(SRGB) // 2
    parts = zip(headers, (SRGB[:middle], SRGB[middle:]), strict=True)
    segments = [segment(0xE2, b"ICC_PROFILE\0" + bytes(head) + part) for head, part in parts]
    one = published(plain[:2] + b"".join(segments) + plain[2:])
    assert one == plain


def test_segments_of_a_profile_may_come_in_any_order_and_what_follows_its_end_is_cut() -> None:
    plain, middle = encoded(noise(40, 24)), len(SRGB) // 2
    first, second = (
        segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 2]) + part)
        for number, part in ((1, SRGB[:middle]), (2, SRGB[middle:] + PLANTED))
    )
    one = published(plain[:2] + second + first + plain[2:])
    assert profile_in(one) == SRGB
    assert PLANTED not in one
    assert published(one) == one
    assert profile_in(published(encoded(noise(20, 20), "PNG", icc_profile=SRGB + PLANTED))) == SRGB


def test_of_a_dnl_segment_only_the_number_of_lines_stays() -> None:
    plain = encoded(noise(40, 24))
    for body, kept in ((struct.pack(">H", 24) + PLANTED, segment(0xDC, struct.pack(">H", 24))), (b"\0", b"")):
        data = plain[:-2] + segment(0xDC, body) + plain[-2:]
        assert published(data) == plain[:-2] + kept + plain[-2:]


@given(st.integers(0, len(SRGB) - 1), st.integers(0, 255), st.integers(0, len(SRGB)))
def test_a_profile_is_sound_or_it_is_none(place: int, value: int, end: int) -> None:
    changed = (SRGB[:place] + bytes([value]) + SRGB[place + 1 :])[:end]
    found = sound_profile(changed)
    assert found is None or (changed.startswith(found) and len(found) == struct.unpack(">I", found[:4])[0])
    assert sound_profile(SRGB) == SRGB
    assert colour_space_of(SRGB) == b"RGB "


# ---- everything -----------------------------------------------------------------------------------------------------

MODES = {
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "MPO": ("RGB",),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),
    "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    "AVIF": ("RGB", "RGBA"),
    "QOI": ("RGB", "RGBA"),
}
SIDES = (1, 2, 7, 8, 15, 16, 17, 33, 130)


def drawn(rng: random.Random, mode: str) -> Image.Image:
    """A picture of noise, or a slope, of any size."""
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    dice = np.random.default_rng(rng.randrange(2**32))
    if mode in ("I;16", "I", "F"):
        numbers = dice.integers(0, 2 ** rng.choice([8, 9, 10, 12, 14, 16]), (height, width))
        return Image.fromarray(numbers.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    slope = np.broadcast_to(np.linspace(0, 255, width, dtype=np.uint8)[None, :, None], (height, width, 4))
    pixels = dice.integers(0, 256, (height, width, 4)).astype(np.uint8) if rng.random() < 0.5 else slope
    if mode == "LAB":
        return Image.frombytes("LAB", (width, height), np.ascontiguousarray(pixels[:, :, :3]).tobytes())
    rgba = Image.fromarray(np.ascontiguousarray(pixels))
    if mode == "PA":
        return rgba.convert("RGB").convert("P").convert("PA")
    return rgba.convert(mode) if mode in ("RGBA", "LA") else rgba.convert("RGB").convert(mode)


def options_for(rng: random.Random, image_format: str, image: Image.Image) -> dict[str, Any]:  # Any: Pillow's options
    found: dict[str, Any] = {}
    if rng.random() < 0.5 and image_format != "GIF":
        found["exif"] = oriented(rng.randrange(1, 9), rng.choice([0, 60_000]))
    if rng.random() < 0.5:
        spoilt = (SRGB[:16] + b"GRAY" + SRGB[20:], SRGB[:16] + b"CMYK" + SRGB[20:], b"x", PLANTED * 9)
        found["icc_profile"] = rng.choice([SRGB, grown(SRGB, 70_000), *spoilt])
    if image_format in ("JPEG", "MPO"):
        found |= {"quality": rng.choice([1, 50, 95, 100]), "subsampling": rng.choice(["4:4:4", "4:2:2", "4:2:0"])}
        found |= {"restart_marker_blocks": rng.choice([0, 0, 1, 3]), "comment": rng.choice([b"", PLANTED])}
        found["keep_rgb"] = image.mode == "RGB" and rng.random() < 0.2
        if rng.random() < 0.2:
            found["qtables"] = [[rng.choice([1, 255, 300, 65_535])] * 64 for _ in range(rng.randrange(1, 5))]
        elif image.width * image.height < 20_000:
            found["progressive"] = rng.random() < 0.4  # what is larger, Pillow may not be able to write
    if image_format == "TIFF" and rng.random() < 0.5:
        found["compression"] = rng.choice(["tiff_lzw", "tiff_adobe_deflate", "packbits"])
    if image_format in ("PNG", "GIF") and image.mode == "P" and rng.random() < 0.5:
        found["transparency"] = rng.randrange(4)
    if image_format == "MPO" or (image_format in ("GIF", "WEBP", "PNG") and rng.random() < 0.3):
        found |= {"save_all": True, "append_images": [image.copy()]}
    return found


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_whatever_is_taken_in_is_published_as_it_is_seen(seed: int) -> None:
    rng = random.Random(seed)
    image_format = rng.choice(sorted(MODES))
    image = drawn(rng, rng.choice(MODES[image_format]))
    try:
        data = encoded(image, image_format, **options_for(rng, image_format, image))
    except (OSError, ValueError, SystemError, struct.error):
        return  # Pillow cannot write it
    quality = rng.choice([1, 50, 94, 95, 100])
    one = published(data, quality)
    facts = load(data, SETTINGS).facts
    with Image.open(io.BytesIO(one)) as read:
        assert (read.format, read.size, dict(read.getexif())) == ("JPEG", (facts.width, facts.height), {})
    assert PLANTED not in one
    if image_format in ("JPEG", "MPO") and image.mode != "CMYK" and not _is_turned(data):
        assert distance(one, data) == 0, "its own coded bytes"
    elif quality >= 95 and image_format not in ("JPEG", "MPO"):
        assert distance(one, data) < 6
    assert published(one) == one
    assert published(data, quality) == one


def _is_turned(data: bytes) -> bool:
    return bool(Image.open(io.BytesIO(data)).getexif().get(0x0112, 1) != 1)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_damaged_files_that_are_taken_in_are_published(seed: int) -> None:
    rng = random.Random(seed)
    image_format = rng.choice(["JPEG", "JPEG", "JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"])
    image = drawn(rng, rng.choice(MODES[image_format]))
    try:
        data = bytearray(encoded(image, image_format, **options_for(rng, image_format, image)))
    except (OSError, ValueError, SystemError, struct.error):
        return
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(2, min(len(data), rng.choice([64, 700, len(data)])) + 1)
        kind, length = rng.randrange(3), rng.choice([1, 4, 30])
        if kind == 0:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            data[place:place] = rng.randbytes(length)
        else:
            del data[place : place + length]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = load(bytes(data), SETTINGS)
        except ImageRefusedError:
            return
        one = published(bytes(data))
        read = open_rgb(one, None)
    assert read.size == (loaded.facts.width, loaded.facts.height)


def test_what_cannot_be_published_is_refused_when_it_is_taken_in() -> None:
    """No file that is known to be taken in comes to this: the mode is one that Pillow makes and reads from none."""
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(encoded(Image.new("L", (40, 24)), "TIFF")))
    image.load()
    image.im = Image.new("La", (40, 24)).im
    image._mode = "La"
    with pytest.raises(ImageRefusedError) as caught:
        try_publishing(LoadedImage(image, ImageFacts(40, 24, "TIFF", "La")), b"II*\0")
    assert caught.value.reason == "cannot be published"
    assert caught.value.reason in FAULTS
    assert caught.value.detail == "TIFF of mode La: ValueError: conversion from La to L not supported"


def jpeg_with(*extra: bytes) -> bytes:
    """An ordinary JPEG with segments more behind the start."""
    data = encoded(noise(32, 24))
    return data[:2] + b"".join(extra) + data[2:]


@pytest.mark.parametrize("marker", [*range(0xC0, 0xD0), *range(0xD8, 0xFF), 0x01, 0x02])
def test_a_text_in_any_segment_is_not_published(marker: int) -> None:
    for body in (PLANTED * 3, b"\0" + bytes(64) + PLANTED, b"\0\0\0" + PLANTED, b"\3\1\0\2\0\3\0\0\x3f\0" + PLANTED):
        for data in (
            jpeg_with(segment(marker, body)),
            encoded(noise(32, 24))[:-2] + segment(marker, body) + b"\xff\xd9",
        ):
            try:
                loaded = load(data, SETTINGS)
                try_publishing(loaded, data)
            except ImageRefusedError:
                continue
            assert PLANTED not in publishable_jpeg(data, jpeg_quality=95), f"{marker:02X}"


def test_a_text_behind_tables_is_not_published() -> None:
    data = encoded(noise(32, 24))
    at = data.index(b"\xff\xdb")
    length = int.from_bytes(data[at + 2 : at + 4], "big") + len(PLANTED)
    longer = data[: at + 2] + length.to_bytes(2, "big") + data[at + 4 : at + length + 2 - len(PLANTED)]
    data = longer + PLANTED + data[at + length + 2 - len(PLANTED) :]
    try:
        try_publishing(load(data, SETTINGS), data)
    except ImageRefusedError:
        return
    assert PLANTED not in publishable_jpeg(data, jpeg_quality=95)
