"""The explicit table of recipes: name, model of its settings, and the function that makes its stages."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from ostensive.errors import SettingsError
from ostensive.recipe import Recipe
from ostensive.recipe_files import Values, merge, parse_assignments, parse_yaml, read_yaml
from ostensive.settings import nearest_key, validate
from ostensive.stage import Stage

# A recipe's module has `RECIPE`, the model, and `make_stages(recipe, services)`; it is imported when it is used.
MODULES = {"localized": "builders.localized.recipe"}


@dataclass(frozen=True, slots=True)
class RecipeKind:
    """What a recipe's module offers."""

    model: type[Recipe]
    make_stages: Callable[..., Sequence[Stage[Any, Any]]]  # Any: stages of different records


def recipe_kind(name: str) -> RecipeKind:
    """The kind of recipe that `recipe: NAME` asks for; raises `SettingsError` naming the nearest one."""
    if name not in MODULES:
        near = nearest_key(str(name), MODULES)
        hint = f"; the nearest known one is {near}" if near else f"; known are {', '.join(MODULES)}"
        raise SettingsError(f"recipe: there is no recipe called {name!r}{hint}")
    module = importlib.import_module(MODULES[name])
    return RecipeKind(module.RECIPE, module.make_stages)


def built_in(name: str) -> str:
    """The text of a built-in recipe."""
    return (files("builders") / "recipes" / f"{name}.yaml").read_text("utf-8")


def profile_names() -> list[str]:
    """The built-in profiles."""
    folder = files("builders") / "recipes" / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load(name: str, *, profile: str | None = None, assignments: Sequence[str] = ()) -> Recipe:
    """The recipe called `name` (built in, or a YAML file), with its profile under it and `assignments` over it.

    Raises `SettingsError` in one line for anything that is not a whole and valid recipe.
    """
    if name in MODULES:
        values: Values = parse_yaml(built_in(name), f"recipe {name}")
    elif Path(name).suffix in (".yaml", ".yml") or Path(name).exists():
        values = read_yaml(Path(name))
    else:
        near = nearest_key(name, MODULES)
        hint = f"; did you mean {near}?" if near else ""
        raise SettingsError(f"{name}: neither a built-in recipe ({', '.join(MODULES)}) nor a YAML file{hint}")
    changes = parse_assignments(assignments)
    chosen = profile or changes.get("profile") or values.get("profile", "offline")
    if chosen not in profile_names():
        raise SettingsError(f"profile: there is no profile called {chosen!r}; known are {', '.join(profile_names())}")
    fragment = parse_yaml((files("builders") / "recipes" / "profiles" / f"{chosen}.yaml").read_text("utf-8"), chosen)
    merged = merge(merge(merge(fragment, values), changes), {"profile": chosen})
    return _validated(merged, name)


def _validated(values: Values, origin: str) -> Recipe:
    model = recipe_kind(cast(str, values.get("recipe", "(none named)"))).model
    corpus = values.get("corpus") or {}
    for key, example in (("license", "cc-by-4.0"), ("source", '"my own photographs"')):
        if isinstance(corpus, dict) and corpus.get(key) is None:
            raise SettingsError(
                f"{origin}: corpus.{key} is required: nobody but you knows it; e.g. --set corpus.{key}={example}"
            )
    return validate(model, values, origin)
