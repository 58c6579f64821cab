"""What the stages of a run say of its rows and images, read from the run folder as it is asked for.

A row is known by the id of its candidate. All of an image stands in the partitions of one index, so that a question
about a row or an image opens one file a stage, and of that only what is asked for. Memory holds the rows of the images
that were named.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final  # Any: candidates and records of any recipe; pyarrow ships no types

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ostensive.arrow import from_table
from ostensive.recipe_kind import RecipeKind
from ostensive.records import (
    Annotation,
    CriticScore,
    ImageRecord,
    ImageSplit,
    Judged,
    Judgement,
    Scored,
    Verbalization,
)
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.stage import record_name

KEPT: Final = "kept"
_OUTCOME: Final = ("input_id", "outcome", "outcome_reason", "outcome_detail")
_IDS: Final = ("image_id", "annotation_id")  # columns that hold what later stages may know a record by


@dataclass(frozen=True, slots=True)
class RowLine:
    """What one stage said of one row. `candidate` is None where a stage kept nothing of a row but its id."""

    stage: str
    row_id: str
    outcome: str  # "kept", "dropped" or "failed"
    reason: str  # empty when kept
    detail: str
    candidate: Any | None
    scores: tuple[CriticScore, ...] = ()
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageLoss:
    """What was lost of an image without a row to show: the image itself, or a reply that gave no candidate."""

    stage: str
    outcome: str  # "dropped" or "failed"
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImageTrail:
    """All that a run says of an image. `lines` are those of each row in the order of the stages, by row id."""

    image: ImageRecord
    split: str | None
    verbalization: Verbalization | None
    annotations: tuple[Annotation, ...]
    lines: Mapping[str, tuple[RowLine, ...]]
    losses: tuple[ImageLoss, ...]
    missing_stages: tuple[str, ...]  # that have not come to the image yet, in order


@dataclass(frozen=True, slots=True)
class RowStage:
    """A stage whose records are candidates, scored ones or judged ones, and its finished partitions by index."""

    name: str
    record: Any
    verdicts: str  # the column of what critics said: "scores", "judgements", or empty where the records are candidates
    paths: Mapping[int, Path]

    @property
    def is_nested(self) -> bool:
        """Whether the candidate is a field of the record."""
        return bool(self.verdicts)

    def column(self, name: str) -> str:
        """The column of a field of the candidate."""
        return f"candidate.{name}" if self.is_nested else name

    def field(self, name: str) -> pc.Expression:
        """The same to filter by."""
        return pc.field("candidate", name) if self.is_nested else pc.field(name)

    def read_ids(self, path: Path, chosen: pc.Expression | None) -> Iterator[tuple[str, str]]:
        """Row and image of the candidates in a partition that `chosen` takes."""
        columns = [self.column(name) for name in ("row_id", "image_id")]
        table = pq.read_table(path, columns=columns, filters=chosen)
        for row_id, image_id in zip(*(table.column(place).to_pylist() for place in (0, 1)), strict=True):
            if row_id is not None:
                yield row_id, image_id

    def read_lines(self, path: Path, chosen: pc.Expression) -> list[RowLine]:
        """The lines of a partition that `chosen` takes, those without a candidate under the id of what came in."""
        table = pq.read_table(path, filters=chosen)
        is_whole = pc.is_valid(table.column("candidate" if self.is_nested else "row_id"))
        records = iter(from_table(table.filter(is_whole), self.record))
        outcomes = zip(*(table.column(name).to_pylist() for name in _OUTCOME), strict=True)
        return [
            self._line(outcome, next(records) if whole else None)
            for outcome, whole in zip(outcomes, is_whole.to_pylist(), strict=True)
        ]

    def _line(self, outcome: Sequence[str | None], record: Any | None) -> RowLine:
        input_id, state, reason, detail = (value or "" for value in outcome)
        candidate = record.candidate if record is not None and self.is_nested else record
        return RowLine(
            self.name,
            input_id if candidate is None else candidate.row_id,
            state,
            reason,
            detail,
            candidate,
            getattr(record, "scores", ()),
            getattr(record, "judgements", ()),
        )


@dataclass(frozen=True, slots=True)
class RowPlace:
    """A row, its image, and the index of the partitions that hold both."""

    row_id: str
    image_id: str
    index: int


class RunRows:
    """The rows of a run by the stages that its folder has."""

    def __init__(self, run: RunFolder, kind: RecipeKind) -> None:
        """Reads what partitions say of themselves, and no row; raises `StorageError` for a file that is none."""
        self.run = run
        self.stage_names = tuple(run.stage_names())
        self._paths = {
            name: {index: found[-1] for index, found in run.all_partitions(name).items()} for name in self.stage_names
        }
        self.record_names: Mapping[str, str] = {
            name: partitions.read_info(next(iter(paths.values()))).record
            for name, paths in self._paths.items()
            if paths
        }
        candidate: Any = kind.candidate
        forms = {
            record_name(candidate): (candidate, ""),
            record_name(Scored): (Scored[candidate], "scores"),
            record_name(Judged): (Judged[candidate], "judgements"),
        }
        self.stages = tuple(
            RowStage(name, *forms[record], self._paths[name])
            for name, record in self.record_names.items()
            if record in forms
        )

    @property
    def indices(self) -> tuple[int, ...]:
        """The partitions that have rows, in order."""
        return tuple(sorted({index for stage in self.stages for index in stage.paths}))

    def missing_stages(self, index: int) -> tuple[str, ...]:
        """The stages that have not finished the partition of this index, in order."""
        return tuple(name for name in self.stage_names if index not in self._paths[name])

    def find_rows(self, prefix: str) -> list[RowPlace]:
        """The rows whose id begins so, each once, in order of their ids."""
        found: dict[str, RowPlace] = {}
        for stage in self.stages:
            chosen = pc.starts_with(stage.field("row_id"), prefix)
            for index, path in stage.paths.items():
                for row_id, image_id in stage.read_ids(path, chosen):
                    found.setdefault(row_id, RowPlace(row_id, image_id, index))
        return [found[row_id] for row_id in sorted(found)]

    def find_images(self, prefix: str) -> dict[str, int]:
        """The images whose id begins so, each with the index of the partition in which it was kept longest."""
        found: dict[str, int] = {}
        begins = pc.starts_with(pc.field("image_id"), prefix)
        for is_kept in (True, False):
            outcome = pc.field("outcome") == KEPT
            chosen = begins & (outcome if is_kept else ~outcome)
            for index, path in reversed(list(self._files_of(ImageRecord))):
                table = pq.read_table(path, columns=["image_id"], filters=chosen)
                for image_id in table.column("image_id").to_pylist():
                    found.setdefault(image_id, index)
        return dict(sorted(found.items()))

    def trails(self, index: int, image_ids: Collection[str]) -> dict[str, ImageTrail]:
        """All that is said of each of these images in the partitions of this index, by image id."""
        wanted = pa.array(sorted(set(image_ids)), pa.string())
        images = {image.image_id: image for image in self._records_of(ImageRecord, index, wanted)}
        splits = {one.image_id: one.split for one in self._records_of(ImageSplit, index, wanted)}
        texts = {one.image_id: one for one in self._records_of(Verbalization, index, wanted)}
        items: dict[str, list[Annotation]] = {}
        for item in self._records_of(Annotation, index, wanted):
            items.setdefault(item.image_id, []).append(item)
        found = self._lines(index, wanted)
        missing = self.missing_stages(index)
        return {
            image_id: ImageTrail(
                image,
                splits.get(image_id),
                texts.get(image_id),
                tuple(items.get(image_id, ())),
                {row_id: tuple(lines) for row_id, lines in found.rows.get(image_id, {}).items()},
                tuple(found.losses.get(image_id, ())),
                missing,
            )
            for image_id, image in images.items()
        }

    def _records_of(self, record: Any, index: int, image_ids: pa.Array) -> list[Any]:
        """The records of these images by the last stage that has any of this class.

        Images come from every stage of theirs, for one that a later stage refused is told of all the same.
        """
        paths = [path for at, path in self._files_of(record) if at == index]
        is_wanted = pc.field("image_id").isin(image_ids)
        if record is not ImageRecord:
            paths, is_wanted = paths[-1:], is_wanted & (pc.field("outcome") == KEPT)
        return [one for path in paths for one in from_table(pq.read_table(path, filters=is_wanted), record)]

    def _files_of(self, record: Any) -> Iterator[tuple[int, Path]]:
        """Index and path of the partitions of records of a class, stage by stage."""
        name = record_name(record)
        for stage, made in self.record_names.items():
            if made == name:
                yield from self._paths[stage].items()

    def _lines(self, index: int, image_ids: pa.Array) -> "_Lines":
        found = _Lines({image_id: image_id for image_id in image_ids.to_pylist()})
        by_name = {stage.name: stage for stage in self.stages}
        for name in self.stage_names:
            path = self._paths[name].get(index)
            if path is None:
                continue
            known = pa.array(sorted(found.owners), pa.string())
            if name not in by_name:
                found.add_others(name, path, known)
                continue
            stage = by_name[name]
            chosen = pc.field("input_id").isin(known) | stage.field("image_id").isin(known)
            for line in stage.read_lines(path, chosen):
                found.add_row(line)
        return found


@dataclass(frozen=True, slots=True)
class _Lines:
    """What the stages say, told apart by image, as it is read stage by stage."""

    owners: dict[str, str]  # the image of each record that is known so far, by the record's id
    rows: dict[str, dict[str, list[RowLine]]] = field(default_factory=dict)  # by image and row
    losses: dict[str, list[ImageLoss]] = field(default_factory=dict)  # by image

    def add_row(self, line: RowLine) -> None:
        """A line of a stage of rows; one without a candidate is of the row that came in, if it was one."""
        if line.candidate is not None:
            self.owners.setdefault(line.row_id, line.candidate.image_id)
        image_id = self.owners[line.row_id]
        earlier = self.rows.get(image_id, {}).get(line.row_id, [])
        # What a stage says besides of a row that it keeps is of something that it meant to make beside it.
        is_beside = line.candidate is None and (not earlier or earlier[-1].stage == line.stage)
        if is_beside:
            self._lose(image_id, ImageLoss(line.stage, line.outcome, line.reason, line.detail))
        else:
            self.rows.setdefault(image_id, {}).setdefault(line.row_id, []).append(line)

    def add_others(self, stage: str, path: Path, known: pa.Array) -> None:
        """The losses of a stage of other records, and the ids by which later stages know those that it kept."""
        names = [name for name in _IDS if name in pq.read_schema(path).names]
        chosen = pc.field("input_id").isin(known)
        if "image_id" in names:
            chosen |= pc.field("image_id").isin(known)
        for row in pq.read_table(path, columns=[*_OUTCOME, *names], filters=chosen).to_pylist():
            image_id = self.owners.get(row.get("image_id") or row["input_id"]) or self.owners[row["input_id"]]
            if row["outcome"] != KEPT:
                self._lose(image_id, ImageLoss(stage, *(row[name] or "" for name in _OUTCOME[1:])))
            else:
                self.owners.update((row[name], image_id) for name in names)

    def _lose(self, image_id: str, loss: ImageLoss) -> None:
        self.losses.setdefault(image_id, []).append(loss)
