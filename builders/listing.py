"""`ostensive recipes`: list the built-in recipes, show one, copy one, and write the JSON Schema for editors."""

import json
from collections.abc import Sequence
from pathlib import Path

from ostensive.errors import SettingsError
from ostensive.files import write_text


def recipe_names() -> dict[str, str]:
    """The built-in recipes, each with the first line of what it says of itself."""
    from builders.table import MODULES, built_in

    return {name: built_in(name).splitlines()[0].removeprefix("# ") for name in MODULES}


def show_recipe(name: str, *, full: bool = False, settings: Sequence[str] = ()) -> str:
    """The text of a recipe, or with `full` every setting of it with its default."""
    from builders.table import MODULES, built_in, load
    from ostensive.recipe_files import dump

    if not full:
        if name not in MODULES:
            load(name, assignments=settings)  # says what is wrong with the name
            return Path(name).read_text("utf-8")
        return built_in(name)
    stand_ins = ["corpus.license=YOURS", "corpus.source=YOURS"] if name in MODULES else []
    return dump(load(name, assignments=[*stand_ins, *settings]))


def copy_recipe(name: str, path: Path) -> Path:
    """Writes a built-in recipe to `path` (a file, or a folder to put it in); refuses to replace a file."""
    target = path / f"{name}.yaml" if path.is_dir() else path
    if target.exists():
        raise SettingsError(f"{target} exists already; choose another name")
    write_text(target, show_recipe(name))
    return target


def recipe_schema(name: str = "localized") -> str:
    """JSON Schema of a recipe, for editors that complete and check YAML."""
    from builders.table import recipe_kind

    schema = recipe_kind(name).model.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)
