"""What was asked on the command line or in Python, as a recipe with its kind and as options with absolute paths."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ostensive.run.options import BuildOptions
from ostensive.user_paths import user_path

if TYPE_CHECKING:
    from ostensive.recipe import Recipe
    from ostensive.recipe_kind import RecipeKind


def resolve(recipe: str, options: BuildOptions) -> "tuple[Recipe, RecipeKind]":
    """The recipe by name or file with all that `options` set in it; raises `SettingsError` as `builders.table.load`."""
    from builders.rounds import settings_after
    from builders.table import load, recipe_kind

    def loaded(*more: str) -> "Recipe":
        stand_ins = (*options.stand_ins, *more)
        return load(str(recipe), profile=options.profile, assignments=options.settings, stand_ins=stand_ins)

    found = loaded()
    if options.parent is not None:
        found = loaded(*settings_after(options.parent, found.recipe))
    if options.against:
        against = tuple(dict.fromkeys((*found.corpus.against, *map(str, options.against))))
        found = found.model_copy(update={"corpus": found.corpus.model_copy(update={"against": against})})
    return found, recipe_kind(found.recipe)


def check_keys(recipe: "Recipe", options: BuildOptions) -> None:
    """Raises `SettingsError` as a build does that would send a key where the user has not said that it may go."""
    from ostensive.chat.endpoint import check_key_permits
    from ostensive.run.services import permits_of

    check_key_permits(recipe.chats, permits_of(options))


def with_paths(options: BuildOptions) -> BuildOptions:
    """`options` with absolute paths; raises `SettingsError` for what is no path."""

    def path(given: Path | None, what: str) -> Path | None:
        return None if given is None else user_path(given, what)

    return replace(
        options,
        parent=path(options.parent, "parent"),
        annotations=path(options.annotations, "annotations"),
        against=tuple(user_path(given, "against") for given in options.against),
        journal=path(options.journal, "journal"),
        prices=path(options.prices, "prices"),
    )
