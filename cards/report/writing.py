"""Writes the report of a run: what there is in its folder, as one page.

Nothing in it is of the machine or the day: the same run gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from cards.assembling import publishable_settings
from cards.corpus_places import read_places
from cards.explaining import Explainer
from cards.reading import CorpusManifest, read_manifest
from cards.report.choosing import ChosenRows, RowChooser, RowSummary
from cards.report.facts import Fact, PageFacts, cost_lines, funnel_steps, names_of, notice_of, shown_words
from cards.report.gallery import MAX_PROMPT_CHARS, Gallery, page_json
from cards.report.page import render_page
from cards.report.plots import plots_of
from cards.report.scanning import RunScan
from cards.report.thumbnails import Thumbnails
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.images.drawing import PALETTE, PATTERNS
from ostensive.images.loader import ImageLoader
from ostensive.recipe import Recipe
from ostensive.run.summary import StageSummary

REPORT_NAME: Final = "report.html"
MAX_BYTES: Final = 15_000_000
DEFAULT_ROWS: Final = 2_000
_SPARE: Final = 100_000  # for what is said of the gallery when it is known
_REFUSALS: Final = 8  # after so many rows that did not fit the page is full


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report that was written: the rows that it shows, and how many the run has."""

    path: Path
    rows: int
    total: int
    byte_count: int


def write_report(explainer: Explainer, recipe: Recipe, *, out: Path | None = None, rows: int = DEFAULT_ROWS) -> WrittenReport:
    """Writes the report to `out`, or into the run folder, with at most `rows` rows in its gallery.

    Raises `SettingsError` for a run that has nothing to show yet, and `StorageError`.
    """
    run = explainer.run
    if not any(run.partition_paths(name) for name in run.stage_names()):
        raise SettingsError(f"{run.path}: nothing of this run is finished yet; run `ostensive build` first")
    path = out or run.path / REPORT_NAME
    scan, chooser = RunScan(), RowChooser(rows, recipe.seed)
    for row in scan.rows(explainer.rows):
        chooser.add(row)
    chosen = chooser.result()
    manifest = read_manifest(run.corpus_path)
    stages = tuple(run.summary(name) for name in run.stage_names()) + (manifest.publishing if manifest else ())
    plots = plots_of(scan)
    thumbnails = Thumbnails(ImageLoader(recipe.intake))
    facts = _Facts(explainer, recipe, scan, chosen, manifest, stages)
    empty = render_page(facts.page(0, 0), _data({}), plots)
    gallery = Gallery(MAX_BYTES - _SPARE - len(empty.encode("utf-8")), thumbnails.address)
    _fill(gallery, explainer, chosen)
    page = render_page(facts.page(len(gallery), thumbnails.unreadable), _data(gallery.values()), plots)
    write_text(path, page)
    return WrittenReport(path, len(gallery), chosen.total, len(page.encode("utf-8")))


def _fill(gallery: Gallery, explainer: Explainer, chosen: ChosenRows) -> None:
    """Puts rows into the gallery in the order of their choice until it is full."""
    places = read_places(explainer.run, {row.row_id: row.image_id for row in chosen.rows})
    known = replace(explainer.known, places=places)
    by_index: dict[int, list[RowSummary]] = {}
    for row in chosen.rows:
        by_index.setdefault(row.index, []).append(row)
