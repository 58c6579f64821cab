"""The stages of a recipe after intake: its own, and those that every recipe may ask for."""

from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.run.splits import SplitStage
from ostensive.stage import AnyStage


def stages_of(recipe: Recipe, kind: RecipeKind, *, with_splits: bool = False) -> tuple[AnyStage, ...]:
    """The stages in order; nothing is opened. `with_splits` also where the recipe asks for none: some came in.

    Raises `SettingsError` for what stages cannot be made of.
    """
    splits = (SplitStage(recipe.corpus.splits, recipe.seed),) if recipe.corpus.splits or with_splits else ()
    return (*kind.make_stages(recipe), *splits)
