"""A teacher that reads text alone beside the same one that sees the picture, in the microworld, judged by the oracle.

    python benchmarks/seeing.py [--scenes 200] [--only triples|imagining]

- `triples`: the recipe `localized` with `microworld:teacher`, blind and seeing, in both modes: of the kept triples that
  the oracle decides, the share that is true, by what is asked. Both are given the same words on a scene: once those of
  the profile, once those of `microworld:vlm-base`, which sees worse. A seeing teacher is shown the regions drawn in the
  mode `ids` and the bare picture in the other.
- `imagining`: the recipe `preferences` with the same model, every rejected side asked to describe things that are not
  there: the share of false sentences and the hallucinated things a description, chosen beside rejected.

Intervals are Wilson's, 95 %. Scenes have seeds that no model was trained on.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import ostensive
from builders.localized.records import Qar
from builders.localized.settings import MODES
from builders.preferences.records import PreferencePair
from microworld import claims
from microworld.findings import Finding
from microworld.folder import read_truth, write_scenes
from microworld.grade import regions_in
from microworld.oracle import judge_qar
from microworld.scenes import Scene
from microworld.sentences import read_question, tokens_of
from microworld.training.evaluate_teacher import INVENTED, sentence_findings
from microworld.training.lessons import prompt_set
from ostensive.intervals import wilson
from ostensive.records import Judged
from ostensive.run import partitions
from ostensive.run.folder import RunFolder, kept_records

FIRST_SEED = 620_000
TEACHER = (
    "teacher.kind=self",
    "teacher.model=microworld:teacher",
    "teacher.max_tokens=200",
    "teacher.batch_size=64",
    "corpus.license=cc0-1.0",
    "corpus.source=Rendered scenes of the microworld.",
    "corpus.intended_use=To measure.",
)
TRIPLES = (
    f"localized.prompt_set={prompt_set('localized')}",
    "localized.turns=1",
    "localized.qars_per_turn=3",
    "teacher.temperature=0.4",
    # The prompts hold no narratives: none need be told by a model.
    "verbalize.narratives={kind: pixels}",
)
VERBALIZERS = ("microworld:vlm", "microworld:vlm-base")
SUBJECTS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("place", (claims.AskPlace, claims.PlaceIs, claims.GroundIs)),
    ("existence", (claims.Exists,)),
    ("count", (claims.AskCount, claims.Count)),
    ("attribute", (claims.AskAspect, claims.AskHaving, claims.Attribute)),
    ("relation", (claims.AskRelated, claims.AskEither, claims.Related)),
)


def build(recipe: str, images: Path, out: Path, settings: Iterable[str]) -> RunFolder:
    options = ostensive.BuildOptions(profile="microworld", settings=[*TEACHER, *settings])
    ostensive.build(recipe, images=images, out=out, options=options)
    return RunFolder(out)


def share(hits: int, total: int) -> str:
    if not total:
        return "none"
    interval = wilson(hits, total)
    return f"{hits / total:.1%} ({interval.low:.1%} to {interval.high:.1%}) of {total:,}"


def subject_of(question: str) -> str:
    """What a question is about, by the claim or the kind of question that it is read as."""
    for asked in read_question(tokens_of(question)):
        what = asked.claim if isinstance(asked, claims.AskWhether) else asked
        for name, kinds in SUBJECTS:
            if isinstance(what, kinds):
                return name
    return "other"


def triples(folder: Path, images: Path) -> None:
    truth = read_truth(images)
    for verbalizer in VERBALIZERS:
        for seeing in (False, True):
            run = build(
                "localized",
                images,
                folder / f"triples-{verbalizer.rpartition(':')[2]}-{seeing}",
                [
                    *TRIPLES,
                    f"teacher.sees_image={str(seeing).lower()}",
                    *(f"verbalize.{part}.model={verbalizer}" for part in ("captions", "probes")),
                ],
            )
            regions = regions_in(run)
            rows = [one.candidate for one in kept_records(run, Judged[Qar])]
            for mode in MODES:
                judged = [
                    (row, judge_qar(row, regions[row.image_id], truth[row.image_id]).whole)
                    for row in rows
                    if row.mode == mode
                ]
                tell_triples(f"{mode}, words of {verbalizer}, {'seeing' if seeing else 'blind'}", judged)


def tell_triples(title: str, judged: list[tuple[Qar, Finding]]) -> None:
    decided = [(row, finding) for row, finding in judged if finding.decided]
    true = sum(finding.is_true for _, finding in decided)
    print(f"{title}: {len(judged):,} kept, true {share(true, len(decided))} that are decided")
    asked, right = Counter[str](), Counter[str]()
    for row, finding in decided:
        subject = subject_of(row.question)
        asked[subject] += 1
        right[subject] += finding.is_true
    for subject, count in sorted(asked.items()):
        print(f"  {subject:<10}{share(right[subject], count)}")
    for reason, count in Counter(finding.reason for _, finding in judged if not finding.is_true).most_common(4):
        print(f"    {count:,} {reason}")


def imagining(folder: Path, images: Path) -> None:
    truth = read_truth(images)
    run = build(
        "preferences",
        images,
        folder / "preferences",
        [
            f"preferences.prompt_set={prompt_set('preferences')}",
            "preferences.corruption_share=0",
            "teacher.temperature=0.2",
            "critics=[{kind: rules, limits: {chosen: {max_sentences: 60}, rejected: {max_sentences: 60}}}]",
        ],
    )
    pairs = [pair for path in run.partition_paths("pairs") for pair in partitions.read_kept(path, PreferencePair)]
    print(f"imagining: {len(pairs)} pairs")
    for name in ("chosen", "rejected"):
        print(f"  {name:<9}{side((getattr(pair, name), truth[pair.image_id]) for pair in pairs)}")


def side(texts: Iterable[tuple[str, Scene]]) -> str:
    found = [sentence_findings(text, scene) for text, scene in texts]
    flat = [finding for one in found for finding in one if finding.decided]
    invented = sum(finding.is_false and finding.reason in INVENTED for finding in flat)
    false = sum(finding.is_false for finding in flat)
    return f"{share(false, len(flat))} false; {invented / max(1, len(found)):.2f} hallucinated things a description"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--only", choices=("triples", "imagining"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "scenes"
        write_scenes(images, given.scenes, first_seed=FIRST_SEED)
        for part in (triples, imagining):
            if given.only in (None, part.__name__):
                part(folder, images)


if __name__ == "__main__":
    main()
