"""The matching head of BLIP-2: is what a text says true of the picture?

Texts are questions with an answer, half of them with a wrong one of the same kind, phrases on what is in a box, and how
numbered boxes lie, for the critic that begins here judges such.
Captions against captions of other scenes are not enough: nearly all of those are told apart by the place alone, and a
critic has to tell a red star from a blue one. The contrastive half learns beside it, and first: of
captions each picture finds its own, and of labels those that are true of it (as in `clip`). A step holds sixteen
times as many labels as texts, and what the queries have to look for is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias  # Any: transformers types its models in part

import numpy as np
import numpy.typing as npt

from microworld.scenes import COLOURS, SHAPES
from microworld.training.clip import labels_on
from microworld.training.examples import TASKS, Task
from microworld.training.pool import Pool
from microworld.training.statements import draw_statement
from microworld.training.vision import as_processed, draw_rows
from microworld.training.visual_prompts import NumberedImage, draw_numbered, draw_prompt
from microworld.training.words import PAD_ID, START_ID, teacher_ids_of, word_id

if TYPE_CHECKING:
    import torch

BATCH_PICTURES = 16  # pictures in a step
TEXTS_EACH = 4
TEXT_TOKENS = 48
Presentation: TypeAlias = Literal["whole", "drawn", "numbered"]
_VISUAL_PROMPTS: Mapping[Presentation, float] = {"whole": 0.25, "drawn": 0.25, "numbered": 0.5}
_KINDS = tuple(_VISUAL_PROMPTS)
_WHAT_IS_IN_IT = 0.3  # of the texts on numbered boxes; the others are on how they lie
# Subjects of which a question has one right answer, so that another answer of the same kind is wrong.
_SETTLED: tuple[Task, ...] = ("place", "existence", "count", "colour", "shape", "size", "pattern", "pose", "side")
_BY_WORDS_ALONE = (word_id("yes"), word_id("no"))
YES_OR_NO_FROM = 0.4
"""The share of the course after which questions for yes or no are asked. What is true of them hangs on two things at
once, what is there and what is said of it; a matching head that begins with them learns neither."""
_CONTRAST_WEIGHT, _LABELS_WEIGHT = 0.1, 3.0
_TEMPERATURE = 0.07
Ids: TypeAlias = tuple[int, ...]
Answers: TypeAlias = Mapping[tuple[int, str], Sequence[Ids]]


@dataclass(frozen=True, slots=True)
class MatchingBatch:
    """A batch of pictures, with `TEXTS_EACH` texts on each that are true or false, and a caption."""

    pixels: "torch.Tensor"  # (pictures, 3, side, side) float32
    texts: "torch.Tensor"  # (pictures * TEXTS_EACH, tokens) int64, those of a picture side by side
    is_true: "torch.Tensor"  # (pictures * TEXTS_EACH,) int64, 0 or 1
    captions: "torch.Tensor"  # (pictures, tokens) int64
    labels: "torch.Tensor"  # (labels, tokens) int64
    fits: "torch.Tensor"  # (pictures, labels) float32: whether a label is true of a picture, 0 or 1


def make_matching_batch(
    pool: Pool, answers: Answers, seed: int, step: int, progress: float = 1.0, count: int = BATCH_PICTURES
) -> MatchingBatch:
    """The batch of a step, when this share of the course is over; `answers` are those of `answers_of` the pool."""
    import torch

    rows, rng = draw_rows(pool, seed, step, count)
    plainly = progress < YES_OR_NO_FROM
    pixels: list[npt.NDArray[np.uint8]] = []
    texts: list[Ids] = []
    truth: list[bool] = []
    for row in rows.tolist():
        visual_prompt: Presentation = _KINDS[int(rng.choice(len(_KINDS), p=list(_VISUAL_PROMPTS.values())))]
        numbered = draw_numbered(pool, row, rng) if visual_prompt == "numbered" else None
        one = draw_prompt(pool, row, "whole" if visual_prompt == "numbered" else visual_prompt, rng)
        pixels.append(one.pixels if numbered is None else numbered.pixels)
        for place in range(TEXTS_EACH):
            is_true = bool(rng.random() < 0.5)
            if plainly and place % 2:
                texts.append(_there_is(pool, row, is_true, rng))
            elif numbered is not None and place < TEXTS_EACH - 1:
                text = _on_numbers(pool, row, numbered, is_true, rng)
                texts.append(text or _on_scene(pool, answers, row, is_true, rng, plainly=plainly))
            elif place == 0 and one.thing >= 0:
                texts.append(_on_box(pool, row, one.thing, is_true, rng))
            else:
                texts.append(_on_scene(pool, answers, row, is_true, rng, plainly=plainly))
            truth.append(is_true)
    captions = [_caption(pool, row, rng) for row in rows.tolist()]
    labels, fits = labels_on(pool, rows, rng)
    return MatchingBatch(
        as_processed(pixels),
        torch.from_numpy(padded(texts)),
        torch.tensor(truth, dtype=torch.int64),
        torch.from_numpy(padded(captions)),
        torch.from_numpy(padded([tuple(teacher_ids_of(label)) for label in labels])),
        torch.from_numpy(fits),
    )


def _on_numbers(pool: Pool, row: int, shown: NumberedImage, is_true: bool, rng: np.random.Generator) -> Ids | None:
    """How numbered boxes lie or what is in one of them; what is false has another thing in it."""
    if shown.things and rng.random() < _WHAT_IS_IN_IT:
        number = list(shown.things)[int(rng.integers(len(shown.things)))]
        _, phrase = _phrase(pool, row, shown.things[number], is_true, rng)
        return (*teacher_ids_of(f"[{number}] is"), *phrase)
    text = draw_statement(shown.boxes, is_true, rng)
    return None if text is None else tuple(teacher_ids_of(text))


def _there_is(pool: Pool, row: int, is_true: bool, rng: np.random.Generator) -> Ids:
    """That there is a thing of some shape and colour, or, what is false, of a pair that no thing has."""
    shown = pool.attributes[row, : pool.things[row], :2]
    pair = shown[int(rng.integers(len(shown)))]
    while not is_true and (shown == pair).all(1).any():
        pair = np.array([rng.integers(len(SHAPES)), rng.integers(len(COLOURS))])
    return tuple(teacher_ids_of(f"there is a {COLOURS[pair[1]]} {SHAPES[pair[0]]}"))


def _on_scene(
    pool: Pool, answers: Answers, row: int, is_true: bool, rng: np.random.Generator, *, plainly: bool = False
) -> Ids:
    """A question on the scene with its answer, or with another of the same kind; `plainly` none for yes or no."""
    numbers = [number for number in pool.examples(row) if TASKS[pool.task[number]] in _SETTLED]
    for number in rng.permutation(numbers):
        prompt, answer = _texts(pool, int(number))
        kind = _kind(answer)
        if kind == "open" and TASKS[pool.task[number]] == "side":
            continue  # several things may stand there
        if kind == "yes or no" and plainly:
            continue
        others = [one for one in answers[int(pool.task[number]), kind] if one != answer]
        return prompt + (answer if is_true or not others else others[int(rng.integers(len(others)))])
    return _there_is(pool, row, is_true, rng)


def _on_box(pool: Pool, row: int, thing: int, is_true: bool, rng: np.random.Generator) -> Ids:
    """The question what is in the box with the phrase on its thing, or on another thing that looks otherwise."""
    prompt, phrase = _phrase(pool, row, thing, is_true, rng)
    return prompt + phrase


def _phrase(pool: Pool, row: int, thing: int, is_true: bool, rng: np.random.Generator) -> tuple[Ids, Ids]:
    prompt, answer = _texts(pool, int(pool.phrase_examples[row, thing]))
    while not is_true:
        scene = row if rng.random() < 0.5 and pool.things[row] > 1 else int(rng.integers(len(pool)))
        _, other = _texts(pool, int(pool.phrase_examples[scene, int(rng.integers(pool.things[scene]))]))
        if other != answer:
            return prompt, other
    return prompt, answer


def _texts(pool: Pool, number: int) -> tuple[Ids, Ids]:
    """Question and answer of an example without the marks that are for the image-text model."""
    prompt, answer = pool.example(number)
    return tuple(prompt[:-1].tolist()), tuple(answer[:-1].tolist())


def _kind(answer: Ids) -> str:
    return "yes or no" if answer[0] in _BY_WORDS_ALONE else "open"


def answers_of(pool: Pool) -> Answers:
    """The answers that there are in a pool to questions of each task, those for yes or no apart."""
    found: dict[tuple[int, str], dict[Ids, None]] = {}
    for number in range(len(pool.task)):
        task = int(pool.task[number])
        if TASKS[task] in _SETTLED:
            _, answer = _texts(pool, number)
            found.setdefault((task, _kind(answer)), {})[answer] = None
    return {key: list(answers) for key, answers in found.items()}


def _caption(pool: Pool, row: int, rng: np.random.Generator) -> Ids:
    numbers = [number for number in pool.examples(row) if TASKS[pool.task[number]] == "describe"]
    return _texts(pool, int(rng.choice(numbers)))[1]


def padded(texts: Sequence[Ids]) -> npt.NDArray[np.int64]:
    """`(texts, tokens)`: each text after the start mark, as the tokenizer of BLIP-2 gives them."""
    cut = [(START_ID, *text)[:TEXT_TOKENS] for text in texts]
    longest = max(len(text) for text in cut)
    return np.array([[*text, *[PAD_ID] * (longest - len(text))] for text in cut])


def matching_logits(blip2: Any, seen: "torch.Tensor", texts: "torch.Tensor") -> "torch.Tensor":
    """`(texts, 2)`: the logits for false and true, as the library's own forward gives them.

    `seen` is what the tower makes of the pictures; the texts on one picture stand side by side.
    """
    import torch

    seen = seen.repeat_interleave(len(texts) // len(seen), 0)
    queries = blip2.query_tokens.expand(len(texts), -1, -1)
    count = queries.shape[1]
    mask = torch.cat([torch.ones(len(texts), count, dtype=torch.int64), (texts != PAD_ID).long()], 1)
    hidden = blip2.qformer(
        query_embeds=blip2.embeddings(input_ids=texts, query_embeds=queries),
        query_length=count,
        attention_mask=mask,
        encoder_hidden_states=seen,
        encoder_attention_mask=torch.ones(seen.shape[:-1], dtype=torch.int64),
    ).last_hidden_state
    logits: torch.Tensor = blip2.itm_head(hidden[:, :count]).mean(1)
    return logits


def contrastive_cosines(blip2: Any, seen: "torch.Tensor", texts: "torch.Tensor") -> "torch.Tensor":
    """`(pictures, texts)`: cosines of texts and the likest query of each picture, as the library's own forward."""
    import torch
    from torch.nn import functional

    pictures = blip2.qformer(
        query_embeds=blip2.query_tokens.expand(len(seen), -1, -1),
        encoder_hidden_states=seen,
        encoder_attention_mask=torch.ones(seen.shape[:-1], dtype=torch.int64),
    ).last_hidden_state
    read = blip2.qformer(
        query_embeds=blip2.embeddings(input_ids=texts), query_length=0, attention_mask=(texts != PAD_ID).long()
    ).last_hidden_state
    queries = functional.normalize(blip2.vision_projection(pictures).float(), dim=-1)
    cosines: torch.Tensor = queries @ functional.normalize(blip2.text_projection(read[:, 0]).float(), dim=-1).T
    return cosines.amax(1)


def matching_loss(blip2: Any, scale: Any, batch: MatchingBatch) -> "torch.Tensor":
    """How badly true texts are told from false ones, captions from those of other pictures, and labels that fit."""
    import torch
    from torch.nn import functional

    with torch.autocast("cpu", torch.bfloat16):
        seen = blip2.vision_model(pixel_values=batch.pixels).last_hidden_state
        logits = matching_logits(blip2, seen, batch.texts)
        captions, labels = (contrastive_cosines(blip2, seen, texts) for texts in (batch.captions, batch.labels))
    own = torch.arange(len(batch.pixels))
    captions = captions / _TEMPERATURE
    contrast = (functional.cross_entropy(captions, own) + functional.cross_entropy(captions.T, own)) / 2
    judged = functional.binary_cross_entropy_with_logits(scale.weight * labels + scale.bias, batch.fits)
    matching = functional.cross_entropy(logits.float(), batch.is_true)
    loss: torch.Tensor = matching + _CONTRAST_WEIGHT * contrast + _LABELS_WEIGHT * judged
    return loss


def matching_accuracy(blip2: Any, batch: MatchingBatch) -> dict[str, float]:
    """The share of texts that are called what they are, true or false: of those on a box, and of the others."""
    import torch

    with torch.no_grad():
        seen = blip2.vision_model(pixel_values=batch.pixels).last_hidden_state
        right = matching_logits(blip2, seen, batch.texts).argmax(1) == batch.is_true
    texts = batch.texts.tolist()
    box = torch.tensor([word_id("box") in text for text in texts])
    numbers = torch.tensor([word_id("[") in text for text in texts])
    parts = {"on a box": box, "on numbered boxes": numbers, "on the scene": ~box & ~numbers}
    return {name: float(right[which].float().mean()) for name, which in parts.items()}
