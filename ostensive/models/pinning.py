"""The commits at which a run takes its models from the Hub: found out once, and kept with the run.

A branch moves: in the Hub's cache on this machine whenever any program loads the model from it, and rows of two states
of one model must not stand side by side, nor a night's work be done again because somebody edited a model's page. So a
build writes each commit into the recipe that it carries out, as its `revision`, and into the run's state, where the
next build of the same run finds it.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, TypeVar

from ostensive.models.files import CONFIG, pinned_commit
from ostensive.settings import Settings

OPEN_CLIP_HUB = "hf-hub:"
_OPEN_CLIP_CONFIG = "open_clip_config.json"

SettingsT = TypeVar("SettingsT", bound=Settings)


def pin_models(settings: SettingsT, known: Mapping[str, str]) -> tuple[SettingsT, dict[str, str]]:
    """`settings` with the commit of each model on the Hub as its revision, and these commits by `NAME@REVISION`.

    Those in `known` are taken from there; others are found out, which may ask the Hub. Raises `SettingsError` as
    `ostensive.models.files.hub_commit` does.
    """
    pins = dict(known)
    return _pinned(settings, pins), pins


def _pinned(settings: SettingsT, pins: MutableMapping[str, str]) -> SettingsT:
    changes: dict[str, Any] = {}  # Any: values of settings
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Settings):
            changes[name] = _pinned(value, pins)
        elif isinstance(value, tuple):
            changes[name] = tuple(_pinned(item, pins) if isinstance(item, Settings) else item for item in value)
    model: str | None = getattr(settings, "model", None)
    kinds = {need.kind for need in settings.needs() if need.name == model}
    if model is not None and "hub" in kinds:
        changes["revision"] = _commit(model, getattr(settings, "revision", None), CONFIG, pins)
    elif model is not None and "open_clip" in kinds and model.startswith(OPEN_CLIP_HUB):
        name, _, revision = model.removeprefix(OPEN_CLIP_HUB).partition("@")
        changes["model"] = f"{OPEN_CLIP_HUB}{name}@{_commit(name, revision or None, _OPEN_CLIP_CONFIG, pins)}"
    changed = {name: value for name, value in changes.items() if value != getattr(settings, name)}
    return settings.model_copy(update=changed) if changed else settings


def _commit(name: str, revision: str | None, file: str, pins: MutableMapping[str, str]) -> str | None:
    key = f"{name}@{revision or 'main'}"
    if key not in pins:
        commit = pinned_commit(name, revision, file=file)
        if commit is None or commit == revision:
            return revision
        pins[key] = commit
    return pins[key]
