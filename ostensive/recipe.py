"""The sections that every recipe has, and the class that recipes derive from.

What a room needs to know is set in that room (`verbalizers.table`, `critics.table`); a builder puts the sections
together into its recipe. Reading, merging and writing recipes is in `ostensive.recipe_files`.
"""

import codecs
import dataclasses
import difflib
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.needs import ModelNeed
from ostensive.records import Annotation
from ostensive.settings import SECRET_PROBLEM, Operational, Settings


class IntakeSettings(Settings):
    """How images are taken in."""

    max_pixels: int = Field(default=80_000_000, ge=1)
    """Images with more pixels (width x height) are refused, as a guard against decompression bombs."""
    min_side: int = Field(default=16, ge=1)
    """Images with a shorter side, in pixels, are refused."""
    world: Literal["any", "microworld"] = "any"
    """`microworld` refuses images that `ostensive microworld render` did not make; models of that world know nothing
    else."""
    column: str | None = None
    """The image column of Parquet input; None takes the only one there is."""


ANNOTATION_FIELDS: Final = tuple(
    field.name for field in dataclasses.fields(Annotation) if field.name not in ("annotation_id", "image_id", "extras")
)
"""What an annotation holds besides the columns that a recipe names itself."""
LIST_FIELDS: Final = ("answers", "choices", "rationales")


class AnnotationSettings(Settings):
    """How the text that comes in beside the images is read."""

    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """Our field: their column, where it is not called as usual; `image` is the column that names the image. A field
    that is none of ours is carried along under its name. Answers, choices and rationales may have several columns."""
    encoding: str | None = None
    """Of text files; null takes UTF-8, or what the byte order mark says."""
    beside: bool = True
    """Read what lies beside the images: metadata files, columns, members of tars. `--annotations` is read anyway."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")  # refuses rot13 and base64 too, which `codecs` also knows
        except LookupError as error:
            raise ValueError("the name of an encoding is expected, such as latin-1 or cp1252") from error
        return None if value is None else codecs.lookup(value).name

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, value: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        known = ("image", *ANNOTATION_FIELDS)
        for field, columns in value.items():
            near = difflib.get_close_matches(field, known, n=1, cutoff=0.75)
            if near and near[0] != field and not field.startswith(f"{near[0]}_"):
                raise ValueError(f"{field} is no field of ours; the nearest is {near[0]}")
            if field in ("annotation_id", "image_id", "extras"):
                raise ValueError(f"{field} is made, not read; the column that names the image is called image here")
            if not field.isidentifier():
                raise ValueError(f"{field!r} is no name for a field; letters, digits and '_' are expected")
            if isinstance(columns, tuple) and (field not in LIST_FIELDS or not columns):
                raise ValueError(f"{field} has one column; several are for {', '.join(LIST_FIELDS)}")
        return value


class PriceSettings(Settings):
    """US dollars for a million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)
    cached_prompt: float | None = Field(default=None, ge=0)
    """Prompt tokens that the server had in its cache; None counts them like the others."""


class ScriptedTeacherSettings(Settings):
    """The teacher that ships with the project: deterministic, offline, free."""

    kind: Literal["scripted"] = "scripted"
    error_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of triples that are given a known fault (hedge, missing field, unknown region, wrong claim)."""


class ServedModelSettings(Settings):
    """A chat model behind an OpenAI-compatible endpoint, whatever it is used for."""

    section: ClassVar[str] = "teacher"  # of the recipe, as messages name it
    role: ClassVar[str] = "teacher"  # as `ostensive doctor` names it

    model: str
    """The model's name as the server knows it."""
    base_url: str | None = None
    """The endpoint; None takes OPENAI_BASE_URL, or OpenAI's own. Answers are remembered per endpoint."""
    endpoint_name: str | None = None
    """What answers are remembered by, for a server of your own whose address changes; None takes the address."""
    api_key: Operational[SecretStr | None] = Field(default=None, exclude=True)
    """The key; None takes the environment variable that `key_variable` names. It is never written down."""
    key_variable: Operational[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]] = "OPENAI_API_KEY"
    """The environment variable that holds the key."""
    send_seed: bool = False
    """Send a seed with each request, for servers that honour it."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105 - a field name
    """The name under which the server takes `max_tokens`; newer OpenAI models want the second."""
    max_in_flight: Operational[Annotated[int, Field(ge=1, le=4096)]] = 64
    """Most requests under way at a time; fewer while the server is busy."""
    connect_timeout_s: Operational[Annotated[float, Field(gt=0)]] = 10.0
    read_timeout_s: Operational[Annotated[float, Field(gt=0)]] = 120.0
    """Longest silence of the server within a request."""
    total_timeout_s: Operational[Annotated[float, Field(gt=0)]] = 600.0
    """Longest time for one request with all its retries."""
    max_attempts: Operational[Annotated[int, Field(ge=1)]] = 6
    price: Operational[PriceSettings | None] = None
    """Overrides the price table for this model."""

    def identity(self) -> dict[str, Any]:  # Any: JSON values of any depth
        """See `Settings.identity`; the address is part of it unless the endpoint has a name."""
        values = super().identity()
        del values["endpoint_name" if self.endpoint_name is None else "base_url"]
        return values

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            parts = urlsplit(value)
        except ValueError as error:
            raise PydanticCustomError(SECRET_PROBLEM, "not a URL") from error
        # A recipe is written down, so a secret must not get into it; nor is what stands here repeated.
        if "@" in value or parts.query or parts.fragment:
            raise PydanticCustomError(
                SECRET_PROBLEM,
                "a URL without user name, password, query or fragment is expected; the key goes into OPENAI_API_KEY",
            )
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError("a URL that starts with http:// or https:// is expected")
        return value

    @field_validator("api_key", mode="before")
    @classmethod
    def _key_is_text(cls, value: object) -> object:
        if not isinstance(value, str | SecretStr | None):  # YAML reads 123456 as a number, and pydantic would show it
            raise PydanticCustomError(SECRET_PROBLEM, "text is expected; put the key in quotes")
        return value

    def needs(self) -> tuple[ModelNeed, ...]:
        """The server, and a key for it unless one is set here."""
        variable = self.key_variable if self.api_key is None else None
        need = ModelNeed(role=self.role, kind="server", name=self.model, address=self.base_url, key_variable=variable)
        return (need,)


class ServedTeacherSettings(ServedModelSettings):
    """A served chat model as the teacher."""

    kind: Literal["served"] = "served"
    temperature: float = Field(default=0.8, ge=0, le=2)
    """LSKD, section 2.2 and methods: 0.8."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    """Tokens are drawn from so many of the likeliest; None from all. vLLM and llama.cpp take it, OpenAI refuses it."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest reply, in tokens."""


class SelfTeacherSettings(GeneratorSettings):
    """A model of `transformers` on this machine; the one that verbalizes, if it is to teach itself."""

    role: ClassVar[str] = "teacher"
    kind: Literal["self"] = "self"
    temperature: float = Field(default=0.8, ge=0, le=2)
    """LSKD, section 2.2 and methods: 0.8. 0 takes the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    """Tokens are drawn from so many of the likeliest; None draws from all."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest reply, in tokens."""


TeacherSettings = Annotated[
    ScriptedTeacherSettings | ServedTeacherSettings | SelfTeacherSettings, Field(discriminator="kind")
]


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
    def endpoints(self) -> tuple[ServedModelSettings, ...]:
        """The servers that a build asks; recipes that ask more than the teacher add theirs."""
        return (self.teacher,) if isinstance(self.teacher, ServedTeacherSettings) else ()
