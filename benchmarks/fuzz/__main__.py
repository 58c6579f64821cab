"""Gives readers of foreign bytes damaged inputs, and counts crashes, hangs, faults and memory.

    python benchmarks/fuzz [READER ...] [--minutes N] [--seed S] [--keep DIR]

Without a name every reader has its turn. Inputs are mutants of sound ones and follow from the seed alone. Each reader
works in a process of its own under a limit of memory, watched from outside, so that a signal is counted like any other
end. What went wrong is kept in a folder, one file an input, and told on standard error.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)  # a folder that is run stands for itself; modules are found beside it

from fuzz.running import main  # noqa: E402 - found by the line above

if __name__ == "__main__":
    raise SystemExit(main(__doc__ or ""))
