"""The matching head of BLIP-2: is what a text says true of the picture?

Texts are questions with an answer, half of them with a wrong one of the same kind, and phrases on what is in a box.
Captions against captions of other scenes were given up as the only lesson: nearly all of those are told apart by the
place alone, and a critic has to tell a red star from a blue one. Captions are still brought near to their pictures
(as in CLIP), so that the contrastive half of the model is of use too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ostensive.microworld.training.lessons import SUBJECTS, Subject
from ostensive.microworld.training.pool import Pool
from ostensive.microworld.training.seeing import draw_rows, draw_view, pixels_of
from ostensive.microworld.training.views import Shown, View, show
from ostensive.microworld.training.words import PAD_ID, START_ID, word_id

if TYPE_CHECKING:
    import torch

QUERIED_TOGETHER = 16  # pictures in a step
TEXTS_EACH = 4
TEXT_TOKENS = 48
_VIEWS: dict[View, float] = {"whole": 0.5, "drawn": 0.5}
# Subjects of which a question has one right answer, so that another answer of the same kind is wrong.
_SETTLED: tuple[Subject, ...] = ("place", "existence", "count", "colour", "shape", "size", "pattern", "pose", "side")
_BY_WORDS_ALONE = (word_id("yes"), word_id("no"))
_CONTRAST_WEIGHT = 0.1
_TEMPERATURE = 0.07
Ids: TypeAlias = tuple[int, ...]
Answers: TypeAlias = Mapping[tuple[int, str], Sequence[Ids]]


@dataclass(frozen=True, slots=True)
class Queries:
    """A batch of pictures, with `TEXTS_EACH` texts on each that are true or false, and a caption."""

    pixels: "torch.Tensor"  # (pictures, 3, side, side) float32
    texts: "torch.Tensor"  # (pictures * TEXTS_EACH, tokens) int64, those of a picture side by side
    is_true: "torch.Tensor"  # (pictures * TEXTS_EACH,) int64, 0 or 1
    captions: "torch.Tensor"  # (pictures, tokens) int64


def make_queries(pool: Pool, answers: Answers, seed: int, step: int, count: int = QUERIED_TOGETHER) -> Queries:
    """The batch of a step; `answers` are those of `answers_of` the pool."""
    import torch

    rows, rng = draw_rows(pool, seed, step, count)
    shown = [show(pool, int(row), draw_view(_VIEWS, rng), rng) for row in rows]
    texts: list[Ids] = []
    truth: list[bool] = []
    for row, one in zip(rows, shown, strict=True):
        for place in range(TEXTS_EACH):
            is_true = bool(rng.random() < 0.5)
            if place == 0 and one.thing >= 0:
                texts.append(_on_box(pool, int(row), one, is_true, rng))
            else:
                texts.append(_on_scene(pool, answers, int(row), is_true, rng))
            truth.append(is_true)
    captions = [_caption(pool, int(row), rng) for row in rows]
    return Queries(
        pixels_of(shown),
        torch.from_numpy(padded(texts)),
        torch.tensor(truth, dtype=torch.int64),
        torch.from_numpy(padded(captions)),
    )


def _on_scene(pool: Pool, answers: Answers, row: int, is_true: bool, rng: np.random.Generator) -> Ids:
    """A question on the scene with its answer, or with another of the same kind."""
    numbers = [number for number in pool.lessons(row) if SUBJECTS[pool.subject[number]] in _SETTLED]
    for number in rng.permutation(numbers):
        prompt, answer = _texts(pool, int(number))
        kind = _kind(answer)
        if kind == "open" and SUBJECTS[pool.subject[number]] == "side":
            continue  # several things may stand there
        others = [one for one in answers[int(pool.subject[number]), kind] if one != answer]
        return prompt + (answer if is_true or not others else others[int(rng.integers(len(others)))])
    raise AssertionError("the place of every scene is asked about")


def _on_box(pool: Pool, row: int, shown: Shown, is_true: bool, rng: np.random.Generator) -> Ids:
    """The question what is in the box with the phrase on its thing, or on another thing that looks otherwise."""
    number = int(pool.phrase_lessons[row, shown.thing])
    prompt, answer = _texts(pool, number)
    while not is_true:
        scene = row if rng.random() < 0.5 and pool.things[row] > 1 else int(rng.integers(len(pool)))
        thing = int(rng.integers(pool.things[scene]))
        _, other = _texts(pool, int(pool.phrase_lessons[scene, thing]))
        if other != answer:
            return prompt + other
    return prompt + answer


def _texts(pool: Pool, number: int) -> tuple[Ids, Ids]:
    """Question and answer of a lesson without the marks that are for the image-text model."""
    prompt, answer = pool.lesson(number)
    return tuple(prompt[:-1].tolist()), tuple(answer[:-1].tolist())


def _kind(answer: Ids) -> str:
    return "yes or no" if answer[0] in _BY_WORDS_ALONE else "open"


def answers_of(pool: Pool) -> Answers:
    """The answers that there are in a pool to questions of each subject, those for yes or no apart."""
    found: dict[tuple[int, str], dict[Ids, None]] = {}
    for number in range(len(pool.subject)):
        subject = int(pool.subject[number])
        if SUBJECTS[subject] in _SETTLED:
            _, answer = _texts(pool, number)
            found.setdefault((subject, _kind(answer)), {})[answer] = None
    return {key: list(answers) for key, answers in found.items()}


def _caption(pool: Pool, row: int, rng: np.random.Generator) -> Ids:
    numbers = [number for number in pool.lessons(row) if SUBJECTS[pool.subject[number]] == "describe"]
    return _texts(pool, int(rng.choice(numbers)))[1]


def padded(texts: Sequence[Ids]) -> npt.NDArray[np.int64]:
    """`(texts, tokens)`: each text after the start mark, as the tokenizer of BLIP-2 gives them."""
    cut = [(START_ID, *text)[:TEXT_TOKENS] for text in texts]
    longest = max(len(text) for text in cut)
    return np.array([[*text, *[PAD_ID] * (longest - len(text))] for text in cut])


def matched(blip2: Any, pixels: "torch.Tensor", texts: "torch.Tensor") -> "torch.Tensor":  # Any: of transformers
    """`(texts, 2)`: the logits for false and true, as the library's own forward gives them.

    Each picture is looked at once for all its texts, which stand side by side.
    """
    import torch

    seen = blip2.vision_model(pixel_values=pixels).last_hidden_state
    seen = seen.repeat_interleave(len(texts) // len(pixels), 0)
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


def querying_loss(blip2: Any, batch: Queries) -> "torch.Tensor":  # Any: as above
    """How badly true texts are told from false ones, and captions from those of other pictures."""
    import torch
    from torch.nn import functional

    with torch.autocast("cpu", torch.bfloat16):
        logits = matched(blip2, batch.pixels, batch.texts)
        likeness = blip2(
            pixel_values=batch.pixels,
            input_ids=batch.captions,
            attention_mask=(batch.captions != PAD_ID).long(),
            use_image_text_matching_head=False,
        ).logits_per_image
    own = torch.arange(len(batch.pixels))
    likeness = likeness.float() / _TEMPERATURE
    contrast = (functional.cross_entropy(likeness, own) + functional.cross_entropy(likeness.T, own)) / 2
    loss: torch.Tensor = functional.cross_entropy(logits.float(), batch.is_true) + _CONTRAST_WEIGHT * contrast
    return loss


def queried_rightly(blip2: Any, batch: Queries) -> dict[str, float]:  # Any: as above
    """The share of texts that are rightly called true or false: of those on a box, and of the others."""
    import torch

    with torch.no_grad():
        right = matched(blip2, batch.pixels, batch.texts).argmax(1) == batch.is_true
    box = torch.tensor([word_id("box") in text for text in batch.texts.tolist()])
    return {"on a box": float(right[box].float().mean()), "on the scene": float(right[~box].float().mean())}
