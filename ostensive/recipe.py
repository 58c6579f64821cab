"""The sections that every recipe has, the class that recipes derive from, and recipes as files.

What a room needs to know is set in that room (`verbalizers.table`, `critics.table`); a builder puts the sections
together into its recipe. A file is read in this order, later over earlier: the defaults in the models, the profile's
fragment, the recipe, `--set`. A section whose `kind` changes starts afresh, since the keys of one kind mean nothing to
another.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any  # Any: what YAML gives

import yaml
from pydantic import AfterValidator, Field, field_validator

from ostensive.chat.access import ChatSettings, TeacherSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.settings import Operational, Settings
from ostensive.yaml_text import parse_value


def _no_keyword(name: str) -> str:
    if name == "all":
        raise ValueError("`datasets` means all splits together by `all`; another name is expected")
    return name


SPLIT_NAME = r"^[A-Za-z0-9_]{1,64}$"
"""As `datasets` takes it, and as it stands in file names."""
SplitName = Annotated[str, Field(pattern=SPLIT_NAME), AfterValidator(_no_keyword)]


class CorpusSettings(Settings):
    """How the corpus is written and what its card says."""

    name: str = "ostensive-corpus"
    """The name on the card and of the shards: letters, digits, `-`, `_`, `.`."""
    license: str
    """Licence of the corpus as the Hub names it (`cc-by-4.0`, `other`, ...). There is no default: you have to know."""
    source: str
    """Where the images come from and under which terms, in a sentence for the card. There is no default."""
    language: str = "en"
    splits: dict[SplitName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Shares of the images by split, as parts of their sum: {train: 0.9, test: 0.1}. A split that came in beside an
    image wins. Empty puts all others into `train`."""
    max_shard_bytes: int = Field(default=1_000_000_000, ge=10_000)
    max_shard_samples: int = Field(default=10_000, ge=1)
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    """For images that are not JPEG files already; those keep their bytes less their metadata."""

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not value or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in value) or value.startswith("."):
            raise ValueError("letters, digits, '-', '_' and '.' are expected")
        return value


class RunSettings(Settings):
    """How a run is carried out; nothing here changes a row."""

    partition_size: Operational[Annotated[int, Field(ge=1)]] = 256
    """Images worked on and written as one."""
    threads: Operational[Annotated[int, Field(ge=1)] | None] = None
    """Threads for decoding and pixel work; None takes one a core."""
    max_failed_share: Operational[Annotated[float, Field(ge=0, le=1)]] = 0.5
    """Share of a stage's rows, 0-1, that may fail; with more the corpus is written and the command still fails."""


class Recipe(Settings):
    """What every recipe has. A builder's recipe derives from it and adds its own sections."""

    recipe: str
    """The builder: localized."""
    profile: str = "offline"
    """The fragment that filled in the models."""
    seed: int = 0
    intake: IntakeSettings = IntakeSettings()
    annotations: AnnotationSettings = AnnotationSettings()
    teacher: TeacherSettings = ScriptedTeacherSettings()
    corpus: CorpusSettings
    run: RunSettings = RunSettings()

    @property
    def chats(self) -> tuple[ChatSettings, ...]:
        """The chat models that a build asks; recipes that ask more than the teacher add theirs."""
        return (self.teacher,)


# ---- files ----------------------------------------------------------------------------------------------------------

Values = Mapping[str, Any]
_SECRET = re.compile(r"key|secret|password|(^|_)token$", re.IGNORECASE)


def merge(under: Values, over: Values) -> dict[str, Any]:
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


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """`["a.b=c", ...]` as nested mappings, values as `ostensive.yaml_text.parse_value` reads them.

    Raises `SettingsError` for one that says nothing, and for a setting that is given two values.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise SettingsError(f"--set {assignment}: KEY=VALUE is expected, e.g. --set teacher.temperature=0.5")
        try:
            value = parse_value(text)
        except ValueError as error:
            raise SettingsError(f"--set {path.strip()}: {error}") from error
        for key in reversed(keys):
            value = {key: value}
        values = _joined(values, value, ())
    return values


def _joined(first: Values, second: Values, within: tuple[str, ...]) -> dict[str, Any]:
    """Both together; raises `SettingsError` where they do not say the same of a setting."""
    joined = dict(first)
    for key, value in second.items():
        path, other = (*within, key), first.get(key, value)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            joined[key] = _joined(other, value, path)
        elif value != other:
            # A key of a server is not repeated.
            given = "" if _SECRET.search(key) else f", as {_in_words(other)} and as {_in_words(value)}"
            raise SettingsError(f"--set {'.'.join(path)}: is given twice{given}; give it once")
        else:
            joined[key] = value
    return joined


def _in_words(value: Any) -> str:
    """A value for a message, less what may hold a key."""
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list) or (isinstance(value, str) and value.startswith(("[", "{"))):
        return "a list or section"
    return f"{value!r:.60}"


def dump(recipe: Recipe) -> str:
    """The recipe with every default written out and no secret, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_hash(recipe: Recipe) -> str:
    """Hash of everything in a recipe that rows depend on, 16 hexadecimal digits; it is in every row."""
    return fingerprint(recipe.identity())[:16]
