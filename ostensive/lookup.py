"""Where on this machine the things are that recipes need: the Hub's cache, folders, packages, keys.

Nothing is loaded, downloaded or asked of a network. Whether a model is whole is told from its files: a configuration,
weights, and all parts that an index of weights lists. Opening the weights was given up: it takes as long as loading.
"""

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostensive.errors import SettingsError
from ostensive.needs import ModelNeed

_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".npz")
_CONFIGS = ("config.json", "open_clip_config.json", "modules.json")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a need: where it lies and its size, or why it cannot be used."""

    place: str | None = None  # a path, or an address
    size_bytes: int | None = None  # on the disk; None where size means nothing
    problem: str | None = None  # what is missing and what to do; None where nothing is


def look_up(need: ModelNeed, environment: Mapping[str, str]) -> Found:
    """What there is of `need` on this machine."""
    finders: dict[str, Callable[[], Found]] = {
        "hub": lambda: _hub(need),
        "open_clip": lambda: _open_clip(need),
        "torchvision": lambda: _torchvision(need),
        "folder": lambda: _model_folder(Path(need.name)),
        "file": lambda: _file(Path(need.name)),
        "packaged": lambda: _package(need),
        "package": lambda: _package(need),
        "server": lambda: _server(need, environment),
    }
    return finders[need.kind]()


def _hub(need: ModelNeed) -> Found:
    if Path(need.name).is_dir():
        return _model_folder(Path(need.name))
    if need.name.startswith((".", "/", "~")):
        return Found(problem=f"there is no folder {need.name}")
    return _hub_snapshot(need.name, need.revision)


def _hub_snapshot(name: str, revision: str | None) -> Found:
    """A model in the local cache of the Hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        at = f" --revision {revision}" if revision else ""
        return Found(problem=f"not in the local cache; a build downloads it, or: hf download {name}{at}")
    except HFValidationError:
        return Found(problem=f"{name!r} is neither a folder nor a name as the Hugging Face Hub has them")
    found = _model_folder(folder)
    if found.problem is None:
        return found
    return Found(
        found.place, found.size_bytes, f"only in part in the local cache ({found.problem}); hf download {name}"
    )


def _model_folder(folder: Path) -> Found:
    """A folder with a configuration and weights."""
    if not folder.is_dir():
        return Found(problem=f"there is no folder {folder}")
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if not any((folder / name).is_file() for name in _CONFIGS):
        return Found(str(folder), size, f"no {' or '.join(_CONFIGS[:2])} in it")
    if not any(path.suffix in _WEIGHTS for path in files):
        return Found(str(folder), size, "no weights in it")
    # Where there are both, the parts in safetensors are those that are loaded, and the others need not be there.
    indexes = list(folder.glob("*.safetensors.index.json")) or list(folder.glob("*.index.json"))
    wanted = {name for index in indexes for name in _parts(index)}
    missing = sorted(name for name in wanted if not (folder / name).is_file())
    if missing:
        return Found(str(folder), size, f"{len(missing)} parts of its weights are missing, {missing[0]} first")
    return Found(str(folder), size)


def _parts(index: Path) -> set[str]:
    """The files that an index of weights names."""
    try:
        values = json.loads(index.read_text("utf-8"))
    except (OSError, ValueError):
        return {index.name + " (cannot be read)"}
    return set(values.get("weight_map", {}).values()) if isinstance(values, dict) else set()


def _open_clip(need: ModelNeed) -> Found:
    """A model of open_clip: a folder, a name on the Hub, or one of its own with a tag or a file of weights."""
    if need.name.startswith("local-dir:"):
        return _model_folder(Path(need.name.removeprefix("local-dir:")))
    if need.name.startswith("hf-hub:"):
        return _hub_snapshot(need.name.removeprefix("hf-hub:"), None)
    weights = need.weights or ""
    if Path(weights).is_file():
        return _file(Path(weights))
    import open_clip

    name = need.name.replace("/", "-")
    config: dict[str, Any] = open_clip.get_pretrained_cfg(name, weights)  # Any: open_clip's table of weights
    if not config:
        return Found(problem=f"open_clip has no weights {weights!r} for {need.name}, and there is no such file")
    tokenizer = (open_clip.get_model_config(name) or {}).get("text_cfg", {}).get("hf_tokenizer_name")
    if tokenizer and not _cached(tokenizer, "tokenizer_config.json"):
        return Found(
            problem=f"its tokenizer is not in the local cache; a build downloads it, or: hf download {tokenizer}"
        )
    return _open_clip_weights(config)


def _open_clip_weights(config: Mapping[str, Any]) -> Found:  # Any: open_clip's table of weights
    """The weights of one entry of open_clip's table, in the order in which open_clip looks for them."""
    if "file" in config:
        return _file(Path(config["file"]))
    if config.get("hf_hub"):
        repository, _, filename = config["hf_hub"].rpartition("/")
        stem = filename.rpartition(".")[0]
        names = [f"{stem}.safetensors", filename] if filename else ["open_clip_model.safetensors"]
        names += [] if filename else ["open_clip_pytorch_model.bin"]
        for path in (_cached(repository, candidate) for candidate in names):
            if path is not None:
                return _file(path)
        return Found(problem=f"not in the local cache; a build downloads it, or: hf download {repository}")
    path = Path.home() / ".cache" / "clip" / Path(config["url"]).name
    return _file(path) if path.is_file() else Found(problem="not in the local cache; a build downloads it")


def _cached(repository: str, filename: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, filename)
    return Path(path) if isinstance(path, str) else None


def _torchvision(need: ModelNeed) -> Found:
    """A model of torchvision: a file of weights, or a tag of its table in the cache of torch."""
    weights = need.weights
    if weights is not None and Path(weights).is_file():
        return _file(Path(weights))
    import torch
    import torchvision.models

    try:
        table = torchvision.models.get_model_weights(need.name)
        entry = table[weights] if weights is not None else next(iter(table))
    except (ValueError, KeyError):
        return Found(problem=f"torchvision has no weights {weights!r} for {need.name!r}, and there is no such file")
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
    return _file(path) if path.is_file() else Found(problem="not in the local cache; a build downloads it")


def _file(path: Path) -> Found:
    path = path.expanduser()
    if not path.is_file():
        return Found(problem=f"there is no file {path}")
    if not os.access(path, os.R_OK):
        return Found(str(path), problem="there is no permission to read it")
    return Found(str(path), path.stat().st_size)


def _package(need: ModelNeed) -> Found:
    spec = importlib.util.find_spec(need.name)
    if spec is None:
        return Found(problem=f"the package {need.name} is not installed{f'; {need.hint}' if need.hint else ''}")
    folder = Path(spec.origin).parent if spec.origin else None
    if folder is None or need.kind == "package":
        return Found(str(folder) if folder else None)
    return Found(str(folder), sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


def _server(need: ModelNeed, environment: Mapping[str, str]) -> Found:
    """Whether there is an address and a key; whether the server answers is for the build to ask."""
    from ostensive.chat.endpoint import resolve_endpoint
    from ostensive.recipe import ServedModelSettings

    key = None if need.key_variable is not None else "set in the recipe"
    try:
        settings = ServedModelSettings.model_validate({"model": need.name, "base_url": need.address, "api_key": key})
        return Found(resolve_endpoint(settings, environment).base_url)
    except SettingsError as error:
        return Found(problem=str(error))
