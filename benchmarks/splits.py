"""How long grouping near duplicates takes, and how many copies and chance pairs it finds.

    python benchmarks/splits.py [--images 100000] [--large 1000000] [--alike 3000] [--scenes 3000] [--distances 5 7 9]

Times are of `near_pairs` and the groups (what the stage `splits` decides with), on hashes that are drawn at random with
one image in a hundred a near copy of another, and of `looks_of` on a photograph, which the stage `signatures` does for
each image on as many threads as there are. Recall is on the photographs that come with scikit-image and scikit-learn:
the share of changed copies that are near their original. Chance pairs are among scenes of the microworld, which have
few shapes and are all different. With one thread of the libraries (OMP_NUM_THREADS=1) times are of one core.
"""

import argparse
import io
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image, ImageEnhance, ImageOps

from microworld.render import render
from microworld.sample import sample_scene
from ostensive.images.near_groups import kept_pairs, labels_of
from ostensive.images.near_pairs import Gallery, near_between, near_pairs
from ostensive.images.near_settings import PerceptualSettings
from ostensive.images.perceptual import CUTS, HASHES, THUMBNAIL_BYTES, looks_of

SMALLEST_PX = 60  # photographs with a shorter side are left out
TWINS = ("chessboard_RGB.png", "motorcycle_right.png")  # copies of others that ship


def photographs() -> list[Image.Image]:
    folder, learn = Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"
    paths = sorted([*folder.glob("*.png"), *folder.glob("*.jpg"), *learn.glob("*.jpg")])
    found = [Image.open(path).convert("RGB") for path in paths if path.name not in TWINS]
    return [one for one in found if min(one.size) >= SMALLEST_PX]


def coded(picture: Image.Image, quality: int) -> Image.Image:
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=quality)
    return Image.open(io.BytesIO(sink.getvalue())).convert("RGB")


def without(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Less these shares of its sides."""
    width, height = picture.size
    return picture.crop((int(width * left), int(height * top), int(width * (1 - right)), int(height * (1 - bottom))))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 30": lambda one: coded(one, 30),
    "JPEG, quality 10": lambda one: coded(one, 10),
    "half as large": lambda one: one.resize((one.width // 2, one.height // 2)),
    "64 x 64": lambda one: one.resize((64, 64)),
    "brighter by 40 %, clipped": lambda one: ImageEnhance.Brightness(one).enhance(1.4),
    "darker by 40 %": lambda one: ImageEnhance.Brightness(one).enhance(0.6),
    "contrast less by 40 %": lambda one: ImageEnhance.Contrast(one).enhance(0.6),
    "in grey": lambda one: one.convert("L").convert("RGB"),
    "white border of 5 %": lambda one: ImageOps.expand(one, int(0.05 * min(one.size)), "white"),
    "black border of 10 %": lambda one: ImageOps.expand(one, int(0.1 * min(one.size)), "black"),
    "2 % of each edge cut off": lambda one: without(one, 0.02, 0.02, 0.02, 0.02),
    "5 % of each edge": lambda one: without(one, 0.05, 0.05, 0.05, 0.05),
    "10 % of each edge": lambda one: without(one, 0.1, 0.1, 0.1, 0.1),
    "5 % of the lower edge": lambda one: without(one, 0, 0, 0, 0.05),
    "10 % of the left edge": lambda one: without(one, 0.1, 0, 0, 0),
    "mirrored": ImageOps.mirror,
}


def gallery_of(pictures: list[Image.Image]) -> Gallery:
    """Of those that there is something to see on: all of them here."""
    found = [one for one in map(looks_of, pictures) if one is not None]
    assert len(found) == len(pictures), "a photograph of one colour"
    return Gallery(np.stack([one.hashes for one in found]), np.stack([one.thumbnails for one in found]))


def recall(distances: list[int]) -> None:
    pictures = photographs()
    wholes = gallery_of(pictures)
    print(f"share of {len(pictures)} photographs whose changed copy is near them; pairs of different ones in brackets")
    for name, change in CHANGES.items():
        changed = gallery_of([change(one) for one in pictures])
        cells = []
        for distance in distances:
            found = near_between(changed, wholes, distance)
            same = int((found.first == found.second).sum())
            cells.append(f"{same / len(pictures):.2f} ({len(found) - same})")
        print(f"| {name} | {' | '.join(cells)} |")


def chance(count: int, distances: list[int]) -> None:
    scenes = gallery_of([render(sample_scene(number)) for number in range(count)])
    cells = [f"{len(near_pairs(scenes, distance))}" for distance in distances]
    print(f"chance pairs among {count:,} scenes ({count * (count - 1) // 2:,} pairs): {' | '.join(cells)}")


def timed_hashing() -> None:
    picture = max(photographs(), key=lambda one: one.width * one.height)
    rounds = 20
    began = time.perf_counter()
    for _ in range(rounds):
        looks_of(picture)
    took = (time.perf_counter() - began) / rounds
    print(f"hashing a decoded photograph of {picture.width} x {picture.height}: {1000 * took:.1f} ms")


def timed_grouping(count: int, distances: list[int]) -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64 - 1, (count, HASHES), dtype=np.uint64)
    thumbnails = rng.integers(-60, 60, (count, CUTS, THUMBNAIL_BYTES), dtype=np.int8)
    copies = count // 100
    hashes[-copies:, 0] = hashes[:copies, 0] ^ np.uint64(0b10101)
    thumbnails[-copies:, 0] = thumbnails[:copies, 0]
    gallery = Gallery(hashes, thumbnails)
    for distance in distances:
        began, cpu = time.perf_counter(), time.process_time()
        pairs = kept_pairs(count, near_pairs(gallery, distance), PerceptualSettings().max_group)
        groups = int(labels_of(count, pairs).max()) + 1
        seconds, core = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        assert count - groups == copies, "each copy is with its original, and nothing else is"
        print(f"| {count:,} | {distance} | {seconds:.1f} s | {core:.1f} s | {peak:.1f} GB |")


def timed_alike(count: int) -> None:
    """Of images that all are near each other, as those of a camera that does not move: each pair is one."""
    rng = np.random.default_rng(0)
    hashes = np.full((count, HASHES), 0x0123456789ABCDEF, np.uint64)
    for _ in range(3):
        hashes ^= np.uint64(1) << rng.integers(0, 64, hashes.shape, dtype=np.uint64)
    began, cpu = time.perf_counter(), time.process_time()
    pairs = near_pairs(Gallery(hashes, np.ones((count, CUTS, THUMBNAIL_BYTES), np.int8)), 7)
    seconds, core = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"| {count:,}, all alike ({len(pairs):,} pairs) | 7 | {seconds:.1f} s | {core:.1f} s | {peak:.1f} GB |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=0, help="once more with so many, at the default distance")
    parser.add_argument("--alike", type=int, default=0, help="so many that all look alike")
    parser.add_argument("--scenes", type=int, default=3_000)
    parser.add_argument("--distances", type=int, nargs="+", default=[5, 7, 9])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # what Pillow says of old photographs
    recall(asked.distances)
    chance(asked.scenes, asked.distances)
    timed_hashing()
    print("| images | distance | wall clock | one core | peak memory |")
    if asked.alike:
        timed_alike(asked.alike)
    timed_grouping(asked.images, asked.distances)
    if asked.large:
        timed_grouping(asked.large, [PerceptualSettings().max_distance])


if __name__ == "__main__":
    main()
