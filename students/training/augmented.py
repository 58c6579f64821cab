"""Rows that TRL trains on whose pictures are drawn each time that they are seen, with another draw in each epoch.

TRL takes a table of `datasets` alone. This one holds where each row is in the corpus; a transform makes the row when
the trainer asks for it. What is drawn follows from seed, epoch and row, so that a training that goes on sees what one
that was not stopped would have seen.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self  # Any: rows as datasets gives them, TRL and transformers type their classes in part

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.image_slots import SlotError
from ostensive.recipe_kind import RecipeKind, View
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.user_paths import shown_path
from students.data.drawn import DrawnRow, RegionAugmentation
from students.data.mapped import CorpusRows, corpus_rows, draw_for
from students.exporting import UNUSABLE, Exported
from students.rows import Json, preference_row, prompt_completion_rows
from students.training.settings import StudentSettings
from students.training.token_loss import IS_RATIONALE

_DETAILS: Final = 5
_NEARLY_ONE: Final = 1e-6  # an epoch that ended is a sum of shares of its steps


@dataclass(slots=True)
class _Drawing:
    """Makes rows for TRL of their places in the corpus: the transform of the table.

    Places below 0 are those of `others`, from its first row, -1, on: these are as they are.
    """

    rows: CorpusRows
    augmentation: RegionAugmentation
    view: View
    seed: int
    others: Any  # a datasets.Dataset, or None
    epoch: int = 0

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        kinds = {IS_RATIONALE: [*batch[IS_RATIONALE]]} if IS_RATIONALE in batch else {}
        if "place" not in batch:  # one column is asked for
            return kinds
        made = [
            self._row(place, part) if place >= 0 else self.others[-place - 1]
            for place, part in zip(batch["place"], batch["part"], strict=True)
        ]
        names = [name for name in made[0] if all(name in row for row in made)]
        return {**{name: [row[name] for row in made] for name in names}, **kinds}

    def __deepcopy__(self, memo: object) -> Self:
        """The same: tables copy what they hold, and the epoch is to reach all of them."""
        return self

    def _row(self, place: int, part: int) -> Json:
        row = self.rows.row(place)
        drawn = self.augmentation(row, draw_for(self.seed, self.epoch, f"{row.row_id}/{part}"))
        made = list(_made(drawn, self.view))[part]
        return {**made, "images": [drawn.picture], "row_id": drawn.row_id, "image_id": drawn.image_id}


@dataclass(frozen=True, slots=True)
class AugmentedRows:
    """The table for the trainer, what became of the corpus's rows, and what has to hear of epochs."""

    dataset: Any  # a datasets.Dataset
    exported: Exported
    drawing: _Drawing
    are_rationales: tuple[bool, ...]  # of the corpus's rows: whether each says why an answer holds

    def callbacks(self) -> list[Any]:
        """A callback for the trainer: without it every epoch shows the same."""
        from transformers.trainer_callback import TrainerCallback

        drawing = self.drawing

        class Epochs(TrainerCallback):
            def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
                drawing.epoch = int((state.epoch or 0) + _NEARLY_ONE)

        return [Epochs()]


def augmented_rows(
    corpus: Corpus,
    kind: RecipeKind,
    view: View,
    settings: StudentSettings,
    *,
    others: Any = None,
    has_kinds: bool = False,
) -> AugmentedRows:
    """The rows of the training split of `corpus` in the form `view`, drawn as `settings.augmentation` says.

    After them come the rows of the table `others`, which are not drawn; `has_kinds` adds the column `is_rationale`.
    Raises `SettingsError` where there is no row that can be trained on.
    """
    import datasets

    if DEFAULT_SPLIT not in corpus.splits:
        check_any(Exported(dict.fromkeys(corpus.splits, 0), {}, ()), corpus)
    augmentation = RegionAugmentation(kind, settings.augmentation)
    rows = corpus_rows(corpus, kind, split=DEFAULT_SPLIT)
    lost, details = Counter[str](), list[str]()
    table: dict[str, list[int]] = {"place": [], "part": []}
    for place, candidate in enumerate(rows.candidates()):
        try:
            parts = _parts(candidate, kind, view)
        except SlotError as error:
            lost[UNUSABLE] += 1
            details += [f"{candidate.row_id}: {error}"] if len(details) < _DETAILS else []
            continue
        table["place"] += [place] * parts
        table["part"] += range(parts)
    exported = Exported({DEFAULT_SPLIT: len(table["place"])}, dict(lost), tuple(details))
    check_any(exported, corpus)
    # What comes after a first reply says why it holds.
    are_rationales = tuple(part > 0 for part in table["part"])
    count = 0 if others is None else len(others)
    columns: dict[str, Any] = {
        "place": [*table["place"], *range(-1, -count - 1, -1)],
        "part": [*table["part"], *[0] * count],
    }
    features = {"place": datasets.Value("int64"), "part": datasets.Value("int16")}
    if has_kinds:
        columns[IS_RATIONALE] = [*are_rationales, *[False] * count]
        features[IS_RATIONALE] = datasets.Value("bool")
    drawing = _Drawing(rows, augmentation, view, settings.seed, others)
    dataset = datasets.Dataset.from_dict(columns, features=datasets.Features(features)).with_transform(drawing)
    return AugmentedRows(dataset, exported, drawing, are_rationales)


def check_any(exported: Exported, corpus: Corpus) -> None:
    """Raises `SettingsError` where no row of the training split can be trained on."""
    if not exported.rows.get(DEFAULT_SPLIT):
        raise SettingsError(
            f"{shown_path(corpus.path)}: has no row of the split {DEFAULT_SPLIT} that can be trained on; there are"
            f" {', '.join(exported.rows) or 'none at all'}"
        )


def _parts(candidate: Any, kind: RecipeKind, view: View) -> int:
    """How many rows for TRL a row of the corpus makes; raises `SlotError` for one that cannot be trained on."""
    if view == "preference":
        assert kind.preference is not None, "a recipe with this view has pairs"
        preference_row(kind.preference(candidate))
        return 1
    return sum(1 for turns in kind.conversations(candidate) for _ in prompt_completion_rows(turns))


def _made(row: DrawnRow, view: View) -> Iterator[Json]:
    if view != "preference":
        for turns in row.conversations:
            yield from prompt_completion_rows(turns)
    elif row.preference is not None:
        yield preference_row(row.preference)
