"""The recipes as texts: listed, shown, copied, and as JSON Schema for editors."""

import json
from collections.abc import Sequence
from pathlib import Path

from builders.table import built_in, load, recipe_kind, recipe_names
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.recipe import dump


def recipes_with_titles() -> dict[str, str]:
    """The recipes by name, each with the first line of what it says of itself."""
    return {name: built_in(name).splitlines()[0].removeprefix("# ") for name in recipe_names()}


def show_recipe(name: str, *, full: bool = False, settings: Sequence[str] = ()) -> str:
    """The text of a recipe, or with `full` every setting of it with its default."""
    is_known = name in recipe_names()
    if full:
        stand_ins = ["corpus.license=YOURS", "corpus.source=YOURS"] if is_known else []
        return dump(load(name, assignments=[*stand_ins, *settings]))
    if is_known:
        return built_in(name)
    load(name, assignments=settings)  # says what is wrong with the name
    return Path(name).read_text("utf-8")


def copy_recipe(name: str, path: Path) -> Path:
    """Writes a recipe to `path` (a file, or a folder to put it in); refuses to replace a file."""
    target = path / f"{name}.yaml" if path.is_dir() else path
    if target.exists():
        raise SettingsError(f"{target} exists already; choose another name")
    write_text(target, show_recipe(name))
    return target


def recipe_schema(name: str) -> str:
    """JSON Schema of a recipe, for editors that complete and check YAML."""
    schema = recipe_kind(name).recipe.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)
