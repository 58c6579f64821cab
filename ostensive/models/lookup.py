"""Where on this machine the things are that recipes need: the Hub's cache, folders, packages, keys.

Nothing is loaded, downloaded or asked of a network. Whether a model is whole is told from its files: a configuration,
weights that its loader would read, and all parts that an index of them lists. Opening the weights
would take as long as loading them.
"""

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # Any: open_clip's table of weights, JSON values

from ostensive.chat.key_permits import KeyPermit
from ostensive.errors import SettingsError
from ostensive.json_text import parse_json
from ostensive.models.files import PACKAGED, cached_snapshot, located
from ostensive.models.needs import ModelNeed

_PICKLES = (".bin", ".pth", ".pt")
_OPEN_CLIP = (".safetensors", ".bin", ".pth")  # what open_clip loads of a folder; of pickles it reads tensors alone
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"  # what transformers loads
_NOT_READ = "has only .bin weights, which are not read (a pickle may run code)"
_SENTENCES = "modules.json"  # of a model of sentence-transformers, which reads .bin files too, tensors alone


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a need: where it lies and its size, or why it cannot be used."""

    place: str | None = None  # a path, or an address
    size_bytes: int | None = None  # on the disk; None where size means nothing
    problem: str | None = None  # what is missing and what to do; None where nothing is
    commit: str | None = None  # of a model on the Hub: the one that is on the disk and would be loaded


def look_up(need: ModelNeed, environment: Mapping[str, str], permits: Sequence[KeyPermit] = ()) -> Found:
    """What there is of `need` on this machine; `permits` say which keys may go where."""
    finders: dict[str, Callable[[], Found]] = {
        "hub": lambda: _hub(need),
        "open_clip": lambda: _open_clip(need),
        "torchvision": lambda: _torchvision(need),
        "folder": lambda: _model_folder(Path(need.name)),
        "file": lambda: _file(Path(need.name)) if need.name else Found(problem=need.hint or "none is set"),
        "packaged": lambda: _package(need),
        "package": lambda: _package(need),
        "server": lambda: _server(need, environment, permits),
    }
    return finders[need.kind]()


def _hub(need: ModelNeed) -> Found:
    place = located(need.name)
    if Path(place).is_dir():
        return _model_folder(Path(place))
    if need.name.startswith((".", "/", "~")):
        return Found(problem=f"there is no folder {need.name}")
    return _hub_snapshot(need.name, need.revision, _model_folder)


def _hub_snapshot(name: str, revision: str | None, look: Callable[[Path], Found]) -> Found:
    """A model in the local cache of the Hub, at the commit at which it would be loaded."""
    try:
        folder = cached_snapshot(name, revision)
    except SettingsError as error:
        return Found(problem=str(error))
    if folder is None:
        at = f" --revision {revision}" if revision else ""
        return Found(problem=f"not in the local cache; a build downloads it, or: hf download {name}{at}")
    found = replace(look(folder), commit=folder.name)
    if found.problem is None:
        return found
    fetch = f"hf download {name} --revision {folder.name}"
    if found.problem.startswith(_NOT_READ):
        return replace(found, problem=f"{_NOT_READ}; {fetch} brings model.safetensors, if the model has it at all")
    return replace(found, problem=f"only in part in the local cache ({found.problem}); {fetch}")


def _model_folder(folder: Path) -> Found:
    """A folder with a configuration and weights that transformers, or sentence-transformers, would load."""
    if not folder.is_dir():
        return Found(problem=f"there is no folder {folder}")
    size = _size(folder)
    if not any((folder / name).is_file() for name in ("config.json", _SENTENCES)):
        return Found(str(folder), size, "no config.json in it")
    if (folder / _SINGLE).is_file():
        return Found(str(folder), size)
    if (folder / _INDEX).is_file():
        missing = sorted(name for name in _parts(folder / _INDEX) if not (folder / name).is_file())
        problem = f"{len(missing)} parts of its weights are missing, {missing[0]} first" if missing else None
        return Found(str(folder), size, problem)
    if (folder / _SENTENCES).is_file():
        has_weights = any(path.suffix in (".safetensors", *_PICKLES) for path in folder.rglob("*"))
        return Found(str(folder), size, None if has_weights else "no weights in it")
    has = {path.suffix for path in folder.iterdir()}
    if ".safetensors" not in has and not has.isdisjoint(_PICKLES):
        return Found(str(folder), size, f"{_NOT_READ}; load it where you trust it, and save it with save_pretrained")
    return Found(str(folder), size, "no weights in it")


def _open_clip_folder(folder: Path) -> Found:
    """A folder that open_clip loads."""
    if not folder.is_dir():
        return Found(problem=f"there is no folder {folder}")
    if not (folder / "open_clip_config.json").is_file():
        return Found(str(folder), _size(folder), "no open_clip_config.json in it")
    has_weights = any(path.suffix in _OPEN_CLIP for path in folder.iterdir())
    return Found(str(folder), _size(folder), None if has_weights else "no weights in it")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _parts(index: Path) -> set[str]:
    """The files that an index of weights names."""
    try:
        values = parse_json(index.read_text("utf-8"), strict=False)
    except (OSError, ValueError):
        return {index.name + " (cannot be read)"}
    return set(values.get("weight_map", {}).values()) if isinstance(values, dict) else set()


def _open_clip(need: ModelNeed) -> Found:
    """A model of open_clip: a folder, a name on the Hub, or one of its own with a tag or a file of weights."""
    if need.name.startswith(("local-dir:", PACKAGED)):
        return _open_clip_folder(Path(located(need.name).removeprefix("local-dir:")))
    if need.name.startswith("hf-hub:"):
        name, _, revision = need.name.removeprefix("hf-hub:").partition("@")
        return _hub_snapshot(name, revision or None, _open_clip_folder)
    weights = need.weights or ""
    if Path(weights).is_file():
        return _file(Path(weights))
    import open_clip

    name = need.name.replace("/", "-")
    config: dict[str, Any] = open_clip.get_pretrained_cfg(name, weights)
    if not config:
        return Found(problem=f"open_clip has no weights {weights!r} for {need.name}, and there is no such file")
    tokenizer = (open_clip.get_model_config(name) or {}).get("text_cfg", {}).get("hf_tokenizer_name")
    if tokenizer and not _cached(tokenizer, "tokenizer_config.json"):
        return Found(
            problem=f"its tokenizer is not in the local cache; a build downloads it, or: hf download {tokenizer}"
        )
    return _open_clip_weights(config)


def _open_clip_weights(config: Mapping[str, Any]) -> Found:
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
                return replace(_file(path), commit=path.parent.name)
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


def _server(need: ModelNeed, environment: Mapping[str, str], permits: Sequence[KeyPermit]) -> Found:
    """Whether there is an address and a key; whether the server answers is for the build to ask."""
    from ostensive.chat.endpoint import ServedModelSettings, check_key_permits, resolve_endpoint

    key = {"key_variable": need.key_variable} if need.key_variable else {"api_key": "set in the recipe"}
    try:
        settings = ServedModelSettings.model_validate({"model": need.name, "base_url": need.address, **key})
        check_key_permits([settings], permits, environment)
        return Found(resolve_endpoint(settings, environment, permits).base_url)
    except SettingsError as error:
        return Found(problem=str(error))
