"""A recipe of two quick stages, one that looks at what came in beside images and one that does not.

Usage as a program: python noted_run.py JSON, with the arguments of `build`, which is killed where `kill` says.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ostensive.images.settings import AnnotationSettings
from ostensive.recipe import CorpusSettings, Recipe, RunSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.records import ImageRecord, Verbalization
from ostensive.run import partitions
from ostensive.run.build import Build, FinishedStages
from ostensive.run.folder import RunFolder
from ostensive.run.options import BuildOptions
from ostensive.run.reporting import SILENCE, Reporter, Silence
from ostensive.run.summary import StageSummary
from ostensive.stage import AnyStage, Evidence, FunctionStage, Kept, Outcome

SIZES, NOTES = "sizes", "notes"


@dataclass(frozen=True, slots=True)
class Note:
    """All that one item says of an image."""

    record_id: str
    image_id: str
    source: str
    text: str


class NotesRecipe(Recipe):
    recipe: Literal["notes"] = "notes"


def say_size(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Verbalization]]:
    assert not any(one.annotations for one in evidence.values()), "a stage that does not use them is not shown them"
    return [Kept((Verbalization(row.image_id, (f"{row.width} x {row.height}",), (), (), ()),)) for row in rows]


def note_items(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Note]]:
    return [
        Kept(
            tuple(
                Note(
                    item.annotation_id,
                    row.image_id,
                    row.source,
                    " ".join(filter(None, (item.question, *item.answers, *(extra.text for extra in item.extras)))),
                )
                for item in evidence[row.image_id].annotations
            )
        )
        for row in rows
    ]


def make_stages(_recipe: Recipe) -> Sequence[AnyStage]:
    return (
        FunctionStage(SIZES, say_size, record_in=ImageRecord, record_out=Verbalization, identity={}),
        FunctionStage(NOTES, note_items, record_in=ImageRecord, record_out=Note, identity={}, uses_annotations=True),
    )


KIND = RecipeKind(
    name="notes",
    recipe=NotesRecipe,
    candidate=Note,
    make_stages=make_stages,
    script=lambda _recipe: lambda _messages, _seed: "",
    shown=lambda _candidate: (),
    compared_text=lambda candidate: candidate.text,
    parts=("text",),
    judged_parts=(),
    annotations_optional=("question", "answers", "note"),
    title="notes",
    task_categories=(),
    method="",
    citation="",
    package="tests",
)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a build hands back: what each stage did."""

    stages: tuple[StageSummary, ...]
    row_count: int

    def __getitem__(self, stage: str) -> StageSummary:
        return next(one for one in self.stages if one.name == stage)


def publish(finished: FinishedStages) -> Finished:
    names = [*finished.intake_stages, *(stage.name for stage in finished.stages)]
    return Finished(tuple(finished.run.summary(name) for name in names), finished.run.summary(NOTES).kept)


class Killer(Silence):
    """Kills the process when so many partitions of a stage are finished."""

    def __init__(self, stage: str, left: int) -> None:
        self.stage, self.left = stage, left

    def finish(self, summary: StageSummary) -> None:
        self.left -= summary.name == self.stage
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class NotedRun:
    """A folder of images and the run that is built of it."""

    images: Path
    path: Path
    size: int = 2
    required: Sequence[str] = ()
    splits: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    def asked(
        self, annotations: Path | None = None, limit: int | None = None, reporter: Reporter = SILENCE
    ) -> Build[Finished]:
        recipe = NotesRecipe(
            corpus=CorpusSettings(
                license="cc0-1.0", source="drawn by a test", intended_use="to test", splits=dict(self.splits)
            ),
            run=RunSettings(partition_size=self.size),
            annotations=AnnotationSettings(columns=dict(self.columns)),
        )
        kind = replace(KIND, annotations_required=tuple(self.required))
        return Build(recipe, kind, publish, BuildOptions(annotations=annotations, limit=limit), reporter)

    def build(
        self, annotations: Path | None = None, *, limit: int | None = None, reporter: Reporter = SILENCE
    ) -> Finished:
        return self.asked(annotations, limit, reporter).from_images(self.images, self.path)

    def again(self, stage: str) -> Finished:
        return self.asked().from_stage(self.path, stage)

    def notes(self) -> dict[str, list[str]]:
        """What is noted of each image, by its source, in order."""
        found: dict[str, list[str]] = {}
        for note in self.rows():
            found.setdefault(note.source, []).append(note.text)
        return found

    def rows(self) -> list[Note]:
        return [row for path in self.folder.partition_paths(NOTES) for row in partitions.read_kept(path, Note)]

    def files(self, *stages: str) -> dict[str, bytes]:
        """The files of stages, or of all of them, by their path in the run."""
        paths = sorted(self.path.glob("*/*.parquet"))
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in paths
            if not stages or path.parent.name in stages
        }

    def worked_on(self) -> list[tuple[str, int]]:
        """The partitions that the last build did, by stage."""
        events = self.folder.read_log()
        last = max(place for place, event in enumerate(events) if event["event"] == "start")
        return sorted((event["stage"], event["index"]) for event in events[last:] if event["event"] == "partition")


def main() -> None:
    asked: dict[str, Any] = json.loads(sys.argv[1])
    run = NotedRun(Path(asked["images"]), Path(asked["path"]), asked["size"])
    run.build(Path(asked["annotations"]), reporter=Killer(*asked["kill"]))


if __name__ == "__main__":
    main()
