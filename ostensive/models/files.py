"""What a model is known by: the content of a folder, or the commit of a model on the Hugging Face Hub.

Rows depend on the weights that made them. So a stage's identity holds the version of each model: it changes with the
weights, not with a name or a time, and it is cheap enough for every planning. A model on the Hub is loaded at the very
commit that it is known by, so that a push to the Hub while a run is at work changes nothing.

The commit is taken from the Hub's cache on this machine, without a network, and asked for only where nothing of the
model is there. Asked each time, whoever resumes a run after the model's page was edited would pay twice.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

from ostensive.chat.proxies import proxy_problem
from ostensive.errors import SettingsError
from ostensive.models.digests import folder_digest

CONFIG = "config.json"
MODEL_SUFFIXES = frozenset({".json", ".jinja", ".model", ".safetensors", ".tiktoken", ".txt"})
# Where processors keep templates and tokenizers beyond the first (`qformer_tokenizer` of InstructBLIP), and where
# sentence-transformers keeps the modules of a model (`1_Pooling`).
_SUBFOLDERS = ("additional_chat_templates", "*_tokenizer", "[0-9]_*")
_MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ASK_TIMEOUT_S = 20.0
PACKAGED = "microworld:"
"""How the names of the tiny models begin that come with this package."""


def located(name: str) -> str:
    """What a library is to load for `name`: the folder of a model that comes with this package, else `name` itself.

    Raises `SettingsError` for `microworld:NAME` where there is no such model.
    """
    if not name.startswith(PACKAGED):
        return name
    folders = _packaged_folders()
    if name not in folders:
        raise SettingsError(f"{name}: no such model comes with this package; there are {', '.join(folders)}")
    return str(folders[name])


@cache
def _packaged_folders() -> dict[str, Path]:
    """The folders of the tiny models by their names, wherever the room that they belong to is installed."""
    weights = Path(str(files("microworld"))) / "weights"
    return {f"{PACKAGED}{folder.name}": folder for folder in sorted(weights.glob("*")) if folder.is_dir()}


def model_version(name: str, revision: str | None = None, *, file: str = CONFIG) -> str:
    """What the model that `name` and `revision` say is known by: `sha256:...` of a folder, `commit:...` of the Hub.

    `file` is a small file that every model of this kind has. May ask the Hub when nothing of the model is on this
    machine. Raises `SettingsError` as `model_folder` and `hub_commit` do.
    """
    folder = model_folder(name)
    if folder is not None:
        return f"sha256:{folder_digest(folder, MODEL_SUFFIXES, subfolders=_SUBFOLDERS)}"
    return f"commit:{hub_commit(name, revision, file=file)}"


def model_folder(name: str) -> Path | None:
    """The folder that `name` is, or None if it is a name on the Hub; raises `SettingsError` if it can be neither."""
    folder = Path(located(name))
    if os.path.isdir(folder):  # noqa: PTH112 - that of Path raises for long paths
        return folder
    if name.startswith((".", "/", "~", "\\")) or name.count("/") > 1:
        raise SettingsError(f"{name}: there is no such folder; a folder or a name on the Hugging Face Hub is expected")
    return None


def pinned_commit(name: str, revision: str | None = None, *, file: str = CONFIG) -> str | None:
    """The commit to load a model at, so that what is loaded is what it is known by; None for a folder."""
    return None if model_folder(name) is not None else hub_commit(name, revision, file=file)


def hub_commit(name: str, revision: str | None = None, *, file: str = CONFIG) -> str:
    """The commit, 40 hexadecimal digits, that `revision` (None: main) of a model on the Hub stands for here.

    A commit is one already. A branch or tag is what the cache on this machine has under it; where it has nothing,
    `file` is fetched, and the cache keeps what it was fetched from. A process that was told a commit stays with it.
    Raises `SettingsError` when the model is neither here nor to be had.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import constants

    return _hub_commit(name, revision or _MAIN, file, constants.HF_HUB_CACHE, constants.ENDPOINT)


# Remembered, because another program may move a branch in the shared cache between planning and loading: the rows of
# one commit would be filed under another. The last two arguments are where the answer came from.
@cache
def _hub_commit(name: str, revision: str, file: str, cache_folder: str, endpoint: str) -> str:  # noqa: ARG001 - see above
    snapshot = cached_snapshot(name, revision)
    return snapshot.name if snapshot is not None else _fetched_commit(name, revision, file)


def cached_snapshot(name: str, revision: str | None = None) -> Path | None:
    """The folder in the Hub's cache on this machine that has files of a model at `revision`; None if there is none.

    The folder's name is the commit. Raises `SettingsError` for a name that the Hub cannot have.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.file_download import repo_folder_name

    try:
        model = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    except HFValidationError as error:
        raise SettingsError(f"{name!r} is neither a folder nor a name as the Hugging Face Hub has them") from error
    commit = revision or _MAIN
    if not _COMMIT.fullmatch(commit):
        try:
            commit = (model / "refs" / commit).read_text("utf-8").strip()
        except (OSError, ValueError):
            return None
    folder = model / "snapshots" / commit
    return folder if _COMMIT.fullmatch(commit) and folder.is_dir() else None


def is_lacking(name: str, commit: str, file: str) -> bool:
    """Whether the Hub was asked for `file` of a model at `commit` and said that there is none."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    return try_to_load_from_cache(name, file, revision=commit) is _CACHED_NO_EXIST


def _fetched_commit(name: str, revision: str, file: str) -> str:
    """The commit from which the cache has `file` now."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        # One plain question first: without a network the download would go on asking for half a minute.
        get_hf_file_metadata(hf_hub_url(name, file, revision=revision), timeout=_ASK_TIMEOUT_S)
        with _without_bars():
            path = Path(hf_hub_download(name, file, revision=revision))
    except Exception as error:  # networks, caches and servers raise here what they like
        raise SettingsError(_why_not(error, name, revision, file)) from error
    return path.parent.name


def _why_not(error: Exception, name: str, revision: str, file: str) -> str:
    """One line on why a model on the Hub cannot be had, and what to do."""
    from huggingface_hub import constants, errors

    fetch = f"hf download {name}" + ("" if revision == _MAIN else f" --revision {revision}")
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{name}: is gated; accept its terms at {constants.ENDPOINT}/{name}, then run hf auth login or set HF_TOKEN"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name}: there is no such folder, and no such model on the Hugging Face Hub; mend the name, or for a"
            " private model run hf auth login or set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name}: has no revision {revision!r} on the Hugging Face Hub; a branch, tag or commit is expected"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{name}: has no {file} at revision {revision!r} on the Hugging Face Hub, so it is no model of this kind"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{name}: is not in the local cache, and HF_HUB_OFFLINE is set; unset it, or bring it there: {fetch}"
    if not isinstance(error, OSError) and (problem := proxy_problem(constants.ENDPOINT)):
        return f"{name}: is not in the local cache, and {problem}; or bring it there: {fetch}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    problem = f"{type(error).__name__}{f': {lines[0]:.150}' if lines else ''}"
    return (
        f"{name}: is not in the local cache, and {constants.ENDPOINT} does not give it ({problem}); mend the"
        f" connection, or bring it there: {fetch}"
    )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Standard error is for our own progress line; the library's bars are put back as they were."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
