"""Carries out pickled stages in a process of its own, partition by partition, as a worker of a cluster would.

Usage: python carry_out_elsewhere.py FILE ..., each with a pickle of `(tasks, stages, service settings, annotations)`:
tasks of intake, and what lies beside the images, or None.
"""

import pickle
import sys
from dataclasses import replace
from pathlib import Path

from ostensive.images.intake import FirstMet, distinct_stage
from ostensive.run import partitions
from ostensive.run.annotating import annotation_stage, rows_by_partition
from ostensive.run.folder import RunFolder
from ostensive.run.worker import PartitionTask, applied, carry_out, decide, summarise
from ostensive.stage import RunWideStage


def taken_in(task: PartitionTask) -> Path:
    info = task.done[0]
    return RunFolder(task.run).partition_path(info.stage, info.index, info.fingerprint)


def carry_out_all(file: Path) -> None:
    tasks, (intake, *stages), services, annotations = pickle.loads(file.read_bytes())
    tasks = [task.after(carry_out(intake, task, services)) for task in tasks]
    met, done = FirstMet(), []
    for task in tasks:
        repeated = met.repeated(partitions.read_column(taken_in(task), "image_id", kept_only=True))
        done.append(task.after(carry_out(distinct_stage(repeated), task, services)))
    if annotations is not None:
        rows = rows_by_partition(annotations.found, {task.index: taken_in(task) for task in done})
        stage = annotation_stage(annotations.required)
        done = [task.after(carry_out(stage, replace(task, sources=rows[task.index]), services)) for task in done]
    for stage in stages:
        if isinstance(stage, RunWideStage):
            summaries = [summarise(stage, task) for task in done]
            stage = applied(stage, decide(stage, RunFolder(done[0].run), summaries))  # noqa: PLW2901 - as it is applied
        done = [task.after(carry_out(stage, task, services)) for task in done]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        carry_out_all(Path(name))
