"""A file of results: one JSON object a line and item, and beside it the summary, which is written last.

While an evaluation is under way, what is done lies in a folder beside the file, a part for each batch: a kill loses the
batch that was being worked on, and the same command goes on behind the others.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.files import replacing, storage_errors, write_text
from ostensive.json_text import parse_json
from ostensive.user_paths import shown_path

_PARTS, _SUMMARY, _MADE_FROM = ".parts", ".summary.json", "made_from.json"
FORMAT: Final = {"kind": "ostensive-evaluation", "version": 1}


@dataclass(frozen=True, slots=True)
class ResultFile:
    """Where the results of an evaluation are."""

    path: Path

    @property
    def summary_path(self) -> Path:
        """`vcr.jsonl` has `vcr.summary.json` beside it."""
        return self.path.with_name(f"{self.path.name.removesuffix('.jsonl')}{_SUMMARY}")

    @property
    def _folder(self) -> Path:
        return self.path.with_name(f"{self.path.name}{_PARTS}")

    def begin(self, made_from: str, items_at_once: int) -> tuple[Mapping[str, Any] | None, int]:
        """The summary of these very results, or None where parts may be added; and how many items a part has.

        `made_from` is what results depend on. Parts that are there already have as many items as when they were begun,
        whatever is asked now. Raises `SettingsError` where the file, or what was begun of it, is of another evaluation.
        """
        done = self._summary()
        marks = self._folder / _MADE_FROM
        if done is None and self.path.exists() and not marks.is_file():
            raise SettingsError(
                f"--out {shown_path(self.path)}: is there already and no finished evaluation; name another file"
            )
        new = {"made_from": made_from, "items_at_once": items_at_once}
        begun: Mapping[str, Any] = _json(marks) if marks.is_file() else new
        if (begun if done is None else done)["made_from"] != made_from:
            raise SettingsError(
                f"--out {shown_path(self.path)}: holds results of another model, task or setting; name another file"
            )
        if done is None:
            with storage_errors(self.path):
                self._folder.mkdir(parents=True, exist_ok=True)
            write_text(marks, json.dumps(begun))
        return done, int(begun["items_at_once"])

    def has_part(self, number: int) -> bool:
        """Whether a batch is done."""
        return self._part(number).is_file()

    def add_part(self, number: int, results: Iterable[Mapping[str, Any]]) -> None:
        """Writes the results of a batch."""
        write_text(self._part(number), lines_of(results))

    def parts(self, count: int) -> list[dict[str, Any]]:
        """The results of the first `count` batches, in order."""
        return [result for number in range(count) for result in read_lines(self._part(number))]

    def finish(self, results: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
        """Writes file and summary, and takes the parts away."""
        with replacing(self.path) as temporary:
            temporary.write_text(lines_of(results), "utf-8")
        write_text(self.summary_path, json.dumps({**FORMAT, **summary}, ensure_ascii=False, indent=2) + "\n")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self._folder / f"{number:06d}.jsonl"

    def _summary(self) -> Mapping[str, Any] | None:
        if not self.path.is_file() or not self.summary_path.is_file():
            return None
        return read_summary(self.path)


def read_summary(path: Path) -> Mapping[str, Any]:
    """The summary beside a file of results; raises `SettingsError` where there is none."""
    summary = ResultFile(path).summary_path
    if not path.is_file():
        raise SettingsError(f"{shown_path(path)}: there is no such file; what `student eval` wrote is expected")
    values = _json(summary) if summary.is_file() else None
    if not isinstance(values, dict) or values.get("kind") != FORMAT["kind"]:
        raise SettingsError(f"{shown_path(path)}: has no {summary.name} beside it; evaluate once more")
    if values.get("version") != FORMAT["version"]:
        raise SettingsError(f"{shown_path(path)}: is of another version of this program; evaluate once more")
    return values


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The results in a file; raises `SettingsError` where it is none."""
    try:
        return [parse_json(line, strict=False) for line in path.read_text("utf-8").split("\n") if line]
    except (OSError, ValueError) as error:
        raise SettingsError(f"{shown_path(path)}: cannot be read as results; evaluate once more") from error


def lines_of(results: Iterable[Mapping[str, Any]]) -> str:
    """Results as JSON Lines."""
    return "".join(f"{json.dumps(result, ensure_ascii=False, allow_nan=False)}\n" for result in results)


def _json(path: Path) -> Any:
    try:
        return parse_json(path.read_text("utf-8"), strict=False)
    except (OSError, ValueError):
        return None
