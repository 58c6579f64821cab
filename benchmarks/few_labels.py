"""What a critic learns of about 900 labels, by ways of training, in the microworld on scenes that it never saw.

    python benchmarks/few_labels.py data WORK
    python benchmarks/few_labels.py train WORK VARIANT ... [--seeds 0 1 2]
    python benchmarks/few_labels.py report WORK

`data` makes the pool of the rehearsal in docs/critic-training.md (400 scenes, a scripted teacher who errs, the oracle
in the place of two annotators who err too) and 400 other scenes for testing. `train` trains a critic by each variant
and seed, the seed being that of the splits too, and scores the candidates of the other scenes with it; what is there
already is left, so that it goes on after a kill. `report` gives the true share of the fifth with the highest score, in
points above that of all, as the mean over seeds with its deviation, and what boxes alone prove beside it.
"""

import argparse
import json
import shutil
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any  # JSON values

from critic import ON_CPU, TEST_SEED, TINY, best_fifth, build, decided, evidence_of, scores
from scipy.stats import rankdata

from builders.dedupe import UNIQUE
from builders.localized.recipe import KIND
from critics.annotation.export import run_labels
from critics.annotation.stock import AnnotateOptions
from critics.trained.read_critics import read_scores, reading_critics
from critics.trained.settings import TrainSettings
from critics.trained.training import train_critic
from microworld.annotate import TASK, annotate_run
from ostensive.intervals import wilson
from ostensive.recipe import merge
from ostensive.run.folder import RunFolder
from ostensive.settings import validate

POOL_SEED, SCENES, LABELLED_IMAGES = 100_000, 400, 300
ERROR_RATE, NOISE = 0.8, 0.05
GOAL_POINTS = 25
REFUSED_BELOW = 0.5  # by geometry
COMMON = {**TINY, **ON_CPU, "patience": 3, "backbone": "vlm", "model": "microworld:vlm"}
ACCEPT = {"head_weights": {"rating": 0.0}}
VARIANTS: dict[str, dict[str, Any]] = {
    "fifteen-rounds": {**ACCEPT, "max_epochs": 15},
    "fifteen-rounds-slowly": {**ACCEPT, "max_epochs": 15, "learning_rate": 1e-4, "head_learning_rate": 2e-4},
    "five-rounds": {**ACCEPT, "max_epochs": 5},
    "five-rounds-slowly": {**ACCEPT, "max_epochs": 5, "learning_rate": 1e-4},
    "five-rounds-ratings": {"max_epochs": 5},
    "five-rounds-geometry": {**ACCEPT, "max_epochs": 5, "scores_of": ["geometry"]},
}
"""What differs from `COMMON` in each."""


def make_data(options: argparse.Namespace) -> None:
    work: Path = options.work
    build(work, "pool", SCENES, POOL_SEED, ERROR_RATE)
    build(work, "test", SCENES, TEST_SEED, ERROR_RATE)
    asked = AnnotateOptions(task=TASK, images=LABELLED_IMAGES, per_image=1000)
    found = annotate_run(work / "pool", images=work / "pool-scenes", noise=NOISE, options=asked)
    rows = decided(work, "test")
    true = sum(row.finding.whole.is_true for row in rows) / len(rows)
    print(f"{found.judged} labels, {found.accepted} of them accepted; {len(rows)} to test, {true:.1%} of them true")


def train(options: argparse.Namespace) -> None:
    for seed in options.seeds:
        for variant in options.variants:
            train_one(options.work, variant, seed)


def train_one(work: Path, variant: str, seed: int) -> None:
    target = work / f"few-{variant}-{seed}.json"
    if target.exists():
        return
    settings = validate(TrainSettings, merge({**COMMON, "seed": seed}, VARIANTS[variant]), variant)
    out = work / f"few-{variant}-{seed}"
    run = RunFolder(work / "pool")
    figures = train_critic(run, run_labels(run), kind=KIND, stage=UNIQUE, settings=settings, out=out, tell=print)
    rows = decided(work, "test")
    found = scores(out, work, [row.qar for row in rows])
    by_row = dict(zip((row.qar.row_id for row in rows), found, strict=True))
    record = {
        "variant": variant,
        "seed": seed,
        "minutes": figures.seconds / 60,
        "rounds": len(figures.rounds),
        "best_epoch": figures.best_epoch,
        "test": asdict(figures.test),
        "scores": by_row,
    }
    target.write_text(json.dumps(record), "utf-8")
    shutil.rmtree(out / "backbone")  # 30 critics would fill a disk
    truth = {row.qar.row_id: row.finding.whole.is_true for row in rows}
    print(f"{variant} {seed}: {points(by_row, truth):+.1f} points", flush=True)


def points(found: dict[str, float], truth: dict[str, bool]) -> float:
    """How many points truer the fifth with the highest scores is than all."""
    kept = best_fifth(found, truth)
    return 100 * (sum(kept) / len(kept) - sum(truth.values()) / len(truth))


def report(options: argparse.Namespace) -> None:
    truth = {row.qar.row_id: row.finding.whole.is_true for row in decided(options.work, "test")}
    of_all = sum(truth.values()) / len(truth)
    print(f"of all {len(truth):,} candidates {of_all:.1%} are true; goal {GOAL_POINTS:+d} points\n")
    print("| variant | seeds | minutes | true in the kept fifth (95 %) | points above all | deviation |")
    print("|---|---|---|---|---|---|")
    records = [json.loads(path.read_text("utf-8")) for path in sorted(options.work.glob("few-*.json"))]
    for variant in dict.fromkeys(record["variant"] for record in records):
        ours = [record for record in records if record["variant"] == variant]
        print(line_of(variant, ours, truth))
    boxes = boxes_prove(options.work)
    print(f"\ngeometry alone: {points(boxes, truth):+.1f} points; beside critics that do not read its scores:")
    for record in records:
        if "geometry" not in record["variant"]:
            found = record["scores"]
            both = {row_id: found[row_id] - (boxes[row_id] < REFUSED_BELOW) for row_id in found}
            ranks = {row_id: rank + ranks_of(boxes)[row_id] for row_id, rank in ranks_of(found).items()}
            print(
                f"{record['variant']} {record['seed']}: alone {points(found, truth):+.1f}, all_of with geometry"
                f" {points(both, truth):+.1f}, mean of ranks {points(ranks, truth):+.1f}"
            )


def boxes_prove(work: Path) -> dict[str, float]:
    """The score of `geometry` of each row to be tested."""
    rows = [row.qar for row in decided(work, "test")]
    found = read_scores(reading_critics(("geometry",), KIND), rows, evidence_of(work / "test"))
    return {row.row_id: score[0] for row, score in zip(rows, found, strict=True) if isinstance(score, tuple)}


def ranks_of(found: dict[str, float]) -> dict[str, float]:
    """The rank of each row by its score, the lowest 1; rows with one score have the mean of their ranks."""
    return dict(zip(found, map(float, rankdata(list(found.values()))), strict=True))


def line_of(variant: str, records: list[dict[str, Any]], truth: dict[str, bool]) -> str:
    gains = [points(record["scores"], truth) for record in records]
    kept = [right for record in records for right in best_fifth(record["scores"], truth)]
    interval = wilson(sum(kept), len(kept))
    spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
    minutes = statistics.mean(record["minutes"] for record in records)
    each = ", ".join(f"{gain:+.1f}" for gain in gains)
    return (
        f"| {variant} | {len(gains)} | {minutes:.1f} | {sum(kept) / len(kept):.1%} ({interval.low:.1%} to"
        f" {interval.high:.1%}) | {statistics.mean(gains):+.1f} ({each}) | {spread:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    commands = {"data": make_data, "train": train, "report": report}
    made = {name: parts.add_parser(name) for name in commands}
    for name, part in made.items():
        part.add_argument("work", type=Path)
        part.set_defaults(run=commands[name])
    made["train"].add_argument("variants", nargs="+", choices=tuple(VARIANTS))
    made["train"].add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
