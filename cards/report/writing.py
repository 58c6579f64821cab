"""Writes the report of a run: what there is in its folder, as one page.

Nothing in it is of the machine or the day: the same run gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final  # Any: JSON values

import yaml

from cards.assembling import publishable_settings
from cards.card_text import statistic_lines, threshold_words
from cards.corpus_places import read_places
from cards.explaining import Explainer, unchanged
from cards.lineage import Lineage, Made
from cards.reading import CorpusManifest, read_manifest
from cards.report.choosing import ChosenRows, RowChooser, RowSummary
from cards.report.facts import Fact, PageFacts, cost_lines, funnel_steps, names_of, notice_of, shown_words
from cards.report.gallery import MAX_PROMPT_CHARS, Gallery, Place, clipped, page_json
from cards.report.page import render_page
from cards.report.plots import plot_groups
from cards.report.scanning import RunScan
from cards.report.thumbnails import Thumbnails
from ostensive.errors import SettingsError
from ostensive.files import replacing
from ostensive.images.drawing import PALETTE, PATTERNS
from ostensive.images.loader import ImageLoader
from ostensive.run.thresholds import in_force, read_choices

REPORT_NAME: Final = "report.html"
MAX_BYTES: Final = 15_000_000
DEFAULT_ROWS: Final = 2_000
_SPARE: Final = 10_000  # for what is said of the gallery when it is known
_REFUSALS: Final = 8  # after so many rows that did not fit the page is full


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report that was written: the rows that it shows, and how many the run has."""

    path: Path
    rows: int
    total: int
    byte_count: int


def write_report(
    explainer: Explainer, *, out: Path | None = None, rows: int = DEFAULT_ROWS, max_bytes: int = MAX_BYTES
) -> WrittenReport:
    """Writes the report to `out`, or into the run folder: at most `rows` rows in its gallery, and `max_bytes` in all.

    Raises `SettingsError` for a run that has nothing to show yet, and `StorageError`.
    """
    run = explainer.run
    if not any(run.partition_paths(name) for name in run.stage_names()):
        raise SettingsError(f"{run.path}: nothing of this run is finished yet; go on with `ostensive build` first")
    with unchanged(run):
        return _write(explainer, out or run.path / REPORT_NAME, rows, max_bytes)


def _write(explainer: Explainer, path: Path, rows: int, max_bytes: int) -> WrittenReport:
    run, recipe = explainer.run, explainer.recipe
    scan, chooser = RunScan(), RowChooser(rows, recipe.seed)
    hidden = 0
    for row in scan.rows(explainer.rows):
        if row.image_id in explainer.taken_down:
            hidden += 1
        else:
            chooser.add(row)
    chosen = chooser.result()
    manifest = read_manifest(run.corpus_path)
    facts, plots = _page_facts(explainer, scan, manifest), plot_groups(scan, chosen, manifest)
    empty = len(render_page(facts, _data({}), plots).encode("utf-8"))
    thumbnails = Thumbnails(ImageLoader(recipe.intake))
    gallery = Gallery(max_bytes - _SPARE - empty, thumbnails.address, has_tags=explainer.known.kind.has_regions)
    _fill(gallery, explainer, chosen)
    words = shown_words(chosen, len(gallery), thumbnails.unreadable, hidden, noun=facts.noun, seed=recipe.seed)
    page = render_page(replace(facts, shown=words), _data(gallery.values()), plots).encode("utf-8")
    with replacing(path) as temporary:
        temporary.write_bytes(page)
    return WrittenReport(path, len(gallery), chosen.total, len(page))


def _fill(gallery: Gallery, explainer: Explainer, chosen: ChosenRows) -> None:
    """Puts rows into the gallery in the order of their choice, until it is full."""
    known = replace(
        explainer.known, places=read_places(explainer.run, {row.row_id: row.image_id for row in chosen.rows})
    )
    by_index: dict[int, list[RowSummary]] = {}
    for row in chosen.rows:
        by_index.setdefault(row.index, []).append(row)
    found: dict[str, tuple[Lineage, Place]] = {}
    for index, rows in sorted(by_index.items()):
        trails = explainer.rows.trails(index, {row.image_id for row in rows})
        images = {image_id: place for place, image_id in enumerate(trails)}
        lineages = explainer.lineages({row.row_id: trails[row.image_id] for row in rows}, known)
        for row in rows:
            place = list(trails[row.image_id].lines).index(row.row_id)
            found[row.row_id] = lineages[row.row_id], (index, images[row.image_id], place)
    refused = 0
    for row in chosen.rows:
        if gallery.is_full_of_images and not gallery.has_image(row.image_id):
            continue
        refused += not gallery.add(*found[row.row_id])
        if refused >= _REFUSALS:
            return


def _data(gallery: Mapping[str, Any]) -> str:
    return page_json({"colours": len(PALETTE), "patterns": PATTERNS, **gallery})


def _page_facts(explainer: Explainer, scan: RunScan, manifest: CorpusManifest | None) -> PageFacts:
    """What the page says besides rows; of these it is not said yet how many there are."""
    run, recipe = explainer.run, explainer.recipe
    kind, made = explainer.known.kind, explainer.known.made
    stages = tuple(run.summary(name) for name in run.stage_names()) + (manifest.publishing if manifest else ())
    settings = recipe.corpus
    by_critic = [f"{name} ({version}){_threshold(made, name)}" for name, version in sorted(scan.critics)]
    known = {
        "corpus": _corpus_words(manifest),
        "recipe": f"{recipe.recipe}, profile {recipe.profile}, seed {recipe.seed} ({made.recipe_hash})",
        "made by": f"Ostensive {made.version}" if made.version else "",
        "teachers": names_of(sorted(scan.teachers)),
        "prompt templates": names_of(sorted(scan.prompt_hashes)),
        "critics": names_of(by_critic),
        "licence": ", ".join(filter(None, (settings.license, settings.license_name, settings.license_link))),
        "source of the images": settings.source,
        "intended use": settings.intended_use,
    }
    choices = in_force(read_choices(run.path), recipe.identity(), dict(sorted(scan.critics)))
    figures = statistic_lines(manifest.statistics, has_regions=kind.has_regions) if manifest else ()
    state = run.read_state()
    notice = notice_of(str(state.get("outcome", "")))
    text = yaml.safe_dump(publishable_settings(recipe), sort_keys=False, allow_unicode=True, width=100)
    return PageFacts(
        title=settings.name,
        subtitle=f"{kind.title[:1].upper()}{kind.title[1:]}",
        notices=(*((notice,) if notice else ()), *map(str, state.get("notes", ()))),
        facts=tuple(Fact(name, value) for name, value in known.items() if value),
        thresholds=tuple(threshold_words(choice, str) for choice in choices),
        funnel=funnel_steps(stages, explainer.rows.record_names),
        costs=cost_lines(stages),
        figures=tuple(Fact(title, value) for title, value in figures),
        shown="",
        noun=kind.noun,
        opening_name=f"{kind.parts[0].capitalize()} begins" if kind.parts else "Begins",
        recipe=clipped(text, MAX_PROMPT_CHARS),
        footer=f"{kind.method}",
    )


def _corpus_words(manifest: CorpusManifest | None) -> str:
    if manifest is None:
        return "not written yet"
    rows, images = f"{manifest.rows:,} rows", f"{manifest.images:,} images"
    splits = ", ".join(f"{split.rows:,} {split.name}" for split in manifest.splits) if len(manifest.splits) > 1 else ""
    return f"{rows} about {images}{f': {splits}' if splits else ''}"


def _threshold(made: Made, critic: str) -> str:
    return f", accepts from {made.thresholds[critic]:g} on" if critic in made.thresholds else ""
