"""The last stage of the image-text model that teaches: it learns to write triples from words, seeing or blind.

A row is a whole conversation as the library reads it: the start mark, the patches of the picture if it is shown, the
prompt, the answer mark, the reply. Of the lessons that ask for triples half are shown without their picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: transformers types its models in part

import numpy as np

from microworld.training.instructions import PREFIX
from microworld.training.lessons import KINDS, Lesson, LessonKind
from microworld.training.models import WIDTH
from microworld.training.vision import as_processed, patch_features
from microworld.training.words import ANSWER_ID, END_ID, IMAGE_ID, PAD_ID, START_ID, TEACHER_WORDS, TRIPLE_WORDS

if TYPE_CHECKING:
    import torch

ROWS = 16  # of a step that asks for triples
_SHORT_ROWS = 32  # of one that asks for descriptions
_SHORT_STEPS = 0.15  # the share of these steps
_TRIPLES: tuple[LessonKind, ...] = ("ids", "descriptions")
_NO_REPLY = -100  # what the loss passes over


@dataclass(frozen=True, slots=True)
class LessonBatch:
    """A batch of conversations, padded on the right."""

    pixels: "torch.Tensor | None"  # (pictures, 3, side, side) float32, of the rows that are shown theirs, in order
    ids: "torch.Tensor"  # (rows, tokens) int64
    targets: "torch.Tensor"  # (rows, tokens) int64: the next token where it is to be said, else -100
    has_picture: "torch.Tensor"  # (rows,) bool


@dataclass(frozen=True, slots=True)
class Turn:
    """A lesson with the reply that was drawn, and whether the picture is shown."""

    lesson: Lesson
    reply: tuple[int, ...]
    shown: bool


class LessonBook:
    """Lessons by what they ask for."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self._by_kind: Mapping[LessonKind, list[Lesson]] = {
            kind: [one for one in lessons if one.kind == kind] for kind in KINDS
        }

    def batch(self, seed: int, step: int, rows: int | None = None) -> LessonBatch:
        """The batch of a step: triples in both modes, with the picture and without, or descriptions of both kinds."""
        rng = np.random.default_rng([seed, step])
        short = rows is None and rng.random() < _SHORT_STEPS
        kinds: tuple[LessonKind, ...] = ("describe", "imagine") if short else _TRIPLES
        count = rows or (_SHORT_ROWS if short else ROWS)
        return as_batch([self._turn(kinds[k % 2], k, rng, short=short) for k in range(count)])

    def check(self, kind: LessonKind, rows: int, *, shown: bool) -> LessonBatch:
        """The first lessons of a kind with their first replies."""
        return as_batch([Turn(one, one.replies[0], shown) for one in self._by_kind[kind][:rows]])

    def _turn(self, kind: LessonKind, place: int, rng: np.random.Generator, *, short: bool) -> Turn:
        lessons = self._by_kind[kind]
        lesson = lessons[int(rng.integers(len(lessons)))]
        reply = lesson.replies[int(rng.integers(len(lesson.replies)))]
        return Turn(lesson, reply, short or place // 2 % 2 == 0)


def as_batch(turns: Sequence[Turn]) -> LessonBatch:
    """Turns as tensors."""
    import torch

    rows = [[START_ID, *[IMAGE_ID] * (PREFIX - 1) * one.shown, *one.lesson.prompt, ANSWER_ID] for one in turns]
    longest = max(len(row) + len(one.reply) for row, one in zip(rows, turns, strict=True))
    ids = np.full((len(turns), longest), PAD_ID)
    targets = np.full((len(turns), longest), _NO_REPLY)
    for place, (row, one) in enumerate(zip(rows, turns, strict=True)):
        ids[place, : len(row) + len(one.reply)] = [*row, *one.reply]
        targets[place, len(row) - 1 : len(row) + len(one.reply)] = [*one.reply, END_ID]
    shown = [one.lesson.pixels for one in turns if one.shown]
    return LessonBatch(
        as_processed(shown) if shown else None,
        torch.from_numpy(ids),
        torch.from_numpy(targets),
        torch.tensor([one.shown for one in turns]),
    )


def know_triple_words(vlm: Any) -> None:
    """Gives the words that only a writer of triples needs a meaning to begin with; there is room for them."""
    import torch

    with torch.no_grad():
        vlm.get_input_embeddings().weight[len(TEACHER_WORDS) : len(TRIPLE_WORDS)].normal_(0, WIDTH**-0.5)


def reply_logits(vlm: Any, batch: LessonBatch) -> "torch.Tensor":
    """`(replies' tokens, words)`: what the model would say at each place where something is to be said, in order."""
    embedded = vlm.get_input_embeddings()(batch.ids)
    if batch.pixels is not None:
        features = patch_features(vlm, batch.pixels).to(embedded.dtype)
        embedded = embedded.masked_scatter((batch.ids == IMAGE_ID)[..., None].expand_as(embedded), features)
    # Padding stands behind everything that is said, where a causal model never looks.
    made = vlm.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    logits: torch.Tensor = vlm.lm_head(made[batch.targets != _NO_REPLY])
    return logits


def reply_loss(vlm: Any, batch: LessonBatch) -> "torch.Tensor":
    """Cross entropy of the replies' words."""
    import torch
    from torch.nn import functional

    with torch.autocast("cpu", torch.bfloat16):
        logits = reply_logits(vlm, batch)
    return functional.cross_entropy(logits.float(), batch.targets[batch.targets != _NO_REPLY])


def reply_accuracy(vlm: Any, book: LessonBook, rows: int) -> dict[str, float]:
    """The share of words that are right when the words before are given, by kind of lesson and with what is shown."""
    import torch

    shares: dict[str, float] = {}
    with torch.no_grad():
        for kind in KINDS:
            for shown in (True, False) if kind in _TRIPLES else (True,):
                batch = book.check(kind, rows, shown=shown)
                right = reply_logits(vlm, batch).argmax(-1) == batch.targets[batch.targets != _NO_REPLY]
                shares[f"{kind}, {'seeing' if shown else 'blind'}"] = float(right.float().mean())
    return shares
