"""The sections that every recipe has, and the class that recipes derive from.

What a room needs to know is set in that room (`verbalizers.settings`, `critics.settings`); a builder puts the sections
together into its recipe. Reading, merging and writing recipes is in `ostensive.recipe_files`.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from ostensive.chat.access import ChatSettings, TeacherSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.images.settings import AnnotationSettings, IntakeSettings
from ostensive.settings import Operational, Settings


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
