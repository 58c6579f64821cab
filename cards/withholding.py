"""The copy of a corpus that is published where the licence of some of its pictures does not allow to pass them on.

The corpus of a run is for its owner, who may look at these pictures and train on them, and stays whole. The copy lies
beside it, in `public/` of the run folder. It has every row; those of a withheld picture name it by the SHA-256 of its
file (`image_id`) and by where it was found. In `data/` the column `image` has null for it, so that one configuration
still has every image with all that was said of it; to leave these samples out of `data/` would have hidden the regions
of their rows. No shard holds them, since a reader of a tar expects a picture in each of its samples.

Files that hold none of these pictures are the corpus' own, by hard links where the disk can. The copy is made anew
where the corpus is another than it was made from; otherwise only what people wrote into the card is taken over.
"""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from cards.assembling import FinishedFacts
from cards.card import CARD_NAME, with_edits, without_edits
from cards.description import card_edits, form_of, write_description
from cards.reading import CorpusManifest, read_manifest
from cards.removal import ImageRemoval, link, splits_of
from cards.statistics.from_files import statistics_of
from ostensive.errors import SettingsError
from ostensive.files import new_folder, storage_errors, write_text
from ostensive.licenses import forbids_publishing
from ostensive.recipe_kind import RecipeKind
from ostensive.version import VERSION

PUBLIC_NAME: Final = "public"
_MADE_FROM: Final = ".made-from"


@dataclass(frozen=True, slots=True)
class PublicCopy:
    """A corpus without the pictures that may not be passed on."""

    folder: Path
    manifest: CorpusManifest
    card: str


def public_copy(finished: FinishedFacts, kind: RecipeKind, manifest: CorpusManifest) -> PublicCopy | None:
    """The copy of the corpus of a run, whose manifest is `manifest`; None, and no copy, where nothing is withheld."""
    run = finished.run
    folder, corpus = run.path / PUBLIC_NAME, run.corpus_path
    with storage_errors(run.path):
        if not any(map(forbids_publishing, manifest.statistics.images_by_field.get("license", {}))):
            remove_copy(run.path)
            return None
        made_from = hashlib.sha256(f"{VERSION}\n{manifest.to_json()}".encode()).hexdigest()
        if (there := _read(folder, made_from)) is None:
            remove_copy(run.path)
            with new_folder(folder) as staged:
                _write(staged, finished, kind, manifest)
                (staged / _MADE_FROM).write_text(_mark(made_from, (staged / CARD_NAME).read_text("utf-8")), "utf-8")
            there = _read(folder, made_from)
            assert there is not None, "it was made"
        card = with_edits(there.card, card_edits(corpus / CARD_NAME))
        write_text(folder / CARD_NAME, card)
    return replace(there, card=card)


def remove_copy(run: Path) -> None:
    """Removes the copy that lies in the run folder `run`; raises `SettingsError` for a folder that is none of ours."""
    folder = run / PUBLIC_NAME
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not (folder / _MADE_FROM).is_file():
        raise SettingsError(f"{folder} is not a copy that ostensive made; move it away, for its place is needed")
    shutil.rmtree(folder)


def withheld_images(folder: Path, manifest: CorpusManifest) -> Mapping[str, str]:
    """The images of the corpus in `folder` that may not be passed on, by id, with their licence."""
    found: dict[str, str] = {}
    for file in manifest.files_of("rows"):
        table = pq.read_table(folder / file.path, columns=["image_id", "image_license"])
        for image_id, licence in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if image_id not in found and licence is not None and forbids_publishing(licence):
                found[image_id] = licence
    return found


def _write(staged: Path, finished: FinishedFacts, kind: RecipeKind, manifest: CorpusManifest) -> None:
    """Lays the copy out in `staged`."""
    corpus, facts = finished.run.corpus_path, finished.facts()
    form, withheld = form_of(kind, facts), withheld_images(corpus, manifest)
    for name in {Path(file.path).parent for file in manifest.files}:
        (staged / name).mkdir(parents=True, exist_ok=True)
    removal = ImageRemoval(corpus, staged, manifest.name, form, frozenset(withheld), pictures_alone=True)
    left = [removal.without_images(split) for split in splits_of(manifest)]
    files = tuple(file for split in left for file in split.files)
    for file in files:
        if not (staged / file.path).exists():
            link(corpus / file.path, staged / file.path)
    figures = statistics_of(staged, replace(manifest, files=files), kind)  # those of the corpus, with its examples
    assert (figures.images, figures.rows) == (manifest.images, manifest.rows), "no row is withheld"
    copied = replace(
        manifest,
        splits=tuple(split.counts for split in left),
        files=files,
        statistics=figures,
        withheld=dict(sorted(Counter(withheld.values()).items())),
        withheld_rows=removal.row_count(manifest),
    )
    edits = card_edits(corpus / CARD_NAME)
    write_description(staged, copied, form, settings=finished.recipe.corpus, facts=facts, edits=edits)


def _read(folder: Path, made_from: str) -> PublicCopy | None:
    """The copy that is there; None where it is of something else, or was touched."""
    manifest = read_manifest(folder)
    try:
        card = (folder / CARD_NAME).read_text("utf-8")
        mark = (folder / _MADE_FROM).read_text("utf-8")
        is_whole = manifest is not None and all(
            (folder / file.path).stat().st_size == file.byte_count for file in manifest.files
        )
    except (OSError, UnicodeDecodeError):
        return None
    if manifest is None or not is_whole or mark != _mark(made_from, card):
        return None
    return PublicCopy(folder, manifest, card)


def _mark(made_from: str, card: str) -> str:
    return f"{made_from}\n{hashlib.sha256(without_edits(card).encode()).hexdigest()}\n"
