"""Selecting concepts by InfoNCE: by one number a concept and image, against joining all negatives for each image.

Compares `builders.explanations.scoring`, partition by partition as a run does it, with the way of SelfSynthX's
published code: for each image the vectors of the descriptions of all other images are joined and compared with its
concepts. That way is timed on a few images and multiplied by their number. Vectors are random; no model is run. Time is
CPU time of one thread, which other work on the machine does not change much. Under a minute:

    OMP_NUM_THREADS=1 uv run python benchmarks/selection.py

`--stage IMAGES` takes the run-wide stage itself through so many images of 200 labels with 20 concepts each, partition
by partition from disk as the engine does, and prints the greatest memory that the process ever held. 100,000 images
take some minutes and 4 GB of disk:

    OMP_NUM_THREADS=1 uv run python benchmarks/selection.py --stage 100000
"""

import argparse
import json
import resource
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from builders.embeddings import Vectors
from builders.explanations.comparing import SelectStage
from builders.explanations.records import Compared
from builders.explanations.scoring import Array, cosines, infonce_scores, log_sums, log_sums_of_others
from builders.explanations.settings import ExplanationsSettings
from ostensive import arrow
from ostensive.stage import Kept

WIDTH, DESCRIPTIONS, LABELS, CONCEPTS_A_LABEL = 384, 30, 100, 8
PARTITION, TEMPERATURE = 256, 0.1
TRIED = 100  # images on which the other way is timed


@dataclass(frozen=True)
class Figures:
    seconds: float
    peak_mb: float
    scores: Array  # (images, concepts of a label)


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, WIDTH), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def descriptions_of(image: int) -> Vectors:
    return unit_vectors(DESCRIPTIONS, 1_000_000 + image)


def own_concepts(image: int) -> slice:
    first = image % LABELS * CONCEPTS_A_LABEL
    return slice(first, first + CONCEPTS_A_LABEL)


def blockwise(images: int, concepts: Vectors) -> Figures:
    """As a run does it: masses to disk and one sum a partition, then each partition against the others."""
    spent, scores = 0.0, []
    starts = range(0, images, PARTITION)
    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()
        sums = []
        for start in starts:
            rows = range(start, min(start + PARTITION, images))
            vectors = [descriptions_of(image) for image in rows]
            began = time.process_time()
            found = [cosines(one, concepts) for one in vectors]
            masses = np.array([log_sums(one / TEMPERATURE) for one in found])
            own = np.array([one[:, own_concepts(image)] for image, one in zip(rows, found, strict=True)])
            sums.append(log_sums(masses))
            np.savez(Path(folder) / f"{start}.npz", masses=masses, own=own)
            spent += time.process_time() - began
        began = time.process_time()
        elsewhere = log_sums_of_others(np.array(sums))
        for start, outside in zip(starts, elsewhere, strict=True):
            with np.load(Path(folder) / f"{start}.npz") as kept:
                masses, own = kept["masses"], kept["own"]
            others = np.logaddexp(log_sums_of_others(masses), outside)
            for place, positives in enumerate(own):
                negatives = others[place, own_concepts(start + place)]
                scores.append(infonce_scores(positives, negatives, TEMPERATURE))
        spent += time.process_time() - began
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return Figures(spent, peak / 1e6, np.array(scores))


def joined(images: int, concepts: Vectors, tried: int) -> Figures:
    """As published: all negatives are joined for each image. The peak is of all vectors and one image's work."""
    tracemalloc.start()
    vectors = [descriptions_of(image) for image in range(images)]
    scores = []
    began = time.process_time()
    for image in range(tried):
        own = concepts[own_concepts(image)]
        negatives = np.concatenate([one for other, one in enumerate(vectors) if other != image])
        against = np.exp((own @ negatives.T).astype(np.float64) / TEMPERATURE).sum(axis=1)
        positives = np.exp((vectors[image] @ own.T).astype(np.float64) / TEMPERATURE)
        scores.append(np.log(positives / (positives + against)).sum(axis=0))
    spent = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Figures(spent / tried * images, peak / 1e6, np.array(scores))


def compared_rows(start: int, stop: int, concepts: Sequence[tuple[str, ...]]) -> list[Compared]:
    """Rows as the stage before leaves them, with cosines and masses that are drawn at random."""
    draws, total = np.random.default_rng(start), sum(map(len, concepts))
    return [
        Compared(
            image_id=f"{image:064d}",
            label=f"label {image % len(concepts)}",
            concepts=concepts[image % len(concepts)],
            cosines=tuple(draws.uniform(-0.2, 0.8, DESCRIPTIONS * len(concepts[image % len(concepts)])).tolist()),
            log_masses=tuple((draws.uniform(4, 8, total)).tolist()),
        )
        for image in range(start, stop)
    ]


def stage(images: int, labels: int = 200, concepts_a_label: int = 20) -> None:
    """Prints time and greatest memory of the stage `selected`."""
    concepts = [tuple(f"concept {label} {place}" for place in range(concepts_a_label)) for label in range(labels)]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "concepts.json"
        listed.write_text(json.dumps({f"label {label}": texts for label, texts in enumerate(concepts)}), "utf-8")
        selecting = SelectStage(ExplanationsSettings(concepts=str(listed)))
        paths, summaries, spent = [], [], 0.0
        for start in range(0, images, PARTITION):
            paths.append(Path(folder) / f"{start}.parquet")
            rows = compared_rows(start, min(start + PARTITION, images), concepts)
            pq.write_table(arrow.to_table(rows, Compared), paths[-1])
            began = time.process_time()
            summaries.append(selecting.summarise(rows, {}))
            spent += time.process_time() - began
        began = time.process_time()
        decision = selecting.decide(summaries)
        chosen = 0
        for path in paths:
            outcomes = selecting.apply(arrow.from_table(pq.read_table(path), Compared), decision)
            chosen += sum(len(outcome.records) for outcome in outcomes if isinstance(outcome, Kept))
        spent += time.process_time() - began
        on_disk = sum(path.stat().st_size for path in paths)
    # In kilobytes on Linux, in bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(
        f"stage `selected`: {chosen:,} of {images:,} images, {labels} labels, {labels * concepts_a_label:,} concepts,"
        f" {spent:.0f} s CPU, at most {peak / 1e9:.2f} GB of memory, {on_disk / 1e9:.1f} GB on disk"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of selecting concepts.")
    parser.add_argument("--stage", type=int, metavar="IMAGES", help="The stage itself, instead of the comparison.")
    asked = parser.parse_args().stage
    if asked is not None:
        stage(asked)
        return
    concepts = unit_vectors(LABELS * CONCEPTS_A_LABEL, 0)
    print(f"{DESCRIPTIONS} descriptions an image, {len(concepts)} concepts, {WIDTH} wide, temperature {TEMPERATURE}")
    print(f"{'images':>7}  {'way':<10}  {'CPU s':>8}  {'peak MB':>8}")
    small, large = 2_000, 20_000
    block = blockwise(small, concepts)
    print(f"{small:>7}  {'blockwise':<10}  {block.seconds:>8.1f}  {block.peak_mb:>8.0f}", flush=True)
    all_negatives = joined(small, concepts, TRIED)
    print(f"{small:>7}  {'joined':<10}  {all_negatives.seconds:>8.1f}  {all_negatives.peak_mb:>8.0f}", flush=True)
    off = float(np.abs(block.scores[:TRIED] - all_negatives.scores).max())
    ratio = all_negatives.seconds / block.seconds
    print(
        f"joined takes {ratio:.0f} times as long; scores differ by {off:.1e} at most, for blockwise cosines are rounded"
    )
    block = blockwise(large, concepts)
    print(f"{large:>7}  {'blockwise':<10}  {block.seconds:>8.1f}  {block.peak_mb:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
