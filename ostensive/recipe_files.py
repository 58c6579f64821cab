"""Recipes as files: reading YAML, laying a profile under it and `--set` over it, and writing the result out in full.

Order, later over earlier: the defaults in the models, the profile's fragment, the recipe, `--set`. A section whose
`kind` changes starts afresh, since the keys of one kind mean nothing to another.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.recipe import Recipe

Values = Mapping[str, Any]  # Any: what YAML gives


def parse_yaml(text: str, origin: str) -> dict[str, Any]:  # Any: as Values
    """The mapping that `text` holds; raises `SettingsError` with the line when it is not one."""
    try:
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise SettingsError(f"{origin}, line {line}: not YAML ({error.problem})") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{origin}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise SettingsError(f"{origin}: a recipe is a mapping of settings (`key: value` lines)")
    return values


def read_yaml(path: Path) -> dict[str, Any]:  # Any: as Values
    """The mapping that a YAML file holds; raises `SettingsError` when it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    return parse_yaml(text, str(path))


def merge(under: Values, over: Values) -> dict[str, Any]:  # Any: as Values
    """`over` laid on `under`, section by section; lists and scalars are replaced, a changed `kind` starts afresh."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            changed = "kind" in value and value["kind"] != below.get("kind", value["kind"])
            merged[key] = dict(value) if changed else merge(below, value)
        else:
            merged[key] = value
    return merged


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:  # Any: as Values
    """`["a.b=c", ...]` as nested mappings; values are read as YAML, so that `3`, `true` and `[a, b]` mean that."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise SettingsError(f"--set {assignment}: KEY=VALUE is expected, e.g. --set teacher.temperature=0.5")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            # Not repeated in the message: it may be a key.
            raise SettingsError(f"--set {path.strip()}: the value is not YAML; put it in quotes") from error
        for key in reversed(keys):
            value = {key: value}
        values = merge(values, value)
    return values


def dump(recipe: Recipe) -> str:
    """The recipe with every default written out and no secret, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_hash(recipe: Recipe) -> str:
    """Hash of everything in a recipe that rows depend on, 16 hexadecimal digits; it is in every row."""
    return fingerprint(recipe.identity())[:16]
