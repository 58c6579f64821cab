"""Figures of two corpora side by side: counts, statistics, what became of rows at each stage, cost."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal  # Any: values of the statistics

from cards.compared import ComparedCorpus
from ostensive.records import NO_SPEND
from ostensive.run.summary import StageSummary

Group = Literal["counts", "statistics", "funnel", "cost"]
Number = int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of both corpora; None of the one that does not have it, or of which it is not known."""

    group: Group
    name: str
    first: Number | None
    second: Number | None


def figures_side_by_side(first: ComparedCorpus, second: ComparedCorpus) -> tuple[Figure, ...]:
    """All figures that one of the two has: those of the first in its order, then those that the second alone has."""
    here, there = dict(_figures(first)), dict(_figures(second))
    keys = [*here, *(key for key in there if key not in here)]
    by_group = {group: [key for key in keys if key[0] == group] for group in dict.fromkeys(key[0] for key in keys)}
    return tuple(
        Figure(*key, _known(here, key), _known(there, key)) for of_group in by_group.values() for key in of_group
    )


def _known(figures: Mapping[tuple[Group, str], Number | None], key: tuple[Group, str]) -> Number | None:
    """The figure; 0 for a reason for which a stage that has run lost nothing."""
    group, name = key
    stage = re.split(" (?:dropped|failed): ", name)[0]
    has_run = group == "funnel" and stage != name and (group, f"{stage} kept") in figures
    return figures.get(key, 0 if has_run else None)


def _figures(corpus: ComparedCorpus) -> Iterator[tuple[tuple[Group, str], Number | None]]:
    manifest = corpus.manifest
    yield ("counts", "images"), manifest.images
    yield ("counts", "rows"), manifest.rows
    for split in manifest.splits:
        yield ("counts", f"images of split {split.name}"), split.images
        yield ("counts", f"rows of split {split.name}"), split.rows
    yield ("counts", "files"), len(manifest.files)
    yield ("counts", "bytes"), sum(file.byte_count for file in manifest.files)
    values = asdict(manifest.statistics)
    for name, value in _numbers("", {key: value for key, value in values.items() if key not in ("images", "rows")}):
        yield ("statistics", name), value
    yield from _of_run(corpus)


def _of_run(corpus: ComparedCorpus) -> Iterator[tuple[tuple[Group, str], Number | None]]:
    if corpus.stages is None:
        for stage in corpus.manifest.publishing:
            yield from _lost(stage)
        return
    for stage in corpus.stages:
        yield ("funnel", f"{stage.name} in"), stage.inputs
        yield ("funnel", f"{stage.name} kept"), stage.kept
        yield from _lost(stage)
    spend = sum((stage.spend for stage in corpus.stages), NO_SPEND)
    for name, value in asdict(spend).items():
        yield ("cost", name.replace("_", " ")), value


def _lost(stage: StageSummary) -> Iterator[tuple[tuple[Group, str], int]]:
    for fate, counts in (("dropped", stage.dropped), ("failed", stage.failed)):
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            yield ("funnel", f"{stage.name} {fate}: {reason}"), count


def _numbers(path: str, value: Any) -> Iterator[tuple[str, Number]]:
    """The single numbers in statistics, by the words that lead to them; what is a list is no single figure."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(f"{path} {str(key).replace('_', ' ')}".lstrip(), item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
