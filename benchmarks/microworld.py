"""How many scenes of the microworld one core samples and renders in a second.

    python benchmarks/microworld.py [--scenes 2000] [--rounds 5]

By the processor time of this process, which other work on the machine hardly moves; wall time stands beside it. Other
seeds in each round, medians.
"""

import argparse
import statistics
import time

from ostensive.microworld.render import render_pixels
from ostensive.microworld.sample import sample_scene

TARGET = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for seed in range(2000):  # sprites are made when they are first wanted
        render_pixels(sample_scene(seed))
    by_core, by_clock = [], []
    for number in range(options.rounds):
        first = 10_000 + number * options.scenes
        core, clock = time.process_time(), time.perf_counter()
        for seed in range(first, first + options.scenes):
            render_pixels(sample_scene(seed))
        by_core.append(options.scenes / (time.process_time() - core))
        by_clock.append(options.scenes / (time.perf_counter() - clock))
    print(
        f"scenes of 64 x 64 pixels, a second of one core: {statistics.median(by_core):,.0f}"
        f" ({min(by_core):,.0f} to {max(by_core):,.0f}), by the clock {statistics.median(by_clock):,.0f};"
        f" target {TARGET:,}"
    )


if __name__ == "__main__":
    main()
