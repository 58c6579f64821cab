"""Figures of a corpus, gathered while its samples pass by: those that LSKD prints of its own, and a few more.

They look for the fields `question`, `answer`, `rationale`, `mentions` and `mode` and leave out what a recipe's rows do
not have. Reading the written corpus again to count was given up: the samples pass by anyway.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SMALL_BOX_AREA = 0.05
"""LSKD: about half of all boxes cover at most this share of their image."""

_TEXT_FIELDS = ("question", "answer", "rationale")
_EXAMPLES = 2


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Figures of a corpus; a mean over nothing is None."""

    images: int
    rows: int
    rows_per_image: float | None
    mean_words: Mapping[str, float]  # by field: words between white space
    mean_mentions: float | None  # distinct regions a row
    rows_by_mode: Mapping[str, int]
    regions: int
    small_box_share: float | None  # of all regions, those that cover at most SMALL_BOX_AREA
    mean_accept_probability: Mapping[str, float]  # by critic
    examples: tuple[Mapping[str, Any], ...]  # Any: JSON values; the first row of the first images


@dataclass(slots=True)
class StatisticsGatherer:
    """Adds up the figures of samples; `result` gives them."""

    images: int = 0
    rows: int = 0
    regions: int = 0
    small_boxes: int = 0
    mentions: int | None = None
    words: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    judgements: Counter[str] = field(default_factory=Counter)
    accept_sums: Counter[str] = field(default_factory=Counter)
    examples: list[Mapping[str, Any]] = field(default_factory=list)  # Any: JSON values

    def add(self, sample: Mapping[str, Any]) -> None:  # Any: JSON values
        """Count the public form of a sample (`PublicForm.sample_row`)."""
        self.images += 1
        for region in sample["regions"]:
            box = region["box"]
            self.regions += 1
            self.small_boxes += (box["x2"] - box["x1"]) * (box["y2"] - box["y1"]) <= SMALL_BOX_AREA
        for row in sample["rows"]:
            self._add_row(row)
        if sample["rows"] and len(self.examples) < _EXAMPLES:
            self.examples.append(sample["rows"][0])

    def _add_row(self, row: Mapping[str, Any]) -> None:  # Any: as above
        self.rows += 1
        for name in _TEXT_FIELDS:
            if isinstance(row.get(name), str):
                self.words[name] += len(row[name].split())
        if isinstance(row.get("mentions"), list):
            self.mentions = (self.mentions or 0) + len(row["mentions"])
        if isinstance(row.get("mode"), str):
            self.modes[row["mode"]] += 1
        for judgement in row["judgements"]:
            self.judgements[judgement["critic"]] += 1
            # Whole millionths, because a sum of floats depends on their order.
            self.accept_sums[judgement["critic"]] += round(judgement["accept_probability"] * 1e6)

    def result(self) -> CorpusStatistics:
        """The figures of all samples that were added, rounded to four digits."""
        return CorpusStatistics(
            images=self.images,
            rows=self.rows,
            rows_per_image=_mean(self.rows, self.images),
            mean_words={name: round(self.words[name] / self.rows, 4) for name in _TEXT_FIELDS if name in self.words},
            mean_mentions=None if self.mentions is None else _mean(self.mentions, self.rows),
            rows_by_mode=dict(sorted(self.modes.items())),
            regions=self.regions,
            small_box_share=_mean(self.small_boxes, self.regions),
            mean_accept_probability={
                critic: round(self.accept_sums[critic] / 1e6 / count, 4)
                for critic, count in sorted(self.judgements.items())
            },
            examples=tuple(self.examples),
        )


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 4) if count else None
