"""From a section of a recipe to a `Chat`: the one place that knows which implementations there are."""

import threading
from collections.abc import Mapping
from typing import Any, assert_never  # Any: JSON values of any depth

from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.local import LocalChat
from ostensive.chat.prices import PriceTable, price_of
from ostensive.chat.records import Chat, Sampling
from ostensive.chat.scripted import Script, ScriptedChat
from ostensive.chat.served import ServedChat
from ostensive.models.files import model_version
from ostensive.models.generator import GeneratorPool
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.recipe import (
    ScriptedTeacherSettings,
    SelfTeacherSettings,
    ServedModelSettings,
    ServedTeacherSettings,
    TeacherSettings,
)

ChatSettings = TeacherSettings | ServedModelSettings | GeneratorSettings
"""Of a model on this machine any section that names one."""


def open_chat(
    settings: ChatSettings,
    *,
    journal: Journal,
    budget: Budget,
    stop: threading.Event,
    script: Script,
    prices: PriceTable,
    generators: GeneratorPool,
    threads: int = 1,
) -> Chat:
    """The model that `settings` describe, not entered yet; `script` is what the scripted teacher says.

    `threads` of them prepare images. Raises `SettingsError` if its address, its key or a price that the budget needs is
    missing; nothing is sent.
    """
    match settings:
        case ScriptedTeacherSettings():
            return ScriptedChat(script, settings, journal=journal, budget=budget, stop=stop)
        case ServedModelSettings():
            price = price_of(settings, prices)
            return ServedChat(settings, journal=journal, budget=budget, stop=stop, price=price, threads=threads)
        case GeneratorSettings():
            return LocalChat(
                settings, journal=journal, budget=budget, stop=stop, generators=generators, threads=threads
            )
        case _:
            assert_never(settings)


def teacher_identity(settings: TeacherSettings) -> Mapping[str, Any]:
    """All that replies depend on besides what is asked: settings and, of a model on this machine, what it is known by.

    Raises `SettingsError` as `ostensive.models.files.model_version` does.
    """
    values = settings.identity()
    if isinstance(settings, SelfTeacherSettings):
        values["weights"] = model_version(settings.model, settings.revision)
    return values


def sampling_of(settings: TeacherSettings, seed: int | None = None) -> Sampling:
    """How the replies of this teacher are drawn; `seed` counts only where the teacher is to be sent one."""
    match settings:
        case ScriptedTeacherSettings():
            return Sampling()
        case ServedTeacherSettings():
            seed = seed if settings.send_seed else None
        case SelfTeacherSettings():
            pass
        case _:
            assert_never(settings)
    return Sampling(settings.temperature, settings.top_p, settings.max_tokens, seed, top_k=settings.top_k)
