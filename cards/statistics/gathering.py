"""Adds up the figures of samples, which come as Arrow tables: as they are written, or as they are read again.

What a table holds is worked on by columns; candidates are made of it for what a recipe's kind alone knows, the texts
that it shows and the questions that it asks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final  # Any: JSON values; pyarrow and numpy ship no types

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cards.distributions import Frequencies
from cards.samples import mentions_of
from cards.statistics.figures import NOT_GIVEN, QUESTION_TYPES, REGION_LABELS, SMALL_BOX_AREA, CorpusStatistics
from cards.statistics.question_types import OTHERS, question_types
from cards.statistics.tallies import NumberTally, ShareTally, TextTally, frequencies_of, mean
from ostensive.arrow import from_table, schema_of
from ostensive.recipe_kind import RecipeKind
from ostensive.records import AREA_LABEL

_EXAMPLES: Final = 2
_BY_IMAGE: Final = ("source", "license")  # fields of `Annotation` that are of the image
_ROWS_AT_ONCE: Final = 5_000
_BETWEEN: Final = "\n"  # critics of a row
_OF_BOX: Final = ("width", "height", "area")


class StatisticsGatherer:
    """Adds up the figures of the samples of one recipe; `result` gives them."""

    def __init__(self, kind: RecipeKind) -> None:
        self._kind = kind
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._rows_of_images = NumberTally()
        self._mentions = NumberTally()
        self._texts = {
            name: TextTally(begins=place == 0, has_tags=kind.has_regions) for place, name in enumerate(kind.parts)
        }
        self._question_types = Counter[str]()
        self._rows_by_field: dict[str, Counter[str]] = {}
        self._fields = {name: ShareTally() for name in kind.averaged_fields}
        self._boxes = {name: ShareTally() for name in _OF_BOX}
        self._labels = Counter[str]()  # of regions
        self._small_boxes = 0
        self._annotations = 0
        self._images_by_field: dict[str, Counter[str]] = {name: Counter() for name in _BY_IMAGE}
        self._is_annotated = False
        self._scores: dict[str, ShareTally] = {}
        self._grading = set[str]()  # critics that gave more than 0 and 1
        self._critics_of_rows = Counter[str]()
        self._examples: dict[str, Mapping[str, Any]] = {}  # by the id of the image

    def add(self, samples: pa.Table) -> None:
        """Count samples, in the form of `PublicForm.sample_schema`; other columns are passed over."""
        if "image" in samples.column_names:
            samples = samples.drop_columns("image")
        self._waiting.append(samples)
        self._waiting_rows += pc.sum(pc.list_value_length(samples.column("rows"))).as_py() or 0
        if self._waiting_rows >= _ROWS_AT_ONCE:
            self._count()

    def result(self) -> CorpusStatistics:
        """The figures of all samples that were added, rounded to four digits."""
        self._count()
        kind = self._kind
        given = self._images_by_field if self._is_annotated else {}
        given = {name: counts for name, counts in given.items() if set(counts) != {NOT_GIVEN}}
        texts = {name: tally for name, tally in self._texts.items() if tally.lengths.counts}
        boxes = self._boxes if self._boxes["area"].count else {}
        scores = dict(sorted(self._scores.items()))
        return CorpusStatistics(
            images=self._rows_of_images.counts.total(),
            rows=self._rows_of_images.total,
            rows_per_image=self._rows_of_images.mean,
            mean_words={name: _known(tally.lengths.mean) for name, tally in texts.items()},
            mean_mentions=self._mentions.mean if kind.has_regions else None,
            rows_by_field={name: dict(sorted(counts.items())) for name, counts in self._rows_by_field.items()},
            mean_fields={name: _known(tally.mean) for name, tally in self._fields.items() if tally.count},
            regions=self._boxes["area"].count,
            small_box_share=mean(self._small_boxes, self._boxes["area"].count),
            unnamed_region_share=mean(self._labels[AREA_LABEL], self._boxes["area"].count),
            mean_box={name: _known(tally.mean) for name, tally in boxes.items()},
            annotations=self._annotations,
            images_by_field={name: dict(sorted(counts.items())) for name, counts in given.items()},
            mean_accept_probability={critic: _known(tally.mean) for critic, tally in scores.items()},
            ungraded_rows=self._ungraded_rows(),
            histograms=(
                *([self._rows_of_images.histogram("rows of an image", "rows")] if self._rows_of_images.counts else []),
                *(tally.lengths.histogram(f"words of the {name}", "words") for name, tally in texts.items()),
                *(
                    [self._mentions.histogram("regions mentioned in a row", "regions")]
                    if kind.has_regions and self._mentions.counts
                    else []
                ),
                *(tally.histogram(f"{name} of regions", "share of the image") for name, tally in boxes.items()),
                *(
                    tally.histogram(f"acceptance probability by {critic}", "probability")
                    for critic, tally in scores.items()
                ),
            ),
            frequencies=tuple(self._frequencies(texts)),
            examples=tuple(self._examples.values()),
        )

    def _frequencies(self, texts: Mapping[str, TextTally]) -> Iterator[Frequencies]:
        if set(+self._question_types) - {OTHERS}:  # else no question is English
            yield frequencies_of(QUESTION_TYPES, +self._question_types)
        for name, tally in texts.items():
            yield from tally.frequencies(name)
        named = Counter({label: count for label, count in self._labels.items() if label != AREA_LABEL})
        if named:
            yield frequencies_of(REGION_LABELS, named)

    def _ungraded_rows(self) -> int:
        of_critics = self._critics_of_rows.items()
        return sum(count for names, count in of_critics if self._grading.isdisjoint(names.split(_BETWEEN)))

    def _count(self) -> None:
        if not self._waiting:
            return
        samples = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_rows = [], 0
        lists = samples.column("rows").combine_chunks()
        rows = pc.list_flatten(lists)
        self._rows_of_images.add(pc.list_value_length(lists).to_pylist())
        ids = samples.column("image_id").to_pylist()
        first = sorted(range(len(ids)), key=ids.__getitem__)[:_EXAMPLES]
        found = self._examples | {ids[place]: lists[place][0].as_py() for place in first}
        self._examples = {key: found[key] for key in sorted(found)[:_EXAMPLES]}
        self._count_candidates(rows)
        self._count_judgements(rows.field("judgements"))
        if "regions" in samples.column_names:
            self._count_boxes(pc.list_flatten(samples.column("regions").combine_chunks()))
        if "annotations" in samples.column_names:
            self._is_annotated = True
            self._count_annotations(samples.column("annotations").combine_chunks(), len(samples))

    def _count_candidates(self, rows: pa.StructArray) -> None:
        kind: Any = self._kind
        columns = {name: rows.field(name) for name in schema_of(kind.candidate).names}
        # Flat lists: going through a list for each row took the garbage collector a quarter of the time (2026-11-30).
        by_name: dict[str, list[str]] = {name: [] for name in kind.parts}
        questions: list[str] = []
        mentioned: list[int] = []
        for candidate in from_table(pa.table(columns), kind.candidate):
            texts = kind.shown(candidate)
            for text in texts:
                by_name[text.name].append(text.text)
            if kind.has_regions:
                mentioned.append(len(mentions_of(texts)))
            if kind.questions is not None:
                questions += kind.questions(candidate)
        self._mentions.add(mentioned)
        for name, found in by_name.items():
            if found:
                self._texts[name].add(found)
        self._question_types.update(question_types(pa.array(questions, pa.string())))
        for name in kind.counted_fields:
            values = Counter(columns[name].to_pylist())
            values.pop("", None)  # a field that most rows have empty is a mark
            counts = self._rows_by_field.setdefault(name, Counter()) if values else Counter[str]()
            for value, count in values.items():
                counts[NOT_GIVEN if value is None else str(value)] += count
        for name in kind.averaged_fields:
            self._fields[name].add(_floats(columns[name]))

    def _count_judgements(self, lists: pa.ListArray) -> None:
        judgements = pc.list_flatten(lists)
        ends = np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
        of_rows = pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), judgements.field("critic"))
        self._critics_of_rows.update(_value_counts(pc.binary_join(of_rows, _BETWEEN)))
        critics = judgements.field("critic").dictionary_encode()
        codes = critics.indices.to_numpy(zero_copy_only=False)
        values = _floats(judgements.field("accept_probability"))
        for code, critic in enumerate(critics.dictionary.to_pylist()):
            found = values[codes == code]
            self._scores.setdefault(critic, ShareTally()).add(found)
            if ((found > 0) & (found < 1)).any():
                self._grading.add(critic)

    def _count_boxes(self, regions: pa.StructArray) -> None:
        box = regions.field("box")
        x1, y1, x2, y2 = (_floats(box.field(name)) for name in ("x1", "y1", "x2", "y2"))
        area = (x2 - x1) * (y2 - y1)
        for name, values in zip(_OF_BOX, (x2 - x1, y2 - y1, area), strict=True):
            self._boxes[name].add(values)
        self._small_boxes += int((area <= SMALL_BOX_AREA).sum())
        self._labels.update(_value_counts(regions.field("label")))

    def _count_annotations(self, lists: pa.ListArray, images: int) -> None:
        items = pc.list_flatten(lists)
        owners = pc.list_parent_indices(lists).to_pylist()
        self._annotations += len(items)
        for name in _BY_IMAGE:
            given: dict[int, str] = {}
            for owner, value in zip(owners, items.field(name).to_pylist(), strict=True):
                if value:
                    given.setdefault(owner, value)
            self._images_by_field[name].update(given.values())
            if images > len(given):
                self._images_by_field[name][NOT_GIVEN] += images - len(given)


def _value_counts(values: pa.Array) -> dict[Any, int]:
    found = pc.value_counts(values)
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _floats(column: pa.Array) -> Any:
    """(n,) float64 of the values that are there; true is 1."""
    return pc.drop_null(column).cast(pa.float64()).to_numpy(zero_copy_only=False)


def _known(value: float | None) -> float:
    assert value is not None, "what is listed was met"
    return value
