"""What a picture is sent as, what stands for it in a journal, and where boxes lie in it."""

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from ostensive.chat.pictures import (
    EncodedImage,
    SentImageSettings,
    box_of_sent,
    picture_reference,
    presentable,
    presentable_placement,
    sent_corners_px,
)
from ostensive.records import Box

SMALL = SentImageSettings(max_side_px=512, quality=80)


def test_images_are_sent_small_in_rgb_and_without_metadata() -> None:
    image = Image.new("RGB", (4000, 1000), "red")
    exif = Image.Exif()
    exif[0x010E] = "at home"
    image.info["exif"] = exif.tobytes()
    sent = SMALL.encode(image)
    opened = Image.open(io.BytesIO(sent.data))
    assert (opened.format, opened.size, opened.mode, sent.mime) == ("JPEG", (512, 128), "RGB", "image/jpeg")
    assert sent.size_px == opened.size
    assert not opened.getexif()
    assert b"at home" not in sent.data
    for odd in ((1, 1), (20_000, 10)):
        assert max(Image.open(io.BytesIO(SMALL.encode(Image.new("RGB", odd)).data)).size) <= 512


@pytest.mark.parametrize(("kind", "mime"), [("png", "image/png"), ("webp", "image/webp"), ("jpeg", "image/jpeg")])
def test_the_type_is_that_of_the_bytes(kind: str, mime: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    sent = SentImageSettings.model_validate({"format": kind}).encode(noise)
    opened = Image.open(io.BytesIO(sent.data))
    assert sent.mime == mime == opened.get_format_mimetype()
    assert (opened.tobytes() == noise.tobytes()) == (kind == "png"), "this one loses nothing"


def test_bytes_are_sent_as_they_are() -> None:
    given = EncodedImage(b"whatever it is", "image/tiff")
    assert SMALL.encode(given) is given


def test_an_image_that_cannot_be_read_is_an_error() -> None:
    broken = Image.new("RGB", (40, 40))
    broken.close()
    with pytest.raises(ValueError, match="closed image"):
        SMALL.encode(broken)


def test_a_journal_has_hash_type_and_size() -> None:
    red = Image.new("RGB", (40, 30), "red")
    sent = SMALL.encode(red)
    assert f";image/jpeg;40x30;{len(sent.data)} bytes" in picture_reference(sent)
    assert picture_reference(EncodedImage(b"x", "image/png")).endswith(";image/png;1 bytes")
    assert picture_reference(red).endswith(";pixels;40x30;RGB")
    others = [Image.new("RGB", (40, 30), "blue"), Image.new("RGB", (30, 40), "red"), Image.new("L", (120, 30), 1)]
    assert len({picture_reference(image) for image in (red, *others)}) == 4
    assert picture_reference(red.copy()) == picture_reference(red), "pixels, not files"


SIDES = st.integers(1, 6000)


@given(width=SIDES, height=SIDES)
@example(width=1000, height=3)
@example(width=3, height=1000)
def test_what_is_presented_is_where_it_is_said_to_be(width: int, height: int) -> None:
    width, height = (width, height) if width * height < 100_000 else (width, max(1, 100_000 // width))
    placement = presentable_placement(width, height)
    shown = presentable(Image.new("RGB", (width, height), "red"))
    assert shown.size == placement.picture_px
    box = shown.point(lambda level: 255 if level > 200 else 0).getchannel("R").getbbox()
    (left, top), (wide, high) = placement.offset_px, placement.image_px
    assert box == (left, top, left + wide, top + high)
    assert abs(2 * left + wide - shown.width) <= 1, "in the middle"
    assert abs(2 * top + high - shown.height) <= 1


@given(
    width=SIDES,
    height=SIDES,
    corners=st.tuples(*[st.floats(0, 1)] * 4).filter(lambda c: c[0] + 1e-6 < c[2] and c[1] + 1e-6 < c[3]),
)
def test_a_box_comes_back_from_what_was_sent(
    width: int, height: int, corners: tuple[float, float, float, float]
) -> None:
    placement, box = SMALL.placement(width, height), Box(*corners)
    found = sent_corners_px(box, placement)
    assert max(placement.picture_px) <= 512
    assert 0 <= found[0] <= found[2] <= placement.picture_px[0]
    assert 0 <= found[1] <= found[3] <= placement.picture_px[1]
    back = box_of_sent(found, placement)
    assert (back.x1, back.y1, back.x2, back.y2) == pytest.approx(corners, abs=1e-7)


def test_a_box_on_the_strips_beside_a_thin_image_is_none() -> None:
    image = Image.new("RGB", (1000, 10), "red")
    placement, sent = SMALL.placement(*image.size), SMALL.encode(image)
    assert Image.open(io.BytesIO(sent.data)).size == placement.picture_px
    top, bottom = placement.offset_px[1], placement.offset_px[1] + placement.image_px[1]
    assert 0 < top < bottom < placement.picture_px[1]
    cut = box_of_sent((0, 0, placement.picture_px[0], placement.picture_px[1]), placement)
    assert cut == Box(0, 0, 1, 1)
    with pytest.raises(ValueError, match="not a box"):
        box_of_sent((0, 0, 100, top), placement)
