"""Scenes made ready for training: pixels, what covers each pixel, the attributes of things, and texts as word ids.

Rendering and asking take several times as long as a step of training, so a pool is made first, in files, and gone
through more than once with other questions, boxes and crops. Made beside it, on two cores
the training would wait for them.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from microworld.render import cover_of, render_pixels
from microworld.sample import ALL, SampleOptions, sample_scene
from microworld.scenes import COLOURS, MAX_THINGS, PATTERNS, PLACES, POSES, SHAPES, SIZES, Scene
from microworld.training.examples import TASKS, Example, encode_example, examples_of, phrase_of
from microworld.training.words import IN_BOX
from ostensive.files import replacing

HELD_OUT = range(1_000_000)
"""Seeds of scenes that are never trained on; what `ostensive microworld` renders by default lies among them."""
FIRST_SEED = HELD_OUT.stop
PER_FILE = 1000
MAX_SCENES = 40_000
EASY_SCENES = 4_000
"""How many scenes the pools hold: that of everything, and each of the easier ones."""
Level: TypeAlias = Literal["large", "plain", "all"]
_UNHIDDEN = SampleOptions(patterns=("plain",), extras=False, occlusion=False)
LEVELS: Mapping[Level, SampleOptions] = {"large": replace(_UNHIDDEN, sizes=("large",)), "plain": _UNHIDDEN, "all": ALL}
"""What scenes hold, from the easiest on: large plain things that nothing covers, then small ones too, then everything.

A small ResNet that was tried as the tower knew two thirds of the shapes of `all` after three minutes of one core when
it began with the easiest, and two fifths when it never saw another level."""
Array: TypeAlias = npt.NDArray[Any]  # Any: pixels, boxes and numbers alike

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": COLOURS,
    "size": SIZES,
    "pattern": PATTERNS,
    "pose": POSES,
    "hat": COLOURS,
    "held_shape": SHAPES,
    "held_colour": COLOURS,
}
"""What is known of each thing, with its values in the order of their numbers; the number after the last is "none"."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Scenes, examples and phrases; first axis: the scene, unless said otherwise.

    Examples lie in one row of ids: example `k` has `prompt_ids[prompt_ends[k - 1]:prompt_ends[k]]`; answers likewise.
    """

    pixels: npt.NDArray[np.uint8]  # (scenes, side, side, 3)
    cover: npt.NDArray[np.uint8]  # (scenes, side, side): 0 for the ground, else the number of the thing plus 1
    place: npt.NDArray[np.int64]  # (scenes,)
    attributes: npt.NDArray[np.int64]  # (scenes, MAX_THINGS, len(ATTRIBUTES))
    boxes: npt.NDArray[np.float32]  # (scenes, MAX_THINGS, 4) xyxy in shares of the side; 0 where there is no thing
    things: npt.NDArray[np.int64]  # (scenes,) how many things
    example_ends: npt.NDArray[np.int64]  # (scenes,) examples of all scenes up to and with this one
    phrase_examples: npt.NDArray[
        np.int64
    ]  # (scenes, MAX_THINGS) number of the example on this thing's region; -1: none
    task: npt.NDArray[np.int64]  # (examples,) place in `TASKS`
    prompt_ends: npt.NDArray[np.int64]  # (examples,)
    answer_ends: npt.NDArray[np.int64]  # (examples,)
    prompt_ids: npt.NDArray[np.int64]
    answer_ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.place)

    def examples(self, scene: int) -> range:
        """The numbers of the examples on a scene, those on regions left out."""
        start = self.example_ends[scene - 1] if scene else 0
        return range(int(start), int(self.example_ends[scene] - self.things[scene]))

    def example(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Prompt and answer of an example."""
        prompt = slice(self.prompt_ends[number - 1] if number else 0, self.prompt_ends[number])
        answer = slice(self.answer_ends[number - 1] if number else 0, self.answer_ends[number])
        return self.prompt_ids[prompt], self.answer_ids[answer]


def make_pool(seeds: Sequence[int], options: SampleOptions = ALL) -> Pool:
    """The scenes of these seeds with examples on them."""
    scenes = [sample_scene(seed, options) for seed in seeds]
    examples: list[Example] = []
    ends, phrases = [], np.full((len(scenes), MAX_THINGS), -1, np.int64)
    for row, scene in enumerate(scenes):
        examples += examples_of(scene, random.Random(f"lessons {scene.seed}"))  # noqa: S311 - no secret
        for thing in scene.things:
            phrases[row, thing.number] = len(examples)
            examples.append(encode_example("marked", IN_BOX, phrase_of(thing)))
        ends.append(len(examples))
    return Pool(
        pixels=np.stack([render_pixels(scene) for scene in scenes]),
        cover=np.stack([cover_of(scene) for scene in scenes]),
        place=np.array([PLACES.index(scene.place) for scene in scenes]),
        attributes=np.stack([_attributes(scene) for scene in scenes]),
        boxes=np.stack([_boxes(scene) for scene in scenes]),
        things=np.array([len(scene.things) for scene in scenes]),
        example_ends=np.array(ends),
        phrase_examples=phrases,
        task=np.array([TASKS.index(one.task) for one in examples]),
        prompt_ends=np.cumsum([len(one.prompt) for one in examples]),
        answer_ends=np.cumsum([len(one.answer) for one in examples]),
        prompt_ids=np.array([word for one in examples for word in one.prompt]),
        answer_ids=np.array([word for one in examples for word in one.answer]),
    )


def _attributes(scene: Scene) -> npt.NDArray[np.int64]:
    rows = np.array([[len(values) for values in ATTRIBUTES.values()]] * MAX_THINGS, np.int64)
    for thing in scene.things:
        held = thing.holds
        known = (
            thing.shape,
            thing.colour,
            thing.size,
            thing.pattern,
            thing.pose,
            thing.hat,
            held.shape if held else None,
            held.colour if held else None,
        )
        for column, (value, values) in enumerate(zip(known, ATTRIBUTES.values(), strict=True)):
            if value is not None:
                rows[thing.number, column] = values.index(value)
    return rows


def _boxes(scene: Scene) -> npt.NDArray[np.float32]:
    rows = np.zeros((MAX_THINGS, 4), np.float32)
    for thing in scene.things:
        rows[thing.number] = (thing.box.x1, thing.box.y1, thing.box.x2, thing.box.y2)
    return rows


def write_pool(pool: Pool, path: Path) -> None:
    """Saves a pool as arrays; narrow types keep the file small."""
    narrow: dict[str, npt.DTypeLike] = {"place": np.int8, "attributes": np.int8, "things": np.int8, "task": np.int8}
    narrow |= {"prompt_ids": np.int16, "answer_ids": np.int16}
    arrays = {field.name: getattr(pool, field.name) for field in fields(pool)}
    small = {name: array.astype(narrow.get(name, array.dtype)) for name, array in arrays.items()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **small)


def make_pools(folder: Path, max_scenes: int, *, first_seed: int, is_time_left: Callable[[], bool]) -> dict[Level, int]:
    """Writes pools of all levels into `folder`, the easier ones first; how many scenes each has.

    Files that are there already are kept, and each level gets one at least.
    """
    scenes: dict[Level, int] = {}
    first = first_seed
    for level, options in LEVELS.items():
        most = max_scenes if level == "all" else min(EASY_SCENES, max_scenes)
        for start in range(0, most, PER_FILE):
            count = min(PER_FILE, most - start)
            path = folder / f"pool-{level}-{start:06}.npz"
            if not path.exists():
                if start and not is_time_left():
                    break
                write_pool(make_pool(range(first + start, first + start + count), options), path)
            scenes[level] = scenes.get(level, 0) + count
        first += most
    return scenes


def pool_files(folder: Path, level: Level | None = None) -> list[Path]:
    """The files of a level's pool in `folder`, or of all of them."""
    return sorted(folder.glob(f"pool-{level or '*'}-*.npz"))


def read_pools(paths: Sequence[Path]) -> Pool:
    """The pools of these files as one."""
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            parts.append({field.name: arrays[field.name] for field in fields(Pool)})
    return _joined(parts)


def _joined(parts: Sequence[dict[str, Array]]) -> Pool:
    """Pools end to end, with the numbers of examples and the ends of texts moved on."""
    examples = np.cumsum([0, *(len(part["task"]) for part in parts)])
    prompts = np.cumsum([0, *(len(part["prompt_ids"]) for part in parts)])
    answers = np.cumsum([0, *(len(part["answer_ids"]) for part in parts)])
    moved = {"example_ends": examples, "prompt_ends": prompts, "answer_ends": answers}
    joined: dict[str, Array] = {}
    for field in fields(Pool):
        arrays = [part[field.name] for part in parts]
        if field.name in moved:
            arrays = [array + moved[field.name][at] for at, array in enumerate(arrays)]
        if field.name == "phrase_examples":
            arrays = [np.where(array < 0, -1, array + examples[at]) for at, array in enumerate(arrays)]
        whole = np.concatenate(arrays)
        joined[field.name] = whole if whole.dtype in (np.uint8, np.float32) else whole.astype(np.int64)
    return Pool(**joined)
