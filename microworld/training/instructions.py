"""The second stage: the language model learns to answer about what the patches show.

Many examples share one picture: its patches come once, then question and answer after question and answer, each of
which sees the picture and itself alone and stands at the same positions, as if it were the first. A step then has
several times as many answers for the same time, and what is learned is exactly what will be asked later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias  # Any: transformers types its models in part

import numpy as np
import numpy.typing as npt

from microworld.scenes import COLOURS, MARGIN, SHAPES
from microworld.training.examples import TASKS, Example, Task, encode_example
from microworld.training.models import TEXT_LAYERS
from microworld.training.pool import Pool
from microworld.training.statements import draw_statement
from microworld.training.vision import as_processed, draw_rows, patch_features
from microworld.training.visual_prompts import PATCHES, NumberedImage, PromptedImage, draw_numbered, draw_prompt
from microworld.training.words import IN_BOX, IS_TRUE, NOTHING, NUMBERED, PAD_ID, START_ID, teacher_ids_of

if TYPE_CHECKING:
    import torch

BATCH_PICTURES = 16  # pictures in a step
TEXT_TOKENS = 160  # of a picture's examples together
PREFIX = 1 + PATCHES * PATCHES  # the start mark and the patches
Presentation: TypeAlias = Literal["whole", "drawn", "numbered"]
_UNSEEN = -1e4
_NO_ANSWER = -100  # what the loss passes over

# The chances of tasks to be drawn, at the start and from the middle of the course on: first what can be read from
# single patches, then what has to be looked up and compared. Descriptions are long, so they are drawn seldom.
_EARLY: Mapping[Task, float] = {"colour": 4, "shape": 4, "existence": 2, "count": 2, "side": 1, "place": 1}
_LATE: Mapping[Task, float] = {"colour": 2, "shape": 2, "existence": 3, "count": 3, "side": 4, "place": 0.5}
_OTHERS_EARLY, _OTHERS_LATE = 0.5, 1.0
POSITIONS_FROM = 0.3
"""The share of the course after which it is also asked where things are. Without such examples, after a quarter of the
course, everything that a single thing shows was told in nine of ten cases, and what is left of what by chance."""
COMPARED_FROM = 0.53
"""The share after which two things are compared by short names, and the model is held to know where a thing is at the
very word that ends its name: half of the layers are then left to compare two."""
_HALF_WAY = TEXT_LAYERS // 2
_POSITION_WEIGHT = 1.0
_POSITIONS_EACH = 2  # examples on where things are, in a picture
_COMPARISONS_EACH = 3
_STATEMENTS_EACH = 4
_SIDES: Mapping[str, tuple[int, int]] = {  # the axis, and on which side of the other the first thing is
    "to the left of": (0, -1),
    "to the right of": (0, 1),
    "above": (1, -1),
    "below": (1, 1),
}
_DESCRIPTIONS: Mapping[Task, tuple[float, float]] = {"describe": (0.1, 0.5), "why": (0.1, 0.5)}
_LONG_WEIGHT: Mapping[Task, float] = {"describe": 0.4, "why": 0.5}
"""What a token of a description counts beside one of an answer: much of it is a choice among true things to say."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """How often pictures are shown in each way, and how many times as often a task comes from `POSITIONS_FROM` on.

    The marked and the numbered have examples that come first, whatever these chances are.
    """

    visual_prompts: Mapping[Presentation, float]  # shares that add up to 1
    more: Mapping[Task, float]


INSTRUCTIONS = Mixture({"whole": 0.5, "drawn": 0.5}, {"side": 3.0, "count": 1.5, "nearest": 2.0})
REGIONS = Mixture(
    {"whole": 0.4, "drawn": 0.2, "numbered": 0.4}, {"side": 3.0, "count": 3.0, "nearest": 3.0, "describe": 1.5}
)


@dataclass(frozen=True, slots=True)
class AnswerBatch:
    """A batch of pictures, each with its examples one after the other."""

    pixels: "torch.Tensor"  # (pictures, 3, side, side) float32
    ids: "torch.Tensor"  # (pictures, tokens) int64, of the examples alone
    targets: "torch.Tensor"  # (pictures, tokens) int64: the next token where it is to be said, else -100
    weights: "torch.Tensor"  # (pictures, tokens) float32
    block: "torch.Tensor"  # (pictures, tokens) int64: the number of the example in its picture; -1 for padding
    positions: "torch.Tensor"  # (pictures, tokens) int64
    tasks: "torch.Tensor"  # (pictures, tokens) int64, place in `TASKS`; -1 for padding
    named: "torch.Tensor"  # (pictures, tokens) bool: whether the name of a thing ends here whose place is known
    places: "torch.Tensor"  # (pictures, tokens, 2) float32, the middle of that thing, -1 to 1


def make_answer_batch(
    pool: Pool, seed: int, step: int, progress: float, count: int = BATCH_PICTURES, mixture: Mixture = INSTRUCTIONS
) -> AnswerBatch:
    """The batch of a step, when this share of the course is over."""
    rows, rng = draw_rows(pool, seed, step, count)
    chances = chances_at(progress, mixture)
    visual_prompts = list(mixture.visual_prompts)
    pixels, examples = [], []
    for row in rows.tolist():
        visual_prompt = visual_prompts[int(rng.choice(len(visual_prompts), p=list(mixture.visual_prompts.values())))]
        if visual_prompt == "numbered":
            numbered = draw_numbered(pool, row, rng)
            pixels.append(numbered.pixels)
            first = _numbered_examples(pool, row, numbered, rng)
        else:
            one = draw_prompt(pool, row, visual_prompt, rng)
            pixels.append(one.pixels)
            first = _first_examples(pool, row, one, progress, rng)
        examples.append(_drawn_examples(pool, row, first, chances, rng))
    return pack(pixels, examples)


def chances_at(progress: float, mixture: Mixture = INSTRUCTIONS) -> npt.NDArray[np.float64]:
    """How often each task is drawn, in the order of `TASKS`."""
    late = min(1.0, 2 * progress)
    chances = []
    for task in TASKS:
        early_late = _DESCRIPTIONS.get(task, (_EARLY.get(task, _OTHERS_EARLY), _LATE.get(task, _OTHERS_LATE)))
        times = mixture.more.get(task, 1.0) if progress >= POSITIONS_FROM else 1.0
        chances.append(times * ((1 - late) * early_late[0] + late * early_late[1]))
    return np.array(chances)


def _first_examples(
    pool: Pool, row: int, shown: PromptedImage, progress: float, rng: np.random.Generator
) -> list[Example]:
    """The examples that a picture begins with: that on the marked thing, and where things are."""
    found = [_marked_example(pool, row, shown)] if shown.visual_prompt == "drawn" else []
    if progress >= POSITIONS_FROM:
        things = rng.permutation(int(pool.things[row]))[:_POSITIONS_EACH]
        found += [one for thing in things.tolist() if (one := where(pool, row, thing, rng)) is not None]
    if progress >= COMPARED_FROM:
        compared = [compare(pool, row, rng) for _ in range(_COMPARISONS_EACH)]
        found += dict.fromkeys(one for one in compared if one is not None)
    return found


def _numbered_examples(pool: Pool, row: int, shown: NumberedImage, rng: np.random.Generator) -> list[Example]:
    """Where numbered boxes are, what is in one of them, and whether it is so what is said of them."""
    found = [
        _position_example(f"[{number}]", box.center) for number, box in list(shown.boxes.items())[:_POSITIONS_EACH]
    ]
    if shown.things:
        number = list(shown.things)[int(rng.integers(len(shown.things)))]
        _, phrase = pool.example(int(pool.phrase_examples[row, shown.things[number]]))
        asked = encode_example("numbered", NUMBERED.format(number=number), "")
        found.append(replace(asked, answer=tuple(phrase.tolist())))
    for _ in range(_STATEMENTS_EACH):
        is_true = bool(rng.random() < 0.5)
        statement = draw_statement(shown.boxes, is_true, rng)
        if statement is not None:
            found.append(encode_example("numbered", IS_TRUE.format(statement=statement), "yes" if is_true else "no"))
    return list(dict.fromkeys(found))


def where(pool: Pool, row: int, thing: int, rng: np.random.Generator) -> Example | None:
    """Where the middle of a thing is, in tenths of the side, x before y; None where no name is its alone."""
    name = _short_name(pool, row, thing, rng)
    if name is None:
        return None
    return _position_example(name, _middle(pool, row, thing))


def _position_example(name: str, middle: tuple[float, float]) -> Example:
    x, y = middle
    asked = encode_example("where", f"where is {name} ?", f"{min(9, int(10 * x))} {min(9, int(10 * y))}")
    return replace(asked, places=((len(asked.prompt) - 3, x, y),))


def compare(pool: Pool, row: int, rng: np.random.Generator) -> Example | None:
    """Whether one thing is on a side of another, by short names; None where none are found or neither side is clear."""
    if pool.things[row] < 2:
        return None
    one, other = rng.permutation(int(pool.things[row]))[:2].tolist()
    names = [_short_name(pool, row, thing, rng) for thing in (one, other)]
    relation = list(_SIDES)[int(rng.integers(len(_SIDES)))]
    axis, sign = _SIDES[relation]
    middles = [_middle(pool, row, thing) for thing in (one, other)]
    difference = middles[0][axis] - middles[1][axis]
    if None in names or abs(difference) < MARGIN:
        return None
    asked = encode_example(
        "compare", f"is {names[0]} {relation} {names[1]} ?", "yes" if difference * sign > 0 else "no"
    )
    ends = (len(teacher_ids_of(f"is {names[0]}")) - 1, len(asked.prompt) - 3)
    return replace(asked, places=tuple((end, x, y) for end, (x, y) in zip(ends, middles, strict=True)))


def _middle(pool: Pool, row: int, thing: int) -> tuple[float, float]:
    x1, y1, x2, y2 = pool.boxes[row, thing].tolist()
    return (x1 + x2) / 2, (y1 + y2) / 2


def _short_name(pool: Pool, row: int, thing: int, rng: np.random.Generator) -> str | None:
    """By shape, colour or both, whatever fits no other thing; None where nothing does."""
    shape, colour = (pool.attributes[row, : pool.things[row], column] for column in (0, 1))
    like_shape, like_colour = shape == shape[thing], colour == colour[thing]
    look, kind = COLOURS[colour[thing]], SHAPES[shape[thing]]
    names = {
        f"the {look} {kind}": like_shape & like_colour,
        f"the {kind}": like_shape,
        f"the {look} thing": like_colour,
    }
    own = [name for name, fits in names.items() if fits.sum() == 1]
    return own[int(rng.integers(len(own)))] if own else None


def _drawn_examples(
    pool: Pool, row: int, first: Sequence[Example], chances: npt.NDArray[np.float64], rng: np.random.Generator
) -> list[Example]:
    """The first ones, and as many others as have room, in a drawn order."""
    found = list(first)
    numbers = np.array(pool.examples(row))
    keys = rng.exponential(size=len(numbers)) / chances[pool.task[numbers]]  # the smaller, the earlier: a race
    room = TEXT_TOKENS - sum(len(one.prompt) + len(one.answer) for one in found)
    for number in numbers[np.argsort(keys)]:
        prompt, answer = pool.example(int(number))
        if len(prompt) + len(answer) <= room:
            room -= len(prompt) + len(answer)
            task = TASKS[int(pool.task[number])]
            found.append(Example(task, tuple(prompt.tolist()), tuple(answer.tolist())))
        if room < 8:
            break
    return found


def _marked_example(pool: Pool, row: int, shown: PromptedImage) -> Example:
    if shown.thing < 0:
        return encode_example("marked", IN_BOX, NOTHING)
    prompt, answer = pool.example(int(pool.phrase_examples[row, shown.thing]))
    return Example("marked", tuple(prompt.tolist()), tuple(answer.tolist()))


def pack(pictures: Sequence[npt.NDArray[np.uint8]], examples: Sequence[Sequence[Example]]) -> AnswerBatch:
    """Pictures with their examples as tensors, padded to `TEXT_TOKENS`: with one shape the model is compiled once."""
    import torch

    shape = (len(examples), TEXT_TOKENS)
    ids, targets = np.full(shape, PAD_ID), np.full(shape, _NO_ANSWER)
    weights, block = np.zeros(shape, np.float32), np.full(shape, -1)
    positions, tasks = np.zeros(shape, np.int64), np.full(shape, -1)
    named, places = np.zeros(shape, bool), np.zeros((*shape, 2), np.float32)
    for row, some in enumerate(examples):
        start = 0
        for number, one in enumerate(some):
            words = [*one.prompt, *one.answer]
            here, answer = slice(start, start + len(words)), slice(start + len(one.prompt) - 1, start + len(words) - 1)
            ids[row, here], block[row, here] = words, number
            targets[row, answer] = one.answer
            weights[row, answer] = _LONG_WEIGHT.get(one.task, 1.0)
            positions[row, here] = PREFIX + np.arange(len(words))
            tasks[row, here] = TASKS.index(one.task)
            for token, x, y in one.places:
                named[row, start + token], places[row, start + token] = True, (2 * x - 1, 2 * y - 1)
            start += len(words)
    arrays = (ids, targets, weights, block, positions, tasks, named, places)
    return AnswerBatch(as_processed(pictures), *(torch.from_numpy(array) for array in arrays))


def attention_of(block: "torch.Tensor") -> "torch.Tensor":
    """`(pictures, 1, all, all)`, 0 or very low: a token sees the picture, and of its own example what is before it."""
    import torch

    pictures, length = block.shape
    whole = torch.cat([torch.full((pictures, PREFIX), -2), block], 1)
    same = (whole[:, :, None] == whole[:, None, :]) | (whole[:, None, :] == -2)
    causal = torch.ones(PREFIX + length, PREFIX + length, dtype=torch.bool).tril()
    return torch.where((same & causal)[:, None], 0.0, _UNSEEN)


def hidden_states(vlm: Any, batch: AnswerBatch) -> "tuple[torch.Tensor, torch.Tensor]":
    """`(pictures, tokens, width)` of the examples' tokens: what the last layer makes of them, and the middle one."""
    import torch

    features = patch_features(vlm, batch.pixels)
    words = vlm.get_input_embeddings()
    start = words(torch.full((len(batch.ids), 1), START_ID))
    embedded = torch.cat([start, features.to(start.dtype), words(batch.ids)], 1)
    first = torch.arange(PREFIX).expand(len(batch.ids), PREFIX)
    made = vlm.model.language_model(
        inputs_embeds=embedded,
        attention_mask=attention_of(batch.block),
        position_ids=torch.cat([first, batch.positions], 1),
        use_cache=False,
        output_hidden_states=True,
    )
    return made.last_hidden_state[:, PREFIX:], made.hidden_states[_HALF_WAY][:, PREFIX:]


def answer_logits(vlm: Any, batch: AnswerBatch) -> "torch.Tensor":
    """`(answers' tokens, words)`: what the model would say at each place where something is to be said, in order."""
    logits: torch.Tensor = vlm.lm_head(hidden_states(vlm, batch)[0][batch.targets != _NO_ANSWER])
    return logits


def answer_loss(vlm: Any, position_head: Any, batch: AnswerBatch) -> "torch.Tensor":
    """Cross entropy of the answers' words by their weights, and how far off `position_head` is where things are."""
    import torch
    from torch.nn import functional

    is_answer = batch.targets != _NO_ANSWER
    with torch.autocast("cpu", torch.bfloat16):
        last, half_way = hidden_states(vlm, batch)
        logits = vlm.lm_head(last[is_answer])
    by_word = functional.cross_entropy(logits.float(), batch.targets[is_answer], reduction="none")
    weights = batch.weights[is_answer]
    loss: torch.Tensor = (by_word * weights).sum() / weights.sum()
    if batch.named.any():
        off = functional.mse_loss(position_head(half_way[batch.named].float()), batch.places[batch.named])
        loss = loss + _POSITION_WEIGHT * off
    return loss


def answer_accuracy(vlm: Any, batch: AnswerBatch) -> dict[str, float]:
    """The share of answers that are right to the last word when the words before are given, by task."""
    import torch

    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        right = answer_logits(vlm, batch).argmax(-1) == batch.targets[batch.targets != _NO_ANSWER]
    is_answer = batch.targets != _NO_ANSWER
    key = (torch.arange(len(batch.ids))[:, None] * batch.ids.shape[1] + batch.block)[is_answer]
    numbers, inverse = torch.unique(key, return_inverse=True)
    whole = torch.ones(len(numbers)).scatter_reduce(0, inverse, right.float(), "amin")
    task = torch.zeros(len(numbers), dtype=torch.int64).scatter(0, inverse, batch.tasks[is_answer])
    return {name: float(whole[task == number].mean()) for number, name in enumerate(TASKS) if (task == number).any()}
