"""A critic in the microworld: how true what it keeps is, and how fast it is applied.

    python benchmarks/critic.py data WORK [--images 1600] [--labels 4000] [--error-rate 0.8] [--noise 0.05]
    python benchmarks/critic.py train WORK --backbone blip2 [--variant three] [--seed 0] [--set A.B=C]
    python benchmarks/critic.py report WORK
    python benchmarks/critic.py rate WORK CRITIC [--rounds 5] [--batch-size 32]

`data` renders scenes, has the scripted teacher write of them with faults, and has the oracle play two annotators who
err by `--noise` each; further scenes, of which no label is given, are for testing. `train` trains one critic, from a
tiny model that comes with the package, and judges the test scenes' candidates with it; `--variant accept` leaves the
rating heads out. Each can be killed and goes on. `report` compares the true share of the fifth with the highest score
with that of all, beside a reader of the text alone (words and pairs of words, logistic regression): what it reaches,
the picture is not needed for. `rate` measures a critic against a plain loop over the same model.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn  # Any: models of transformers, typed in part; JSON values

from figures import TARGET
from peak import cpu_seconds

import ostensive
from builders.dedupe import UNIQUE
from builders.localized.recipe import KIND, compared_text
from builders.localized.records import Qar
from critics.critic import CriticContext, Score
from critics.labels import CriteriaJudgement, CriterionRating, labels_from, read_labels, write_labels
from critics.trained.critic import TrainedCritic
from critics.trained.folder import load_critic, read_critic
from critics.trained.inputs import CriticInput
from critics.trained.settings import TrainedSettings, TrainSettings
from critics.trained.training import train_critic
from microworld.annotate import ratings_of
from microworld.folder import read_truth, write_scenes
from microworld.oracle import QarFinding, judge_qar
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.intervals import wilson
from ostensive.recipe import merge, parse_assignments
from ostensive.records import ImageRecord, Judged, Verbalization
from ostensive.run.folder import RunFolder, kept_records
from ostensive.run.options import BuildOptions
from ostensive.run.services import Services
from ostensive.settings import validate
from ostensive.stage import Evidence, ImageEvidence

TEST_SEED = 5_000_000
KEPT_SHARE = 0.2
GOAL_POINTS = 25
VARIANTS = {"three": {"rating": 0.5}, "accept": {"rating": 0.0}}
MODELS = {"blip2": "microworld:blip2", "vlm": "microworld:vlm"}
# Tiny models want higher rates than large ones, and after eight rounds they know three thousand triples by heart.
TINY = {"learning_rate": 3e-4, "head_learning_rate": 5e-4, "max_epochs": 8, "patience": 4, "learning_curve": []}
ON_CPU = {"precision": "bfloat16", "rows_at_once": 32}
WORD = r"[a-z]+|[0-9]|\S"


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate whose truth the oracle decides."""

    qar: Qar
    finding: QarFinding


def build(work: Path, name: str, images: int, first_seed: int, error_rate: float, settings: Sequence[str] = ()) -> None:
    """Scenes and a run of the recipe on them; what is there is left."""
    scenes = work / f"{name}-scenes"
    if not (scenes / "truth.jsonl").exists():
        write_scenes(scenes, images, first_seed=first_seed)
    values = (f"teacher.error_rate={error_rate}", "localized.modes=[ids]", "corpus.license=cc0-1.0")
    options = BuildOptions(
        settings=(
            *values,
            "corpus.source=Rendered scenes of the microworld.",
            "corpus.intended_use=To measure.",
            *settings,
        )
    )
    ostensive.build("localized", images=scenes, out=work / name, options=options)


def decided(work: Path, name: str) -> list[Row]:
    """The candidates that passed the rules and that the oracle can decide, in the order of their ids."""
    truth = read_truth(work / f"{name}-scenes")
    texts = {text.image_id: text for text in kept_records(RunFolder(work / name), Verbalization)}
    rows = []
    for judged in sorted(kept_records(RunFolder(work / name), Judged[Qar]), key=lambda one: str(one.record_id)):
        qar = judged.candidate
        finding = judge_qar(qar, texts[qar.image_id].regions, truth[qar.image_id])
        if finding.whole.decided:
            rows.append(Row(qar, finding))
    return rows


def judgement(row: Row, annotator: str, noise: float) -> CriteriaJudgement:
    """What an annotator says who knows the truth, wavers, and errs on each criterion with the probability `noise`."""
    ratings = ratings_of(row.finding, row.qar.row_id, annotator, noise=noise)
    by_criterion = tuple(CriterionRating(name, rating) for name, rating in ratings.items())
    return CriteriaJudgement(row.qar.row_id, row.qar.image_id, annotator, by_criterion)


def make_data(options: argparse.Namespace) -> None:
    work: Path = options.work
    build(work, "train", options.images, 0, options.error_rate)
    build(work, "test", options.test_images, TEST_SEED, options.error_rate)
    for name, most in (("train", options.labels), ("test", None)):
        rows = decided(work, name)[:most]
        labels = labels_from(judgement(row, who, options.noise) for row in rows for who in ("one", "two"))
        write_labels(work / f"{name}-labels.parquet", labels)
        true = sum(row.finding.whole.is_true for row in rows) / len(rows)
        accepted = sum(label.accepted for label in labels) / len(labels)
        print(f"{name}: {len(rows):,} candidates that the oracle decides, {true:.1%} true, {accepted:.1%} accepted")


def train(options: argparse.Namespace) -> None:
    work: Path = options.work
    values = {**TINY, **ON_CPU, "backbone": options.backbone, "model": MODELS[options.backbone], "seed": options.seed}
    values = merge({**values, "head_weights": VARIANTS[options.variant]}, parse_assignments(options.set))
    out = work / f"critic-{options.backbone}-{options.variant}-{options.seed}"
    settings = validate(TrainSettings, values, "--set")
    labels = read_labels(work / "train-labels.parquet")
    run = RunFolder(work / "train")
    figures = train_critic(run, labels, kind=KIND, stage=UNIQUE, settings=settings, out=out, tell=print)
    rows = decided(work, "test")
    found = scores(out, work, [row.qar for row in rows])
    record = {
        "variant": options.variant,
        "backbone": options.backbone,
        "seed": options.seed,
        "minutes": figures.seconds / 60,
        "rounds": len(figures.rounds),
        "test": asdict(figures.test),
        "scores": dict(zip((row.qar.row_id for row in rows), found, strict=True)),
    }
    (work / f"{out.name}.json").write_text(json.dumps(record), "utf-8")
    print(line_of(record, {row.qar.row_id: row.finding.whole.is_true for row in rows}))


def evidence_of(run: Path) -> Evidence:
    texts = {text.image_id: text for text in kept_records(RunFolder(run), Verbalization)}
    images = kept_records(RunFolder(run), ImageRecord)
    return {one.image_id: ImageEvidence(one, texts.get(one.image_id)) for one in images}


def opened(settings: TrainedSettings) -> AbstractContextManager[TrainedCritic]:
    """The critic, ready to be asked about triples of images taken in with the usual settings."""
    teacher = ScriptedTeacherSettings()
    stop = threading.Event()

    def refuse(_settings: object, _script: object) -> NoReturn:
        raise AssertionError("a trained critic asks no chat model")

    services = Services(ImageLoader(IntakeSettings()), refuse, 1, stop)
    return TrainedCritic(settings, CriticContext(KIND, teacher, 0)).opened(services)


def scores(critic: Path, work: Path, rows: Sequence[Qar]) -> list[float]:
    with opened(TrainedSettings(model=str(critic))) as one:
        found = one.score(rows, evidence_of(work / "test"))
    return [score.accept_probability if isinstance(score, Score) else 0.0 for score in found]


def best_fifth(found: dict[str, float], truth: dict[str, bool]) -> list[bool]:
    """Whether each of the rows with the highest scores is true."""
    order = sorted(found, key=lambda row_id: (-found[row_id], row_id))
    return [truth[row_id] for row_id in order[: max(1, round(KEPT_SHARE * len(order)))]]


def line_of(record: dict[str, Any], truth: dict[str, bool]) -> str:
    kept_rows = best_fifth(record["scores"], truth)
    share, of_all = sum(kept_rows) / len(kept_rows), sum(truth.values()) / len(truth)
    interval = wilson(sum(kept_rows), len(kept_rows))
    name = f"{record['backbone']} {record['variant']} {record['seed']}"
    test = record["test"]
    return (
        f"| {name} | {record['minutes']:.1f} | {of_all:.1%} | {share:.1%} ({interval.low:.1%} to {interval.high:.1%})"
        f" | {100 * (share - of_all):+.1f} | {test['f1']:.3f} | {test['average_precision']:.3f} |"
        f" {test['calibration_error_before']:.3f} to {test['calibration_error']:.3f} |"
    )


def text_alone(work: Path) -> dict[str, float]:
    """Scores of a reader of the text who never sees a picture, trained on the same labels."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = {row.qar.row_id: compared_text(row.qar) for row in decided(work, "train")}
    labels = read_labels(work / "train-labels.parquet")
    reader = make_pipeline(
        CountVectorizer(ngram_range=(1, 2), token_pattern=WORD, binary=True),
        LogisticRegression(max_iter=1000),
    )
    reader.fit([texts[label.row_id] for label in labels], [label.accepted for label in labels])
    test = decided(work, "test")
    found = reader.predict_proba([compared_text(row.qar) for row in test])[:, 1]
    return {row.qar.row_id: float(one) for row, one in zip(test, found, strict=True)}


def report(options: argparse.Namespace) -> None:
    truth = {row.qar.row_id: row.finding.whole.is_true for row in decided(options.work, "test")}
    of_all = sum(truth.values()) / len(truth)
    records = [json.loads(path.read_text("utf-8")) for path in sorted(options.work.glob("critic-*.json"))]
    print("| critic | minutes | true, all | true, kept fifth (95 %) | points | F1 | average precision | ECE |")
    print("|---|---|---|---|---|---|---|---|")
    for record in records:
        print(line_of(record, truth))
    alone = best_fifth(text_alone(options.work), truth)
    print(f"\ntext alone: {sum(alone) / len(alone):.1%} of its fifth are true, {of_all:.1%} of all")
    for kind in dict.fromkeys((record["backbone"], record["variant"]) for record in records):
        found = [record["scores"] for record in records if (record["backbone"], record["variant"]) == kind]
        gains = [100 * (sum(rows) / len(rows) - of_all) for rows in (best_fifth(one, truth) for one in found)]
        spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
        print(
            f"{' '.join(kind)}: {statistics.mean(gains):+.1f} points over {len(gains)} seeds, deviation {spread:.1f};"
            f" goal {GOAL_POINTS:+d}"
        )


def rate(options: argparse.Namespace) -> None:
    """Rows a second, ours and a plain loop's over the same model, in turns; medians."""
    import torch

    rows = [row.qar for row in decided(options.work, "test")][: options.rows]
    evidence = evidence_of(options.work / "test")
    settings = TrainedSettings(model=str(options.critic), batch_size=options.batch_size)
    loader = ImageLoader(IntakeSettings())
    model, inputs = load_critic(settings), read_critic(options.critic).inputs

    def given(row: Qar) -> CriticInput:
        known = evidence[row.image_id]
        regions = known.verbalization.regions if known.verbalization else ()
        return inputs.input_of(row.row_id, KIND.shown(row), known.image, regions)

    def bare() -> None:
        from ostensive.images.drawing import draw_regions

        every = sorted(map(given, rows), key=lambda one: len(one.text))
        for start in range(0, len(every), options.batch_size):
            batch = every[start : start + options.batch_size]
            pictures = [draw_regions(loader.load(one.image), one.regions) for one in batch]
            tensors = model.prepare(pictures, batch)
            with torch.inference_mode():
                model.forward(tensors).accept_logits.tolist()

    with opened(settings) as critic:
        loops: dict[str, Callable[[], object]] = {"ours": lambda: critic.score(rows, evidence), "bare": bare}
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        cores: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(options.rounds + 1):
            for name in loops if number % 2 else reversed(loops):
                started, cpu = time.perf_counter(), cpu_seconds()
                loops[name]()
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
                    cores[name].append(cpu_seconds() - cpu)
    for name in loops:
        print(f"{name}: {len(rows) / statistics.median(seconds[name]):.1f} rows/s")
    ratio = statistics.median(seconds["bare"]) / statistics.median(seconds["ours"])
    by_cpu = statistics.median(cores["bare"]) / max(statistics.median(cores["ours"]), 0.01)
    print(f"ours over bare: {ratio:.2f} by the clock, {by_cpu:.2f} by processor time; must reach {TARGET}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    commands = {"data": make_data, "train": train, "report": report, "rate": rate}
    made = {name: parts.add_parser(name) for name in commands}
    for name, part in made.items():
        part.add_argument("work", type=Path)
        part.set_defaults(run=commands[name])
    made["data"].add_argument("--images", type=int, default=1600)
    made["data"].add_argument("--test-images", type=int, default=400)
    made["data"].add_argument("--labels", type=int, default=4000)
    made["data"].add_argument("--error-rate", type=float, default=0.8)
    made["data"].add_argument("--noise", type=float, default=0.05)
    made["train"].add_argument("--backbone", choices=("blip2", "vlm"), required=True)
    made["train"].add_argument("--variant", choices=tuple(VARIANTS), default="three")
    made["train"].add_argument("--seed", type=int, default=0)
    made["train"].add_argument("--set", action="append", default=[])
    made["rate"].add_argument("critic", type=Path)
    made["rate"].add_argument("--rounds", type=int, default=5)
    made["rate"].add_argument("--rows", type=int, default=2000)
    made["rate"].add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
