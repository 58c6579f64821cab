"""What labels bring: critics on 100 to 4,000 labels in the microworld, on scenes that they never saw.

    python benchmarks/critic.py data WORK
    python benchmarks/learning_curve.py train WORK --seed 0 [--labels 100 200 ...] [--set A.B=C]
    python benchmarks/learning_curve.py report WORK [--picture docs/pictures/learning-curve.svg]

`train` trains a critic on each number of the labels of `benchmarks/critic.py data`, fewest first, as `critic train`
does: of these a tenth is held out and a tenth is its own test. Labels are taken by whole scenes in an order drawn from
the seed, so that fewer are a part of more. Each critic then judges the candidates of the test scenes, and what came of
it is written at once; killed, the same command goes on. `report` prints the true share of the fifth with the highest
scores, by the oracle, over seeds, and what the law fitted to critics on few labels promised of more. Seeds may run
beside each other, in processes of one thread.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values, axes of matplotlib

import numpy as np
from critic import KEPT_SHARE, MODELS, ON_CPU, TINY, VARIANTS, Row, decided, scores

from builders.dedupe import UNIQUE
from builders.localized.recipe import KIND
from critics.labels import Label, read_labels
from critics.trained.learning_curve import fit
from critics.trained.resampling import accepted_in_bests, image_samples, interval_of, measured
from critics.trained.settings import TrainSettings
from critics.trained.training import train_critic
from ostensive.fingerprint import fingerprint
from ostensive.recipe import merge, parse_assignments
from ostensive.run.folder import RunFolder
from ostensive.settings import validate

SIZES: Final = (100, 200, 400, 900, 1800, 4000)
# As the rehearsal in docs/critic-training.md: more rounds learn a few hundred labels by heart.
ROUNDS: Final = {"max_epochs": 5}
PROMISED_FROM: Final = 900  # labels: a law fitted to no more is read at the larger sizes


@dataclass(frozen=True, slots=True)
class Truth:
    """The candidates of the test scenes, by row id."""

    row_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    are_true: tuple[bool, ...]

    @property
    def share(self) -> float:
        return sum(self.are_true) / len(self.are_true)


@dataclass(frozen=True, slots=True)
class Size:
    """What critics on so many labels reached, a share for each seed, and the interval of their mean over scenes."""

    labels: int
    shares: tuple[float, ...]
    low: float
    high: float
    minutes: float

    @property
    def mean(self) -> float:
        return statistics.mean(self.shares)


def labels_of(labels: Sequence[Label], count: int, seed: int) -> list[Label]:
    """So many labels, those of a scene together, in an order of the scenes that is drawn from the seed."""
    order = sorted(labels, key=lambda one: (fingerprint([seed, "scenes", one.image_id]), one.row_id))
    return order[:count]


def truth_of(rows: Sequence[Row]) -> Truth:
    found = sorted((row.qar.row_id, row.qar.image_id, row.finding.whole.is_true) for row in rows)
    return Truth(*(tuple(column) for column in zip(*found, strict=True)))


def train(options: argparse.Namespace) -> None:
    work: Path = options.work
    rows = decided(work, "test")
    every = read_labels(work / "train-labels.parquet")
    heads = VARIANTS[options.variant]
    for count in sorted(options.labels):
        base = {**TINY, **ROUNDS, **ON_CPU, "backbone": options.backbone, "model": MODELS[options.backbone]}
        values = merge({**base, "seed": options.seed, "head_weights": heads}, parse_assignments(options.set))
        settings = validate(TrainSettings, values, "--set")
        name = f"curve-{options.backbone}-{options.variant}-{count}-{options.seed}"
        path = work / f"{name}.json"
        if path.exists():
            if json.loads(path.read_text("utf-8"))["settings"] != settings.model_dump(mode="json"):
                raise SystemExit(f"{path} is of other settings; remove it, or choose another WORK")
            print(f"{name}: is there")
            continue
        if len(every) < count:
            raise SystemExit(
                f"{work}: {len(every):,} labels, and {count:,} are asked for; make more with critic.py data"
            )
        labels = labels_of(every, count, options.seed)
        run = RunFolder(work / "train")
        figures = train_critic(run, labels, kind=KIND, stage=UNIQUE, settings=settings, out=work / name, tell=print)
        found = scores(work / name, work, [row.qar for row in rows])
        record = {
            "backbone": options.backbone,
            "variant": options.variant,
            "labels": count,
            "seed": options.seed,
            "settings": settings.model_dump(mode="json"),
            "minutes": figures.seconds / 60,
            "rounds": len(figures.rounds),
            "test": asdict(figures.test),
            "scores": dict(zip((row.qar.row_id for row in rows), found, strict=True)),
        }
        path.with_suffix(".part").write_text(json.dumps(record), "utf-8")
        path.with_suffix(".part").replace(path)
        if not options.keep:
            shutil.rmtree(work / name)
        print(f"{name}: {record['minutes']:.1f} minutes, {record['rounds']} rounds", flush=True)


def sizes_of(records: Sequence[Mapping[str, Any]], truth: Truth) -> list[Size]:
    """What critics on each number of labels reached, fewest first."""
    samples = image_samples(truth.image_ids)
    found = []
    for count in sorted({record["labels"] for record in records}):
        ours = sorted((one for one in records if one["labels"] == count), key=lambda one: int(one["seed"]))
        measures = [
            accepted_in_bests([one["scores"][row_id] for row_id in truth.row_ids], truth.are_true, KEPT_SHARE)
            for one in ours
        ]
        whole = np.ones((1, len(truth.row_ids)), np.int64)
        shares = tuple(float(measure(whole)[0]) for measure in measures)
        mean = np.mean([measured(measure, samples) for measure in measures], axis=0)
        interval = interval_of(mean, statistics.mean(shares))
        minutes = statistics.mean(float(one["minutes"]) for one in ours)
        found.append(Size(count, shares, interval.low, interval.high, minutes))
    return found


def table(sizes: Sequence[Size], truth: Truth) -> Iterator[str]:
    yield "| labels | minutes | true in the kept fifth, mean of seeds (95 %) | each seed | points above all |"
    yield "|---|---|---|---|---|"
    for one in sizes:
        each = ", ".join(f"{share:.1%}" for share in one.shares)
        yield (
            f"| {one.labels:,} | {one.minutes:.1f} | {one.mean:.1%} ({one.low:.1%} to {one.high:.1%}) | {each} |"
            f" {100 * (one.mean - truth.share):+.1f} |"
        )


def promises(sizes: Sequence[Size]) -> Iterator[str]:
    """What the law fitted to critics on few labels says of more, beside what was measured."""
    few = [one for one in sizes if one.labels <= PROMISED_FROM]
    if len(few) < 2:
        return
    errors = np.array([[max(1e-3, 1 - one.mean) for one in few]])
    law = fit(np.array([float(one.labels) for one in few]), errors)
    for one in sizes:
        if one.labels > PROMISED_FROM:
            promised = 1 - float(law.error(one.labels)[0])
            yield (
                f"fitted to {few[0].labels:,} to {few[-1].labels:,} labels: {promised:.1%} at {one.labels:,}, measured"
                f" {one.mean:.1%}"
            )


def draw(path: Path, sizes: Sequence[Size], truth: Truth) -> bool:
    """True share of the kept fifth over the number of labels; False where matplotlib is not installed."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return False
    with mpl.rc_context(
        {"svg.hashsalt": path.stem, "font.size": 10, "axes.spines.right": False, "axes.spines.top": False}
    ):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes: Any = figure.subplots()
        labels = [one.labels for one in sizes]
        axes.fill_between(labels, [100 * one.low for one in sizes], [100 * one.high for one in sizes], alpha=0.15)
        axes.plot(labels, [100 * one.mean for one in sizes], "o-", color="#1b6ca8", label="kept fifth, mean of seeds")
        for one in sizes:
            axes.plot([one.labels] * len(one.shares), [100 * share for share in one.shares], "_", color="grey")
        axes.axhline(100 * truth.share, linestyle="--", color="grey", label="all candidates")
        axes.set_xscale("log")
        axes.set_xticks(labels, [f"{count:,}" for count in labels])
        axes.minorticks_off()
        axes.set_xlabel("labels")
        axes.set_ylabel("true, by the oracle (%)")
        axes.set_title(
            f"{len(truth.row_ids):,} candidates of {len(set(truth.image_ids)):,} scenes never seen; band: 95 %"
        )
        axes.legend(frameon=False, loc="upper left")
        axes.grid(axis="y", alpha=0.3)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return True


def report(options: argparse.Namespace) -> None:
    truth = truth_of(decided(options.work, "test"))
    paths = sorted(options.work.glob(f"curve-{options.backbone}-{options.variant}-*.json"))
    records = [json.loads(path.read_text("utf-8")) for path in paths]
    if not records:
        raise SystemExit(f"{options.work}: no critic yet; run the part train")
    sizes = sizes_of(records, truth)
    images = len(set(truth.image_ids))
    print(f"{len(truth.row_ids):,} candidates of {images:,} scenes that no critic saw, {truth.share:.1%} true\n")
    print("\n".join([*table(sizes, truth), "", *promises(sizes)]))
    if options.picture is not None and not draw(options.picture, sizes, truth):
        print("matplotlib is not installed, so nothing was drawn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    made = {name: parts.add_parser(name) for name in ("train", "report")}
    for name, part in made.items():
        part.add_argument("work", type=Path)
        part.add_argument("--backbone", choices=tuple(MODELS), default="vlm")
        part.add_argument("--variant", choices=tuple(VARIANTS), default="three")
        part.set_defaults(run={"train": train, "report": report}[name])
    made["train"].add_argument("--seed", type=int, default=0)
    made["train"].add_argument("--labels", type=int, nargs="+", default=SIZES)
    made["train"].add_argument("--set", action="append", default=[])
    made["train"].add_argument("--keep", action="store_true", help="Leave the critics' folders.")
    made["report"].add_argument("--picture", type=Path)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
