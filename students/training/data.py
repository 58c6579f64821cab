"""The rows that a student is trained on: those of its corpus, and what is mixed with them."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: datasets ships no types; JSON values

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.json_text import parse_json
from ostensive.rationale_replay import explanation_weight
from ostensive.recipe_kind import RecipeKind, View
from ostensive.run.splits import DEFAULT_SPLIT
from students.exporting import Exported, export
from students.tables import read_tables
from students.training.augmented import augmented_rows, check_any
from students.training.folder import corpus_digest
from students.training.foreign_rows import open_rows
from students.training.other_rows import (
    OWN_ITEMS,
    OtherRows,
    ReplayedCorpus,
    data_digest,
    draw_foreign,
    draw_items,
    draw_replayed,
)
from students.training.settings import StudentSettings
from students.training.token_loss import IS_RATIONALE

VIEWS: Final[Mapping[str, View]] = {"sft": "prompt-completion", "dpo": "preference"}
_CORPUS, _REPLAY, _ITEMS, _SOURCE, _COUNTS = "corpus", "replay", "items", "replayed-corpus", "counts.json"


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """What there is to train on: rows of the corpus, and of other sources where they are mixed in."""

    corpus: int
    lost: Mapping[str, int]  # rows of the corpus that could not be used, by reason
    replay: OtherRows | None = None
    items: OtherRows | None = None
    explanation_weight: float | None = None  # b of ILLUME's loss


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What a trainer is given, and what has to hear of its epochs."""

    table: Any  # a datasets.Dataset
    callbacks: tuple[Any, ...] = ()  # of transformers


def other_data_digests(settings: StudentSettings, replayed: ReplayedCorpus | None) -> dict[str, str]:
    """What the other sources hold, for telling one training from another; empty where there are none.

    Raises `SettingsError` for a source that is not there.
    """
    digests = {}
    if settings.replay is not None:
        if replayed is None and (Path(settings.replay.data) / "recipe.yaml").is_file():
            raise SettingsError("replay.data: is the folder of a run, whose corpus has to be given with its recipe")
        digests["replay"] = (
            corpus_digest(replayed.corpus) if replayed else data_digest(settings.replay.data, "replay.data")
        )
    if settings.rationale_loss is not None and settings.rationale_loss.items is not None:
        digests["items"] = data_digest(settings.rationale_loss.items, "rationale_loss.items")
    return digests


def write_rows(
    corpus: Corpus, kind: RecipeKind, settings: StudentSettings, folder: Path, replayed: ReplayedCorpus | None
) -> WrittenRows:
    """Writes all rows to `folder`, unless they are there. Raises `SettingsError` where there is nothing to train on."""
    counts = folder / _COUNTS
    if counts.exists():
        return _read_counts(counts)
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    exported, explained = _corpus_rows(corpus, kind, settings, folder)
    count = exported.rows[DEFAULT_SPLIT]
    written = WrittenRows(count, exported.lost, replay=_replayed(settings, folder, count, replayed))
    if settings.rationale_loss is not None:
        written = _with_items(written, settings, corpus, kind, folder, explained)
    write_text(counts, json.dumps(dataclasses.asdict(written)))
    return written


def read_rows(
    corpus: Corpus, kind: RecipeKind, settings: StudentSettings, folder: Path, written: WrittenRows
) -> TrainingRows:
    """The rows that `write_rows` left in `folder`, those of the corpus first."""
    import datasets

    others = [
        _dataset(folder / name, folder)
        for other, name in ((written.replay, _REPLAY), (written.items, _ITEMS))
        if other is not None and other.rows
    ]
    has_kinds = written.explanation_weight is not None
    if settings.regions == "augmented":
        drawn = augmented_rows(
            corpus,
            kind,
            VIEWS[settings.objective],
            settings,
            others=datasets.concatenate_datasets(others) if others else None,
            has_kinds=has_kinds,
        )
        return TrainingRows(drawn.dataset, tuple(drawn.callbacks()))
    own = _dataset(folder / _CORPUS / "data", folder)
    rows = datasets.concatenate_datasets([own, *others])
    if not has_kinds:
        return TrainingRows(rows)
    kinds = [*are_rationales(own), *[False] * (len(rows) - len(own))]
    return TrainingRows(rows.add_column(IS_RATIONALE, kinds))


def _corpus_rows(corpus: Corpus, kind: RecipeKind, settings: StudentSettings, folder: Path) -> tuple[Exported, int]:
    """What of the corpus can be trained on, and how many of these rows are rationales; written to `folder` unless they
    are drawn when they are seen."""
    view = VIEWS[settings.objective]
    if settings.regions == "augmented":
        drawn = augmented_rows(corpus, kind, view, settings)
        return drawn.exported, sum(drawn.are_rationales)
    exported = export(corpus, kind, view, folder / _CORPUS, regions=settings.regions)
    check_any(exported, corpus)
    is_needed = settings.rationale_loss is not None
    return exported, sum(are_rationales(_dataset(folder / _CORPUS / "data", folder))) if is_needed else 0


def are_rationales(rows: Any) -> list[bool]:
    """Of each row whether it says why an answer holds: it is not the first of its row of the corpus."""
    ids = rows["row_id"][:]
    return [row_id == before for before, row_id in zip([None, *ids], ids, strict=False)]


def _replayed(settings: StudentSettings, folder: Path, count: int, replayed: ReplayedCorpus | None) -> OtherRows | None:
    if settings.replay is None:
        return None
    source = Path(settings.replay.data)
    if replayed is not None:
        source = folder / _SOURCE
        found = export(replayed.corpus, replayed.kind, VIEWS["sft"], source)
        if not found.rows.get(DEFAULT_SPLIT):
            raise SettingsError(
                f"replay.data: {Path(settings.replay.data).name} has no row of the split {DEFAULT_SPLIT}"
            )
    wanted = max(1, round(settings.replay.ratio * count))
    return draw_replayed(settings.replay, folder / _REPLAY, wanted=wanted, seed=settings.seed, source=source)


def _with_items(
    written: WrittenRows,
    student: StudentSettings,
    corpus: Corpus,
    kind: RecipeKind,
    folder: Path,
    explained: int,
) -> WrittenRows:
    settings, seed = student.rationale_loss, student.seed
    assert settings is not None, "asked for"
    if not explained:
        raise SettingsError(
            f"rationale_loss: rows of {kind.name} have no rationale; leave it out, or take a corpus of rationales"
        )
    wanted = round(settings.replay * explained)
    name = OWN_ITEMS if settings.items is None else Path(settings.items).name
    if not wanted:
        items = OtherRows(name, 0, 0, {})
    elif settings.items is None:
        items = draw_items(corpus, kind, folder / _ITEMS, explained=explained, replay=settings.replay, seed=seed)
    else:
        images = None if settings.images is None else Path(settings.images)
        found = open_rows(Path(settings.items), images, "rationale_loss.items")
        items = draw_foreign(
            found, folder / _ITEMS, wanted=wanted, seed=seed, name=name, setting="rationale_loss.items"
        )
    weight = explanation_weight(items.rows, explained) if settings.weight is None else settings.weight
    return dataclasses.replace(written, items=items, explanation_weight=weight)


def _dataset(place: Path, folder: Path) -> Any:
    return read_tables(sorted(place.glob(f"{DEFAULT_SPLIT}-*.parquet")), folder / "cache")


def _read_counts(path: Path) -> WrittenRows:
    values = parse_json(path.read_text("utf-8"), strict=False)
    others = {name: OtherRows(**values[name]) for name in ("replay", "items") if values[name] is not None}
    return WrittenRows(**{**values, **others})
