"""What the tiny models know, on scenes they were never shown: asked as users ask them, judged by the oracle.

Losses and teacher-forced accuracies are no measures: they flatter.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import PIL.Image

from microworld.claims import AskRelated, Kind
from microworld.nouns import read_some
from microworld.oracle import judge_probe, judge_text
from microworld.questions import QuestionAnswer, Topic, ask
from microworld.render import render
from microworld.sample import sample_scene
from microworld.scenes import PLACES, SHAPES, Scene, Thing
from microworld.sentences import tokens_of
from microworld.training.statements import draw_statement
from microworld.training.visual_prompts import NUMBERS
from microworld.training.words import DESCRIBE, IN_BOX, IS_TRUE, NUMBERED
from ostensive.chat.records import Completion, Conversation, Message, Sampling
from ostensive.images.drawing import DrawingStyle, draw_regions
from ostensive.models.clip_model import ClipModel
from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.records import Region
from verbalizers.clip.settings import ClipConceptSettings

if TYPE_CHECKING:
    import torch

Measure: TypeAlias = Literal[
    "place marked", "colour marked", "shape marked", "existence", "count", "left/above", "what stands left/above",
    "colour", "shape", "size", "pattern", "hat", "holds", "nearest", "narrative", "thing numbered",
    "statement on numbered",
]  # fmt: skip
_TOPICS: Mapping[Topic, Measure] = {
    "existence": "existence",
    "count": "count",
    "side": "left/above",
    "colour": "colour",
    "shape": "shape",
    "size": "size",
    "pattern": "pattern",
    "hat": "hat",
    "holds": "holds",
    "nearest": "nearest",
}
_PLACE_QUESTION = "what place is this ?"
_STYLE = DrawingStyle(fill_alpha=0, numbers=False)  # as region captions are asked for
_FREE = ""  # no one answer is expected
_SHORT, _LONG = Sampling(0.0, max_tokens=32, seed=0), Sampling(0.0, max_tokens=96, seed=0)


@dataclass(frozen=True, slots=True)
class Figure:
    """How often a model was right. `guess` is the share that always saying the commonest answer would reach."""

    asked: int
    right: float  # 0-1
    guess: float | None  # 0-1; None where the answer is free


@dataclass(frozen=True, slots=True)
class _EvaluationItem:
    """One thing asked of a model, and what it is judged by."""

    measure: Measure
    scene: Scene
    image: PIL.Image.Image
    prompt: str
    expected: str
    thing: Thing | None = None


def measure_vlm(folder: Path, seeds: Sequence[int], *, batch_size: int = 64) -> dict[Measure, Figure]:
    """The figures of the image-text model in `folder` on the scenes of `seeds`."""
    items = [item for seed in seeds for item in _items(sample_scene(seed))]
    settings = GeneratorSettings(model=str(folder), batch_size=batch_size)
    asked = [
        Conversation(
            (Message("user", item.prompt, (item.image,)),), sampling=_LONG if item.prompt == DESCRIBE else _SHORT
        )
        for item in items
    ]
    with Generator(settings) as generator:
        results = generator.generate(asked)
    replies = [result.text if isinstance(result, Completion) else "" for result in results]
    right: dict[Measure, list[bool]] = {}
    expected: dict[Measure, Counter[str]] = {}
    for item, text in zip(items, replies, strict=True):
        right.setdefault(item.measure, []).append(_is_right(item, text))
        expected.setdefault(item.measure, Counter())[item.expected] += 1
    return {
        measure: Figure(len(found), sum(found) / len(found), _guess(expected[measure]))
        for measure, found in right.items()
    }


def _guess(expected: Counter[str]) -> float | None:
    return None if set(expected) == {_FREE} else max(expected.values()) / expected.total()


def _items(scene: Scene) -> Iterator[_EvaluationItem]:
    rng = random.Random(f"exam {scene.seed}")  # noqa: S311 - no secret
    image = render(scene)
    thing = rng.choice(scene.things)
    marked = draw_regions(image, [Region(0, thing.box, "", None, "")], style=_STYLE)
    yield _EvaluationItem("place marked", scene, marked, _PLACE_QUESTION, scene.place)
    yield _EvaluationItem("colour marked", scene, marked, IN_BOX, thing.colour, thing)
    yield _EvaluationItem("shape marked", scene, marked, IN_BOX, thing.shape, thing)
    for topic, measure in _TOPICS.items():
        asked = ask(scene, topic, rng)
        if asked is not None:
            is_open = topic == "side" and isinstance(asked.asks, AskRelated)
            kind: Measure = "what stands left/above" if is_open else measure
            yield _EvaluationItem(kind, scene, image, asked.question, _expected(asked))
    yield _EvaluationItem("narrative", scene, image, DESCRIBE, _FREE)
    yield from _items_on_numbers(scene, image)


def _items_on_numbers(scene: Scene, image: PIL.Image.Image) -> Iterator[_EvaluationItem]:
    """Two things at the most in boxes with numbers: what one of them is, and whether something said of them is so."""
    rng = np.random.default_rng(scene.seed)
    things = rng.permutation(len(scene.things))[:2].tolist()
    numbers = rng.choice(NUMBERS, len(things), replace=False).tolist()
    boxes = {number: scene.things[place].box for number, place in zip(numbers, things, strict=True)}
    shown = draw_regions(image, [Region(number, box, "", None, "") for number, box in boxes.items()])
    thing = scene.things[things[0]]
    asked = NUMBERED.format(number=numbers[0])
    yield _EvaluationItem("thing numbered", scene, shown, asked, f"{thing.colour} {thing.shape}", thing)
    is_true = bool(rng.random() < 0.5)
    statement = draw_statement(boxes, is_true, rng)
    if statement is not None:
        yield _EvaluationItem(
            "statement on numbered", scene, shown, IS_TRUE.format(statement=statement), "yes" if is_true else "no"
        )


def _expected(asked: QuestionAnswer) -> str:
    return asked.answer.lower()


def _is_right(item: _EvaluationItem, text: str) -> bool:
    if item.thing is None:
        if item.measure == "narrative":
            return judge_text(text, item.scene).is_true
        if item.measure == "statement on numbered":
            return text.strip(" .").lower() == item.expected
        return judge_probe(item.prompt, text, item.scene).is_true
    words = tokens_of(text.rstrip("."))
    read = read_some(words, 0)
    kind = read.value if read is not None and read.end == len(words) else None
    if not isinstance(kind, Kind):
        return False
    same_colour, same_shape = kind.colour == item.thing.colour, kind.shape == item.thing.shape
    return {"colour marked": same_colour, "shape marked": same_shape}.get(item.measure, same_colour and same_shape)


@dataclass(frozen=True, slots=True)
class Blip2Figures:
    """What the halves of a BLIP-2 know: its matching head of texts of which half are true, its cosines of labels."""

    on_a_box: float  # what is in a drawn box
    on_numbered_boxes: float  # how they lie, and what is in one of them
    on_the_scene: float  # answers to questions on the whole picture
    texts: int
    place_first: float  # by cosines, as in `ClipFigures`
    objects_found: float


def measure_blip2(folder: Path, seeds: Sequence[int]) -> Blip2Figures:
    """The figures of the BLIP-2 in `folder` on the scenes of `seeds`."""
    import torch

    from microworld.training.blip2 import (
        answers_of,
        contrastive_cosines,
        make_matching_batch,
        matching_accuracy,
        padded,
    )
    from microworld.training.models import load_blip2
    from microworld.training.pool import make_pool
    from microworld.training.vision import as_processed
    from microworld.training.words import teacher_ids_of

    pool, blip2 = make_pool(seeds), load_blip2(folder)
    batch = make_matching_batch(pool, answers_of(pool), 0, 0, count=len(seeds))
    right = matching_accuracy(blip2, batch)
    texts = [tuple(teacher_ids_of(f"a photo of {label}")) for label in (*PLACES, *SHAPES)]
    with torch.no_grad():
        seen = blip2.vision_model(pixel_values=as_processed(list(pool.pixels))).last_hidden_state
        cosines = contrastive_cosines(blip2, seen, torch.from_numpy(padded(texts)))
    place, shapes = cosines[:, : len(PLACES)], cosines[:, len(PLACES) :]
    ranked = _ranked([sample_scene(seed) for seed in seeds], place, shapes)
    return Blip2Figures(
        right["on a box"],
        right["on numbered boxes"],
        right["on the scene"],
        len(batch.texts),
        ranked.place_first,
        ranked.objects_found,
    )


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """What a contrastive model knows of places and shapes, each list ranked by itself."""

    scenes: int
    place_first: float  # the likeliest place is the right one
    objects_found: float  # of the shapes that are there, at most three, the share among the three likeliest
    one_object_found: float  # one of the three likeliest shapes is there


def measure_clip(folder: Path, seeds: Sequence[int], template: str = "a photo of {label}") -> ClipFigures:
    """The figures of the CLIP in `folder` on the scenes of `seeds`, with labels put into `template` as lists are."""
    scenes = [sample_scene(seed) for seed in seeds]
    with ClipModel(ClipConceptSettings(model=f"local-dir:{folder}", device="cpu")).opened() as clip:
        images = clip.encode_images(clip.stack([clip.preprocess(render(scene)) for scene in scenes]))
        places, shapes = (
            clip.encode_texts([template.replace("{label}", label) for label in labels]) for labels in (PLACES, SHAPES)
        )
    return _ranked(scenes, images @ places.T, images @ shapes.T)


def _ranked(scenes: Sequence[Scene], places: "torch.Tensor", shapes: "torch.Tensor") -> ClipFigures:
    """The figures from how like each scene is to each place and to each shape: `(scenes, labels)`."""
    place = places.argmax(1).tolist()
    likeliest = shapes.topk(3).indices.tolist()
    there = [{thing.shape for thing in scene.things} for scene in scenes]
    named = [{SHAPES[at] for at in row} for row in likeliest]
    count = len(scenes)
    return ClipFigures(
        count,
        sum(PLACES[at] == scene.place for at, scene in zip(place, scenes, strict=True)) / count,
        sum(len(a & b) for a, b in zip(there, named, strict=True)) / sum(min(3, len(a)) for a in there),
        sum(bool(a & b) for a, b in zip(there, named, strict=True)) / count,
    )
