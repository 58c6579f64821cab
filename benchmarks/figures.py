"""Rounds of several ways to do one thing, and the table that is made of them; used by `benchmarks/verbalizing.py`."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any  # Any: a model of transformers, typed in part

import peak
from bare_loops import Loop

TARGET = 0.9  # of the bare loop's images a second


@dataclass(frozen=True, slots=True)
class Ways:
    """The loops of one part, by name, and what an image costs. `tokens` counts those generated since it was asked."""

    loops: Mapping[str, Loop]
    flops_an_image: float | None
    tokens: Callable[[], int] | None = None


def token_counter(model: Any) -> Callable[[], int]:
    """Counts, at the output layer, a token a row and step: also those that a text that ended is padded with."""
    seen = [0]

    def count(layer: Any, given: Any, logits: Any) -> None:  # noqa: ARG001 - Any: torch calls it so
        seen[0] += len(logits)

    model.get_output_embeddings().register_forward_hook(count)

    def since() -> int:
        found, seen[0] = seen[0], 0
        return found

    return since


@dataclass(slots=True)
class Figures:
    """What the rounds of one way came to."""

    images: int
    seconds: list[float]
    cpu_seconds: list[float]  # of all cores, worker processes included
    tokens: int | None = None  # of a round
    peak_gb: float | None = None  # of GPU memory, the models included

    @property
    def rate(self) -> float:
        """Images a second, by the median."""
        return self.images / statistics.median(self.seconds)

    @property
    def cpu_rate(self) -> float:
        """Images for a second of one core, by the median: what others do on the machine hardly moves it."""
        return self.images / statistics.median(self.cpu_seconds)


@dataclass(frozen=True, slots=True)
class Plan:
    """How often what is measured; `skip` are ways that are not."""

    images: int
    seeds_images: int
    device: str
    rounds: int
    warm_up: int
    skip: tuple[str, ...]


def measure(ways: Ways, plan: Plan) -> dict[str, Figures]:
    """The ways in turn, and the other way round in every second round."""
    names = [name for name in ways.loops if name not in plan.skip]
    found = {name: Figures(plan.seeds_images if name == "seeds" else plan.images, [], []) for name in names}
    for number in range(-plan.warm_up, plan.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            _run(plan.device, ways, name, found[name], counts=number >= 0)
    return found


def _run(device: str, ways: Ways, name: str, figures: Figures, *, counts: bool) -> None:
    """One round of a way, added to its figures if it `counts`."""
    import torch

    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    if ways.tokens is not None:
        ways.tokens()
    started, cpu_started = time.perf_counter(), peak.cpu_seconds()
    ways.loops[name]()
    peak.synchronize(device)
    seconds, cpu_seconds = time.perf_counter() - started, peak.cpu_seconds() - cpu_started
    if not counts:
        return
    figures.seconds.append(seconds)
    figures.cpu_seconds.append(cpu_seconds)
    figures.tokens = ways.tokens() if ways.tokens is not None else None
    figures.peak_gb = torch.cuda.max_memory_allocated(device) / 1e9 if on_gpu else None


def report(part: str, ways: Ways, found: Mapping[str, Figures], best: float | None) -> None:
    for name, figures in found.items():
        per_image = [seconds / figures.images for seconds in figures.seconds]
        line = (
            f"{part:<11}{name:<8}{figures.images:>5} images {figures.rate:>9.3f} images/s"
            f"  ({1 / max(per_image):.3f} to {1 / min(per_image):.3f})  {1 / figures.cpu_rate:.2f} s of a core each"
        )
        if figures.tokens is not None:
            line += f"  {figures.tokens} tokens"
        if best is not None and ways.flops_an_image is not None:
            reached = figures.rate * ways.flops_an_image
            line += f"  {reached / 1e12:.1f} TFLOP/s, {reached / best:.3f} of the peak"
        if figures.peak_gb is not None:
            line += f"  {figures.peak_gb:.1f} GB"
        print(line, flush=True)


def markdown(
    results: Mapping[str, Mapping[str, Figures]], costs: Mapping[str, float | None], best: float | None
) -> None:
    """A row a part, for `benchmarks/RESULTS.md`."""
    columns = [
        "part",
        "ours, images/s",
        "bare",
        "ours over bare",
        "must reach",
        "by CPU time",
        "seeds' way",
        "ours over seeds'",
    ]
    columns += ["tokens, ours and bare"]
    if best is not None:
        columns += ["model alone", "ours over it", "share of matrix peak, ours and model alone", "peak memory, GB"]
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for part, found in results.items():
        ours, flops = found.get("ours"), costs[part]
        cells = [part, _rate(ours), _rate(found.get("bare")), _ratio(ours, found.get("bare")), f"{TARGET}"]
        cells.append(_ratio(ours, found.get("bare"), by_cpu=True))
        cells += [_rate(found.get("seeds")), _ratio(ours, found.get("seeds"))]
        counts = [found[name].tokens for name in ("ours", "bare") if name in found]
        cells.append("-" if None in counts or not counts else " and ".join(f"{count:,}" for count in counts))
        if best is not None:
            forward = found.get("forward")
            shares = [
                f"{each.rate * flops / best:.2f}" for each in (ours, forward) if each is not None and flops is not None
            ]
            memory = "-" if ours is None or ours.peak_gb is None else f"{ours.peak_gb:.1f}"
            cells += [_rate(forward), _ratio(ours, forward), " and ".join(shares) or "-", memory]
        print("| " + " | ".join(cells) + " |")
    print()


def _rate(figures: Figures | None) -> str:
    return "-" if figures is None else f"{figures.rate:.3g}"


def _ratio(one: Figures | None, other: Figures | None, *, by_cpu: bool = False) -> str:
    if one is None or other is None:
        return "-"
    return f"{(one.cpu_rate / other.cpu_rate) if by_cpu else (one.rate / other.rate):.2f}"
