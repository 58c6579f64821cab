"""What a model of open_clip is known by, and where its files are: checked and fetched before open_clip is asked.

open_clip loads a model on the Hub (`hf-hub:`) from its main branch as it is at that moment, and knows no other. So its
files are fetched here at the commit that the model is known by, and loaded from their folder. open_clip's own tags need
nothing of the kind: a tag names weights that were published once, and others get a tag of their own. The commit of the
repository that holds them would change when its page is edited, and finished rows be done again for nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.json_text import parse_json
from ostensive.models.digests import files_digest, folder_digest
from ostensive.models.files import MODEL_SUFFIXES, PACKAGED, hub_commit, located

HUB, FOLDER = "hf-hub:", "local-dir:"
CONFIG = "open_clip_config.json"
WEIGHTS_SUFFIXES = (".safetensors", ".bin", ".pth")  # what open_clip looks for in a folder
_TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True, slots=True)
class HubTokenizer:
    """A tokenizer on the Hub that a model's configuration names."""

    name: str
    commit: str
    context_length: int
    mode: str | None
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HubClip:
    """A model on the Hub at one commit. Its configuration is on this machine, its weights may not be."""

    name: str
    commit: str
    folder: Path
    tokenizer: HubTokenizer | None  # None takes open_clip's own


def open_clip_name(model: str) -> str:
    """`model` in the words of open_clip: one that comes with this package is a folder."""
    return f"{FOLDER}{located(model)}" if model.startswith(PACKAGED) else model


def weights_version(model: str, pretrained: str | None) -> str:
    """What the weights are known by: content, commit, or a tag of open_clip. Raises `SettingsError` as `hub_clip`."""
    model = open_clip_name(model)
    if model.startswith(FOLDER):
        suffixes = MODEL_SUFFIXES | set(WEIGHTS_SUFFIXES)
        return f"sha256:{folder_digest(Path(model.removeprefix(FOLDER)), suffixes)}"
    if model.startswith(HUB):
        found = hub_clip(model)
        return f"commit:{found.commit}" + (f"+{found.tokenizer.commit}" if found.tokenizer is not None else "")
    if pretrained is not None and Path(pretrained).is_file():
        return f"sha256:{files_digest([Path(pretrained)])}"
    return f"tag:{pretrained}"


def split_hub_name(model: str) -> tuple[str, str | None]:
    """Name and revision (None: main) in `hf-hub:NAME` or `hf-hub:NAME@REVISION`; names on the Hub have no `@`."""
    name, _, revision = model.removeprefix(HUB).partition("@")
    return name, revision or None


def hub_clip(model: str) -> HubClip:
    """The model that `hf-hub:...` names; fetches its configuration if nothing of it is on this machine.

    Raises `SettingsError` when it cannot be had, or is no model of open_clip.
    """
    name, revision = split_hub_name(model)
    commit = hub_commit(name, revision, file=CONFIG)
    path = _fetched(name, commit, CONFIG)
    config = read_config(path, f"model: {CONFIG} of {name}")
    text = config["model_cfg"].get("text_cfg") or {}
    tokenizer = None
    if text.get("hf_tokenizer_name"):
        # Where it is the model's own, it is taken at the commit of the model.
        source = str(text["hf_tokenizer_name"])
        tokenizer = HubTokenizer(
            source,
            commit if source == name else hub_commit(source, file=_TOKENIZER_CONFIG),
            int(text.get("context_length", 77)),  # open_clip's default, and that of OpenAI's CLIP
            text.get("tokenizer_mode"),
            dict(text.get("tokenizer_kwargs") or {}),
        )
    return HubClip(name, commit, path.parent, tokenizer)


def fetch_weights(found: HubClip) -> None:
    """Puts the weights that open_clip would choose beside the configuration; raises `SettingsError`."""
    from open_clip.pretrained import download_pretrained_from_hf

    try:
        download_pretrained_from_hf(found.name, revision=found.commit)
    except Exception as error:  # what loaders and networks raise here has no common type
        raise SettingsError(
            f"model: the weights of {HUB}{found.name} cannot be had at commit {found.commit}: {_first_line(error)}"
        ) from error


def read_config(path: Path, what: str) -> dict[str, Any]:
    """open_clip's description of a model; raises `SettingsError`, beginning with `what`, where it is none."""
    try:
        config = parse_json(path.read_text("utf-8"), strict=False)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{what} cannot be read as JSON ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_cfg"), dict):
        raise SettingsError(f"{what} has no model_cfg; a model as open_clip saves it is expected")
    return config


def check_folder(folder: Path) -> None:
    """Raises `SettingsError` for a folder that holds no model of open_clip."""
    if not folder.is_dir():
        raise SettingsError(f"model: there is no folder {folder}; local-dir: has to be followed by one")
    if not (folder / CONFIG).is_file():
        raise SettingsError(f"model: {folder} has no {CONFIG}; a model as open_clip saves it is expected")
    read_config(folder / CONFIG, f"model: {folder / CONFIG}")
    if not any(path.suffix in WEIGHTS_SUFFIXES for path in folder.iterdir()):
        expected = ", ".join(f"*{suffix}" for suffix in WEIGHTS_SUFFIXES)
        raise SettingsError(f"model: {folder} has no weights; a file {expected} is expected in it")


def _fetched(name: str, commit: str, file: str) -> Path:
    """A small file of a model at a commit; asks no network where it is there."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, file, revision=commit))
    except Exception as error:  # as above
        raise SettingsError(
            f"model: {file} of {HUB}{name} cannot be had at commit {commit}: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0]:.200}"
