"""What is to be published, checked before anything is sent: a finished run, a whole corpus, a card that says enough."""

import hashlib
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cards.assembling import FinishedFacts
from cards.card import CARD_NAME, has_markers, read_edits, with_edits
from cards.files import CHUNK_BYTES, FileDigest
from cards.hub.plan import LocalFile
from cards.reading import MANIFEST_NAME, CorpusManifest, read_manifest
from cards.takedown import images_of
from cards.takedowns import taken_down_images
from cards.withholding import public_copy
from ostensive.errors import OstensiveError, SettingsError
from ostensive.files import write_text
from ostensive.recipe import CorpusSettings, Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.build import finished_run
from ostensive.run.folder import RunFolder

_AGAIN: Final = "run `ostensive build` with this folder as --out again, which writes the corpus anew"
_LICENCE_FILES: Final = ("LICENSE", "LICENSE.md")


@dataclass(frozen=True, slots=True)
class LocalCorpus:
    """A corpus that may be published."""

    folder: Path  # of what is sent: that of the corpus, or of a copy of it without some pictures
    card_path: Path  # of the card that people edit here
    manifest: CorpusManifest
    settings: CorpusSettings
    card: str  # to be sent
    files: tuple[LocalFile, ...]  # all but the card, the manifest last
    left_out: tuple[str, ...]  # what lies in the folder and is described nowhere

    def keep_card(self, text: str) -> None:
        """Keep what was merged into the card, so that the next build has it."""
        if self.card_path.parent != self.folder:
            write_text(self.folder / CARD_NAME, text)
            text = with_edits(self.card_path.read_text("utf-8"), read_edits(text, "the card"))
        write_text(self.card_path, text)

    def check_content(self, paths: Collection[str]) -> None:
        """Raises `OstensiveError` where a file does not have the bytes that the manifest tells."""
        for file in self.files:
            if file.path in paths and digest_of(self.folder / file.path).sha256 != file.sha256:
                raise OstensiveError(
                    f"{self.folder / file.path}: its bytes are not those of {MANIFEST_NAME}: it was changed or is"
                    f" damaged; remove {self.folder / MANIFEST_NAME} and {_AGAIN}"
                )

    def with_blob_ids(self, paths: Collection[str]) -> tuple[LocalFile, ...]:
        """The files, those of `paths` with git's name of their bytes; these are small."""
        return tuple(
            LocalFile(file.path, file.byte_count, file.sha256, blob_id((self.folder / file.path).read_bytes()))
            if file.path in paths
            else file
            for file in self.files
        )


def local_corpus(run: RunFolder, recipe: Recipe, kind: RecipeKind) -> LocalCorpus:
    """The corpus of a run, whose recipe is `recipe`; reads no file's content but the card's.

    Where a licence does not allow to pass pictures on it is a copy without them, which is made in the run folder.
    Raises `SettingsError` for a run that is not finished or has no corpus and where the recipe does not say enough,
    `OstensiveError` for a corpus that is empty, not of the run as it is now, or not whole.
    """
    finished_run(run.path)
    folder, settings = run.corpus_path, recipe.corpus
    manifest = read_manifest(folder)
    if manifest is None:
        raise SettingsError(f"{run.path} has no finished corpus; {_AGAIN}")
    _check_takedowns(run, folder, manifest)
    finished = FinishedFacts.of(run, recipe)
    if not finished.is_current(taken_down_images(run.path)):
        raise OstensiveError(f"{folder} is not of this run as it is now, or of another version of Ostensive; {_AGAIN}")
    if not manifest.rows:
        raise OstensiveError(f"{folder} holds no row, and there is nothing to publish; its card says where rows went")
    if settings.contact is None:
        raise SettingsError(
            f"corpus.contact is not set in {run.recipe_path}: a card names to whom somebody writes who wants a picture"
            " removed; run `ostensive build` again with --set corpus.contact=ADDRESS"
        )
    card, files = _card(folder), _files(folder, manifest, settings)
    left_out = _left_out(folder, files)
    if (copied := public_copy(finished, kind, manifest)) is None:
        return LocalCorpus(folder, folder / CARD_NAME, manifest, settings, card, files, left_out)
    for name in _own_files(settings):
        shutil.copyfile(folder / name, copied.folder / name)
    files = _files(copied.folder, copied.manifest, settings)
    if has_markers(card):  # otherwise what people wrote cannot be told, which the merging says
        card = copied.card
    return LocalCorpus(copied.folder, folder / CARD_NAME, copied.manifest, settings, card, files, left_out)


def _check_takedowns(run: RunFolder, folder: Path, manifest: CorpusManifest) -> None:
    gone = taken_down_images(run.path)
    left = gone & images_of(folder, manifest) if gone else None
    if left:
        image_id = min(left)
        raise OstensiveError(
            f"{folder} still holds the image {image_id[:16]}, which was taken down; run `ostensive takedown` with it"
            " again, which completes that"
        )


def _card(folder: Path) -> str:
    path = folder / CARD_NAME
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise OstensiveError(f"{path}: is gone; {_AGAIN}") from error
    except UnicodeDecodeError as error:
        raise OstensiveError(
            f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8, and run the same command again"
        ) from error


def _files(folder: Path, manifest: CorpusManifest, settings: CorpusSettings) -> tuple[LocalFile, ...]:
    files = [LocalFile(file.path, file.byte_count, file.sha256) for file in manifest.files]
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise OstensiveError(f"{path}: {MANIFEST_NAME} lists it, and it is gone; {_AGAIN}")
        if path.stat().st_size != file.byte_count:
            raise OstensiveError(
                f"{path}: has {path.stat().st_size:,} bytes, and {MANIFEST_NAME} says {file.byte_count:,}: it was"
                f" changed or is damaged; remove {MANIFEST_NAME} and {_AGAIN}"
            )
    for name in (*_own_files(settings), MANIFEST_NAME):
        path = folder / name
        if not path.is_file():
            raise OstensiveError(f"{path}: corpus.license_link names it, and it is not there; put it there")
        found = digest_of(path)
        files.append(LocalFile(name, found.byte_count, found.sha256))
    return tuple(files)


def _own_files(settings: CorpusSettings) -> list[str]:
    """Files that a person put into the corpus and the recipe names."""
    return [settings.license_link] if settings.license_link in _LICENCE_FILES else []


def _left_out(folder: Path, files: Sequence[LocalFile]) -> tuple[str, ...]:
    known = {file.path for file in files} | {CARD_NAME}
    paths = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return tuple(sorted(path.as_posix() for path in paths if path.as_posix() not in known and path.parts[0][0] != "."))


def digest_of(path: Path) -> FileDigest:
    """A file as it is now."""
    found = hashlib.sha256()
    byte_count = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
            byte_count += len(chunk)
    return FileDigest(byte_count, found.hexdigest())


def blob_id(data: bytes) -> str:
    """What git calls a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
