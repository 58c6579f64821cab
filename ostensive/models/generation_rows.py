"""The texts that a model is to write, and which of them may share a batch."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image

from ostensive.chat.records import Conversation
from ostensive.models.shared_prefix import CutPrompt


@dataclass(frozen=True, slots=True)
class Row:
    """One text to be generated. Rows of one `group` begin alike, images included, which the model reads once."""

    index: int  # of its conversation
    group: int  # the index of the first row of it
    conversation: Conversation
    prompt: str
    cut: CutPrompt | None  # None where a group has one prompt, whole

    @property
    def images(self) -> tuple[PIL.Image.Image, ...]:
        return pictures_of(self.conversation)


def runs_of(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Rows that may share a batch, shortest prompt first; images of like size meet, for some models cut them up.

    Where groups have several rows, a run holds whole ones, so that none is torn apart between two batches of `size`.
    """
    samples = Counter(row.group for row in rows)
    kinds: dict[tuple[int, bool, int], list[Row]] = {}
    for row in rows:
        # Whole prompts need equal numbers of samples; those that go on from a prefix are rows of their own.
        kind = (row.conversation.sampling.max_tokens, bool(row.images), 0 if row.cut else samples[row.group])
        kinds.setdefault(kind, []).append(row)
    runs = []
    for kind in sorted(kinds):
        run = sorted(kinds[kind], key=_length)
        runs += [run] if kind[2] == 1 else _packed(run, size)
    return runs


def _packed(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Whole groups of `rows`, in order, in runs of at most `size`; a group that is larger is a run of its own."""
    runs: list[list[Row]] = []
    for _, found in itertools.groupby(rows, key=lambda row: row.group):
        group = list(found)
        if runs and len(runs[-1]) + len(group) <= size:
            runs[-1] += group
        else:
            runs.append(group)
    return runs


def samples_each(rows: Sequence[Row]) -> int:
    """How many rows of each group follow each other, where these are the same in number; else 1."""
    counts = Counter(row.group for row in rows)
    return next(iter(counts.values())) if len(set(counts.values())) == 1 else 1


def head_of(row: Row) -> str:
    """The part of the prompt that its group has in common."""
    return row.prompt if row.cut is None else row.cut.head


def _length(row: Row) -> tuple[int, int, float, int, int, int]:
    return (
        len(row.images),
        len(head_of(row)),
        sum(max(image.size) / min(image.size) for image in row.images),
        row.group,
        len(row.prompt),
        row.index,
    )


def pictures_of(conversation: Conversation) -> tuple[PIL.Image.Image, ...]:
    """The decoded pictures of a conversation, in order."""
    images = conversation.images
    assert all(isinstance(image, PIL.Image.Image) for image in images), "files are decoded before"
    return images  # type: ignore[return-value]  # just looked at
