"""The microworld: scenes a second, what the tiny models know, and a whole run by its profile.

    python benchmarks/scenes.py [--scenes 2000] [--rounds 5]
    python benchmarks/scenes.py --models 400     # the tiny models on the first 400 scenes, which nothing learned
    python benchmarks/scenes.py --build 1000     # that many scenes through the profile `microworld`, and a grade

Scenes a second are by the processor time of this process, which other work on the machine hardly moves; wall time
stands beside it. Other seeds in each round, medians. A build is timed once, by the clock, and must take less than ten
minutes for a thousand scenes on two cores.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import ostensive
from microworld.folder import write_scenes
from microworld.grade import grade_lines, grade_run
from microworld.render import render_pixels
from microworld.sample import sample_scene
from microworld.training.evaluate import measure_blip2, measure_clip, measure_vlm
from ostensive.models.files import located

TARGET = 1000
BUILD_TARGET_S = 600
FIRST_BUILT = 500_000  # seed; like all below a million never trained on


def scenes_a_second(count: int, rounds: int) -> None:
    for seed in range(2000):  # sprites are made when they are first wanted
        render_pixels(sample_scene(seed))
    by_core, by_clock = [], []
    for number in range(rounds):
        first = 10_000 + number * count
        core, clock = time.process_time(), time.perf_counter()
        for seed in range(first, first + count):
            render_pixels(sample_scene(seed))
        by_core.append(count / (time.process_time() - core))
        by_clock.append(count / (time.perf_counter() - clock))
    print(
        f"scenes of 64 x 64 pixels, a second of one core: {statistics.median(by_core):,.0f}"
        f" ({min(by_core):,.0f} to {max(by_core):,.0f}), by the clock {statistics.median(by_clock):,.0f};"
        f" target {TARGET:,}"
    )


def models(scenes: int) -> None:
    seeds = range(scenes)
    print("| measure | asked | strong | base | guess |\n|---|---|---|---|---|")
    strong, base = (measure_vlm(Path(located(f"microworld:{name}")), seeds) for name in ("vlm", "vlm-base"))
    for measure, figure in strong.items():
        guess = "" if figure.guess is None else f"{figure.guess:.1%}"
        row = (measure, f"{figure.asked:,}", f"{figure.right:.1%}", f"{base[measure].right:.1%}", guess)
        print(f"| {' | '.join(row)} |")
    print(measure_clip(Path(located("microworld:clip")), seeds))
    print(measure_blip2(Path(located("microworld:blip2")), seeds))


def build(scenes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        images, run = Path(folder) / "scenes", Path(folder) / "run"
        write_scenes(images, scenes, first_seed=FIRST_BUILT)
        settings = (
            "corpus.license=cc0-1.0",
            "corpus.source=Rendered scenes of the microworld.",
            "corpus.intended_use=To measure.",
        )
        options = ostensive.BuildOptions(profile="microworld", settings=settings)
        started_s = time.perf_counter()
        corpus = ostensive.build("localized", images=images, out=run, options=options)
        took_s = time.perf_counter() - started_s
        print(
            f"{scenes:,} scenes, {corpus.row_count:,} rows in {took_s:.0f} s; target {BUILD_TARGET_S} s for a thousand"
        )
        print("\n".join(grade_lines(grade_run(run, images=images))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=int, metavar="SCENES")
    parser.add_argument("--build", type=int, metavar="SCENES")
    options = parser.parse_args()
    if options.models:
        models(options.models)
    if options.build:
        build(options.build)
    if not options.models and not options.build:
        scenes_a_second(options.scenes, options.rounds)


if __name__ == "__main__":
    main()
