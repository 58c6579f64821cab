import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ostensive.images.decode import MAX_SIDE_PX, ImageFacts, examine, format_of, open_rgb
from ostensive.images.refusals import ImageRefusedError
from ostensive.images.sample_bits import eight_bit
from ostensive.images.settings import IntakeSettings

SETTINGS = IntakeSettings()
UPRIGHT = (48, 32)  # width, height


def corners_image() -> Image.Image:
    """Red, green, blue and yellow quarters: upper left, upper right, lower left, lower right."""
    pixels = np.zeros((UPRIGHT[1], UPRIGHT[0], 3), np.uint8)
    pixels[:16, :24], pixels[:16, 24:] = (255, 0, 0), (0, 255, 0)
    pixels[16:, :24], pixels[16:, 24:] = (0, 0, 255), (255, 255, 0)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:  # Any: Pillow's options for each format
    sink = io.BytesIO()
    image.save(sink, image_format, **options)
    return sink.getvalue()


def corners_of(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters, each channel to the nearest of 0 and 255."""
    array = np.asarray(image)
    height, width = array.shape[:2]
    spots = [array[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return [tuple(255 if int(value) > 127 else 0 for value in spot) for spot in spots]


CORNERS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
INVERSE = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposition that stores it so


def stored_with_orientation(orientation: int, image_format: str, **options: Any) -> bytes:  # Any: as above
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = INVERSE[orientation]
    stored = corners_image() if turn is None else corners_image().transpose(Image.Transpose(turn))
    return encoded(stored, image_format, exif=exif, **options)


def refusal(data: bytes, limits: IntakeSettings = SETTINGS) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        examine(data, limits)
    return caught.value


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_stands_upright_in_every_format_that_has_one(orientation: int, image_format: str) -> None:
    data = stored_with_orientation(orientation, image_format)
    facts = examine(data, SETTINGS)
    assert (facts.width, facts.height) == UPRIGHT
    image = open_rgb(data, None)
    assert image.size == UPRIGHT
    assert corners_of(image) == CORNERS
    assert image.info == {}


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(corners_image(), "JPEG", exif=exif)
    assert (examine(data, SETTINGS).width, examine(data, SETTINGS).height) == UPRIGHT
    assert corners_of(open_rgb(data, None)) == CORNERS


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xffgarbage", b"Exif\0\0no TIFF header", b"Exif\0\0"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_refuse_the_picture(exif: bytes, image_format: str) -> None:
    data = encoded(corners_image(), image_format, exif=exif)
    assert examine(data, SETTINGS) == ImageFacts(*UPRIGHT, image_format, "RGB")
    assert corners_of(open_rgb(data, None)) == CORNERS


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"keep_rgb": True}),
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "CMYK", {}),
        ("TIFF", "YCbCr", {}),
        ("WEBP", "RGB", {}),
        ("JPEG2000", "RGB", {}),
        ("PPM", "RGB", {}),
        ("QOI", "RGB", {}),
    ],
)
def test_facts_name_format_and_stored_mode(image_format: str, mode: str, options: dict[str, Any]) -> None:
    data = encoded(corners_image().convert(mode), image_format, **options)
    assert examine(data, SETTINGS) == ImageFacts(*UPRIGHT, image_format, mode)
    image = open_rgb(data, None)
    assert (image.mode, image.size) == ("RGB", UPRIGHT)
    if mode not in ("L", "LA", "1"):
        assert corners_of(image) == CORNERS


def test_a_second_picture_in_a_jpeg_does_not_change_its_format() -> None:
    data = encoded(corners_image(), "MPO", save_all=True, append_images=[Image.new("RGB", UPRIGHT)])
    assert examine(data, SETTINGS).format == "JPEG"
    assert corners_of(open_rgb(data, None)) == CORNERS


def test_a_broken_list_of_further_pictures_is_passed_over_without_a_warning() -> None:
    plain = encoded(corners_image(), "JPEG")
    data = plain[:2] + b"\xff\xe2\x00\x0cMPF\0nonsen" + plain[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert examine(data, SETTINGS) == ImageFacts(*UPRIGHT, "JPEG", "RGB")


@pytest.mark.parametrize(
    ("image_format", "lossless"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]
)
def test_of_animations_and_pages_the_first_is_taken(image_format: str, lossless: dict[str, bool]) -> None:
    later = [Image.new("RGB", UPRIGHT, colour) for colour in ("black", "white")]
    data = encoded(corners_image(), image_format, save_all=True, append_images=later, **lossless)
    with Image.open(io.BytesIO(data)) as several:
        assert getattr(several, "n_frames", 1) == 3
    assert corners_of(open_rgb(data, None)) == CORNERS


@pytest.mark.parametrize(
    ("mode", "image_format", "options"),
    [("RGBA", "PNG", {}), ("LA", "PNG", {}), ("RGBA", "WEBP", {"lossless": True}), ("RGBA", "TIFF", {})],
)
def test_what_is_transparent_shows_white_and_half_is_mixed(
    mode: str, image_format: str, options: dict[str, Any]
) -> None:
    image = Image.new("RGBA", (48, 16), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (16, 0, 32, 16))
    image.paste((0, 0, 0, 128), (32, 0, 48, 16))
    data = encoded(image.convert(mode), image_format, **options)
    pixels = np.asarray(open_rgb(data, None))
    assert tuple(pixels[8, 8]) == (0, 0, 0)
    assert tuple(pixels[8, 24]) == (255, 255, 255)
    assert tuple(pixels[8, 40]) == (127, 127, 127)


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_the_transparent_colour_of_a_palette_shows_white(image_format: str) -> None:
    image = corners_image().quantize(4)
    data = encoded(image, image_format, transparency=image.getpixel((1, 1)))
    assert corners_of(open_rgb(data, None)) == [(255, 255, 255), *CORNERS[1:]]


def test_the_transparent_colour_of_an_rgb_png_shows_white() -> None:
    data = encoded(corners_image(), "PNG", transparency=(0, 0, 255))
    assert corners_of(open_rgb(data, None)) == [CORNERS[0], CORNERS[1], (255, 255, 255), CORNERS[3]]


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_grey_keep_their_full_range(image_format: str) -> None:
    values = np.tile(np.array([0, 257, 128 * 257, 65535], np.uint16).repeat(8), (16, 1))
    data = encoded(Image.fromarray(values), image_format)
    assert np.asarray(open_rgb(data, None))[0, ::8, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bits_of_colour_are_read() -> None:
    """A 16-bit RGB PNG, which Pillow reads and does not write, put together by hand."""
    row = b"\0" + struct.pack(">3H", 65535, 32768, 0) * 16
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 16)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    assert examine(data, SETTINGS) == ImageFacts(16, 16, "PNG", "RGB")
    assert np.asarray(open_rgb(data, None))[0, 0].tolist() == [255, 128, 0]


def test_floating_point_and_wide_integers_are_read() -> None:
    ramp = np.linspace(0, 1, 32, dtype=np.float32).reshape(1, -1).repeat(16, 0)
    grey = np.asarray(open_rgb(encoded(Image.fromarray(ramp), "TIFF"), None))[0, :, 0]
    assert (grey[0], grey[-1]) == (0, 255)
    wide = (np.arange(32, dtype=np.int32) * 100_000 - 50_000).reshape(1, -1).repeat(16, 0)
    grey = np.asarray(open_rgb(encoded(Image.fromarray(wide), "TIFF"), None))[0, :, 0]
    assert (grey[0], grey[-1]) == (0, 255)
    assert sorted(grey.tolist()) == grey.tolist()


@given(st.lists(st.floats(width=32) | st.integers(0, 65535).map(float), min_size=1, max_size=12))
def test_eight_bits_of_anything_keep_the_order(values: list[float]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        result = eight_bit(np.array([values], np.float32))[0]
    for first, second in zip(values, result, strict=True):
        assert 0 <= int(second) <= 255
        for other, shade in zip(values, result, strict=True):
            if first < other:
                assert second <= shade


@given(st.integers(0, 65535))
def test_sixteen_bit_values_are_rounded_to_the_nearest(value: int) -> None:
    assert int(eight_bit(np.array([[value]], np.uint16), 16)[0, 0]) == int(value / 257 + 0.5)


def test_eight_bits_of_nothing_and_of_no_number() -> None:
    assert eight_bit(np.array([[np.nan, -np.inf, 0.0, 1.0, np.inf]])).tolist() == [[0, 0, 0, 255, 255]]
    assert eight_bit(np.full((1, 2), np.nan)).tolist() == [[0, 0]]
    assert eight_bit(np.array([[-1.0, 0.0, 1.0]])).tolist() == [[0, 128, 255]]
    assert eight_bit(np.array([[0, 35_000, 70_000]])).tolist() == [[0, 128, 255]]
    assert eight_bit(np.full((1, 2), 7.5)).tolist() == [[0, 0]]
    assert eight_bit(np.full((1, 2), 70000)).tolist() == [[0, 0]]


def test_lab_is_converted() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(corners_image(), to_lab)
    assert lab is not None
    data = encoded(lab, "TIFF")
    assert examine(data, SETTINGS).mode == "LAB"
    assert corners_of(open_rgb(data, None)) == CORNERS


def test_a_cmyk_image_with_a_profile_that_is_none_is_converted_all_the_same() -> None:
    plain = encoded(corners_image().convert("CMYK"), "JPEG")
    wrong = encoded(corners_image().convert("CMYK"), "JPEG", icc_profile=b"\0" * 16 + b"CMYK" + b"nonsense")
    assert open_rgb(wrong, None).tobytes() == open_rgb(plain, None).tobytes()


def bomb_png(width: int, height: int) -> bytes:
    """A small file whose header announces a huge picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(bomb_png(side, side))
    assert (error.reason, error.detail) == ("over the pixel limit", f"{side} x {side} pixels, limit 80000000")
    assert str(error) == f"over the pixel limit: {side} x {side} pixels, limit 80000000"
    assert limit == Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageRefusedError, match="over the pixel limit"):
        open_rgb(bomb_png(side, side), 80_000_000)


def test_a_limit_above_pillows_own_is_obeyed_without_a_warning() -> None:
    """Pillow warns above 89 million pixels and refuses above twice that; the caller's limit alone counts here."""
    big = encoded(Image.new("1", (20_000, 10_000)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = IntakeSettings(max_pixels=200_000_000, max_decoded_bytes=2_000_000_000)
        assert examine(big, settings) == ImageFacts(20_000, 10_000, "PNG", "1")


def test_the_pixel_limit_is_exact() -> None:
    data = encoded(corners_image(), "PNG")
    assert examine(data, IntakeSettings(max_pixels=48 * 32)).width == 48
    assert refusal(data, IntakeSettings(max_pixels=48 * 32 - 1)).reason == "over the pixel limit"


def test_a_picture_that_could_not_be_published_as_jpeg_is_refused() -> None:
    error = refusal(encoded(Image.new("L", (MAX_SIDE_PX + 1, 16)), "PNG"))
    assert (error.reason, error.detail) == ("over the side limit", "65501 x 16 pixels, limit 65500 a side")


def test_small_pictures_are_refused_by_their_shorter_side() -> None:
    error = refusal(encoded(Image.new("L", (100, 15)), "PNG"))
    assert (error.reason, error.detail) == ("too small", "100 x 15 pixels, at least 16 a side")
    assert examine(encoded(Image.new("L", (100, 16)), "PNG"), SETTINGS).height == 16


def test_what_is_no_image_is_told_apart() -> None:
    assert (refusal(b"").reason, refusal(b"").detail) == ("empty file", "")
    text = refusal(b"Dear Anna, here is the picture.")
    assert (text.reason, text.detail) == ("not an image", "starts with b'Dear Anna, here '")
    assert refusal(b"%PDF-1.7\n%...").reason == "not an image"
    assert refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n").reason == "not an image"
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        heic = refusal(b"\0\0\0\x18ftyp" + brands)
        assert (heic.reason, heic.detail) == ("format not supported", "HEIC; convert it to JPEG")
    assert refusal(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif").reason == "unreadable"
    assert refusal(b"\xff\xd8\xff\xd9").reason == "unreadable"


def noisy_image() -> Image.Image:
    rng = np.random.default_rng(5)
    return Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8))


TRUNCATABLE: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("GIF", {}),
    ("WEBP", {}),
    ("BMP", {}),
    ("PPM", {}),
    ("AVIF", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("JPEG2000", {}),
]


@pytest.mark.parametrize(("image_format", "options"), TRUNCATABLE)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_file_is_refused_as_truncated(image_format: str, options: dict[str, Any], share: float) -> None:
    data = encoded(noisy_image(), image_format, **options)
    assert examine(data, SETTINGS).format == image_format
    assert refusal(data[: int(len(data) * share)]).reason == "truncated"


@pytest.mark.parametrize("kept", [4, 20, 100, 300, 623])
def test_a_jpeg_cut_in_its_header_is_refused(kept: int) -> None:
    assert refusal(encoded(noisy_image(), "JPEG")[:kept]).reason == "truncated"


def test_a_jpeg_that_lacks_its_end_mark_is_refused() -> None:
    """Whether picture is missing as well cannot be told: decoders fill what is missing with grey."""
    assert refusal(encoded(noisy_image(), "JPEG")[:-2]).reason == "truncated"


def test_a_broken_file_that_is_all_there_is_unreadable() -> None:
    data = bytearray(encoded(noisy_image(), "PNG"))
    data[60:90] = bytes(30)
    error = refusal(bytes(data))
    assert error.reason == "unreadable"
    assert error.detail.startswith("PNG: ")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TRUNCATABLE), st.data())
def test_damage_of_any_kind_is_refused_or_decoded_and_never_raises(
    kind: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    image_format, options = kind
    whole = bytearray(encoded(noisy_image(), image_format, **options))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageRefusedError):
        facts = examine(bytes(whole), IntakeSettings(max_pixels=1_000_000))
        assert open_rgb(bytes(whole), 1_000_000).size == (facts.width, facts.height)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: encoded(corners_image(), "AVIF"), "AVIF"),
        (lambda: encoded(corners_image(), "WEBP"), "WEBP"),
        (lambda: b"P5 16 16 255\n", "PPM"),
        (lambda: b"P5 is my favourite", "PPM"),
        (lambda: b"Portrait", None),
        (lambda: b"RIFF\0\0\0\0WAVE", None),
        (lambda: b"", None),
    ],
)
def test_formats_are_told_by_their_first_bytes(make: Callable[[], bytes], expected: str | None) -> None:
    assert format_of(make()[:16]) == expected
