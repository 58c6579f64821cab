"""What is to be published, checked before anything is sent: a finished run, a whole corpus, a card that says enough."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cards.assembling import FinishedFacts
from cards.card import CARD_NAME
from cards.files import CHUNK_BYTES, FileDigest
from cards.hub.plan import LocalFile
from cards.reading import MANIFEST_NAME, CorpusManifest, read_manifest
from cards.takedown import images_of
from cards.takedowns import taken_down_images
from ostensive.errors import OstensiveError, SettingsError
from ostensive.licenses import forbids_publishing
from ostensive.recipe import CorpusSettings, Recipe
from ostensive.run.build import finished_run
from ostensive.run.folder import RunFolder

_AGAIN: Final = "run `ostensive build` with this folder as --out again, which writes the corpus anew"
_LICENCE_FILES: Final = ("LICENSE", "LICENSE.md")


@dataclass(frozen=True, slots=True)
class LocalCorpus:
    """A corpus that may be published."""

    folder: Path
    manifest: CorpusManifest
    settings: CorpusSettings
    card: str
    files: tuple[LocalFile, ...]  # all but the card, the manifest last
    left_out: tuple[str, ...]  # what lies in the folder and is described nowhere

    def check_content(self, paths: Collection[str]) -> None:
        """Raises `OstensiveError` where a file does not have the bytes that the manifest tells."""
        for file in self.files:
            if file.path in paths and digest_of(self.folder / file.path).sha256 != file.sha256:
                raise OstensiveError(
                    f"{self.folder / file.path}: its bytes are not those of {MANIFEST_NAME}: it was changed or is"
                    f" damaged; remove {MANIFEST_NAME} and {_AGAIN}"
                )

    def with_blob_ids(self, paths: Collection[str]) -> tuple[LocalFile, ...]:
        """The files, those of `paths` with git's name of their bytes; these are small."""
        return tuple(
            LocalFile(file.path, file.byte_count, file.sha256, blob_id((self.folder / file.path).read_bytes()))
            if file.path in paths
            else file
            for file in self.files
        )


def local_corpus(run: RunFolder, recipe: Recipe) -> LocalCorpus:
    """The corpus of a run, whose recipe is `recipe`; reads no file's content but the card's.

    Raises `SettingsError` for a run that is not finished or has no corpus and where the recipe does not say enough,
    `OstensiveError` for a corpus that is empty, not of the run as it is now, or not whole.
    """
    finished_run(run.path)
    folder, settings = run.corpus_path, recipe.corpus
    manifest = read_manifest(folder)
    if manifest is None:
        raise SettingsError(f"{run.path} has no finished corpus; {_AGAIN}")
    _check_takedowns(run, folder, manifest)
    if not FinishedFacts.of(run, recipe).is_current(taken_down_images(run.path)):
        raise OstensiveError(f"{folder} is not of this run as it is now, or of another version of Ostensive; {_AGAIN}")
    if not manifest.rows:
        raise OstensiveError(f"{folder} holds no row, and there is nothing to publish; its card says where rows went")
    if settings.contact is None:
        raise SettingsError(
            f"corpus.contact is not set in {run.recipe_path}: a card names to whom somebody writes who wants a picture"
            " removed; run `ostensive build` again with --set corpus.contact=ADDRESS"
        )
    _check_licences(folder, manifest)
    files = _files(folder, manifest, settings)
    return LocalCorpus(folder, manifest, settings, _card(folder), files, _left_out(folder, files))


def _check_licences(folder: Path, manifest: CorpusManifest) -> None:
    for licence, count in manifest.statistics.images_by_field.get("license", {}).items():
        if forbids_publishing(licence):
            images = "1 image has" if count == 1 else f"{count:,} images have"
            raise OstensiveError(
                f"{folder}: {images} the licence {licence!r:.80}, which does not allow publishing; mend it beside"
                " the images where it is another, or run `ostensive takedown` with each (see `annotations[].license`)"
            )


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
    for name in (*([settings.license_link] if settings.license_link in _LICENCE_FILES else []), MANIFEST_NAME):
        path = folder / name
        if not path.is_file():
            raise OstensiveError(f"{path}: corpus.license_link names it, and it is not there; put it there")
        found = digest_of(path)
        files.append(LocalFile(name, found.byte_count, found.sha256))
    return tuple(files)


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
