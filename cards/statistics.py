"""Figures of a corpus, gathered while its samples pass by: those that LSKD prints of its own, and a few more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final  # Any: JSON values, candidates of any recipe

from cards.samples import CorpusSample, Row, mentions_of
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Judged

SMALL_BOX_AREA: Final = 0.05
"""LSKD: about half of all boxes cover at most this share of their image."""
NOT_GIVEN: Final = "(not given)"
_EXAMPLES: Final = 2
_BY_IMAGE: Final = ("source", "license")  # fields of `Annotation` that are of the image


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Figures of a corpus; a mean over nothing is None."""

    images: int
    rows: int
    rows_per_image: float | None
    mean_words: Mapping[str, float]  # by the name of a shown text: words between white space
    mean_mentions: float | None  # distinct regions a row; None where rows mention none by their kind
    rows_by_field: Mapping[str, Mapping[str, int]]  # by counted field and its value
    mean_fields: Mapping[str, float]  # by averaged field, of the rows that have it: true counts as 1
    regions: int
    small_box_share: float | None  # of all regions, those that cover at most SMALL_BOX_AREA
    annotations: int
    images_by_field: Mapping[str, Mapping[str, int]]  # by what came in beside them: `source`, `license`
    mean_accept_probability: Mapping[str, float]  # by critic
    examples: tuple[Mapping[str, Any], ...] = ()  # the first row of the first images


@dataclass(slots=True)
class StatisticsGatherer:
    """Adds up the figures of samples; `result` gives them."""

    kind: RecipeKind
    images: int = 0
    rows: int = 0
    regions: int = 0
    small_boxes: int = 0
    mentions: int = 0
    annotations: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    rows_by_field: dict[str, Counter[str]] = field(default_factory=dict)
    images_by_field: dict[str, Counter[str]] = field(default_factory=dict)
    judgements: Counter[str] = field(default_factory=Counter)
    accept_sums: Counter[str] = field(default_factory=Counter)
    field_counts: Counter[str] = field(default_factory=Counter)
    field_sums: Counter[str] = field(default_factory=Counter)
    examples: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, sample: CorpusSample, shown: Sequence[Sequence[ShownText]], row: Row) -> None:
        """Count a sample, with the texts of each of its rows; `row` is its public form."""
        self.images += 1
        for region in sample.verbalization.regions if sample.verbalization else ():
            self.regions += 1
            self.small_boxes += region.box.area <= SMALL_BOX_AREA
        self.annotations += len(sample.annotations)
        for name in _BY_IMAGE:
            given = next((value for item in sample.annotations if (value := getattr(item, name))), NOT_GIVEN)
            self.images_by_field.setdefault(name, Counter())[given] += 1
        for judged, texts in zip(sample.rows, shown, strict=True):
            self._add_row(judged, texts)
        if sample.rows and len(self.examples) < _EXAMPLES:
            self.examples.append(row["rows"][0])

    def _add_row(self, judged: Judged[Any], texts: Sequence[ShownText]) -> None:
        self.rows += 1
        self.mentions += len(mentions_of(texts))
        for text in texts:
            self.texts[text.name] += 1
            self.words[text.name] += len(text.text.split())
        for name in self.kind.counted_fields:
            value = getattr(judged.candidate, name)
            if value != "":  # a field that most rows have empty is a mark
                self.rows_by_field.setdefault(name, Counter())[NOT_GIVEN if value is None else str(value)] += 1
        for name in self.kind.averaged_fields:
            value = getattr(judged.candidate, name)
            if value is not None:
                self.field_counts[name] += 1
                self.field_sums[name] += _millionths(value)
        for judgement in judged.judgements:
            self.judgements[judgement.critic] += 1
            self.accept_sums[judgement.critic] += _millionths(judgement.accept_probability)

    def result(self) -> CorpusStatistics:
        """The figures of all samples that were added, rounded to four digits."""
        given = {name: counts for name, counts in self.images_by_field.items() if set(counts) != {NOT_GIVEN}}
        return CorpusStatistics(
            images=self.images,
            rows=self.rows,
            rows_per_image=_mean(self.rows, self.images),
            mean_words={
                name: round(self.words[name] / self.texts[name], 4) for name in self.kind.parts if self.texts[name]
            },
            mean_mentions=_mean(self.mentions, self.rows) if self.kind.has_regions else None,
            rows_by_field={name: dict(sorted(counts.items())) for name, counts in self.rows_by_field.items()},
            mean_fields={
                name: round(self.field_sums[name] / 1e6 / self.field_counts[name], 4)
                for name in self.kind.averaged_fields
                if self.field_counts[name]
            },
            regions=self.regions,
            small_box_share=_mean(self.small_boxes, self.regions),
            annotations=self.annotations,
            images_by_field={name: dict(sorted(counts.items())) for name, counts in given.items()},
            mean_accept_probability={
                critic: round(self.accept_sums[critic] / 1e6 / count, 4)
                for critic, count in sorted(self.judgements.items())
            },
            examples=tuple(self.examples),
        )


def _millionths(value: float) -> int:
    """As whole millionths, because a sum of floats depends on their order."""
    return round(value * 1e6)


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 4) if count else None
