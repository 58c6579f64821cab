"""Measures the claims of the four methods in the microworld, and writes `docs/evidence.md`.

    python benchmarks/evidence [--work DIR] [--seeds 3] [--only lskd|illume|stic|selfsynthx] [--report]

Every method and seed is a process of its own with one thread, two at a time; what is measured is kept in
`benchmarks/evidence/results`, and what is kept there is not measured again. `--report` writes the page from it alone.
Nothing is downloaded: models are those of the microworld, and its oracle judges.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)  # a folder that is run stands for itself; modules are found beside it

from evidence.running import main  # noqa: E402 - found by the line above

if __name__ == "__main__":
    main(__doc__ or "")
