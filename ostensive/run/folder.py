"""The run folder: the only database a run has. One folder a stage, one Parquet file a partition, one process at a time.

A partition's name carries its index and a fingerprint of what it was made from, so that a file is either exactly what
is wanted or not wanted at all; there is no separate state to fall out of step with the files.
"""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ostensive.errors import RunLockedError, SettingsError
from ostensive.files import private_mode, remove_leftovers, storage_errors, write_text
from ostensive.json_text import parse_json
from ostensive.own_folders import LOCK, RUN, RUN_MARK, check_folder_for, is_run_state
from ostensive.run import partitions
from ostensive.run.partitions import PartitionInfo, RecordT
from ostensive.run.summary import StageSummary
from ostensive.stage import record_name
from ostensive.text_lines import lines_of
from ostensive.user_paths import user_path

_PART = re.compile(r"part-(\d{5,})-([0-9a-f]{16})\.parquet")


class RunFolder:
    """Paths, partitions, the lock and the log of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def recipe_path(self) -> Path:
        """The recipe as resolved."""
        return self.path / "recipe.yaml"

    @property
    def journal_path(self) -> Path:
        """The run's own journal, unless it shares another."""
        return self.path / "journal.sqlite"

    @property
    def corpus_path(self) -> Path:
        """Where the corpus is written."""
        return self.path / "corpus"

    def check_place(self) -> None:
        """Raises `SettingsError` where the path is no folder, or one with other files in it; makes nothing."""
        self.read_state()
        check_folder_for(self.path, RUN, RUN_MARK)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for this process; raises `RunLockedError` when another has it."""
        self.check_place()
        with locked_folder(self.path, "another process is at work in this run"):
            with storage_errors(self.path):
                remove_leftovers(self.path)
            yield

    def partition_path(self, stage: str, index: int, fingerprint: str) -> Path:
        """Where the partition of a stage with that fingerprint is, or will be."""
        return self.path / stage / f"part-{index:05d}-{fingerprint[:16]}.parquet"

    def all_partitions(self, stage: str) -> dict[int, list[Path]]:
        """The partition files of a stage by index; more than one where a kill came between writing and removing."""
        found: dict[int, list[Path]] = {}
        for path in sorted((self.path / stage).glob("part-*.parquet")):
            if match := _PART.fullmatch(path.name):
                found.setdefault(int(match[1]), []).append(path)
        return found

    def partition_paths(self, stage: str) -> list[Path]:
        """The finished partitions of a stage, by index."""
        return [paths[-1] for _, paths in sorted(self.all_partitions(stage).items())]

    def infos(self, stage: str) -> list[PartitionInfo]:
        """What the finished partitions of a stage say of themselves, by index."""
        return [partitions.read_info(path) for path in self.partition_paths(stage)]

    def stage_names(self) -> list[str]:
        """The stages of the run in order, intake first, by what the last command said of it."""
        names: list[str] = self.read_state().get("stages", [])
        return names

    def stage_of(self, record: Any) -> str | None:
        """The last stage whose records are of this class, by what the run says of its stages; None if there is none."""
        wanted, found = record_name(record), None
        for stage in self.stage_names():
            paths = self.partition_paths(stage)
            if paths and partitions.read_info(paths[0]).record == wanted:
                found = stage
        return found

    def paths_of(self, record: Any) -> list[Path]:
        """The finished partitions of the last stage whose records are of this class."""
        stage = self.stage_of(record)
        return [] if stage is None else self.partition_paths(stage)

    def summary(self, stage: str) -> StageSummary:
        """The counts of a stage over its finished partitions."""
        return sum((info.summary for info in self.infos(stage)), StageSummary(stage, 0, 0))

    def read_state(self) -> dict[str, Any]:  # Any: JSON values
        """What the last command said of the run; empty for a new one."""
        path = self.path / RUN_MARK
        try:
            state: object = parse_json(path.read_text("utf-8"), strict=False)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise SettingsError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise SettingsError(_no_state(path)) from error
        if not is_run_state(state):
            raise SettingsError(_no_state(path))
        return state

    def write_state(self, **changes: Any) -> None:  # Any: JSON values. A function of keys, as dict.update is.
        """Changes what is said of the run, `run_id` and version included on the first call."""
        state = {"run_id": uuid.uuid4().hex, "pins": {}, **self.read_state(), **changes}
        write_text(self.path / RUN_MARK, json.dumps(state, indent=1, sort_keys=True) + "\n")

    def log(self, event: str, values: Mapping[str, Any] | None = None) -> None:  # Any: JSON values
        """Appends one event with the time to `log.jsonl`."""
        line = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "t": round(time.time(), 3), "event": event}
        path = self.path / "log.jsonl"
        text = json.dumps({**line, **(values or {})}, ensure_ascii=False) + "\n"
        with storage_errors(path), path.open("a+b") as file:
            # A line that a full disk or a kill cut short must not swallow this one.
            file.write((b"\n" if _ends_midline(file) else b"") + text.encode("utf-8", "replace"))

    def log_partition(self, info: PartitionInfo, seconds: float) -> None:
        """Appends that a partition was finished, and what became of its rows."""
        summary = info.summary
        values = {
            "stage": info.stage,
            "index": info.index,
            "inputs": summary.inputs,
            "kept": summary.kept,
            "dropped": sum(summary.dropped.values()),
            "failed": sum(summary.failed.values()),
            "seconds": round(seconds, 3),
        }
        self.log("partition", values)

    def read_log(self) -> list[dict[str, Any]]:  # Any: JSON values
        """The events of the log; a line that a kill cut short is passed over."""
        events = []
        try:
            text = (self.path / "log.jsonl").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        for line in lines_of(text):
            try:
                event = parse_json(line, strict=False)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events


@contextmanager
def locked_folder(path: Path, refusal: str, mode: int | None = None) -> Iterator[None]:
    """Makes the folder, and holds it for this process; raises `RunLockedError` with `refusal` when another has it.

    A folder that it makes is its owner's alone, unless `mode` says otherwise; one that is there keeps its mode.

    The lock is the operating system's (`flock`), so it ends with its holder however that ends.
    """
    import filelock

    with storage_errors(path):
        path.mkdir(private_mode() if mode is None else mode, parents=True, exist_ok=True)
    lock = filelock.FileLock(path / LOCK, timeout=0)
    with storage_errors(path):
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise RunLockedError(f"{path}: {refusal}; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()


def kept_records(run: RunFolder, record: type[RecordT]) -> Iterator[RecordT]:
    """The records that the last stage with records of this class kept, in order; memory holds one partition."""
    for path in run.paths_of(record):
        yield from partitions.read_kept(path, record)


def existing_run(path: Path | str) -> RunFolder:
    """The run in `path`; raises `SettingsError` when there is none."""
    run = RunFolder(user_path(path, "run folder"))
    if not run.read_state():
        raise SettingsError(f"{path}: there is no run here; give the folder that was --out of `ostensive build`")
    return run


def _no_state(path: Path) -> str:
    blank = json.dumps({"run_id": "0" * 32, "pins": {}})
    return (
        f"{path} is not of a run, or damaged; choose another folder, or write {blank} into it if a run is here, to"
        " start counting afresh"
    )


def _ends_midline(file: BinaryIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
