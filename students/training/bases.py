"""The model that a student begins as: what cannot be one, in one line each, and how rows become text for it."""

import json
from pathlib import Path
from typing import Any, Final  # Any: processors of transformers, typed in part

from ostensive.errors import SettingsError
from ostensive.json_text import parse_json
from ostensive.models.files import model_folder
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import LoadedModel, load_model
from ostensive.user_paths import shown_path
from students.training.settings import StudentSettings

_ADAPTER, _STUDENT, _MODEL = "adapter_config.json", "student.json", "model"
_CONTINUED: Final = "blip-2"
"""The type of model that goes on with a text and has no template for conversations."""


def check_base(settings: StudentSettings) -> None:
    """Raises `SettingsError` for a folder that holds an adapter, or a student, in place of a model."""
    folder = model_folder(settings.base)
    if folder is None or (folder / "config.json").is_file():
        return
    if (folder / _STUDENT).is_file():
        raise SettingsError(f"base: {shown_path(folder)} is the folder of a student; its model is in {_MODEL}/ there")
    if (folder / _ADAPTER).is_file():
        whole = folder.parent / _MODEL
        advice = (
            f"name {shown_path(whole)}, in which it is merged"
            if (whole / "config.json").is_file()
            else "merge it into that model (merge_and_unload of peft), save the whole, and name its folder"
        )
        raise SettingsError(
            f"base: {shown_path(folder)} holds an adapter for {_base_of(folder)} and no model; {advice}"
        )


def load_base(settings: StudentSettings) -> LoadedModel:
    """The model to train, with a processor that has a chat template.

    BLIP-2 has none. It gets one that asks as this package asks it: the text as it is, and what is replied after a
    blank. Raises `SettingsError` where the model cannot be had or cannot be trained.
    """
    loaded = load_model(
        GeneratorSettings(model=settings.base, revision=settings.revision, device=settings.device, dtype=settings.dtype)
    )
    if loaded.encodes:
        raise SettingsError(
            f"base: {settings.base} reads a prompt with an encoder of its own, which TRL's trainers cannot; take a"
            " model that goes on with its prompt (LLaVA, SmolVLM, BLIP-2 with OPT)"
        )
    if loaded.model.config.model_type == _CONTINUED:
        if settings.objective == "dpo":
            raise SettingsError(f"objective: TRL cannot score pairs with a BLIP-2 such as {settings.base}; sft it can")
        if not getattr(loaded.processor, "chat_template", None):
            loaded.processor.chat_template = continuing_template(loaded.processor.tokenizer)
    if not getattr(loaded.processor, "chat_template", None):
        raise SettingsError(f"base: {settings.base} has no chat template, by which rows become text; take one that has")
    return loaded


def continuing_template(tokenizer: Any) -> str:
    """A chat template for a model that goes on with a text: turns in lines, replies after a blank, an end at the end.

    It begins with the token that the tokenizer itself begins with, since TRL has it add none.
    """
    begin = tokenizer.bos_token if tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id] else ""
    said = (
        "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    )
    return (
        f"{_quoted(begin)}{{% for message in messages %}}{{% if message['role'] == 'assistant' %}} {said}"
        f"{{% if loop.last %}}{_quoted(tokenizer.eos_token)}{{% endif %}}"
        f"{{% else %}}{{% if not loop.first %}}{{{{ '\\n' }}}}{{% endif %}}{said}{{% endif %}}{{% endfor %}}"
    )


def _quoted(text: str | None) -> str:
    return f"{{{{ {json.dumps(text or '')} }}}}"


def _base_of(folder: Path) -> str:
    try:
        values = parse_json((folder / _ADAPTER).read_text("utf-8"), strict=False)
    except (OSError, ValueError):
        return "a model that it does not name"
    name = values.get("base_model_name_or_path") if isinstance(values, dict) else None
    return name if isinstance(name, str) and name else "a model that it does not name"
