"""The section `instructions` of a recipe: the prompts by which pictures are described."""

from typing import Annotated

from ostensive.settings import Settings
from ostensive.user_paths import PathMark


class InstructionsSettings(Settings):
    """How descriptions are asked for. STIC, section 4, stage 2."""

    prompt_set: Annotated[str, PathMark(or_name="folder", names=("preferences",))] = "preferences"
    """The set whose plain prompts, `caption_1.j2` and so on, ask for descriptions; one is drawn for each instruction.
    A built-in set, or a folder of your own templates. STIC: the eight of its first stage, with which pairs are made."""
