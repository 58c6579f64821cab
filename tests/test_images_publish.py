import hashlib
import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage import data as photographs

from ostensive.images.decode import open_rgb
from ostensive.images.jpeg import JpegDamagedError, split_jpeg, without_metadata
from ostensive.images.publish import publishable_jpeg

PLANTED = b"PLANTED-SECRET"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
INVERSE = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposition that stores it so


def photograph(width: int = 160, height: int = 96) -> Image.Image:
    pixels: npt.NDArray[np.uint8] = photographs.astronaut()  # type: ignore[no-untyped-call]  # scikit-image has no types
    return Image.fromarray(pixels).crop((100, 0, 100 + width, height))


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:  # Any: Pillow's save options
    sink = io.BytesIO()
    image.save(sink, image_format, **options)
    return sink.getvalue()


def camera_exif(orientation: int = 1) -> Image.Exif:
    """What a telephone writes: maker, serial number, owner, place, and a comment, each with the planted text."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = PLANTED.decode()  # Make
    exif[0x013B] = PLANTED.decode()  # Artist
    details = exif.get_ifd(0x8769)
    details[0xA431] = PLANTED.decode()  # BodySerialNumber
    details[0x927C] = PLANTED * 20  # MakerNote
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[29] = "N", (52.0, 31.0, 12.0), PLANTED.decode()
    return exif


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


THUMBNAIL_JFIF = segment(0xE0, b"JFIF\0\x01\x02\x01\0\x48\0\x48\x02\x02" + b"PLA" * 4)
METADATA = [
    segment(0xE0, b"JFXX\0\x10" + PLANTED),
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>" + PLANTED),
    segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + PLANTED),
    segment(0xE2, b"MPF\0" + PLANTED),
    segment(0xE2, b"FPXR\0" + PLANTED),
    segment(0xE3, b"META\0" + PLANTED),
    segment(0xEB, b"JP" + PLANTED),  # C2PA
    segment(0xEC, b"Ducky" + PLANTED),
    segment(0xED, b"Photoshop 3.0\0" + PLANTED),
    segment(0xEF, PLANTED),
    segment(0xFE, PLANTED),
]


def with_segments(data: bytes, segments: list[bytes], *, trailer: bytes = b"") -> bytes:
    """`data` with `segments` after its start of image and `trailer` after its end."""
    return data[:2] + b"".join(segments) + data[2:] + trailer


def scan_bytes(data: bytes) -> list[bytes]:
    """Everything of a JPEG file that codes the picture, piece by piece, APPn and comments left out."""
    return [
        data[piece.start : piece.end]
        for piece in split_jpeg(data).segments
        if not 0xE0 <= piece.marker <= 0xEF and piece.marker != 0xFE
    ]


def pixels_of(data: bytes) -> bytes:
    """The pixels as Pillow gives them to somebody who does not ask about EXIF."""
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


ENCODINGS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3, "progressive": True},
    {"quality": 98, "subsampling": "4:4:4"},
    {"subsampling": "4:2:2", "optimize": True},
    {"keep_rgb": True},
    {"icc_profile": SRGB},
]


@given(
    st.sampled_from(ENCODINGS),
    st.lists(st.sampled_from(METADATA), max_size=8),
    st.integers(16, 90),
    st.integers(16, 90),
    st.booleans(),
    st.sampled_from([b"", PLANTED, encoded(Image.new("RGB", (16, 16)), comment=PLANTED), b"\xff\xd9" + PLANTED]),
)
def test_an_upright_jpeg_keeps_its_picture_and_nothing_else(
    options: dict[str, Any], metadata: list[bytes], width: int, height: int, grey: bool, trailer: bytes
) -> None:
    image = photograph(width, height)
    picture = encoded(image.convert("L") if grey else image, exif=camera_exif(), comment=PLANTED, **options)
    data = with_segments(picture, metadata, trailer=trailer)
    assert PLANTED in data
    published = publishable_jpeg(data, jpeg_quality=50)
    assert PLANTED not in published
    assert b"Exif" not in published
    assert scan_bytes(published) == scan_bytes(data)
    assert pixels_of(published) == pixels_of(data)
    assert len(published) < len(data)
    assert published.endswith(b"\xff\xd9")
    assert publishable_jpeg(published, jpeg_quality=50) == published
    assert Image.open(io.BytesIO(published)).info.get("icc_profile") == options.get("icc_profile")


def test_the_thumbnail_of_jfif_goes_and_its_density_stays() -> None:
    plain = encoded(photograph())
    assert plain[2:4] == b"\xff\xe0"
    data = plain[:2] + THUMBNAIL_JFIF + plain[20:]
    published = publishable_jpeg(data, jpeg_quality=50)
    assert published[:20] == b"\xff\xd8" + segment(0xE0, b"JFIF\0\x01\x02\x01\0\x48\0\x48\0\0")
    assert Image.open(io.BytesIO(published)).info["dpi"] == (72, 72)
    assert pixels_of(published) == pixels_of(data)


def test_the_adobe_transform_stays_because_it_says_what_the_numbers_mean() -> None:
    rgb = encoded(photograph(), keep_rgb=True)  # three components that are red, green and blue
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0" + PLANTED)
    data = with_segments(rgb, [adobe])
    published = publishable_jpeg(data, jpeg_quality=50)
    assert segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") in published
    assert PLANTED not in published
    assert pixels_of(published) == pixels_of(rgb)


def test_fill_bytes_and_restart_markers_survive_as_they_are() -> None:
    data = encoded(photograph(), restart_marker_blocks=1)
    assert b"\xff\xd0" in data
    tables = data.index(b"\xff\xdb")
    filled = data[:tables] + b"\xff\xff\xff" + data[tables:-2] + b"\xff\xff\xff\xd9"
    published = publishable_jpeg(filled, jpeg_quality=50)
    assert published == filled  # it held no metadata, so not a byte is different
    assert pixels_of(published) == pixels_of(data)


def test_stray_bytes_between_segments_are_left_out() -> None:
    data = encoded(photograph())
    tables = data.index(b"\xff\xdb")
    published = publishable_jpeg(data[:tables] + PLANTED + data[tables:], jpeg_quality=50)
    assert published == data


def test_a_motion_photo_loses_its_film() -> None:
    picture = encoded(photograph())
    film = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 100
    assert publishable_jpeg(picture + film, jpeg_quality=50) == picture


def test_a_multi_picture_file_keeps_its_first_picture() -> None:
    data = encoded(photograph(), "MPO", save_all=True, append_images=[Image.new("RGB", (160, 96), "red")])
    published = publishable_jpeg(data, jpeg_quality=50)
    with Image.open(io.BytesIO(published)) as image:
        assert (image.format, getattr(image, "n_frames", 1)) == ("JPEG", 1)
    assert scan_bytes(published) == scan_bytes(data)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(("width", "height", "least_psnr_db"), [(160, 96, 40.0), (157, 93, 40.0)])
def test_a_turned_jpeg_is_upright_for_readers_that_pass_over_exif(
    orientation: int, subsampling: str, width: int, height: int, least_psnr_db: float
) -> None:
    turn = INVERSE[orientation]
    assert turn is not None
    stored = photograph(width, height).transpose(Image.Transpose(turn))
    options: dict[str, Any] = {"quality": 85, "subsampling": subsampling, "icc_profile": SRGB}
    data = encoded(stored, exif=camera_exif(orientation), comment=PLANTED, **options)
    published = publishable_jpeg(data, jpeg_quality=50)
    assert PLANTED not in published
    assert publishable_jpeg(data, jpeg_quality=99) == published
    with Image.open(io.BytesIO(published)) as image:
        assert image.size == (width, height)
        assert image.getexif() == {}
        assert image.info["icc_profile"] == SRGB
        seen = np.asarray(image, dtype=np.float64)
    wanted = np.asarray(open_rgb(data, None), dtype=np.float64)
    psnr_db = 10 * np.log10(255**2 / np.mean((seen - wanted) ** 2))
    assert psnr_db > least_psnr_db, psnr_db
    assert len(published) < 2.0 * len(data)


@pytest.mark.parametrize(("orientation", "sideways"), [(3, False), (6, True)])
def test_a_turned_jpeg_keeps_its_quantisation(orientation: int, sideways: bool) -> None:
    rng = np.random.default_rng(3)
    tables = [[int(value) for value in rng.integers(2, 9, 64)] for _ in range(2)]
    data = encoded(photograph(), exif=camera_exif(orientation), qtables=tables, subsampling="4:2:0")
    with Image.open(io.BytesIO(publishable_jpeg(data, jpeg_quality=10))) as image:
        kept = getattr(image, "quantization")  # noqa: B009 - only JPEG files have it, which the type does not say
    expected = [np.array(table).reshape(8, 8).T.flatten().tolist() if sideways else table for table in tables]
    assert [kept[0], kept[1]] == expected


def test_a_turned_jpeg_off_its_block_grid_is_quantised_finer() -> None:
    tables = [[9] * 64, [6] * 64]
    stored = photograph(157, 93)
    data = encoded(stored, exif=camera_exif(3), qtables=tables)
    with Image.open(io.BytesIO(publishable_jpeg(data, jpeg_quality=10))) as image:
        assert getattr(image, "quantization") == {0: [5] * 64, 1: [3] * 64}  # noqa: B009 - as above


def test_a_turned_grey_jpeg_stays_grey() -> None:
    data = encoded(photograph().convert("L"), exif=camera_exif(6))
    with Image.open(io.BytesIO(publishable_jpeg(data, jpeg_quality=50))) as image:
        assert (image.mode, image.size) == ("L", (96, 160))


@pytest.mark.parametrize(
    ("image_format", "mode", "least_psnr_db"),
    [
        ("PNG", "RGBA", 38),
        ("PNG", "L", 38),
        ("PNG", "P", 30),  # dithered: noise that no JPEG likes
        ("WEBP", "RGB", 38),
        ("TIFF", "RGB", 38),
        ("GIF", "P", 30),
        ("JPEG", "CMYK", 38),
    ],
)
def test_other_formats_are_coded_once(image_format: str, mode: str, least_psnr_db: float) -> None:
    options = {"exif": camera_exif(6)} if image_format != "GIF" else {"comment": PLANTED}
    data = encoded(photograph().convert(mode), image_format, **options)
    assert PLANTED in data
    published = publishable_jpeg(data, jpeg_quality=95)
    assert PLANTED not in published
    assert b"Exif" not in published
    with Image.open(io.BytesIO(published)) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert getattr(image, "layer")[0][1:3] == (1, 1)  # noqa: B009 - only JPEG files have it
        seen = np.asarray(image, dtype=np.float64)
    wanted = np.asarray(open_rgb(data, None), dtype=np.float64)
    assert 10 * np.log10(255**2 / np.mean((seen - wanted) ** 2)) > least_psnr_db
    assert len(publishable_jpeg(data, jpeg_quality=30)) < len(published)
    assert hashlib.sha256(publishable_jpeg(data, jpeg_quality=95)).digest() == hashlib.sha256(published).digest()


def test_a_colour_profile_is_kept_only_where_it_still_fits() -> None:
    grey_profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    fits = publishable_jpeg(encoded(photograph(), "PNG", icc_profile=SRGB), jpeg_quality=90)
    wrong = publishable_jpeg(encoded(photograph().convert("L"), "PNG", icc_profile=grey_profile), jpeg_quality=90)
    assert Image.open(io.BytesIO(fits)).info["icc_profile"] == SRGB
    assert "icc_profile" not in Image.open(io.BytesIO(wrong)).info


def test_bytes_that_do_not_split_cleanly_are_coded_anew() -> None:
    """Stray bytes between the scans of a progressive file, which decoders read past with a warning."""
    whole = encoded(photograph(), progressive=True)
    scans = [piece for piece in split_jpeg(whole).segments if piece.marker == 0xDA]
    tables = next(p for p in split_jpeg(whole).segments if p.marker == 0xC4 and p.start > scans[0].start)
    data = whole[: tables.end] + PLANTED + whole[tables.end :]
    with pytest.raises(JpegDamagedError, match="bytes between the scans belong to no segment"):
        split_jpeg(data)
    published = publishable_jpeg(data, jpeg_quality=95)
    assert PLANTED not in published
    assert split_jpeg(published).ended
    seen, wanted = (np.asarray(open_rgb(each, None), dtype=np.float64) for each in (published, whole))
    assert 10 * np.log10(255**2 / np.mean((seen - wanted) ** 2)) > 38


@pytest.mark.parametrize(
    ("data", "message", "at_end"),
    [
        (b"GIF89a", "a JPEG file starts with FF D8", False),
        (b"\xff\xd8\xff\xdb\x00\x43\x00", "segment DB has an impossible length", True),
        (b"\xff\xd8\xff\xdb\x00\x01\x00", "segment DB has an impossible length", False),
        (b"\xff\xd8\xff\xd8\xff\xd9", "a second start of image before the end of the first", False),
        (b"\xff\xd8\xff\xf0\x00\x02\xff\xd9", "marker F0 has no place in a JPEG file", False),
        (
            b"\xff\xd8\xff\xda\x00\x02\x01\x02\xff\xc4\x00\x02stray\xff\xda\x00\x02",
            "bytes between the scans belong to no segment",
            False,
        ),
    ],
)
def test_what_is_not_in_the_form_of_a_jpeg_is_said(data: bytes, message: str, at_end: bool) -> None:
    with pytest.raises(JpegDamagedError, match=message) as caught:
        split_jpeg(data)
    assert caught.value.at_end is at_end


def test_pieces_of_the_smallest_files() -> None:
    assert split_jpeg(b"\xff\xd8\xff\xd9").segments == ()
    assert split_jpeg(b"\xff\xd8").ended is False
    empty = split_jpeg(b"\xff\xd8\xff\xd9")
    assert without_metadata(b"\xff\xd8\xff\xd9", empty) == b"\xff\xd8\xff\xd9"
    assert split_jpeg(encoded(photograph().convert("L"))).components == 1
    assert split_jpeg(encoded(photograph())).components == 3
    assert split_jpeg(encoded(photograph().convert("CMYK"))).components == 4
