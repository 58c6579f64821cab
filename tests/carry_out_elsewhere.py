"""Carries out pickled stages in a process of its own, partition by partition, as a worker of a cluster would.

Usage: python carry_out_elsewhere.py FILE, with a pickle of `(tasks, stages, service settings)`: tasks of intake.
"""

import pickle
import sys
from pathlib import Path

from ostensive.images.intake import FirstMet, distinct_stage
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.worker import carry_out


def main() -> None:
    tasks, stages, services = pickle.loads(Path(sys.argv[1]).read_bytes())
    met = FirstMet()
    for task in tasks:
        done = task.after(carry_out(stages[0], task, services))
        (taken,) = done.done
        path = RunFolder(task.run).partition_path(taken.stage, taken.index, taken.fingerprint)
        repeated = met.repeated(partitions.read_column(path, "image_id", kept_only=True))
        for stage in (distinct_stage(repeated), *stages[1:]):
            done = done.after(carry_out(stage, done, services))


if __name__ == "__main__":
    main()
