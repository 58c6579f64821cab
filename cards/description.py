"""What describes the files of a corpus: plots, Croissant metadata, the card, and the manifest last.

All of it follows from the manifest, its figures among it, and is written in this one place: when a corpus is built,
when something is taken out of it, and when a copy of it is made that may be published.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from cards.card import CARD_NAME, CardEdits, read_edits, render_card
from cards.croissant import CROISSANT_NAME, render_croissant
from cards.files import write_text
from cards.plots import plots_of
from cards.reading import MANIFEST_NAME, CorpusFile, CorpusManifest
from cards.samples import PublicForm
from ostensive.errors import OstensiveError
from ostensive.recipe import CorpusSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.run.summary import RunFacts

PLOTS: Final = "plots"
_DESCRIBING: Final = ("plot", "croissant")


def form_of(kind: RecipeKind, facts: RunFacts) -> PublicForm:
    """The form in which the samples of a run are published."""
    return PublicForm(kind, facts.recipe_hash, record_names=facts.records.values(), has_splits=bool(facts.splits))


def write_description(
    work: Path,
    manifest: CorpusManifest,
    form: PublicForm,
    *,
    settings: CorpusSettings,
    facts: RunFacts,
    edits: CardEdits,
) -> CorpusManifest:
    """Write into `work` what describes the files of `manifest`; returns the manifest with these files listed.

    `facts` are those of the run up to its accepted rows. A corpus without rows has neither plots nor Croissant
    metadata. Files that describe an earlier state and are listed in `manifest` are no longer.
    """
    facts = replace(facts, stages=(*facts.stages, *manifest.publishing))
    manifest = replace(manifest, files=tuple(file for file in manifest.files if file.kind not in _DESCRIBING))
    if manifest.rows:
        manifest = _with_plots(manifest, work)
        manifest = _with_croissant(manifest, work, form, settings, facts)
    write_text(work / CARD_NAME, render_card(manifest, form, settings=settings, facts=facts, edits=edits))
    write_text(work / MANIFEST_NAME, manifest.to_json())
    return manifest


def card_edits(card: Path) -> CardEdits:
    """What a person wrote into the card that lies at `card`; nothing where there is none.

    Raises `OstensiveError` for a card that is not UTF-8 or whose header is broken.
    """
    if not card.exists():
        return CardEdits()
    try:
        text = card.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OstensiveError(
            f"{card}: not UTF-8 at byte {error.start}; save it as UTF-8 or remove it, and run the same command again"
        ) from error
    return read_edits(text, str(card))


def _with_plots(manifest: CorpusManifest, work: Path) -> CorpusManifest:
    folder = work / PLOTS
    folder.mkdir(exist_ok=True)
    listed = []
    for name, svg in plots_of(manifest.statistics).items():
        digest = write_text(folder / name, svg)
        listed.append(CorpusFile(f"{PLOTS}/{name}", "plot", "", 1, digest.byte_count, digest.sha256))
    return replace(manifest, files=(*manifest.files, *listed))


def _with_croissant(
    manifest: CorpusManifest, work: Path, form: PublicForm, settings: CorpusSettings, facts: RunFacts
) -> CorpusManifest:
    written = write_text(work / CROISSANT_NAME, render_croissant(manifest, form, settings=settings, facts=facts))
    listed = CorpusFile(CROISSANT_NAME, "croissant", "", manifest.rows, written.byte_count, written.sha256)
    return replace(manifest, files=(*manifest.files, listed))
