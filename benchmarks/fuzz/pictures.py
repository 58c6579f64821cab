"""Pictures: taken in, seen again and published, with nothing in what is published but the picture."""

import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from fuzz.table import Reader
from ostensive.images.intake import Intake
from ostensive.images.items import SourceItem
from ostensive.images.jpeg import split_jpeg
from ostensive.images.loader import ImageLoader
from ostensive.images.publish import publishable_jpeg
from ostensive.images.settings import IntakeSettings
from ostensive.images.sources import list_items
from ostensive.records import ImageRecord
from ostensive.stage import Dropped, Failed, Kept

TOLD: Final = b"ALICE-AT-48.8584-N"
"""Stands in every place of a sound input where a text may stand; never in what is published."""
_CODE: Final = (0xDB, 0xC4, 0xDA, 0xE2)
"""Tables, scans and the colour profile: what is in a sound one of them is published as it is."""
_SETTINGS: Final = IntakeSettings(min_side=1, max_pixels=4_000_000)


def _scene(seed: int, mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    rng = random.Random(seed)
    image = Image.new("RGB", size, (rng.randrange(256), 90, 30))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = rng.randrange(size[0] - 8), rng.randrange(size[1] - 8)
        draw.rectangle((x, y, x + 7, y + 7), (rng.randrange(256), rng.randrange(256), 200))
    return image.convert(mode)


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = TOLD.decode()
    return exif.tobytes()


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def _jpeg_seeds() -> list[bytes]:
    options: list[dict[str, object]] = [
        {"exif": _exif(1), "comment": TOLD},
        {"exif": _exif(6), "icc_profile": _profile(), "quality": 40},
        {"progressive": True, "comment": TOLD, "icc_profile": _profile()},
        {"restart_marker_rows": 1, "subsampling": "4:4:4"},
    ]
    seeds = [_saved(_scene(place), "JPEG", **option) for place, option in enumerate(options)]
    seeds += [_saved(_scene(8, "L"), "JPEG"), _saved(_scene(9, "CMYK"), "JPEG", comment=TOLD)]
    return [*seeds, seeds[0] + _saved(_scene(5), "JPEG", comment=TOLD)]


def _png_seeds() -> list[bytes]:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", TOLD.decode(), zip=True)
    texts.add_itxt("Place", TOLD.decode())
    seeds = [_saved(_scene(1), "PNG", pnginfo=texts, exif=_exif(3), icc_profile=_profile())]
    seeds += [_saved(_scene(2, mode), "PNG") for mode in ("L", "P", "RGBA", "LA", "1", "I;16")]
    return seeds


def _tiff_seeds() -> list[bytes]:
    seeds = [
        _saved(_scene(place, mode), "TIFF", compression=codec, description=TOLD.decode())
        for place, (mode, codec) in enumerate(
            (("RGB", None), ("RGB", "tiff_lzw"), ("L", "tiff_adobe_deflate"), ("1", "group4"), ("RGB", "jpeg"))
        )
    ]
    return [*seeds, _saved(_scene(6).convert("F"), "TIFF"), _saved(_scene(7, "I;16"), "TIFF", compression="packbits")]


def _webp_seeds() -> list[bytes]:
    options: list[dict[str, object]] = [{"lossless": True}, {"exif": _exif(6), "icc_profile": _profile(), "xmp": TOLD}]
    seeds = [_saved(_scene(place, "RGBA"), "WEBP", **option) for place, option in enumerate(options)]
    frames = [_scene(4), _scene(5)]
    return [*seeds, _saved(_scene(3), "WEBP", save_all=True, append_images=frames)]


def _gif_seeds() -> list[bytes]:
    return [
        _saved(_scene(1), "GIF", comment=TOLD),
        _saved(_scene(2, "P"), "GIF", save_all=True, append_images=[_scene(3, "P")], transparency=3),
    ]


def _other_seeds() -> list[bytes]:
    seeds = [_saved(_scene(1), "BMP"), _saved(_scene(2, "P"), "BMP"), _saved(_scene(3), "AVIF", exif=_exif(6))]
    seeds += [_saved(_scene(4), "JPEG2000"), _saved(_scene(5), "PPM"), _saved(_scene(6, "I;16"), "PPM")]
    return [*seeds, b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12\n", _saved(_scene(7), "QOI")]


def _read(data: bytes, folder: Path) -> None:
    path = folder / "input.jpg"
    path.write_bytes(data)
    items = list_items(folder, _SETTINGS)
    assert len(items) == 1, "one file is one image"
    for record in _taken_in(items):
        loader = ImageLoader(_SETTINGS)
        pixels = loader.load(record)
        assert pixels.mode == "RGB", "what is seen is RGB"
        assert pixels.size == (record.width, record.height), "and of the size that was told"
        published = publishable_jpeg(loader.read(record), jpeg_quality=95, sample_bits=record.sample_bits)
        _check_published(published, record)


def _taken_in(items: list[SourceItem]) -> list[ImageRecord]:
    records: list[ImageRecord] = []
    for outcome in Intake(_SETTINGS, threads=1).process(items, {}):
        if isinstance(outcome, Kept):
            records.extend(outcome.records)
        else:
            assert isinstance(outcome, Dropped | Failed), "nothing else becomes of an image"
            assert not outcome.reason.startswith("unreadable: MemoryError"), "memory is bounded before it is taken"
    return records


def _check_published(jpeg: bytes, record: ImageRecord) -> None:
    pieces = split_jpeg(jpeg).segments
    assert sum(piece.end - piece.start for piece in pieces) == len(jpeg) - 4, "nothing is between the segments"
    for piece in pieces:
        is_code = piece.marker in _CODE  # a mutant may have numbers there that read like a text
        assert is_code or TOLD not in jpeg[piece.start : piece.end], "a text is published"
    with Image.open(io.BytesIO(jpeg)) as image:
        image.load()
        assert image.format == "JPEG", "what is published is a JPEG"
        assert image.size == (record.width, record.height), "and stands as what was seen"
        assert not image.getexif(), "and has no EXIF"
        left = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "icc_profile", "adobe", "adobe_transform"}
        assert image.info.keys() <= left | {"progressive", "progression"}, f"it carries {sorted(image.info)}"


def _reader(seeds: Callable[[], list[bytes]]) -> Reader:
    return Reader(seeds, _read)


READERS: Final[Mapping[str, Reader]] = {
    "jpeg": _reader(_jpeg_seeds),
    "png": _reader(_png_seeds),
    "tiff": _reader(_tiff_seeds),
    "webp": _reader(_webp_seeds),
    "gif": _reader(_gif_seeds),
    "other-pictures": _reader(_other_seeds),
}
