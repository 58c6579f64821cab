"""How long a user waits for `ostensive --help` and for the demo.

    python benchmarks/startup.py [--rounds 5]

Whole processes by the wall clock, in turn, medians.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("ostensive")
MOST_HELP_S = 0.5
MOST_DEMO_S = 60.0


def seconds(*arguments: str) -> float:
    started = time.monotonic()
    subprocess.run([str(COMMAND), *arguments], check=True, capture_output=True)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    helps, demos = [], []
    for _ in range(rounds):
        helps.append(seconds("--help"))
        with tempfile.TemporaryDirectory() as folder:
            demos.append(seconds("demo", "--out", f"{folder}/demo", "--quiet"))
    for name, found, most in (("ostensive --help", helps, MOST_HELP_S), ("ostensive demo", demos, MOST_DEMO_S)):
        print(
            f"{name:<18} median {statistics.median(found):6.2f} s  "
            f"({min(found):.2f} to {max(found):.2f})  target < {most} s"
        )


if __name__ == "__main__":
    main()
