"""Prompt templates: loading, checking, rendering and the hash that every row carries.

A prompt set is a folder of Jinja files, one that ships here or one of the user's own. All sources are read once and
held as text, so that what was hashed is what is rendered, though a file is edited during a run. Only templates are ever
compiled: captions, answers and other text of models are values, and braces in them mean nothing.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from ostensive.errors import SettingsError
from ostensive.settings import nearest_key
from ostensive.user_paths import shown_path

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

SUFFIX = ".j2"
PromptValue = str | int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The templates of one set, as pairs of name (without `.j2`) and source, sorted by name."""

    origin: str  # the set's name or folder, for messages
    sources: tuple[tuple[str, str], ...]

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over the names and sources of the set, the first 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for name, source in self.sources:
            for part in (name, source):
                data = part.encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "big") + data)
        return digest.hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """The templates' names, without `.j2`."""
        return tuple(name for name, _ in self.sources)

    def render(self, name: str, values: Mapping[str, PromptValue]) -> str:
        """Template `name` filled with `values`, without white space at either end.

        Raises `SettingsError` when the template fails, e.g. uses a value that there is not.
        """
        from jinja2 import TemplateError

        try:
            return _environment(self.sources).get_template(name).render(**values).strip()
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
            # The last five are what expressions of a user's template may come to.
            raise SettingsError(f"{self.origin}: the template {name}{SUFFIX} cannot be rendered: {error}") from error


def load_prompts(
    name_or_folder: str, shipped: Traversable, *, required: Sequence[str], variables: Sequence[str]
) -> Prompts:
    """The prompt set in the folder `shipped` under this name, or the one in this folder of the user's own.

    Raises `SettingsError` when there is none, a `required` template is missing, one is not valid Jinja, or one uses a
    variable that is not among `variables`.
    """
    folder, name_or_folder = _folder(name_or_folder, shipped), shown_path(Path(name_or_folder))
    entries = sorted((e for e in folder.iterdir() if e.name.endswith(SUFFIX) and e.is_file()), key=lambda e: e.name)
    try:
        sources = tuple((entry.name.removesuffix(SUFFIX), entry.read_text("utf-8-sig")) for entry in entries)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name_or_folder}: a template cannot be read as UTF-8 text: {error}") from error
    prompts = Prompts(name_or_folder, sources)
    for name in required:
        if name not in prompts.names:
            there = ", ".join(f"{known}{SUFFIX}" for known in prompts.names) or f"no {SUFFIX} file"
            raise SettingsError(f"{name_or_folder}: the template {name}{SUFFIX} is missing; there is {there}")
    _check(prompts, variables)
    return prompts


def built_in_sets(shipped: Traversable) -> list[str]:
    """The names of the prompt sets in the folder `shipped`."""
    return sorted(entry.name for entry in shipped.iterdir() if entry.is_dir())


def _folder(name_or_folder: str, shipped: Traversable) -> Traversable:
    known = built_in_sets(shipped)
    if name_or_folder in known:
        return shipped / name_or_folder
    folder = Path(name_or_folder)
    if os.path.isdir(folder):  # noqa: PTH112 - that of Path raises for long paths
        return folder
    near = nearest_key(name_or_folder, iter(known))
    hint = f"; did you mean {near}?" if near else ""
    raise SettingsError(f"{name_or_folder}: neither a built-in prompt set ({', '.join(known)}) nor a folder{hint}")


def _check(prompts: Prompts, variables: Sequence[str]) -> None:
    from jinja2 import TemplateSyntaxError, meta

    environment = _environment(prompts.sources)
    for name, source in prompts.sources:
        try:
            unknown = meta.find_undeclared_variables(environment.parse(source)) - set(variables)
        except TemplateSyntaxError as error:
            place = f"{prompts.origin}: {name}{SUFFIX}, line {error.lineno}"
            raise SettingsError(f"{place}: not valid Jinja: {error.message}") from error
        if unknown:
            raise SettingsError(
                f"{prompts.origin}: {name}{SUFFIX} uses the unknown variable {min(unknown)!r}; "
                f"known are {', '.join(variables)}"
            )


@lru_cache(maxsize=32)
def _environment(sources: tuple[tuple[str, str], ...]) -> "SandboxedEnvironment":
    # Kept out of `Prompts`, which stays plain data that can be compared and sent to another process.
    from jinja2 import DictLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Prompts are plain text: HTML escapes would spoil them.
    return ImmutableSandboxedEnvironment(
        loader=DictLoader(dict(sources)),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
