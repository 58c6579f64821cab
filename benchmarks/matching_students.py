"""What an image-text student learns in the microworld: which text is of which picture, on images that it never saw.

    OMP_NUM_THREADS=1 uv run python benchmarks/matching_students.py [--scenes 60] [--steps 150] [--corpus RUN]

`microworld:blip2` is trained by BLIP-2's first stage on the split `train` of a localized corpus. Base and student are
then loaded by `Blip2ForImageTextRetrieval` itself and asked about the split `test`, of which they saw no image: whether
a text is of its picture or of another image's (half and half, chance 50 %), and, of eight pictures of different images,
which one a text is of (chance 12.5 %), by the matching head and by cosines. Regions that a text mentions are drawn.
Intervals are Wilson's, 95 %. Scenes have seeds that no model was trained on.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any  # Any: transformers types its models in part

import ostensive
from builders.table import recipe_kind
from cards.reading import open_corpus
from microworld.folder import write_scenes
from ostensive.commands.api import train_student
from ostensive.intervals import wilson
from ostensive.models.files import located
from students.matching.rows import CorpusPictures, ImageTextRow, read_rows

BASE = "microworld:blip2"
FIRST_SEED = 660_000
SPLITS = "corpus.splits={train: 0.75, test: 0.25}"
CHOICES = 8
ASKED = 200  # rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--corpus", type=Path, help="a run that was built before, in place of a new one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = given.corpus or built(folder, given.scenes)
        rows, pictures = held_out(run, folder / "cache")
        print(f"{len(rows)} texts of {len({row.image_id for row in rows})} held-out images", flush=True)
        print(f"{'base':<10}{figures(BASE, rows, pictures)}", flush=True)
        words = ("objective=image-text", f"max_steps={given.steps}", "batch_size=16", "learning_rate=5e-4")
        started = time.monotonic()
        found = train_student(
            run, BASE, folder / "student", settings=(*words, "head_learning_rate=2e-3", "device=cpu"), tell=print
        )
        print(f"{found.steps} steps in {time.monotonic() - started:.0f} s, {os.cpu_count()} cores", flush=True)
        print(f"{'student':<10}{figures(str(folder / 'student' / 'model'), rows, pictures)}")


def built(folder: Path, scenes: int) -> Path:
    write_scenes(folder / "scenes", scenes, first_seed=FIRST_SEED)
    settings = [
        "corpus.license=cc0-1.0",
        "corpus.source=Rendered scenes of the microworld.",
        "corpus.intended_use=To measure.",
        SPLITS,
    ]
    options = ostensive.BuildOptions(profile="microworld", settings=settings)
    ostensive.build("localized", images=folder / "scenes", out=folder / "run", options=options)
    return folder / "run"


def held_out(run: Path, cache: Path) -> tuple[list[ImageTextRow], CorpusPictures]:
    """Some rows of the split `test`, which are not chosen by what they say, and their pictures."""
    corpus = open_corpus(run)
    rows = read_rows(corpus, recipe_kind("localized"), token_count=len, max_tokens=10_000, split="test").rows
    chosen = random.Random(0).sample(rows, min(ASKED, len(rows)))
    return chosen, CorpusPictures(corpus, cache, 480, split="test")


def figures(name: str, rows: Sequence[ImageTextRow], pictures: CorpusPictures) -> str:
    """Accuracies of the model `name`, loaded as anybody would load it."""
    import torch
    from transformers import AutoProcessor, Blip2ForImageTextRetrieval

    model_kind: Any = Blip2ForImageTextRetrieval
    processor_kind: Any = AutoProcessor
    model = model_kind.from_pretrained(located(name), dtype=torch.float32).eval()
    processor = processor_kind.from_pretrained(located(name))
    matches = right = by_match = by_cosine = 0
    for place, row in enumerate(rows):
        # One row of each other image, those that follow first.
        others = {
            one.image_id: one for one in (*rows[place + 1 :], *rows[:place])[::-1] if one.image_id != row.image_id
        }
        shown = [pictures.drawn(one) for one in (row, *islice(reversed(others.values()), CHOICES - 1))]
        inputs = processor(images=shown, text=[row.full] * len(shown), return_tensors="pt")
        with torch.no_grad():
            match = model(**inputs, use_image_text_matching_head=True).logits_per_image.softmax(1)[:, 1]
            cosine = model(**inputs).logits_per_image[:, 0]
        matches += 2
        right += int(match[0] > 0.5) + int(match[1] <= 0.5)
        by_match += int(match.argmax() == 0)
        by_cosine += int(cosine.argmax() == 0)
    parts = (("match or not", right, matches), ("by match", by_match, len(rows)), ("by cosine", by_cosine, len(rows)))
    return "; ".join(f"{what} {share(count, of)}" for what, count, of in parts)


def share(count: int, of: int) -> str:
    interval = wilson(count, of)
    return f"{count / of:.1%} ({interval.low:.1%} to {interval.high:.1%})"


if __name__ == "__main__":
    main()
