"""What is counted of a corpus, batch by batch: whole numbers that add up, in whatever order batches come.

A tally says how often each value of a figure stands. Values are whole numbers where a figure is one (words of a text,
regions of a row), places of bins where it is a share, and texts. So what is kept of a million rows is as little as what
is kept of a thousand, but for the words, of which every different one has an entry.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final  # Any: pyarrow and numpy arrays, which have no types here; values of a figure

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cards.samples import mentions_of
from cards.statistics.figures import NOT_GIVEN, SMALL_BOX_AREA
from cards.statistics.question_types import question_types
from cards.statistics.words import openings_of, telling_words, words_of
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import AREA_LABEL

BINS: Final = 20
"""Of a share, 0-1."""
BY_IMAGE: Final = ("source", "license")  # fields of `Annotation` that are of the image
MENTIONED: Final = "regions mentioned"
CRITICS_BETWEEN: Final = "\x1f"
_DIGITS: Final = 9  # to which shares are rounded before they go into a bin: 0.3 - 0.1 is a little below 0.2
_OPENING_WORDS: Final = 2


@dataclass(slots=True)
class Tallies:
    """How often each value stands, by figure and, where there are several, by what it is a figure of."""

    counts: dict[tuple[str, str], Counter[Any]] = field(default_factory=lambda: defaultdict(Counter))

    def __getitem__(self, key: tuple[str, str]) -> Counter[Any]:
        return self.counts.get(key, Counter())

    def add(self, figure: str, of: str, counts: Mapping[Any, int]) -> None:
        """Adds counts to a figure."""
        self.counts[figure, of].update(counts)

    def take(self, other: "Tallies") -> None:
        """Adds all of another to this one."""
        for (figure, of), counts in other.counts.items():
            self.add(figure, of, counts)

    def of(self, figure: str) -> dict[str, Counter[Any]]:
        """All that a figure is of, by name."""
        return {of: counts for (name, of), counts in sorted(self.counts.items()) if name == figure}


def text_table(shown: Iterable[Sequence[ShownText]], parts: Sequence[str]) -> pa.Table:
    """The texts of rows as columns: a list of texts for each part, and how many distinct regions a row mentions."""
    # Flat lists of strings and numbers: the garbage collector would go through a list for each row again and again.
    texts: dict[str, list[str]] = {part: [] for part in parts}
    offsets: dict[str, list[int]] = {part: [0] for part in parts}
    mentioned: list[int] = []
    for of_row in shown:
        for text in of_row:
            if text.name in texts:
                texts[text.name].append(text.text)
        for part, ends in offsets.items():
            ends.append(len(texts[part]))
        mentioned.append(len(mentions_of(of_row)))
    columns = [
        pa.ListArray.from_arrays(pa.array(offsets[part], pa.int32()), pa.array(texts[part], pa.string()))
        for part in parts
    ]
    return pa.table([*columns, pa.array(mentioned, pa.int64())], names=[*parts, MENTIONED])


def tallies_of(samples: pa.Table, texts: pa.Table, kind: RecipeKind) -> Tallies:
    """What there is to count of a batch.

    `samples` has columns of a corpus' samples, `rows` at least; `texts` is the `text_table` of all of their rows.
    """
    tallies = Tallies()
    rows = pc.list_flatten(samples.column("rows").combine_chunks())
    assert len(rows) == len(texts), f"{len(rows)} rows with the texts of {len(texts)}"
    tallies.add("rows of an image", "", _value_counts(pc.list_value_length(samples.column("rows"))))
    tallies.add(MENTIONED, "", _value_counts(texts.column(len(kind.parts))))
    for place, part in enumerate(kind.parts):
        _count_texts(tallies, pc.list_flatten(texts.column(place).combine_chunks()), kind, part)
    _count_fields(tallies, rows, kind)
    _count_judgements(tallies, rows.field("judgements"))
    if "regions" in samples.column_names:
        _count_regions(tallies, pc.list_flatten(samples.column("regions").combine_chunks()))
    _count_annotations(tallies, samples)
    return tallies


def _count_texts(tallies: Tallies, texts: Any, kind: RecipeKind, part: str) -> None:
    words = words_of(texts, has_tags=kind.has_regions)
    tallies.add("words", part, _counts_of(words.counts))
    tallies.add("word", part, telling_words(words))
    if part == kind.parts[0]:
        tallies.add("opening", part, openings_of(words, _OPENING_WORDS))
        tallies.add("first word", part, openings_of(words, 1))
        tallies.add("question type", part, question_types(texts))


def _count_fields(tallies: Tallies, rows: Any, kind: RecipeKind) -> None:
    for name in kind.counted_fields:
        counts = _value_counts(rows.field(name))
        # A field that most rows have empty is a mark.
        named = {NOT_GIVEN if value is None else str(value): n for value, n in counts.items() if value != ""}
        tallies.add("rows by field", name, named)
    for name in kind.averaged_fields:
        values = pc.drop_null(rows.field(name)).cast(pa.float64()).to_numpy(zero_copy_only=False)
        _add_mean(tallies, "field", name, values)


def _count_judgements(tallies: Tallies, judgements: Any) -> None:
    names = _in_lists(judgements, pc.list_flatten(judgements).field("critic"))
    tallies.add("critics of a row", "", _value_counts(pc.binary_join(names, CRITICS_BETWEEN)))
    flat = pc.list_flatten(judgements)
    critics = flat.field("critic").dictionary_encode()
    codes = critics.indices.to_numpy(zero_copy_only=False)
    probabilities = flat.field("accept_probability").to_numpy(zero_copy_only=False)
    for code, critic in enumerate(critics.dictionary.to_pylist()):
        found = probabilities[codes == code]
        _add_mean(tallies, "acceptance probability", critic, found)
        tallies.add("acceptance bin", critic, _bins(found))
        tallies.add("graded", critic, {True: int(np.count_nonzero((found > 0) & (found < 1)))})


def _count_regions(tallies: Tallies, regions: Any) -> None:
    box = regions.field("box")
    x1, y1, x2, y2 = (box.field(name).to_numpy(zero_copy_only=False) for name in ("x1", "y1", "x2", "y2"))
    shares = {"width": x2 - x1, "height": y2 - y1, "area": (x2 - x1) * (y2 - y1)}
    for name, values in shares.items():
        tallies.add("box", name, _bins(values))
    tallies.add("small boxes", "", {True: int(np.count_nonzero(shares["area"] <= SMALL_BOX_AREA))})
    labels = _value_counts(regions.field("label"))
    tallies.add("unlabelled", "", {True: labels.pop(AREA_LABEL, 0)})
    tallies.add("label", "", labels)


def _count_annotations(tallies: Tallies, samples: pa.Table) -> None:
    images = len(samples)
    if "annotations" not in samples.column_names:
        for name in BY_IMAGE:
            tallies.add("images by field", name, {NOT_GIVEN: images})
        return
    items = samples.column("annotations").combine_chunks()
    parents = pc.list_parent_indices(items).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(items)
    tallies.add("annotations", "", {True: len(flat)})
    for name in BY_IMAGE:
        values = flat.field(name)
        given = pc.fill_null(pc.not_equal(values, ""), fill_value=False)
        _, first = np.unique(parents[given.to_numpy(zero_copy_only=False)], return_index=True)
        tallies.add("images by field", name, _value_counts(values.filter(given).take(pa.array(first))))
        tallies.add("images by field", name, {NOT_GIVEN: images - len(first)})


def _in_lists(lists: Any, values: Any) -> Any:
    """`values` in lists as long as those of `lists`, whose flat values they stand for."""
    offsets = np.concatenate(([0], np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _add_mean(tallies: Tallies, figure: str, of: str, values: Any) -> None:
    """As whole millionths, because a sum of floats depends on their order."""
    tallies.add(f"{figure}, values", of, {True: len(values)})
    tallies.add(f"{figure}, millionths", of, {True: int(np.rint(values * 1e6).astype(np.int64).sum())})


def _bins(shares: Any) -> dict[int, int]:
    """How many of the shares are in each of `BINS` bins; what is outside of 0-1 goes to the nearest."""
    places = np.floor(np.round(shares, _DIGITS) * BINS + 10.0**-_DIGITS).astype(np.int64)
    return _counts_of(np.clip(places, 0, BINS - 1))


def _counts_of(numbers: Any) -> dict[int, int]:
    values, counts = np.unique(numbers, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _value_counts(values: Any) -> dict[Any, int]:
    found = pc.value_counts(values)
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
