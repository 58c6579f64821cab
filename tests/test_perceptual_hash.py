import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from drawing import draw_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from microworld.render import render
from microworld.sample import sample_scene
from ostensive.images.near_groups import kept_pairs, labels_of
from ostensive.images.near_pairs import Gallery, Pairs, correlations, near_between, near_pairs
from ostensive.images.near_settings import PerceptualSettings
from ostensive.images.perceptual import CUTS, HASHES, THUMBNAIL_BYTES, Looks, looks_of, without_border

PHOTOS = ("astronaut.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "rocket.jpg")
DISTANCE = PerceptualSettings().max_distance


@cache
def photos() -> dict[str, Image.Image]:
    folder, learn = Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"
    paths = [*(folder / name for name in PHOTOS), learn / "china.jpg", learn / "flower.jpg"]
    return {path.name: Image.open(path).convert("RGB") for path in paths}


def coded(picture: Image.Image, quality: int) -> Image.Image:
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=quality)
    return Image.open(io.BytesIO(sink.getvalue())).convert("RGB")


def cut(picture: Image.Image, share: float) -> Image.Image:
    width, height = picture.size
    return picture.crop(
        (round(width * share), round(height * share), round(width * (1 - share)), round(height * (1 - share)))
    )


def gallery(looks: Sequence[Looks | None]) -> Gallery:
    found = [one for one in looks if one is not None]
    assert len(found) == len(looks)
    return Gallery(np.stack([one.hashes for one in found]), np.stack([one.thumbnails for one in found]))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "coded anew": lambda one: coded(one, 40),
    "half as large": lambda one: one.resize((one.width // 2, one.height // 2)),
    "squeezed": lambda one: one.resize((100, 100)),
    "darker": lambda one: ImageEnhance.Brightness(one).enhance(0.7),
    "less contrast": lambda one: ImageEnhance.Contrast(one).enhance(0.7),
    "black border": lambda one: ImageOps.expand(one, one.width // 12, "black"),
    "mirrored": ImageOps.mirror,
    "edges lost": lambda one: cut(one, 0.025),
    "more of them lost": lambda one: cut(one, 0.05),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photograph_is_near_itself_alone(change: str) -> None:
    wholes = gallery([looks_of(one) for one in photos().values()])
    changed = gallery([looks_of(CHANGES[change](one)) for one in photos().values()])
    found = near_between(changed, wholes, DISTANCE)
    assert (found.first == found.second).all(), "near another photograph"
    # At the default distance nearly all; see the table in docs/splits.md.
    assert len(found) >= len(wholes) - 1
    turned = near_between(wholes, changed, DISTANCE)
    assert set(zip(turned.first, turned.second, strict=True)) == set(zip(found.second, found.first, strict=True))


def test_scenes_with_few_shapes_are_rarely_near_each_other() -> None:
    scenes = gallery([looks_of(render(sample_scene(number))) for number in range(400)])
    assert len(near_pairs(scenes, DISTANCE)) <= 4, "of 79,800 pairs"


def test_a_picture_of_one_colour_looks_like_nothing() -> None:
    assert looks_of(Image.new("RGB", (64, 48), "teal")) is None
    speckled = np.asarray(Image.new("RGB", (64, 48), "teal")).astype(np.int16)
    speckled = speckled + np.random.default_rng(0).integers(-2, 3, speckled.shape)
    assert looks_of(Image.fromarray(speckled.clip(0, 255).astype(np.uint8))) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (16, 16), (3000, 17)])
def test_pictures_of_any_shape_are_hashed(size: tuple[int, int]) -> None:
    across, down = np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1])
    pixels = np.stack(
        [across + 0 * down[:, None], 255 - across + 0 * down[:, None], 0 * across + down[:, None]], axis=2
    )
    found = looks_of(Image.fromarray(pixels.astype(np.uint8)))
    if size != (1, 1):
        assert found is not None
        assert found.hashes.shape == (HASHES,)
        assert found.thumbnails.shape == (CUTS, THUMBNAIL_BYTES)


def test_a_border_is_found_and_never_takes_more_than_half() -> None:
    pixels = np.full((40, 60, 3), 200, np.int16)
    pixels[4:30, 10:55] = np.random.default_rng(0).integers(0, 100, (26, 45, 3))
    assert without_border(pixels) == (10, 4, 55, 30)
    assert without_border(np.zeros((40, 60, 3), np.int16)) == (15, 10, 45, 30)


def test_the_same_picture_in_other_colours_is_another() -> None:
    one = draw_scene(3)
    other = Image.merge("RGB", one.split()[::-1])
    first, second = looks_of(one), looks_of(other)
    assert first is not None
    assert second is not None
    assert len(near_between(gallery([first]), gallery([first]), DISTANCE)) == 1
    assert len(near_between(gallery([first]), gallery([second]), DISTANCE)) == 0


# ---- pairs ----------------------------------------------------------------------------------------------------------


def drawn_gallery(seed: int, count: int) -> Gallery:
    """Hashes that are near each other in clusters, and thumbnails that all are alike."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**63, 4, dtype=np.uint64)
    hashes = centres[rng.integers(0, 4, (count, HASHES))]
    for _ in range(8):
        hashes ^= np.uint64(1) << rng.integers(0, 64, hashes.shape, dtype=np.uint64) * rng.integers(
            0, 2, hashes.shape, dtype=np.uint64
        )
    return Gallery(hashes, np.ones((count, CUTS, THUMBNAIL_BYTES), np.int8))


def each_with_each(ours: Gallery, others: Gallery, most: int) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for first in range(len(ours)):
        for second in range(len(others)):
            views = [(ours.hashes[first, v], others.hashes[second, 0]) for v in range(HASHES)]
            views += [(ours.hashes[first, 0], others.hashes[second, v]) for v in range(HASHES)]
            distance = min(int(np.bitwise_count(one ^ other)) for one, other in views)
            if distance <= most:
                found[first, second] = distance
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 12), st.integers(0, 11))
def test_what_is_looked_up_is_what_comparing_each_with_each_finds(
    seed: int, first: int, second: int, most: int
) -> None:
    ours, others = drawn_gallery(seed, first), drawn_gallery(seed + 1, second)
    found = near_between(ours, others, most)
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    assert dict(zip(pairs, found.distances.tolist(), strict=True)) == each_with_each(ours, others, most)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 14), st.integers(0, 11))
def test_groups_are_those_of_all_pairs_in_any_order(seed: int, count: int, most: int) -> None:
    ours = drawn_gallery(seed, count)
    wanted = np.array([p for p in each_with_each(ours, ours, most) if p[0] < p[1]], np.int64).reshape(-1, 2)
    whole = labels_of(count, Pairs(wanted[:, 0], wanted[:, 1], np.zeros(len(wanted), np.int64)))
    assert labels_of(count, near_pairs(ours, most)).tolist() == whole.tolist()
    order = np.random.default_rng(seed).permutation(count)
    turned = labels_of(count, near_pairs(Gallery(ours.hashes[order], ours.thumbnails[order]), most))
    assert {(a, b) for a in range(count) for b in range(count) if turned[a] == turned[b]} == {
        (a, b) for a in range(count) for b in range(count) if whole[order[a]] == whole[order[b]]
    }


def test_equal_pictures_are_not_compared_each_with_each() -> None:
    same = Gallery(np.full((3000, HASHES), 7, np.uint64), np.ones((3000, CUTS, THUMBNAIL_BYTES), np.int8))
    found = near_pairs(same, DISTANCE)
    assert (len(found), set(found.first.tolist())) == (2999, {0})


def test_what_is_equal_as_a_whole_still_finds_by_its_own_cuts() -> None:
    far = np.random.default_rng(0).integers(0, 2**63, (3, HASHES), dtype=np.uint64)
    far[:2, 0] = 7
    far[1, 2] = far[2, 0] ^ np.uint64(0b11)  # a cut of the second is like the whole third; of the first none is
    found = near_pairs(Gallery(far, np.ones((3, CUTS, THUMBNAIL_BYTES), np.int8)), DISTANCE)
    assert list(zip(found.first.tolist(), found.second.tolist(), found.distances.tolist(), strict=True)) == [
        (0, 1, 0),
        (1, 2, 2),
    ]


def test_embeddings_name_pairs_that_hashes_do_not_see() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, (4, HASHES), dtype=np.uint64)
    vectors = np.array([[1, 0], [0.96, 0.28], [0, 1], [0, 0]], np.float32)
    hashes[2, 0] = hashes[1, 0] ^ np.uint64(1)
    some = Gallery(hashes, np.ones((4, CUTS, THUMBNAIL_BYTES), np.int8), vectors)
    found = near_pairs(some, DISTANCE, min_cosine=0.95)
    pairs = zip(found.first.tolist(), found.second.tolist(), found.distances.tolist(), strict=True)
    assert list(pairs) == [(0, 1, -1), (1, 2, 1)], "one without an embedding is like none"
    between = near_between(some, some, DISTANCE, min_cosine=0.97)
    pairs = zip(between.first.tolist(), between.second.tolist(), between.distances.tolist(), strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [(1, 2, 1), (2, 1, 1)]


def test_more_pairs_than_are_compared_at_once_are_all_found() -> None:
    rng = np.random.default_rng(0)
    ours, others = (rng.integers(0, 2**63, (count, HASHES), dtype=np.uint64) for count in (30, 36_000))
    ours[:, 0], others[:, 0] = 0b0110, 0b0101
    galleries = [Gallery(one, np.ones((len(one), CUTS, THUMBNAIL_BYTES), np.int8)) for one in (ours, others)]
    found = near_between(galleries[0], galleries[1], 2)
    assert (found.first == np.repeat(np.arange(30), 36_000)).all()
    assert (found.second == np.tile(np.arange(36_000), 30)).all()
    assert (found.distances == 2).all()


def test_thumbnails_that_are_empty_are_like_none() -> None:
    nothing = np.zeros((2, THUMBNAIL_BYTES), np.int8)
    assert correlations(nothing, nothing).tolist() == [0, 0]


def test_a_group_that_runs_away_is_taken_apart_from_its_farthest_pairs_on() -> None:
    first = np.arange(9, dtype=np.int64)
    chain = Pairs(first, first + 1, np.array([1, 1, 6, 1, 1, 4, 2, -1, 1], np.int64))
    assert labels_of(10, kept_pairs(10, chain, 100)).tolist() == [0] * 10
    assert labels_of(10, kept_pairs(10, chain, 8)).tolist() == [0] * 8 + [1, 1], "what only a model saw goes first"
    assert labels_of(10, kept_pairs(10, chain, 5)).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2]
    assert labels_of(10, kept_pairs(10, chain, 4)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    equal = Pairs(first, first + 1, np.zeros(9, np.int64))
    assert labels_of(10, kept_pairs(10, equal, 2)).tolist() == [0] * 10, "equal hashes stay together"
