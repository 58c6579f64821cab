"""Gathers the figures of a corpus while its samples pass by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final  # Any: JSON values, candidates of any recipe

import pyarrow as pa

from cards.samples import CorpusSample, Row
from cards.statistics.figures import CorpusStatistics
from cards.statistics.summing_up import figures_of
from cards.statistics.tallies import BY_IMAGE, Tallies, tallies_of, text_table
from ostensive.arrow import schema_of, struct_of
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Annotation, Judgement, Region

EXAMPLES: Final = 2
_ROWS_AT_ONCE: Final = 10_000  # bounds the memory, and is enough for columns to be fast


@dataclass(slots=True)
class StatisticsGatherer:
    """Adds up the figures of samples; `result` gives them."""

    kind: RecipeKind
    _tallies: Tallies = field(default_factory=Tallies)
    _samples: list[Row] = field(default_factory=list)  # public forms that are not counted yet
    _shown: list[Sequence[ShownText]] = field(default_factory=list)  # the texts of their rows
    _examples: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)  # by split

    def add(self, sample: CorpusSample, shown: Sequence[Sequence[ShownText]], row: Row) -> None:
        """Count a sample, with the texts of each of its rows; `row` is its public form."""
        self._samples.append(row)
        self._shown += shown
        of_split = self._examples.setdefault(sample.split, [])
        if sample.rows and len(of_split) < EXAMPLES:
            of_split.append(row["rows"][0])
        if len(self._shown) >= _ROWS_AT_ONCE:
            self._count()

    def result(self, splits: Sequence[str] = ()) -> CorpusStatistics:
        """The figures of all samples that were added; `splits` in the order of the corpus, for the examples."""
        self._count()
        order = (*splits, *(split for split in self._examples if split not in splits))
        examples = [example for split in order for example in self._examples.get(split, ())]
        return figures_of(self._tallies, self.kind, tuple(examples[:EXAMPLES]))

    def _count(self) -> None:
        if self._samples:
            samples = pa.Table.from_pylist(self._samples, schema=_counted_schema(self.kind))
            self._tallies.take(tallies_of(samples, text_table(self._shown, self.kind.parts), self.kind))
            self._samples, self._shown = [], []


def _counted_schema(kind: RecipeKind) -> pa.Schema:
    """Of a sample in its public form, that of which anything is counted."""
    record: Any = kind.candidate
    candidate = schema_of(record)
    names = dict.fromkeys((*kind.counted_fields, *kind.averaged_fields))
    judgements = pa.field("judgements", pa.list_(_part_of(Judgement, ("critic", "accept_probability"))))
    row = pa.struct([*(candidate.field(name) for name in names), judgements])
    return pa.schema(
        [
            pa.field("rows", pa.list_(row)),
            pa.field("regions", pa.list_(_part_of(Region, ("box", "label")))),
            pa.field("annotations", pa.list_(_part_of(Annotation, BY_IMAGE))),
        ]
    )


def _part_of(record: Any, names: Sequence[str]) -> pa.StructType:
    whole = struct_of(record)
    return pa.struct([whole.field(name) for name in names])
