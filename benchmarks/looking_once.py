"""Fifteen probes of each picture by a local model: read once a picture, and once a prompt.

    python benchmarks/looking_once.py [--model microworld|random] [--images 12] [--rounds 5] [--device cpu]

`microworld` is the tiny trained LLaVA (64 tokens a picture), asked its own questions about rendered scenes; `random` a
LLaVA of 61 M parameters with random weights and 576 tokens a picture, as LLaVA-1.5 has. Both ways go through the same
generator with the same batches and must give the same replies; the rounds alternate. Times are the processor's, of one
thread, beside the clock's. Of a model with random weights a reply is as long as it may be (`--tokens`): short ones, as
answers of a few words are, show the look, long ones the writing.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import PIL.Image
from random_models import Making, save_llava

from microworld.render import render
from microworld.sample import sample_scene
from ostensive.chat.records import Completion, Conversation, Message, Sampling
from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings

PROBES: Final = 15
_SCENES = (
    "what place is this ?",
    *(f"how many {what} are there ?" for what in ("things", "figures")),
    *(f"is there a {what} ?" for what in ("figure", "striped thing", "dotted thing", "thing with a hat")),
    *(f"is there a {colour} thing ?" for colour in ("red", "blue", "green", "yellow")),
    *(f"is there a {what} ?" for what in ("tree", "ball", "box", "cup")),
)
_THINGS = (
    *("people", "animals", "buildings", "vehicles", "trees", "water", "signs", "food"),
    *("tools", "clothes", "lights", "doors", "furniture", "sky", "words"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("microworld", "random"), default="random")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=12, help="most tokens of a reply")
    parser.add_argument("--batch-size", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        model = "microworld:vlm" if chosen.model == "microworld" else str(save_llava(Path(made), Making("small"), 384))
        settings = GeneratorSettings(model=model, device=chosen.device, batch_size=chosen.batch_size)
        sampling = Sampling(0.0, max_tokens=chosen.tokens, seed=0)
        asked = list(conversations(chosen.model, chosen.images, sampling))
        with Generator(settings) as once, Generator(settings, shares_prefixes=False) as anew:
            for generator in (once, anew):
                generator.generate(asked[: 2 * PROBES])
            compare(once, anew, asked, chosen.rounds)


def compare(once: Generator, anew: Generator, asked: Sequence[Conversation], rounds: int) -> None:
    """Prints a line a round, and the medians."""
    ratios, by_clock = [], []
    for _ in range(rounds):
        first, first_s, first_cpu = timed(once, asked)
        second, second_s, second_cpu = timed(anew, asked)
        same = sum(one == other for one, other in zip(first, second, strict=True))
        ratios.append(second_cpu / first_cpu)
        by_clock.append(second_s / first_s)
        print(
            f"{len(asked)} replies: once a picture {first_cpu:.2f} s ({first_s:.2f} by the clock), once a prompt"
            f" {second_cpu:.2f} s ({second_s:.2f}); {ratios[-1]:.2f} times; {same} replies the same",
            flush=True,
        )
    tokens = [reply.completion_tokens for reply in first if isinstance(reply, Completion)]
    print(f"medians: {median(ratios):.2f} times by the processor's time, {median(by_clock):.2f} by the clock")
    print(f"tokens a reply: {min(tokens)} to {max(tokens)}, {sum(tokens) / len(tokens):.1f} on average; must reach 3.0")


def timed(generator: Generator, asked: Sequence[Conversation]) -> tuple[list[object], float, float]:
    """The replies, seconds by the clock and of processor time."""
    began, cpu = time.perf_counter(), time.process_time()
    replies: list[object] = list(generator.generate(asked))
    return replies, time.perf_counter() - began, time.process_time() - cpu


def conversations(kind: str, images: int, sampling: Sampling) -> Iterator[Conversation]:
    """`PROBES` questions about each picture."""
    rng = np.random.default_rng(0)
    for number in range(images):
        if kind == "microworld":
            picture, questions = render(sample_scene(700_000 + number)), _SCENES
        else:
            picture = PIL.Image.fromarray(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8))
            questions = tuple(f"Which {thing} can be seen here? Answer in a few words." for thing in _THINGS)
        for question in questions:
            yield Conversation((Message("user", question, (picture,)),), (), sampling)


if __name__ == "__main__":
    main()
