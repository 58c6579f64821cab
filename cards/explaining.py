"""Looks up in a run folder what the lineage of a row is made of: `ostensive explain`, and each row of a report."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from cards.corpus_places import read_places
from cards.lineage import Fate, ImageRows, Known, Lineage, Made, image_rows, lineage_of, request_keys
from cards.run_rows import ImageTrail, RunRows
from cards.takedowns import taken_down_images
from ostensive.chat.journaled import read_exchanges
from ostensive.errors import SettingsError, StorageError
from ostensive.recipe import Recipe, recipe_hash
from ostensive.recipe_kind import RecipeKind
from ostensive.run.folder import RunFolder
from ostensive.run.summary import PUBLISHING, TAKEN_DOWN
from ostensive.run.thresholds import thresholds_of

_SHOWN_IDS: Final = 5  # of those that a beginning may mean
NO_JOURNAL: Final = "the run has no journal of its own, or no longer; name the one that it used with --journal"
NO_ENTRY: Final = "the journal does not have it; name the one that the run used with --journal"
_TAKEN_DOWN: Final = Fate("not published", PUBLISHING, TAKEN_DOWN)


@contextmanager
def unchanged(run: RunFolder) -> Iterator[None]:
    """Turns the loss of a partition that a build replaced meanwhile into one line that says so."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(
            f"{run.path}: changed while it was read, for a build is at work in it; run the same command again"
        ) from error


class Explainer:
    """Tells the lineage of the rows of a run. It reads what it is asked for, and keeps no row."""

    def __init__(self, run: RunFolder, recipe: Recipe, kind: RecipeKind, journal: Path | None = None) -> None:
        """`journal` None takes the run's own; raises `SettingsError` for one that is not there, and `StorageError`."""
        if journal is not None and not journal.is_file():
            raise SettingsError(f"--journal {journal}: there is no such file")
        self.run, self.recipe, self.rows = run, recipe, RunRows(run, kind)
        self._journal = journal or run.journal_path
        thresholds = dict(thresholds_of(recipe.identity().get("critics", ())))
        made = Made(recipe.recipe, recipe_hash(recipe), str(run.read_state().get("version", "")), thresholds)
        self.taken_down = taken_down_images(run.path)
        self.known = Known(kind, made, unpublished=_unpublished(run) | dict.fromkeys(self.taken_down, _TAKEN_DOWN))

    def explain(self, name: str) -> Lineage | ImageRows:
        """The lineage of the row, or the rows of the image, whose id is `name` or, alone, begins so.

        Raises `SettingsError` where nothing or several do, and `StorageError` for a journal that is none and for a run
        that changed meanwhile.
        """
        with unchanged(self.run):
            return self._explain(name)

    def _explain(self, name: str) -> Lineage | ImageRows:
        rows = self.rows.find_rows(name) if name else []
        images = self.rows.find_images(name) if name else {}
        exact = [row for row in rows if row.row_id == name] or (rows if len(rows) == 1 and not images else [])
        if exact:
            row = exact[0]
            trail = self.rows.trails(row.index, [row.image_id])[row.image_id]
            return lineage_of(trail, row.row_id, self._with_requests({row.row_id: trail}, self.placed(trail)))
        if not rows and len(images) == 1:
            ((image_id, index),) = images.items()
            trail = self.rows.trails(index, [image_id])[image_id]
            return image_rows(trail, self.placed(trail))
        raise SettingsError(self._unclear(name, [row.row_id for row in rows], list(images)))

    def _unclear(self, name: str, rows: list[str], images: list[str]) -> str:
        if not rows and not images:
            return (
                f"{name!r:.80}: no row and no image of the run in {self.run.path} begins so; the `row_id` of"
                f" {self.known.kind.one} is expected, or an `image_id`, or the beginning of one"
            )
        shown = ", ".join([*rows, *images][:_SHOWN_IDS]) + (", ..." if len(rows) + len(images) > _SHOWN_IDS else "")
        counts = f"{len(rows):,} rows and {len(images):,} images"
        return f"{name!r:.80}: {counts} begin so ({shown}); give more of it"

    def placed(self, trail: ImageTrail) -> Known:
        """What is known, with where the rows of one image stand in the corpus."""
        return replace(self.known, places=read_places(self.run, dict.fromkeys(trail.lines, trail.image.image_id)))

    def lineages(self, trails: Mapping[str, ImageTrail], known: Known) -> dict[str, Lineage]:
        """The lineages of rows by their ids; `trails` has the image of each, `known` where they stand."""
        whole = self._with_requests(trails, known)
        return {row_id: lineage_of(trail, row_id, whole) for row_id, trail in trails.items()}

    def _with_requests(self, trails: Mapping[str, ImageTrail], known: Known) -> Known:
        """`known` with what the journal has of the requests behind rows."""
        if not self._journal.is_file():
            return replace(known, exchanges={}, journal_note=NO_JOURNAL)
        return replace(known, exchanges=read_exchanges(self._journal, self._keys(trails)), journal_note=NO_ENTRY)

    def _keys(self, trails: Mapping[str, ImageTrail]) -> Collection[str]:
        return {
            key
            for row_id, trail in trails.items()
            for line in trail.lines[row_id]
            if line.candidate is not None
            for key in request_keys(line.candidate, self.known.kind).values()
        }


def _unpublished(run: RunFolder) -> dict[str, Fate]:
    """The images whose accepted rows the last command could not publish, by what the log says."""
    if not run.read_state().get("unpublished"):
        return {}
    found: dict[str, Fate] = {}
    for event in run.read_log():
        if event.get("event") == "start":
            found.clear()
        elif event.get("event") == "not published":
            fate = Fate("not published", PUBLISHING, str(event.get("reason", "")), str(event.get("detail", "")))
            found[str(event.get("image_id"))] = fate
    return found
