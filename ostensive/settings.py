"""The base of everything that a user writes: frozen, unknown keys refused with the nearest known key named.

Recipes and their sections are pydantic models derived from `Settings`. A field marked `Operational` says how the work
is done (how many requests in flight, how long to wait) and never what comes out, so that changing it redoes nothing.
"""

import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args  # Any: JSON values; type annotations, which have no common type

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ostensive.errors import SettingsError
from ostensive.models.needs import ModelNeed
from ostensive.user_paths import PathMark


class OperationalMark:
    """Marks a field that rows do not depend on; use the alias `Operational`."""


SECRET_PROBLEM = "secret"  # noqa: S105 - no secret itself
"""The type of a validation error whose message must not repeat what was given."""

ValueT = TypeVar("ValueT")
Operational = Annotated[ValueT, OperationalMark()]


class Settings(BaseModel):
    """A section of a recipe."""

    # What was given may be a key, and pydantic's own message is in the traceback of whoever builds from Python.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,  # JSON has neither, so that `recipe.yaml` would say null
    )

    def identity(self) -> dict[str, Any]:
        """The settings that rows depend on, as plain JSON values: no operational field, thus no secret.

        Of a path only its last name: what lies there counts by its content, where it lies does not.
        """
        fields = type(self).model_fields
        return {
            name: _identity(getattr(self, name), _path_mark(field))
            for name, field in fields.items()
            if not any(isinstance(mark, OperationalMark) for mark in field.metadata)
        }

    def needs(self) -> tuple[ModelNeed, ...]:
        """What this section itself, without the sections in it, needs before it can work; nothing is looked for."""
        return ()


def _path_mark(field: FieldInfo) -> PathMark | None:
    """The mark of a field that may be a path, also where it stands within its type (`UserPath | None`)."""
    found = (mark for part in (*field.metadata, field.annotation) for mark in _marks(part))
    return next(found, None)


def _marks(annotation: Any) -> Iterator[PathMark]:
    if isinstance(annotation, PathMark):
        yield annotation
    for part in get_args(annotation):
        yield from _marks(part)


def _identity(value: Any, mark: PathMark | None = None) -> Any:
    if isinstance(value, str) and mark is not None:
        return mark.without_folder(value)
    if isinstance(value, Settings):
        return value.identity()
    if isinstance(value, Mapping):
        return {str(key): _identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(item, mark) for item in value]
    return value


SettingsT = TypeVar("SettingsT", bound=Settings)


def validate(model: type[SettingsT], values: Mapping[str, Any], origin: str) -> SettingsT:
    """`values` as a `model`; raises `SettingsError` with one line: `origin`, the key, what was expected."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError(f"{origin}: {_first_problem(model, error)}") from error


def _first_problem(model: type[Settings], error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    known = list(known_keys(model))
    parts = [str(part) for part in problem["loc"]]
    if isinstance(problem["input"], Mapping) and problem["input"].get("kind") in parts[-1:]:
        parts.pop()  # the section itself is wrong, and the last part is its kind
    path = _without_kinds(parts, known)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if problem["type"] == "extra_forbidden" and path in known:
        section = path.rpartition(".")[0]
        return f"{path}: is a setting of another kind of {section}; set {section}.kind too{more}"
    if problem["type"] == "extra_forbidden":
        near = nearest_key(path, known)
        return f"{path}: unknown key{f'; the nearest known key is {near}' if near else ''}{more}"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        return f"{path}.kind: {context['tag']!r} is none of {context['expected_tags']}{more}"
    if problem["type"] == "union_tag_not_found":
        return f"{path}.kind: is missing; it says which kind of section this is{more}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path or 'recipe'}: {message[:1].lower()}{message[1:]}{_given(problem)}{more}"


def _given(problem: ErrorDetails) -> str:
    """What was given in place of what was expected, unless it may hold a key."""
    given = problem["input"]
    if problem["type"] in {"missing", SECRET_PROBLEM}:
        return ""
    if problem["type"] == "string_type" and isinstance(given, list | dict):
        return "; what was given is a YAML list or mapping: put text that looks like one in quotes"
    if problem["type"].endswith("_type") and isinstance(given, str) and given.startswith(("[", "{")):
        return "; what was given is no YAML list or mapping, so it counts as text"
    if problem["type"].startswith(("greater_than", "less_than")):
        return f", not {given!s:.80}"
    return f", not {given!r:.80}"


def _without_kinds(parts: Sequence[str], known: Sequence[str]) -> str:
    """The key as a user writes it: pydantic puts the `kind` of a section into the path, and the user does not.

    Positions in a list (`critics.0.kind`) are left in.
    """
    path: list[str] = []
    for position, part in enumerate(parts):
        here = ".".join([*(p for p in path if not p.isdigit()), part])
        is_last = position == len(parts) - 1
        if part.isdigit() or is_last or here in known:
            path.append(part)
    return ".".join(path)


def known_keys(model: type[Settings], prefix: str = "", within: tuple[type[Settings], ...] = ()) -> Iterator[str]:
    """Every key that `model` and its sections accept, dotted; of a section inside one of its own kind, once.

    `within` are the sections that `model` stands in.
    """
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for section in sections_of(field.annotation):
            if section not in (*within, model):
                yield from known_keys(section, f"{prefix}{name}.", (*within, model))


def sections_of(annotation: Any) -> Iterator[type[Settings]]:
    """The sections that a field may hold, one for each kind."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        annotation = annotation.__value__
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for part in get_args(annotation):
        yield from sections_of(part)


def nearest_key(path: str, known: Iterable[str]) -> str | None:
    """The key most like `path`, by the whole path first and then by its last part alone."""
    keys = list(dict.fromkeys(known))
    whole = difflib.get_close_matches(path, keys, n=1, cutoff=0.75)
    if whole:
        return whole[0]
    by_last = {key.rpartition(".")[2]: key for key in reversed(keys)}
    last = difflib.get_close_matches(path.rpartition(".")[2], list(by_last), n=1, cutoff=0.6)
    return by_last[last[0]] if last else None
