"""Small pictures that tests draw: deterministic, different from each other, real files."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = ("red", "green", "blue", "orange", "purple", "white", "black", "yellow")


def draw_scene(number: int, *, width: int = 96, height: int = 72) -> Image.Image:
    """A plain ground with three shapes whose places and colours follow from `number`."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (width, height), COLOURS[number % len(COLOURS)])
    pen = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        side = int(rng.integers(14, 30))
        colour = COLOURS[int(rng.integers(0, len(COLOURS)))]
        pen.rectangle((x, y, x + side, y + side), fill=colour, outline="black")
    return image


def write_scenes(folder: Path, count: int, *, first: int = 0) -> Path:
    """`count` JPEG files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        draw_scene(number).save(folder / f"scene {number:04d}.jpg", quality=90)
    return folder
