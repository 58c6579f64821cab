"""The `localized` section of a recipe: how triples are asked for."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ostensive.settings import Settings
from ostensive.user_paths import PathMark

Mode = Literal["ids", "descriptions"]
MODES: tuple[Mode, ...] = ("ids", "descriptions")


def prompt_sets() -> Traversable:
    """The folder of the prompt sets that ship with the recipe."""
    return files("builders.localized") / "templates"


class LocalizedSettings(Settings):
    """How the teacher is asked for questions, answers and rationales. LSKD, section 2.2: 3 x 3 in each of 2 modes."""

    modes: tuple[Mode, ...] = Field(default=MODES, min_length=1)
    """Prompt modes: `ids` speaks of regions as [k], `descriptions` by what they look like. One conversation each."""
    turns: int = Field(default=3, ge=1, le=20)
    """Requests for each image and mode; each sees the replies before it."""
    qars_per_turn: int = Field(default=3, ge=1, le=20)
    """Triples asked for in each request."""
    max_mentions: int = Field(default=5, ge=1)
    """Most different regions that a triple may mention; LSKD, section 2.2: five."""
    prompt_set: Annotated[str, PathMark(or_name="folder", names=("localized",))] = "localized"
    """A built-in prompt set, or a folder of your own templates; start from a copy of the built-in one."""

    @field_validator("modes")
    @classmethod
    def _distinct(cls, value: tuple[Mode, ...]) -> tuple[Mode, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each mode at most once is expected")
        return value
