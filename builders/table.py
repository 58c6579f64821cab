"""The table of recipes: our own by name, those of other packages by their entry point; how one is loaded or shown.

Order, later over earlier: the defaults in the models, the profile, the recipe, `--set`. A profile speaks by section and
part of all recipes together, and each takes what it has of it.
"""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Final  # Any: what YAML gives

from builders.dedupe import DedupeSettings
from critics.table import check_critics
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.recipe import Recipe, Values, dump, merge, parse_assignments
from ostensive.recipe_kind import RecipeKind
from ostensive.settings import Settings, nearest_key, sections_of, validate
from ostensive.user_paths import shown_path, user_path
from ostensive.yaml_text import parse_yaml, read_yaml
from verbalizers.table import VerbalizeSettings

# The module of a recipe has `KIND`; it is imported when it is used.
MODULES: Final[Mapping[str, str]] = {
    "localized": "builders.localized.recipe",
    "rationales": "builders.rationales.recipe",
    "preferences": "builders.preferences.recipe",
    "instructions": "builders.instructions.recipe",
    "explanations": "builders.explanations.recipe",
}
ENTRY_POINTS: Final = "ostensive.recipes"
"""The group of entry points by which other packages add recipes: the recipe's name, and where its `KIND` is."""
PROFILE_SECTIONS: Final[Mapping[str, type[Settings]]] = {"verbalize": VerbalizeSettings, "dedupe": DedupeSettings}
"""Sections that a profile may fill in although a recipe has none of that name, or fewer parts in it."""


def recipe_names() -> list[str]:
    """The recipes that there are, our own first."""
    return [*MODULES, *sorted(_foreign())]


def recipe_kind(name: str) -> RecipeKind:
    """The kind of recipe that `recipe: NAME` asks for; raises `SettingsError` naming the nearest one."""
    if name in MODULES:
        kind = importlib.import_module(MODULES[name]).KIND
    elif name in _foreign():
        kind = _loaded(_foreign()[name])
    else:
        near = nearest_key(str(name), recipe_names())
        hint = f"; the nearest known one is {near}" if near else f"; known are {', '.join(recipe_names())}"
        raise SettingsError(f"recipe: there is no recipe called {name!r}{hint}")
    assert isinstance(kind, RecipeKind), f"the KIND of {name} is a RecipeKind"
    return kind


def _foreign() -> dict[str, EntryPoint]:
    """The recipes of other packages; one that takes the name of ours is passed over."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in MODULES}


def _loaded(point: EntryPoint) -> RecipeKind:
    try:
        kind = point.load()
    except Exception as error:  # whatever importing another package raises
        raise SettingsError(
            f"recipe {point.name}: cannot be imported from {point.value}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(kind, RecipeKind) or kind.name != point.name:
        raise SettingsError(f"recipe {point.name}: {point.value} is no RecipeKind of that name; name its KIND there")
    return kind


def built_in(name: str) -> str:
    """The text of a recipe as it comes with its package."""
    return (files(recipe_kind(name).package) / "recipe.yaml").read_text("utf-8")


def profile_names() -> list[str]:
    """The built-in profiles."""
    folder = files("builders") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load(
    name: str, *, profile: str | None = None, assignments: Sequence[str] = (), stand_ins: Sequence[str] = ()
) -> Recipe:
    """The recipe called `name` (there by name, or a YAML file), with its profile under it and `assignments` over it.

    `stand_ins` are assignments of a command's own: over the recipe, under the user's. Raises `SettingsError` in one
    line for anything that is not a whole and valid recipe.
    """
    file = _recipe_file(name)
    values: Values = parse_yaml(built_in(name), f"recipe {name}") if file is None else read_yaml(file, name)
    changes = merge(parse_assignments(stand_ins), parse_assignments(assignments))
    if profile is not None and changes.get("profile", profile) != profile:
        raise SettingsError(f"profile: is given twice, as {profile!r} and as {changes['profile']!r}; give it once")
    chosen = profile or changes.get("profile") or values.get("profile", "offline")
    if chosen not in profile_names():
        raise SettingsError(f"profile: there is no profile called {chosen!r}; known are {', '.join(profile_names())}")
    kind = recipe_kind(str(changes.get("recipe", values.get("recipe", "(none named)"))))
    merged = merge(merge(merge(profile_for(chosen, kind.recipe), values), changes), {"profile": chosen})
    return _validated(kind, merged, name)


def _recipe_file(name: str) -> Path | None:
    """The file that `name` is; None for a recipe that is there by name. Raises `SettingsError` if it is neither."""
    if name in recipe_names():
        return None
    file = user_path(name, "recipe")
    if file.suffix in (".yaml", ".yml") or os.path.exists(file):  # noqa: PTH110 - that of Path raises for long paths
        return file
    near = nearest_key(name, recipe_names())
    hint = f"; did you mean {near}?" if near else ""
    raise SettingsError(f"{name}: neither a recipe ({', '.join(recipe_names())}) nor a YAML file{hint}")


def profile_for(name: str, recipe: type[Recipe]) -> dict[str, Any]:
    """What the profile of that name says to a recipe: the sections and parts that the recipe has.

    Raises `SettingsError` for a section or a part that no recipe has.
    """
    text = (files("builders") / "profiles" / f"{name}.yaml").read_text("utf-8")
    values = parse_yaml(text, f"profile {name}")
    taken: dict[str, Any] = {}
    for section, parts in values.items():
        whole = PROFILE_SECTIONS.get(section)
        if section not in recipe.model_fields and whole is None:
            raise SettingsError(f"profile {name}: no recipe has a section {section}{_nearest(section, recipe)}")
        for part in parts:
            if whole is not None and part not in whole.model_fields:
                raise SettingsError(f"profile {name}: no recipe has a part {section}.{part}{_nearest(part, whole)}")
        if section in recipe.model_fields:
            own = _section(recipe, section)
            taken[section] = {key: value for key, value in parts.items() if own is None or key in own.model_fields}
    return taken


def _section(model: type[Settings], name: str) -> type[Settings] | None:
    """The settings of a section that is of one kind; None for one of several kinds, or none at all."""
    field = model.model_fields.get(name)
    found = [] if field is None else list(sections_of(field.annotation))
    return found[0] if len(found) == 1 else None


def _nearest(name: str, model: type[Settings]) -> str:
    near = nearest_key(name, (*model.model_fields, *PROFILE_SECTIONS))
    return f"; the nearest known one is {near}" if near else ""


_REQUIRED: Final = {"license": "cc-by-4.0", "source": '"my own photographs"', "intended_use": '"research on models"'}
"""What nobody but the user knows of a corpus, with an example each."""


def _validated(kind: RecipeKind, values: Values, origin: str) -> Recipe:
    corpus = values.get("corpus") or {}
    for key, example in _REQUIRED.items():
        if isinstance(corpus, dict) and corpus.get(key) is None:
            raise SettingsError(
                f"{origin}: corpus.{key} is required: nobody but you knows it; e.g. --set corpus.{key}={example}"
            )
    recipe = validate(kind.recipe, values, origin)
    check_critics(getattr(recipe, "critics", ()), kind)
    return recipe


def recipes_with_titles() -> dict[str, str]:
    """The recipes by name, each with the first line of what it says of itself."""
    return {name: built_in(name).splitlines()[0].removeprefix("# ") for name in recipe_names()}


def show_recipe(name: str, *, full: bool = False, settings: Sequence[str] = ()) -> str:
    """The text of a recipe, or with `full` every setting of it with its default."""
    file = _recipe_file(name)
    if full:
        stand_ins = (
            ["corpus.license=unknown", "corpus.source=YOURS", "corpus.intended_use=YOURS"] if file is None else []
        )
        text = dump(load(name, assignments=settings, stand_ins=stand_ins))
        # No licence at all, so that whoever builds with it as it is hears of it.
        return text.replace("\n  license: unknown\n", "\n  license: YOURS\n") if file is None else text
    if file is None:
        return built_in(name)
    load(name, assignments=settings)  # says what is wrong with the file
    return file.read_text("utf-8-sig")


def copy_recipe(name: str, path: Path) -> Path:
    """Writes a recipe to `path` (a file, or a folder to put it in); refuses to replace a file."""
    file, path = _recipe_file(name), user_path(path, "recipes copy")
    target = path / (f"{name}.yaml" if file is None else file.name) if path.is_dir() else path
    if target.exists():
        raise SettingsError(f"{shown_path(target)} exists already; choose another name")
    write_text(target, show_recipe(name))
    return target


def recipe_schema(name: str) -> str:
    """JSON Schema of a recipe, for editors that complete and check YAML."""
    schema = recipe_kind(name).recipe.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)
