"""The critic `geometry`: how often it is right that a statement is wrong, how much it finds, and what a row costs.

    python benchmarks/geometry.py microworld [--scenes 60] [--seeds 0 1 2] [--work DIR] [--show 0]
    python benchmarks/geometry.py sentences SENTENCES PHOTOGRAPHS [--show 0]
    python benchmarks/geometry.py cost [--rounds 7] [--work DIR]

- `microworld`: the scripted teacher writes of unseen scenes with 0.8 of errors, of regions by number and by
  description. Of the candidates in which the oracle decides a claim about boxes: how many that the critic calls wrong
  are, and how many of the wrong it finds.
- `sentences`: sentences about photographs' boxes, JSON Lines with `picture`, `texts` (name, text), `judged`, `truth`
  and `topic`, and the boxes of each picture as JSON; the same by topic.
- `cost`: milliseconds a row of one core, beside those of `evidence`, medians of several rounds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any  # Any: JSON values

import ostensive
from builders.dedupe import UNIQUE
from builders.localized.recipe import KIND
from builders.localized.records import Qar
from critics.critic import CriticContext, Score
from critics.evidence import EvidenceCritic, EvidenceSettings
from critics.geometry import Finding, findings
from critics.geometry.critic import GeometryCritic, GeometrySettings, score_of
from microworld.claims import Measured, Related
from microworld.findings import WRONG_GEOMETRY, all_of
from microworld.findings import Finding as OracleFinding
from microworld.folder import read_truth, write_scenes
from microworld.sentences import sentences_of, tokens_of
from microworld.teacher import read_teacher_answer, read_teacher_rationale
from microworld.truth import decide, scope_of
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.intervals import wilson
from ostensive.recipe_kind import ShownText
from ostensive.records import Box, ImageRecord, Region, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder, kept_records
from ostensive.run.options import BuildOptions
from ostensive.stage import Evidence, ImageEvidence

FIRST_SEED = 9_000_000
"""Of scenes that nothing was trained or tuned on."""
MUST_BE_PRECISE, MUST_BE_FOUND, MUST_COST_MS = 0.95, 0.8, 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """What the critic says of a row, and whether its claims about boxes are true."""

    score: float
    is_true: bool
    group: str
    shown: str


def run_of(folder: Path, scenes: int, seed: int, mode: str) -> RunFolder:
    """A run of the scripted teacher over unseen scenes, with its scenes beside; made once."""
    pictures = folder / f"scenes-{seed}"
    if not pictures.exists():
        write_scenes(pictures, scenes, first_seed=FIRST_SEED + seed * 100_000)
    settings = (
        "teacher.kind=scripted",
        "teacher.error_rate=0.8",
        f"localized.modes=[{mode}]",
        "corpus.license=cc0-1.0",
        f"seed={seed}",
    )
    more = ("corpus.source=Rendered scenes of the microworld.", "corpus.intended_use=To measure.")
    out = folder / f"{mode}-{seed}"
    if not (out / "corpus" / "manifest.json").exists():  # a build that was cut goes on
        ostensive.build(
            "localized",
            images=pictures,
            out=out,
            options=BuildOptions(profile="microworld", settings=(*settings, *more)),
        )
    return RunFolder(out)


def oracle_on_boxes(qar: Qar, regions: Sequence[Region], scene: Any) -> OracleFinding | None:
    """The oracle's finding on the claims of a triple that are about boxes; None where none is decided."""
    scope = scope_of(scene, regions)
    claims = [read_teacher_rationale(sentence) for sentence in sentences_of(tokens_of(qar.rationale))]
    answered = read_teacher_answer(tokens_of(qar.question), tokens_of(qar.answer))
    claims.append(None if answered is None else answered.claim)
    found = [decide(one, scope) for one in claims if isinstance(one, Measured | Related)]
    # A name that fits nothing is false as well, and says nothing of where it is.
    decided = [one for one in found if one.is_true or (one.decided and one.reason == WRONG_GEOMETRY)]
    return all_of(decided) if decided else None


def microworld_cases(folder: Path, scenes: int, seeds: Sequence[int]) -> Iterator[Case]:
    """The cases of all seeds and modes."""
    for seed in seeds:
        for mode in ("ids", "descriptions"):
            run = run_of(folder, scenes, seed, mode)
            truth = read_truth(folder / f"scenes-{seed}")
            regions = {one.image_id: one.regions for one in kept_records(run, Verbalization)}
            for path in run.partition_paths(UNIQUE):
                for qar in partitions.read_kept(path, Qar):
                    known = regions[qar.image_id]
                    oracle = oracle_on_boxes(qar, known, truth[qar.image_id])
                    if oracle is None:
                        continue
                    found = findings(KIND.shown(qar), known, KIND.judged_parts)
                    shown = (
                        f"{qar.question} | {qar.answer} | {qar.rationale}\n      {lines(found)}\n      oracle: {oracle}"
                    )
                    yield Case(score_of(found).accept_probability, oracle.is_true, f"{mode}, seed {seed}", shown)


def lines(found: Sequence[Finding]) -> str:
    """Findings, one a line."""
    return "\n      ".join(map(str, found)) or "nothing read"


def sentence_cases(sentences: Path, photographs: Path) -> Iterator[Case]:
    """The cases of a file of sentences."""
    found_in = json.loads(photographs.read_text("utf-8"))
    pictures = {name: tuple(map(region_of, one["regions"])) for name, one in found_in.items()}
    for line in sentences.read_text("utf-8").splitlines():
        row = json.loads(line)
        texts = [ShownText(text["name"], text["text"]) for text in row["texts"]]
        found = findings(texts, pictures[row["picture"]], row["judged"])
        shown = f"{row['picture']}: {' | '.join(one.text for one in texts)} ({row['truth']})\n      {lines(found)}"
        yield Case(score_of(found).accept_probability, row["truth"] == "right", row["topic"], shown)


def region_of(value: dict[str, Any]) -> Region:
    """A region as the file of photographs gives it."""
    return Region(value["number"], Box(*value["box"]), value["label"], None, value.get("caption", ""))


def share(part: int, whole: int) -> str:
    """A share with Wilson's interval of 95 %."""
    if not whole:
        return "-"
    interval = wilson(part, whole)
    return f"{part / whole:6.1%} ({interval.low:.1%} to {interval.high:.1%}; {part} of {whole})"


def report(cases: Sequence[Case]) -> None:
    """Prints precision and what is found, by group and of all."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case)
    for name, some in [*sorted(groups.items()), ("all", list(cases))]:
        counts = Counter((case.score, case.is_true) for case in some)
        wrong, right = counts[0.0, False] + counts[0.0, True], counts[1.0, False] + counts[1.0, True]
        false = sum(not case.is_true for case in some)
        print(f"{name}: {len(some)} candidates, {false} of them wrong")
        print(f"  precision of wrong {share(counts[0.0, False], wrong)}, must reach {MUST_BE_PRECISE:.0%}")
        print(f"  wrong that is found {share(counts[0.0, False], false)}, must reach {MUST_BE_FOUND:.0%}")
        print(f"  precision of right {share(counts[1.0, True], right)}")
        print(f"  not checkable      {share(counts[0.5, False] + counts[0.5, True], len(some))}")


def show(cases: Sequence[Case], most: int) -> None:
    """Prints cases in which the critic is wrong, and wrong ones that it did not find."""
    kinds: tuple[tuple[str, Callable[[Case], bool]], ...] = (
        ("called wrong, true", lambda case: case.score == 0 and case.is_true),
        ("called right, false", lambda case: case.score == 1 and not case.is_true),
        ("not found", lambda case: case.score == 0.5 and not case.is_true),
        ("right, not read", lambda case: case.score == 0.5 and case.is_true),
    )
    for title, wanted in kinds:
        for case in [case for case in cases if wanted(case)][:most]:
            print(f"  {title} ({case.group}): {case.shown}")


def cost(rounds: int, scenes: int, work: Path | None) -> None:
    """Prints milliseconds a row of both critics on the same rows, none seen before in a round."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = work or Path(temporary)
        rows: list[Qar] = []
        evidence: Evidence = {}
        for mode in ("ids", "descriptions"):
            run = run_of(folder, scenes, 0, mode)
            texts = {one.image_id: one for one in kept_records(run, Verbalization)}
            images = {one.image_id: one for one in kept_records(run, ImageRecord)}
            evidence = {**evidence, **{key: ImageEvidence(images[key], text) for key, text in texts.items()}}
            rows += [qar for path in run.partition_paths(UNIQUE) for qar in partitions.read_kept(path, Qar)]
    context = CriticContext(KIND, ScriptedTeacherSettings(), seed=0)
    critics = GeometryCritic(GeometrySettings(), context), EvidenceCritic(EvidenceSettings(), context)
    for critic in critics:
        figures = [measured(partial(critic.score, rows, evidence), len(rows)) for _ in range(rounds)]
        middle = statistics.median(figures)
        print(
            f"{critic.name}: {middle:.3f} ms a row ({min(figures):.3f} to {max(figures):.3f}), {len(rows)} rows,"
            f" must stay under {MUST_COST_MS:g}"
        )


def measured(score: Callable[[], Sequence[Score | Any]], rows: int) -> float:
    """Milliseconds of processor time a row, with nothing remembered from before."""
    forget()
    begin = time.process_time()
    score()
    return (time.process_time() - begin) * 1000 / rows


def forget() -> None:
    """Empties what the readers remember."""
    from critics import lexicon
    from critics.geometry import answers, phrases, places, predicates, reading, references

    for module in (lexicon, answers, phrases, places, predicates, reading, references):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    world = parts.add_parser("microworld")
    world.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    written = parts.add_parser("sentences")
    written.add_argument("sentences", type=Path)
    written.add_argument("photographs", type=Path)
    for one in (world, written):
        one.add_argument("--show", type=int, default=0, help="print so many cases of each kind of error")
    costs = parts.add_parser("cost")
    costs.add_argument("--rounds", type=int, default=7)
    for one in (world, costs):
        one.add_argument("--scenes", type=int, default=60, help="of each seed")
        one.add_argument("--work", type=Path, help="keep the runs here, to measure them again")
    options = parser.parse_args()
    if options.part == "cost":
        cost(options.rounds, options.scenes, options.work)
        return
    if options.part == "sentences":
        cases = list(sentence_cases(options.sentences, options.photographs))
    else:
        with tempfile.TemporaryDirectory() as folder:
            cases = list(microworld_cases(options.work or Path(folder), options.scenes, options.seeds))
    show(cases, options.show)
    report(cases)


if __name__ == "__main__":
    main()
