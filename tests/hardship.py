"""What tests of the command line and of whole runs share: calling it in this process, settings, what came out."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ostensive.cli import main
from ostensive.run.folder import RunFolder
from ostensive.run.summary import StageSummary

STAGES = ("images", "verbalized", "candidates", "unique", "scored", "judged")
TRIPLES_AN_IMAGE = 2 * 3 * 3  # modes, turns, triples a turn
REQUESTS_AN_IMAGE = 2 * 3


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The one line on standard error of a quiet command that failed."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("ostensive: "), self.stderr
        return lines[0].removeprefix("ostensive: ")


def call(*arguments: object) -> Done:
    """The command line in this process, which has the heavy libraries already."""
    out, errors = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["ostensive", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(errors), pytest.raises(SystemExit) as caught:
            main()
    finally:
        sys.argv = before
    code = caught.value.code
    return Done(code if isinstance(code, int) else 0, out.getvalue(), errors.getvalue())


def build_command(images: Path, run: Path, base_url: str, *arguments: object, **teacher: object) -> list[str]:
    """The arguments of a quiet build with a served teacher; `teacher` are more of its settings.

    What `arguments` set wins over what is set here: a setting is given once.
    """
    settings: dict[str, object] = {
        "teacher.kind": "served",
        "teacher.model": "scripted",
        "teacher.base_url": base_url,
        "corpus.license": "cc0-1.0",
        "corpus.source": "drawn by a test",
        "corpus.intended_use": "to test",
        "run.partition_size": 2,
        **{f"teacher.{name}": value for name, value in teacher.items()},
    }
    given = {str(argument).partition("=")[0] for argument in arguments}
    sets = [part for key, value in settings.items() if key not in given for part in ("--set", f"{key}={value}")]
    return ["build", "localized", "--images", str(images), "--out", str(run), "--quiet", *sets, *map(str, arguments)]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def stages_of(run: Path) -> dict[str, StageSummary]:
    """What each stage of a finished run says of itself; checks that the sums chain and that the rows bear them out."""
    folder = RunFolder(run)
    summaries = {name: folder.summary(name) for name in STAGES}
    for before, stage in zip(summaries.values(), list(summaries.values())[1:], strict=False):
        assert stage.inputs == before.kept, f"{stage.name} was given other rows than {before.name} kept"
    for name, stage in summaries.items():
        rows = outcomes(run, name)
        assert len(rows) == stage.rows
        assert sum(row["outcome"] == "kept" for row in rows) == stage.kept
        assert all(row["outcome"] == "kept" or row["outcome_reason"] for row in rows), "a loss without a reason"
    manifest = json.loads((run / "corpus" / "manifest.json").read_text())
    assert manifest["rows"] == summaries["judged"].kept
    return summaries


def outcomes(run: Path, stage: str) -> list[dict[str, Any]]:  # Any: a row's fields have different types
    """The rows of a stage's partitions."""
    return [row for path in RunFolder(run).partition_paths(stage) for row in pq.read_table(path).to_pylist()]
