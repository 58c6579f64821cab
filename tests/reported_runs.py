"""Small finished runs of every recipe, to be reported on and explained."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from annotated_images import write_rows
from annotated_run import write_run
from drawing import write_scenes
from installed_recipe import NAME

import ostensive
from builders.localized.records import Qar
from builders.table import MODULES, load, recipe_kind
from cards.explaining import Explainer
from ostensive.records import CriticScore, ImageRecord, Judged, Judgement, Scored
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import PartitionInfo
from ostensive.stage import Dropped, Failed, Kept, Outcome, record_name

# That of explanations loads a model of sentences, which takes longer than all the others together.
RECIPES = tuple(
    pytest.param(name, marks=pytest.mark.slow) if name == "explanations" else name for name in (*MODULES, NAME)
)
SETTINGS = ("corpus.license=cc0-1.0", "corpus.source=drawn by a test", "corpus.intended_use=to test")
QUICK = ("dedupe.max_distance=0", "run.partition_size=2")  # no model is loaded
BESIDE = (
    {
        "file_name": "scene 0000.jpg",
        "question": "What is it?",
        "answers": ["a boat"],
        "label": "boat",
        "instruction": "Describe it.",
        "rationales": ["It floats on the lake, and it has a sail."],
    },
    {
        "file_name": "scene 0001.jpg",
        "question": "Is it red?",
        "answers": ["no"],
        "label": "dog",
        "instruction": "Tell.",
    },
)
HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">",
    "javascript:alert(1) <a href='javascript:alert(1)'>[0]</a> {{ 7*7 }} <!-- ]]>",
    "\u202e\u05d0\u05d1 \u2066 right to left \u2028 a line's end \u2029",
    "word" * 2500,
)


def build_run(name: str, folder: Path, *settings: str, beside: Sequence[Mapping[str, Any]] = BESIDE) -> Path:
    """A run of a recipe about three pictures, of which two have something beside them; its folder."""
    images = write_scenes(folder / "images", 3)
    more: list[str] = []
    if name == "localized":
        more = ["localized.turns=1", "teacher.error_rate=0.3"]
    if name == "explanations":
        concepts = folder / "concepts.json"
        concepts.write_text('{"boat": ["a sail", "a hull", "a mast"], "dog": ["a tail", "four legs", "a snout"]}')
        more = [f"explanations.concepts={concepts}"]
    if name == NAME and beside is BESIDE:
        beside = [{"file_name": "scene 0000.jpg", "note": note} for note in ("A red boat", "A  Red boat", "A ship")]
    annotations = write_rows(folder / "beside.jsonl", beside) if recipe_kind(name).reads_annotations else None
    given = {setting.partition("=")[0] for setting in settings}
    usual = [setting for setting in (*SETTINGS, *QUICK, *more) if setting.partition("=")[0] not in given]
    options = ostensive.BuildOptions(settings=(*usual, *settings), annotations=annotations)
    ostensive.build(name, images=images, out=folder / "run", options=options)
    return folder / "run"


class Runs(dict[str, Path]):
    """A run of each recipe, built when a test asks for it, and once for all modules of tests."""

    def __init__(self, base: Path) -> None:
        """`base` is the folder of all tests of this process."""
        super().__init__()
        self.folder = base / "reported-runs"

    def __missing__(self, name: str) -> Path:
        run = self.folder / name / "run"
        self[name] = run if run.exists() else build_run(name, self.folder / name)
        return self[name]


def explainer_of(run: Path, journal: Path | None = None) -> Explainer:
    recipe = load(str(run / "recipe.yaml"))
    return Explainer(RunFolder(run), recipe, recipe_kind(recipe.recipe), journal)


def write_outcomes(
    run: RunFolder, stage: str, inputs: Sequence[Any], outcomes: Sequence[Outcome[Any]], record: Any, index: int = 0
) -> None:
    """A partition of a stage, as an engine leaves it."""
    table = partitions.outcome_table(inputs, outcomes, record)
    summary = partitions.summarize(stage, len(inputs), outcomes)
    print_ = f"{index:016x}" * 4
    info = PartitionInfo(stage, index, print_, partitions.digest_of(table, record), record_name(record), summary)
    partitions.write(run.partition_path(stage, index, print_), table, info)


def lossy_run(folder: Path, **texts: str) -> RunFolder:
    """A run of two pictures without a journal, whose rows were lost in every way that there is.

    Of the candidates of the first picture: 0 is kept, 1 repeats 0, 2 could not be scored, 3 is rejected, 4 is no whole
    candidate. A reply about the second picture never came. `texts` stand in all rows.
    """
    run = write_run(folder, images=2, per_image=5)
    rows = [one for path in run.partition_paths("unique") for one in partitions.read_kept(path, Qar)]
    rows = [replace(row, **texts) for row in rows]  # type: ignore[arg-type]  # fields of text
    first = [row for row in rows if row.image_id == rows[0].image_id]
    other = next(row.image_id for row in rows if row.image_id != rows[0].image_id)
    for path in run.partition_paths("unique"):
        path.unlink()
    images = [image for path in run.partition_paths("images") for image in partitions.read_kept(path, ImageRecord)]
    by_id = {image.image_id: image for image in images}
    asked = [by_id[first[0].image_id], by_id[other]]
    made = Kept(tuple(first[:4]), (Dropped("missing answer", "", first[4]), Dropped("too few triples")))
    write_outcomes(run, "candidates", asked, [made, Failed("timeout", "after 3 attempts")], Qar)
    repeats = Dropped("near duplicate", f"{first[0].row_id} at cosine distance 0.0100", first[1])
    write_outcomes(run, "unique", first[:4], [Kept((first[0],)), repeats, Kept((first[2],)), Kept((first[3],))], Qar)
    left = [first[0], first[2], first[3]]
    scored = [
        Scored(row, (CriticScore("rules", "1", chance, "hedging", "maybe"),))
        for row, chance in zip((first[0], first[3]), (0.75, 0.25), strict=True)
    ]
    write_outcomes(
        run,
        "scored",
        left,
        [Kept((scored[0],)), Failed("no score", "judge: no number"), Kept((scored[1],))],
        Scored[Qar],
    )
    judged = [
        Judged(
            one.candidate,
            (Judgement("rules", "1", one.scores[0].accept_probability, accepted, "" if accepted else "hedging"),),
        )
        for one, accepted in zip(scored, (True, False), strict=True)
    ]
    write_outcomes(
        run, "judged", scored, [Kept((judged[0],)), Dropped("hedging", "rules 0.250", judged[1])], Judged[Qar]
    )
    run.write_state(stages=["images", "verbalized", "candidates", "unique", "scored", "judged"], version="0")
    return run
