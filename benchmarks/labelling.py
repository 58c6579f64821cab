"""How many labels a critic needs, by the way in which the candidates to label are chosen, in the microworld.

    python benchmarks/labelling.py run WORK [--seed 0 ...] [--way differing ...] [--steps 200,300,450,...] [--set A.B=C]
    python benchmarks/labelling.py report WORK [--points 15]

`run` makes a pool as `benchmarks/critic.py data` does: scenes, and a scripted teacher who errs; two annotators whom the
oracle plays err in `--noise` of what they are asked. Of the pool labels are taken step by step, the first ones alike
by every way; after each step a critic is trained from the package's tiny model, always with the same settings, and
scores the candidates of other scenes. It also scores the pool, where the next labels are chosen by scores. Each result
is a file in WORK/results; a run that was killed goes on with the next one.

Of every way `--held-out` of the images are held out and drawn by lot; their labels count, and are the test split.
`report` says by interpolation how many labels each way needs for so many points above all candidates in the fifth with
the highest score: on the curve as measured where it first gets there, and on one that never falls (isotonic
regression), for a fifth of 1,200 rows is known to three points only.
"""

import argparse
import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from critic import ON_CPU, TEST_SEED, TINY, Row, best_fifth, build, decided, evidence_of, judgement, opened

from builders.dedupe import UNIQUE, DedupeSettings
from builders.localized.recipe import KIND
from builders.representatives import representatives
from critics.annotation.assignment import shuffled
from critics.annotation.choosing import (
    ScoredRow,
    by_disagreement,
    by_doubt,
    by_lot,
    in_turns,
    is_held_out,
)
from critics.critic import Score
from critics.labels import Drawn, Label, labels_from
from critics.threshold import threshold_to_keep
from critics.trained.read_critics import read_scores, reading_critics
from critics.trained.settings import TrainedSettings, TrainSettings
from critics.trained.training import train_critic
from ostensive.fingerprint import fingerprint
from ostensive.recipe import merge, parse_assignments
from ostensive.run.folder import RunFolder
from ostensive.settings import validate

STEPS: Final = (200, 300, 450, 650, 900, 1300, 1900)
PER_IMAGE: Final = 5
KEPT_SHARE: Final = 0.2
GOAL_POINTS, GOAL_RATIO = 15.0, 0.6
WAYS: Final = (
    "differing",
    "doubt",
    "doubt-fifth",
    "doubt-wide",
    "fifth-wide",
    "mixed",
    "disagreement",
    "geometry",
    "random",
)
WIDE: Final = 4
"""How many times as many doubtful rows as are wanted the wide ways draw from by lot."""


@dataclass(frozen=True, eq=False)
class Pool:
    """What labels are taken from, and what critics are measured by."""

    work: Path
    rows: dict[str, Row]
    test: list[Row]
    noise: float
    held_out_share: float

    def labels(self, drawn: dict[str, str], seed: int) -> list[Label]:
        """The labels of the rows in `drawn`, by how each of them was drawn."""
        rows = [self.rows[row_id] for row_id in drawn]
        found = labels_from(judgement(row, who, self.noise) for row in rows for who in ("one", "two"))
        return [
            replace(
                label,
                drawn=drawn[label.row_id],
                held_out=is_held_out(label.image_id, seed=seed, share=self.held_out_share),
            )
            for label in found
        ]

    @cached_property
    def proved(self) -> dict[str, float]:
        """What boxes prove of each row, 0-1: the score of the critic `geometry`, which needs no labels."""
        rows = [row.qar for row in self.rows.values()]
        found = read_scores(reading_critics(("geometry",), KIND), rows, evidence_of(self.work / "train"))
        return {row.row_id: one[0] for row, one in zip(rows, found, strict=True) if isinstance(one, tuple)}

    @lru_cache  # noqa: B019 - one pool a process
    def differing(self, seed: int) -> list[str]:
        """The rows in the order in which they are judged by default: by images, of each those that differ most."""
        by_image: dict[str, list[Row]] = {}
        for row in self.rows.values():
            by_image.setdefault(row.qar.image_id, []).append(row)
        order = shuffled(sorted(by_image), seed)
        rows = [row.qar for image_id in order for row in by_image[image_id]]
        return [row.row_id for row in representatives(rows, PER_IMAGE, DedupeSettings(), KIND)]


@dataclass(frozen=True, slots=True)
class Trained:
    """A critic's scores: of the candidates that it is measured by, and of the pool where they were asked for."""

    test: dict[str, float]
    pool: dict[str, float]
    minutes: float


def step_of(
    way: str, pool: Pool, seed: int, drawn: dict[str, str], scores: Sequence[Mapping[str, float]], count: int
) -> None:
    """Adds rows to `drawn` until there are `count`, by one way and the critics' scores of the pool."""
    if way == "differing":
        for row_id in pool.differing(seed):
            if len(drawn) < count and row_id not in drawn:
                drawn[row_id] = "differing"
        return
    rows = [
        ScoredRow(row.qar.row_id, row.qar.image_id, tuple(one.get(row.qar.row_id, 0.0) for one in scores))
        for row in pool.rows.values()
        if row.qar.row_id not in drawn
    ]
    held = [row for row in rows if is_held_out(row.image_id, seed=seed, share=pool.held_out_share)]
    others = [row for row in rows if not is_held_out(row.image_id, seed=seed, share=pool.held_out_share)]
    held_count = round(pool.held_out_share * (count - len(drawn)))
    chosen = in_turns({"random": by_lot(held, seed)}, held_count, per_image=PER_IMAGE)
    wanted = count - len(drawn) - len(chosen)
    probabilities = [row.accept_probabilities[0] for row in others] if scores else []

    def wide(order: Sequence[ScoredRow]) -> list[ScoredRow]:
        return by_lot(order[: WIDE * wanted], seed)

    if way == "random":
        chosen += in_turns({"random": by_lot(others, seed)}, wanted, per_image=PER_IMAGE)
    elif way in ("disagreement", "geometry"):
        chosen += in_turns({"disagreement": by_disagreement(others)}, wanted, per_image=PER_IMAGE)
    elif way == "mixed":
        orders: dict[Drawn, list[ScoredRow]] = {"doubt": by_doubt(others, 0.5), "random": by_lot(others, seed)}
        chosen += in_turns(orders, wanted, per_image=PER_IMAGE)
    else:
        least_sure = threshold_to_keep(probabilities, KEPT_SHARE) if "fifth" in way else 0.5
        order = by_doubt(others, least_sure)
        chosen += in_turns({"doubt": wide(order) if "wide" in way else order}, wanted, per_image=PER_IMAGE)
    drawn.update((row.row_id, row.drawn) for row in chosen)


def trained(
    pool: Pool, drawn: dict[str, str], *, seed: int, critic_seed: int, values: dict[str, Any], score_pool: bool
) -> Trained:
    """The critic of these labels, or what an earlier run found of it."""
    labels = pool.labels(drawn, seed)
    key = fingerprint([[asdict(label) for label in labels], critic_seed, values])[:16]
    path = pool.work / "critics" / f"{key}.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else None
    if known is not None and (known["pool"] or not score_pool):
        return Trained(**known)
    out = pool.work / "critics" / key
    settings = validate(TrainSettings, {**values, "seed": critic_seed}, "--set")
    started = time.perf_counter()
    train_critic(
        RunFolder(pool.work / "train"), labels, kind=KIND, stage=UNIQUE, settings=settings, out=out, tell=print
    )
    minutes = (time.perf_counter() - started) / 60
    test = scores_of(out, pool.work / "test", pool.test)
    others = [row for row_id, row in pool.rows.items() if row_id not in drawn]
    found = Trained(test, scores_of(out, pool.work / "train", others) if score_pool else {}, minutes)
    write(path, asdict(found))
    shutil.rmtree(out)
    return found


def scores_of(critic: Path, run: Path, rows: Sequence[Row]) -> dict[str, float]:
    """The probability of each row, by row id; 0 of one that cannot be judged."""
    with opened(TrainedSettings(model=str(critic))) as one:
        found = one.score([row.qar for row in rows], evidence_of(run))
    return {
        row.qar.row_id: score.accept_probability if isinstance(score, Score) else 0.0
        for row, score in zip(rows, found, strict=True)
    }


def run_way(
    pool: Pool, way: str, seed: int, steps: Sequence[int], values: dict[str, Any], *, set_name: str, every_step: bool
) -> None:
    """The steps of one way and seed, each written as it is done; the last ones only where `every_step` is asked for."""
    truth = {row.qar.row_id: row.finding.whole.is_true for row in pool.test}
    drawn: dict[str, str] = {}
    scores: list[Mapping[str, float]] = []
    points: list[float] = []
    for number, count in enumerate(steps):
        step_of(way if number else "differing", pool, seed, drawn, scores, count)
        by_scores = way not in ("differing", "random")
        wants_pool = (by_scores and number + 1 < len(steps)) or not number  # the first step is that of every way
        seeds = (seed, seed + 100) if way == "disagreement" and wants_pool else (seed,)
        found = [
            trained(pool, drawn, seed=seed, critic_seed=one, values=values, score_pool=wants_pool) for one in seeds
        ]
        scores = [one.pool for one in found]
        if way == "geometry":
            scores.append(pool.proved)
        record = record_of(way, seed, count, pool, drawn, found[0], truth)
        write(pool.work / "results" / f"{set_name}{way}-{seed}-{count}.json", record)
        print(f"== {way} {seed} {count}: {record['points']:+.1f} points, {record['minutes']:.1f} min", flush=True)
        points.append(record["points"])
        if not every_step and min(points[-2:]) >= GOAL_POINTS and len(points) > 1:
            return  # it got there, and it was not by chance alone


def record_of(
    way: str, seed: int, count: int, pool: Pool, drawn: dict[str, str], found: Trained, truth: dict[str, bool]
) -> dict[str, Any]:
    """What one critic came to on the test scenes."""
    from sklearn.metrics import average_precision_score

    kept = best_fifth(found.test, truth)
    of_all = sum(truth.values()) / len(truth)
    return {
        "way": way,
        "seed": seed,
        "labels": count,
        "images": len({pool.rows[row_id].qar.image_id for row_id in drawn}),
        "accepted": sum(label.accepted for label in pool.labels(drawn, seed)) / count,
        "true_of_all": of_all,
        "true_in_fifth": sum(kept) / len(kept),
        "points": 100 * (sum(kept) / len(kept) - of_all),
        "average_precision": float(
            average_precision_score([truth[name] for name in found.test], list(found.test.values()))
        ),
        "minutes": found.minutes,
    }


def write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(values), "utf-8")
    temporary.replace(path)


def run(options: argparse.Namespace) -> None:
    work: Path = options.work
    build(work, "train", options.images, 0, options.error_rate)
    build(work, "test", options.test_images, TEST_SEED, options.error_rate)
    rows = {row.qar.row_id: row for row in decided(work, "train")}
    pool = Pool(work, rows, decided(work, "test"), options.noise, options.held_out)
    model = {"backbone": "vlm", "model": "microworld:vlm"}
    values = merge({**TINY, **ON_CPU, **model}, parse_assignments(options.set))
    name = f"{options.name}-" if options.name else ""
    for seed in options.seed or (0, 1, 2):
        for way in options.way or ("differing", "doubt"):
            run_way(pool, way, seed, options.steps, values, set_name=name, every_step=options.every_step)


def labels_needed(curve: Sequence[tuple[int, float]], points: float) -> float | None:
    """Where a curve of points over labels first reaches so many, between two steps by the logarithm of labels."""
    if curve and curve[0][1] >= points:
        return float(curve[0][0])
    for (low, before), (high, after) in pairwise(curve):
        if after >= points:
            share = (points - before) / (after - before)
            return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return None


def never_falling(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The nearest curve that never falls."""
    from sklearn.isotonic import IsotonicRegression

    labels = [one for one, _ in curve]
    fitted = IsotonicRegression().fit_transform(labels, [points for _, points in curve])
    return list(zip(labels, map(float, fitted), strict=True))


def report(options: argparse.Namespace) -> None:
    # The name of a file says by which settings, way and seed, and of how many labels it is.
    names = sorted({path.stem.rsplit("-", 1)[0] for path in (options.work / "results").glob("*.json")})
    curves: dict[str, list[tuple[int, float]]] = {}
    for name in names:
        found = [json.loads(path.read_text("utf-8")) for path in (options.work / "results").glob(f"{name}-*.json")]
        ordered = sorted(found, key=lambda one: one["labels"])
        curves[name] = [(one["labels"], one["points"]) for one in ordered]
        line = ", ".join(f"{one['labels']}: {one['points']:+.1f}" for one in ordered)
        ways: dict[str, Callable[[Sequence[tuple[int, float]]], Sequence[tuple[int, float]]]]
        ways = {"measured": list, "never falling": never_falling}
        told = ", ".join(f"{way} {_shown(labels_needed(of(curves[name]), options.points))}" for way, of in ways.items())
        print(f"{name}: {line}; labels for {options.points:+g}: {told}")
    for smooth in (False, True):
        print(f"\nratio to differing, {'never falling' if smooth else 'as measured'}; must reach {GOAL_RATIO}")
        ratios: dict[str, list[float]] = {}
        for name, curve in curves.items():
            way, seed = name.rsplit("-", 1)
            set_name = next(way.removesuffix(one) for one in sorted(WAYS, key=len, reverse=True) if way.endswith(one))
            base = curves.get(f"{set_name}differing-{seed}")
            if base is None or way.endswith("differing"):
                continue
            needed = [labels_needed(never_falling(one) if smooth else one, options.points) for one in (curve, base)]
            if needed[0] is None or needed[1] is None:
                print(f"{name}: {_shown(needed[0])} of {_shown(needed[1])}")
                continue
            ratios.setdefault(way, []).append(needed[0] / needed[1])
            print(f"{name}: {needed[0]:.0f} of {needed[1]:.0f}, {needed[0] / needed[1]:.2f}")
        for way, found_ratios in ratios.items():
            print(f"{way}: mean {statistics.mean(found_ratios):.2f} over {len(found_ratios)} seeds")
    for way in dict.fromkeys(name.rsplit("-", 1)[0] for name in names):
        every = [curve for name, curve in curves.items() if name.rsplit("-", 1)[0] == way]
        steps = sorted(set.intersection(*({labels for labels, _ in curve} for curve in every)))
        means = [(step, statistics.mean(dict(curve)[step] for curve in every)) for step in steps]
        line = ", ".join(f"{labels}: {points:+.1f}" for labels, points in means)
        print(
            f"mean of {len(every)} {way}: {line}; {_shown(labels_needed(never_falling(means), options.points))} labels"
        )


def _shown(labels: float | None) -> str:
    return "not reached" if labels is None else f"{labels:.0f}"


def _steps(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    made = {name: parts.add_parser(name) for name in ("run", "report")}
    for name, part in made.items():
        part.add_argument("work", type=Path)
        part.set_defaults(run={"run": run, "report": report}[name])
    made["run"].add_argument("--seed", type=int, action="append")
    made["run"].add_argument("--way", choices=WAYS, action="append")
    made["run"].add_argument("--steps", type=_steps, default=STEPS)
    made["run"].add_argument("--every-step", action="store_true", help="Go on where the goal was reached twice.")
    made["run"].add_argument("--images", type=int, default=1600)
    made["run"].add_argument("--test-images", type=int, default=400)
    made["run"].add_argument("--error-rate", type=float, default=0.8)
    made["run"].add_argument("--noise", type=float, default=0.05)
    made["run"].add_argument("--held-out", type=float, default=0.1)
    made["run"].add_argument("--set", action="append", default=[])
    made["run"].add_argument("--name", default="", help="What results with these settings are called.")
    made["report"].add_argument("--points", type=float, default=GOAL_POINTS)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
