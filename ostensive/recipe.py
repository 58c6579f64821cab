"""The sections that every recipe has, the class that recipes derive from, and recipes as files.

What a room needs to know is set in that room (`verbalizers.table`, `critics.table`); a builder puts the sections
together into its recipe. A file is read in this order, later over earlier: the defaults in the models, the profile's
fragment, the recipe, `--set`. A section whose `kind` changes starts afresh, since the keys of one kind mean nothing to
another.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal  # Any: what YAML gives

import yaml
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ostensive.chat.access import ChatSettings, TeacherSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.images.near_settings import NearSettings, PerceptualSettings
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.languages import language_tag, nearest_languages
from ostensive.licenses import OTHER, license_id, nearest_licenses
from ostensive.settings import Operational, Settings
from ostensive.user_paths import UserPath
from ostensive.yaml_text import parse_value


def _no_keyword(name: str) -> str:
    if name == "all":
        raise ValueError("`datasets` means all splits together by `all`; another name is expected")
    return name


SPLIT_NAME = r"^[A-Za-z0-9_]{1,64}$"
"""As `datasets` takes it, and as it stands in file names."""
SplitName = Annotated[str, Field(pattern=SPLIT_NAME), AfterValidator(_no_keyword)]


_LICENSE_FILES: Final = ("LICENSE", "LICENSE.md")


class CorpusSettings(Settings):
    """How the corpus is written and what its card says."""

    name: str = "ostensive-corpus"
    """The name on the card and of the shards: letters, digits, `-`, `_`, `.`."""
    license: str
    """Licence of the corpus by its id on the Hub (`cc-by-4.0`, `other`, ...) or its name. There is no default: you have
    to know."""
    license_name: str | None = None
    """Of `other`, a name for it, as an id: `my-licence-1.0`."""
    license_link: str | None = None
    """Of `other`, where its text is: an address, or LICENSE or LICENSE.md, a file that you put into the corpus."""
    source: str
    """Where the images come from and under which terms, in a sentence for the card. There is no default."""
    intended_use: str
    """What the corpus may be used for and what not, in a sentence for the card. There is no default."""
    contact: str | None = None
    """To whom somebody writes who wants a picture removed: an address of mail or of a page. `publish` asks for it."""
    language: str | list[str] = "en"
    """Of the texts, by code, tag or name (`en`, `pt-BR`, `Polish`); several as a list or with commas between them."""
    splits: dict[SplitName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Shares of the images by split, as parts of their sum: {train: 0.9, test: 0.1}. A split that came in beside an
    image wins. Empty puts all others into `train`."""
    near_duplicates: NearSettings = PerceptualSettings()
    """Which images are near duplicates: they go to one split together, and none stays that a benchmark has too."""
    leaking_splits: Literal["refuse", "keep"] = "refuse"
    """What becomes of a build where splits that came in beside near duplicates differ."""
    against: tuple[UserPath, ...] = ()
    """Benchmarks: images, in whatever form they are taken in, and texts (.txt, .csv, .tsv, .json, .jsonl). Images and
    rows of the corpus that are in one of them are dropped."""
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

    @field_validator("license")
    @classmethod
    def _licence_of_the_hub(cls, value: str) -> str:
        known = license_id(value)
        if known is None:
            near = _nearest(nearest_licenses(value))
            raise ValueError(
                f"an id of the Hub's list is expected{near}, or `{OTHER}` with the name in corpus.license_name"
            )
        return known

    @field_validator("license_name")
    @classmethod
    def _plain_license_name(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        _check_is_other(info)
        name = re.sub(r"\s+", "-", value.strip().lower())
        if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]*", name):
            raise ValueError("a name of letters, digits, '-', '.', '_' and '+' is expected, such as my-licence-1.0")
        return name

    @field_validator("license_link")
    @classmethod
    def _link(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            _check_is_other(info)
        if value is not None and value not in _LICENSE_FILES and not re.fullmatch(r"https?://[^\s/]+\S*", value):
            raise ValueError(f"an address that starts with https://, or {_either(_LICENSE_FILES)} is expected")
        return value

    @field_validator("language", mode="before")
    @classmethod
    def _languages(cls, value: object) -> str | list[str]:
        given = value if isinstance(value, list | tuple) else [value]
        # False is what YAML makes of Norwegian.
        texts = ["no" if one is False else one for one in given if one is False or isinstance(one, str)]
        names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
        if len(texts) < len(given) or not names:
            raise ValueError("a language is expected, or a list of them")
        tags = list(dict.fromkeys(_language(name, is_one_of_several=len(names) > 1) for name in names))
        return tags[0] if len(tags) == 1 else tags

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages as tags of BCP 47."""
        return (self.language,) if isinstance(self.language, str) else tuple(self.language)


def _check_is_other(info: ValidationInfo) -> None:
    # Where the licence itself is wrong, that is what the user hears of.
    if (license_given := info.data.get("license", OTHER)) != OTHER:
        raise ValueError(f"this is for a corpus.license that is `{OTHER}`, and it is `{license_given}`")


def _language(text: str, *, is_one_of_several: bool) -> str:
    tag = language_tag(text)
    if tag is None:
        which = f"{text!r:.60}: " if is_one_of_several else ""
        near = _nearest(nearest_languages(text))
        raise ValueError(f"{which}a code of ISO 639, a tag of BCP 47 or a language's name is expected{near}")
    return tag


def _nearest(names: Sequence[str]) -> str:
    return f" (nearest: {_either(names)})" if names else ""


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


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
_DOTTED = re.compile(r"[a-z][a-z_]{0,30}(\.[a-z0-9_]{0,30}){0,6}=?")
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
            # One who types a key where a setting belongs does not find it on the terminal.
            shown = f" {assignment}" if _DOTTED.fullmatch(assignment) else ""
            raise SettingsError(f"--set{shown}: KEY=VALUE is expected, e.g. --set teacher.temperature=0.5")
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
