"""Weights that somebody trained, loaded by `transformers`: what is checked of every model, whatever it does.

A folder is looked at before the library is asked, because the library's own answer to a missing file is a page long.
Weights that a file lacks are an error: the library fills them with random numbers and says so in a table, and what such
a model says looks like any other's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any  # Any: transformers types its modules in part, and torch is imported late

from ostensive.errors import SettingsError
from ostensive.models.files import is_lacking, located

_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")  # one of them, as the library looks for them


@contextmanager
def without_bars() -> Iterator[None]:
    """Standard error is for our own progress line; the library's bars are put back as they were."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def loading_errors(name: str, commit: str | None) -> Iterator[None]:
    """Turns whatever the library raises inside into a `SettingsError` of one line that names the model."""
    try:
        with code_refused(name):
            yield
    except SettingsError:
        raise
    except Exception as error:  # each model's classes raise what they like when files are missing or broken
        _check_not_lacking(name, commit)
        raise SettingsError(f"{name}: cannot be loaded: {type(error).__name__}: {first_line(error)}") from error


@contextmanager
def code_refused(name: str) -> Iterator[None]:
    """Has transformers refuse code that a model brings along where it would ask on the terminal whether to run it.

    It asks wherever nobody said `trust_remote_code`, as open_clip's tokenizers and models that name others do not.
    Raises `SettingsError` that names the model.
    """
    from transformers import dynamic_module_utils as library

    library.TIME_OUT_REMOTE_CODE = 0  # the library's own switch, for good: whoever loads later must not ask either
    try:
        yield
    except SettingsError:
        raise
    except Exception as error:  # the library raises a ValueError that tells the user of its argument
        if "trust_remote_code" not in str(error):
            raise
        raise SettingsError(
            f"{name}: brings code of its own, which is never run; name a model that the installed libraries know"
        ) from error


def _check_not_lacking(name: str, commit: str | None) -> None:
    """Raises `SettingsError` for a model on the Hub that has no safetensors; the library advises to read pickles."""
    if commit is not None and all(is_lacking(name, commit, file) for file in _SAFETENSORS):
        raise SettingsError(
            f"{name}: has no {_SAFETENSORS[0]} at commit {commit}, and other weights are not read (a pickle may run"
            " code); name another revision, or a folder where you saved it with save_pretrained"
        )


def dtype_of(setting: str, device: str) -> Any:
    """What `from_pretrained` takes as `dtype`; on a CPU `auto` is float32."""
    import torch

    if setting == "auto":
        return torch.float32 if device == "cpu" else "auto"
    return getattr(torch, setting)


def check_folder(name: str) -> None:
    """Raises `SettingsError` where `name` can only be a folder and there is none, or it holds no model."""
    folder = Path(located(name))
    if not folder.is_dir():
        if name.startswith((".", "/", "~", "\\")) or name.count("/") > 1:
            raise SettingsError(
                f"{name}: there is no such folder; a folder or a name on the Hugging Face Hub is expected"
            )
        return
    if not (folder / "config.json").is_file():
        raise SettingsError(f"{name}: holds no config.json; a folder written by save_pretrained is expected")
    if not any(folder.glob("*.safetensors")):
        raise SettingsError(f"{name}: holds no weights; *.safetensors files are expected beside config.json")


def check_weights(name: str, loading: Any) -> None:
    """Raises `SettingsError` where weights are missing or do not fit, by the report of `from_pretrained`."""
    lacking = sorted(str(key) for key in loading["missing_keys"])
    wrong = sorted(str(key[0]) for key in loading["mismatched_keys"])
    for keys, problem in ((lacking, "are missing"), (wrong, "have another shape than config.json says")):
        if keys:
            raise SettingsError(f"{name}: {len(keys)} of its weights {problem}, among them {keys[0]}; fetch it anew")


def first_line(error: Exception) -> str:
    """The first line of an error that says anything, at most 300 characters of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"
