"""Which candidates of an image people are asked about: a few that differ most, the roots of its clusters (LSKD: five).

The clusters are those of `builders.dedupe` with their number fixed, and the same embeddings; an image that has no more
candidates than are wanted needs no model.
"""

from collections.abc import Sequence
from pathlib import Path

from builders.dedupe import DedupeSettings, embedder_of, near_duplicates
from builders.table import load, recipe_kind
from critics.annotation.stock import AnnotatedRun
from ostensive.recipe_kind import RecipeKind
from ostensive.records import CandidateT
from ostensive.run.folder import existing_run


def annotated_run(out: Path | str) -> AnnotatedRun:
    """The run in `out` as people judge it; raises `SettingsError` where there is none."""
    folder = existing_run(out)
    recipe = load(str(folder.recipe_path))
    kind = recipe_kind(recipe.recipe)
    settings = getattr(recipe, "dedupe", None) or DedupeSettings()
    return AnnotatedRun(folder, recipe, kind, lambda rows, per_image: representatives(rows, per_image, settings, kind))


def representatives(
    rows: Sequence[CandidateT], per_image: int, settings: DedupeSettings, kind: RecipeKind
) -> list[CandidateT]:
    """At most `per_image` rows of each image, in the order of `rows`; those left out repeat one that stays.

    Loads the embedding model that `settings` name, if any image has more; raises `SettingsError` if that cannot be.
    """
    by_image: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        by_image.setdefault(row.image_id, []).append(place)
    crowded = [places for places in by_image.values() if len(places) > per_image]
    if not crowded:
        return list(rows)
    flat = [place for places in crowded for place in places]
    with embedder_of(settings) as embedder:
        vectors = embedder.embed([kind.compared_text(rows[place]) for place in flat])
    clustering = settings.model_copy(update={"clusters": per_image})
    left_out: set[int] = set()
    start = 0
    for places in crowded:
        row_ids = [rows[place].row_id for place in places]
        found = near_duplicates(row_ids, vectors[start : start + len(places)], clustering)
        left_out.update(places[duplicate.place] for duplicate in found)
        start += len(places)
    return [row for place, row in enumerate(rows) if place not in left_out]
