"""The prompt sets of the builders; loading, checking and rendering them is in `ostensive.prompts`."""

from collections.abc import Sequence
from importlib.resources import files

from ostensive import prompts
from ostensive.prompts import SUFFIX, Prompts, PromptValue

__all__ = ["SUFFIX", "PromptValue", "Prompts", "built_in_sets", "load_prompts"]


def load_prompts(name_or_folder: str, *, required: Sequence[str], variables: Sequence[str]) -> Prompts:
    """The prompt set that ships under this name, or the one in this folder; a name with a slash is always a folder.

    Raises `SettingsError` as `ostensive.prompts.load_prompts` does.
    """
    return prompts.load_prompts(name_or_folder, files("builders") / "templates", required=required, variables=variables)


def built_in_sets() -> list[str]:
    """The names of the prompt sets that ship with the builders."""
    return prompts.built_in_sets(files("builders") / "templates")
