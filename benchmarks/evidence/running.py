"""Carries out what is not measured yet, a process for each method and seed, and has the page written."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evidence.methods import METHODS
from evidence.records import read_figures, write_figures
from evidence.report import write_page

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def main(doc: str) -> None:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("evidence-work"), help="for corpora and models")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(METHODS), action="append")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(given.one[0], int(given.one[1]), given.work)
        return
    names = given.only or list(METHODS)
    wanted = [(name, seed) for seed in range(given.seeds) for name in names]
    missing = [] if given.report else [one for one in wanted if not is_measured(*one)]
    failed = carry_out(missing, given.work, given.processes)
    write_page(RESULTS, HERE.parent.parent / "docs")
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}; see the logs in {given.work}")


def result_path(name: str, seed: int) -> Path:
    return RESULTS / f"{name}-{seed}.json"


def is_measured(name: str, seed: int) -> bool:
    """Whether there are figures of every claim of the method with this seed."""
    path = result_path(name, seed)
    found = {figure.claim for figure in read_figures(path)} if path.exists() else set[str]()
    return found >= {claim.name for claim in METHODS[name].claims}


def measure(name: str, seed: int, work: Path) -> None:
    """Measures one method with one seed; what its folder holds already is used."""
    started = time.monotonic()
    folder = work / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for figure in METHODS[name].measure(folder, seed):
        figures.append(figure)
        print(f"{time.monotonic() - started:7.0f} s  {figure}", flush=True)
    write_figures(result_path(name, seed), figures)


def carry_out(missing: Sequence[tuple[str, int]], work: Path, processes: int) -> list[str]:
    """Measures `missing`, `processes` at a time; the names of those that failed."""
    work.mkdir(parents=True, exist_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

    def start(one: tuple[str, int]) -> int:
        name, seed = one
        command = [sys.executable, str(HERE), "--one", name, str(seed), "--work", str(work)]
        with (work / f"{name}-{seed}.log").open("a") as log:
            code = subprocess.run(
                command, stdout=log, stderr=log, env={**os.environ, **threads}, check=False
            ).returncode
        print(f"{name} {seed}: {'measured' if not code else f'failed with {code}'}", flush=True)
        return code

    with ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(start, missing))
    return [f"{name} {seed}" for (name, seed), code in zip(missing, codes, strict=True) if code]
