"""Taking an image out of a finished corpus, with all of its rows: only the files that it is in are written anew.

It is recorded first, so that no build puts it back whatever happens next. The new files are laid out beside the corpus
(`staged`) with their manifest last, and then renamed into place: a kill before that manifest leaves the corpus as it
was, and after it the same call ends the renaming. Numbers of files close up where one is emptied, because the card and
`webdataset` name shards by a range without gaps, and `datasets` reads no tar that is empty.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final  # Any: a column's values

import pyarrow.parquet as pq

from cards.assembling import FinishedFacts
from cards.card import CARD_NAME
from cards.description import card_edits, form_of, write_description
from cards.reading import CorpusManifest, read_manifest
from cards.removal import ImageRemoval, splits_of
from cards.statistics.from_files import statistics_of_files
from cards.takedowns import Takedown, read_takedowns, taken_down_images, write_takedowns
from cards.withholding import remove_copy
from cards.writing import put_in_place
from ostensive.errors import OstensiveError, SettingsError
from ostensive.files import leftovers, remove, storage_errors, temporary_name
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import ImageRecord
from ostensive.run import partitions
from ostensive.run.build import finished_run
from ostensive.run.folder import RunFolder, locked_folder

_STAGED: Final = "takedown"
"""Of the temporary folder in the run folder. A build removes it, and writes the corpus without the image itself."""
_LEAST_DIGITS: Final = 8
_BUILD: Final = "run `ostensive build` with this folder as --out again, which leaves out what was taken down"


@dataclass(frozen=True, slots=True)
class TakenDown:
    """What taking an image down came to."""

    image_id: str
    rows: int  # that went with it
    changed: tuple[str, ...]  # files of the corpus that were written anew
    removed: tuple[str, ...]  # files whose names are gone
    images: int  # that are left
    rows_left: int


def take_down(run: RunFolder, recipe: Recipe, kind: RecipeKind, image: str, *, reason: str, day: str) -> TakenDown:
    """Takes the image `image`, its id or the beginning of it, out of the corpus of `run`, and records that.

    The same call after a kill completes it. Raises `SettingsError` for no finished run and for an image that it does
    not have, `OstensiveError` for a corpus that is not of the run as it is now.
    """
    finished_run(run.path)
    # As the run locks, but what was staged stays.
    with locked_folder(run.path, "another process is at work in this run"):
        for left in staged(run.path):
            _end_renaming(left, run.corpus_path)
        before = read_manifest(run.corpus_path)
        if before is None:
            raise SettingsError(f"{run.path} has no finished corpus; {_BUILD}")
        finished, there = FinishedFacts.of(run, recipe), images_of(run.corpus_path, before)
        image_id = _image_id(run, there, image)
        recorded = taken_down_images(run.path)
        # A kill may have come before the last one was remembered.
        gone = recorded - there
        if not any(finished.is_current(gone - {last}) for last in ("", *gone)):
            raise OstensiveError(f"{run.corpus_path} is not of this run as it is now; {_BUILD}")
        finished.remember(before, gone)
        rows = _row_count(run.corpus_path, before, image_id) if image_id in there else 0
        if image_id not in recorded:
            write_takedowns(run.path, (*read_takedowns(run.path), Takedown(image_id, rows, reason, day)))
        _remove_copy(run)
        after = _without(run, recipe, kind, before, finished, image_id) if rows else before
        finished.remember(after, gone | {image_id})
        run.log("taken down", {"image_id": image_id, "rows": rows})
    known = {file.sha256 for file in before.files}
    changed = tuple(file.path for file in after.files if file.sha256 not in known)
    names = {file.path for file in after.files}
    removed = tuple(file.path for file in before.files if file.path not in names)
    return TakenDown(image_id, rows, changed, removed, after.images, after.rows)


def staged(run: Path) -> list[Path]:
    """Where a takedown that was killed laid files out, one folder at most."""
    return leftovers(run, _STAGED)


def images_of(folder: Path, manifest: CorpusManifest) -> frozenset[str]:
    """The ids of all images of a corpus."""
    files = (folder / file.path for file in manifest.files_of("samples"))
    return frozenset(image_id for path in files for image_id in _image_ids(path))


def _end_renaming(left: Path, corpus: Path) -> None:
    """Completes what a kill interrupted, or removes what it left before it was whole."""
    with storage_errors(corpus):
        if not left.is_symlink() and (manifest := read_manifest(left)) is not None:
            put_in_place(left, corpus, manifest)
        remove(left)


def _remove_copy(run: RunFolder) -> None:
    """The copy for publishing may hold the image; the next publication makes it anew."""
    with storage_errors(run.path):
        remove_copy(run.path)


def _image_id(run: RunFolder, there: frozenset[str], given: str) -> str:
    """The whole id of which `given` is the beginning; raises `SettingsError`."""
    wanted = given.strip().lower()
    if len(wanted) < _LEAST_DIGITS:
        raise SettingsError(
            f"image {given!r:.80}: its image_id is expected, or the first {_LEAST_DIGITS} digits or more"
        )
    known = set(there) | taken_down_images(run.path)
    for path in run.paths_of(ImageRecord):
        known.update(partitions.read_column(path, "image_id", kept_only=True))
    found = sorted(image_id for image_id in known if image_id.startswith(wanted))
    if not found:
        raise SettingsError(
            f"image {given!r:.80}: {run.path} has no such image; its image_id stands in every row, and is the SHA-256"
            " of the file it was taken from"
        )
    if len(found) > 1:
        raise SettingsError(f"image {given!r:.80}: {len(found)} images begin so; give more digits, such as {found[0]}")
    return found[0]


def _row_count(folder: Path, manifest: CorpusManifest, image_id: str) -> int:
    return sum(_image_ids(folder / file.path).count(image_id) for file in manifest.files_of("rows"))


def _image_ids(path: Path) -> list[Any]:
    values: list[Any] = pq.read_table(path, columns=["image_id"]).column("image_id").to_pylist()
    return values


def _without(
    run: RunFolder,
    recipe: Recipe,
    kind: RecipeKind,
    manifest: CorpusManifest,
    finished: FinishedFacts,
    image_id: str,
) -> CorpusManifest:
    """Lays the corpus without the image out and renames it into place; returns its manifest."""
    folder, work, facts = run.corpus_path, run.path / temporary_name(_STAGED), finished.facts()
    form = form_of(kind, facts)
    with storage_errors(run.path):
        for name in {Path(file.path).parent for file in manifest.files}:
            (work / name).mkdir(parents=True, exist_ok=True)
        removal = ImageRemoval(folder, work, manifest.name, form, frozenset({image_id}))
        of_split = splits_of(manifest)
        left = [removal.without_images(split) for split in of_split]
        files = tuple(file for split in left for file in split.files)
        places = ((work / file.path, folder / file.path) for file in files if file.kind == "samples")
        figures = statistics_of_files((new if new.exists() else old for new, old in places), kind)
        after = replace(
            manifest,
            images=figures.images,
            rows=figures.rows,
            splits=tuple(split.counts for split in left),
            files=files,
            statistics=figures,
            taken_down_images=manifest.taken_down_images + 1,
            taken_down_rows=manifest.taken_down_rows + manifest.rows - figures.rows,
        )
        edits = card_edits(folder / CARD_NAME)
        after = write_description(work, after, form, settings=recipe.corpus, facts=facts, edits=edits)
        put_in_place(work, folder, after)
        shutil.rmtree(work)
    return after
