"""What a run is given: the images that were listed, and what came in beside them, read before any work begins."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostensive.errors import SettingsError
from ostensive.images.annotation_columns import AnnotationColumns, check_required
from ostensive.images.annotation_joining import read_annotations
from ostensive.images.items import SourceItem
from ostensive.images.sources import list_source
from ostensive.recipe import SPLIT_NAME, Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.options import BuildOptions
from ostensive.run.planning import PlannedAnnotations

_SPLIT: Final = re.compile(SPLIT_NAME)


@dataclass(frozen=True, slots=True)
class Sources:
    """The images, at most as many as the limit lets through, and what lies beside them; None where nothing does."""

    items: Sequence[SourceItem]
    annotations: PlannedAnnotations | None

    @property
    def labels(self) -> list[str]:
        """The labels of the images, each as it is written, in the order of the listing.

        An item that names its image by hash counts whether or not the image is listed: no image has been read yet.
        """
        if self.annotations is None:
            return []
        found = self.annotations.found
        by_key = (one for item in self.items for one in found.items.get(item.key, ()))
        by_hash = (one for items in found.by_image_id.values() for one in items)
        return list(dict.fromkeys(one.label for one in (*by_key, *by_hash) if one.label is not None))


def find_sources(recipe: Recipe, kind: RecipeKind, images: Path | str, options: BuildOptions) -> Sources:
    """Lists `images` and reads what came in beside them.

    Raises `SettingsError` for images or annotations that cannot be read, for a field that the recipe requires and that
    no column has, and for a split that has no name that `datasets` takes.
    """
    columns = AnnotationColumns(recipe.annotations, (*kind.annotations_required, *kind.annotations_optional))
    listing = list_source(images, recipe.intake, columns)
    found = read_annotations(listing, columns, options.annotations)
    check_required(found, kind.annotations_required)
    for split in found.splits:
        if not _SPLIT.fullmatch(split) or split == "all":
            raise SettingsError(
                f"annotations: the split {split!r:.60} is no name for one; letters, digits and '_' are expected, as in"
                " train, validation, test; mend it, or leave the column out with annotations.columns.split"
            )
    planned = PlannedAnnotations(found, kind.annotations_required) if found.rows else None
    return Sources(listing.items[: options.limit], planned)
