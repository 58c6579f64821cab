"""The stage `cleared-rows`: accepted rows with a text that a benchmark has too are dropped, at the end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self  # Any: candidates of any recipe, JSON values

from ostensive.errors import SettingsError
from ostensive.images.files import suffix_of
from ostensive.images.formats import open_table
from ostensive.images.paths import shown_name
from ostensive.images.rows import BadRow
from ostensive.images.text_files import UndecodableError, read_lines
from ostensive.models.digests import files_digest
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Judged
from ostensive.run.services import Services
from ostensive.run.text_overlap import TextIndex
from ostensive.stage import Dropped, Evidence, Kept, Outcome, Stage

CLEARED_ROWS: Final = "cleared-rows"
IN_BENCHMARK: Final = "text of a benchmark"
TEXT_COLUMNS: Final = ("question", "query", "prompt", "instruction", "text", "caption")
"""Of a table, those that are read; answers are not: `yes` is in every benchmark."""
_LINES: Final = ".txt"
_TABLES: Final = (".csv", ".tsv", ".json", ".jsonl")
_VERSION: Final = 1


def holds_texts(path: str) -> bool:
    """Whether a benchmark is taken for texts, by its name; all others are images."""
    return suffix_of(path) in (_LINES, *_TABLES)


class DecontaminateRowsStage(Stage[Judged[Any], Judged[Any]]):
    """Drops rows of which a text that people are shown overlaps with one of the benchmarks."""

    name = CLEARED_ROWS

    def __init__(self, benchmarks: Sequence[str], kind: RecipeKind) -> None:
        """`benchmarks` are absolute paths of files of texts."""
        self._benchmarks, self._kind = tuple(benchmarks), kind
        candidate: Any = kind.candidate
        self.record_in = self.record_out = Judged[candidate]
        self._index: TextIndex | None = None

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Worked out once: it is asked for with each partition. Raises `SettingsError` for a file that cannot be
        read, or without a text."""
        for path in self._benchmarks:
            if not Path(path).is_file():
                raise SettingsError(f"corpus.against: {shown_name(path)}: there is no such file of texts")
            # Now, not when all rows are made and paid for.
            for _ in texts_of(path):
                break
        digests = [[Path(path).name, files_digest([Path(path)])] for path in self._benchmarks]
        return {"version": _VERSION, "benchmarks": digests}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - of a stage
        self._index = TextIndex.of(text for path in self._benchmarks for text in texts_of(path))
        try:
            yield self
        finally:
            self._index = None

    def process(self, rows: Sequence[Judged[Any]], evidence: Evidence) -> list[Outcome[Judged[Any]]]:  # noqa: ARG002 - of a stage
        """`Dropped` with the text's name and its place in the benchmark for what overlaps."""
        assert self._index is not None, "a stage is opened before it works"
        outcomes: list[Outcome[Judged[Any]]] = []
        for row in rows:
            shown = self._kind.shown(row.candidate)
            found = self._index.first_of([one.text for one in shown])
            if found is None:
                outcomes.append(Kept((row,)))
            else:
                number, place = found
                outcomes.append(Dropped(IN_BENCHMARK, f"{shown[number].name}: {place}", row))
        return outcomes


def texts_of(path: str) -> Iterator[tuple[str, str]]:
    """The texts in a file and where each stands; raises `SettingsError` where there is none, or one cannot be read."""
    shown, found = shown_name(Path(path).name), False
    try:
        for text, place in _lines(path, shown) if suffix_of(path) == _LINES else _cells(path, shown):
            found = True
            yield text, f"{shown}, {place}"
    except UndecodableError as error:
        raise SettingsError(f"corpus.against: {error.fault}; save the file as UTF-8") from error
    except SettingsError as error:
        raise SettingsError(f"corpus.against: {error}") from error
    if not found:
        raise SettingsError(
            f"corpus.against: {shown}: no text in it; a text a line (.txt), or a column called"
            f" {', '.join(TEXT_COLUMNS[:-1])} or {TEXT_COLUMNS[-1]} is expected"
        )


def _lines(path: str, shown: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_lines(path, shown, None), 1):
        if line.strip():
            yield line, f"line {number}"


def _cells(path: str, shown: str) -> Iterator[tuple[str, str]]:
    for row in open_table(path, shown, None, lambda name: name in TEXT_COLUMNS).rows:
        if isinstance(row, BadRow):
            raise SettingsError(f"{shown}, {row.place}: {row.detail}; mend it")
        for name in TEXT_COLUMNS:
            value = row.values.get(name)
            if isinstance(value, str) and value.strip():
                yield value, row.place
