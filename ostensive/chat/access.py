"""The one table of chat providers: the sections that may stand in a recipe, and what opens each.

A new provider is its module (its section and its `Chat`), its test, and here a member of `TeacherSettings` and a case
of `open_chat`.
"""

import threading
from collections.abc import Sequence
from typing import Annotated, assert_never

from pydantic import Field

from ostensive.chat.budget import Budget
from ostensive.chat.endpoint import ServedModelSettings, ServedTeacherSettings
from ostensive.chat.journal import Journal
from ostensive.chat.key_permits import KeyPermit
from ostensive.chat.local import LocalChat, SelfTeacherSettings
from ostensive.chat.prices import PriceTable
from ostensive.chat.records import Chat
from ostensive.chat.scripted import Script, ScriptedChat, ScriptedTeacherSettings
from ostensive.chat.served import ServedChat
from ostensive.models.generator import GeneratorPool
from ostensive.models.generator_settings import GeneratorSettings

TeacherSettings = Annotated[
    ScriptedTeacherSettings | ServedTeacherSettings | SelfTeacherSettings, Field(discriminator="kind")
]
"""Any model that may teach and judge, by its `kind`."""

ChatSettings = TeacherSettings | ServedModelSettings | GeneratorSettings
"""Any model that is asked; of the last two, sections of verbalizers too."""


def open_chat(  # noqa: PLR0913 - what a model of any kind takes
    settings: ChatSettings,
    *,
    journal: Journal,
    budget: Budget,
    stop: threading.Event,
    script: Script,
    prices: PriceTable,
    generators: GeneratorPool,
    threads: int = 1,
    permits: Sequence[KeyPermit] = (),
) -> Chat:
    """The model that `settings` describe, not entered yet; `script` is what the scripted teacher says.

    `threads` of them prepare images; `permits` say which keys may go where. Raises `SettingsError` if its address, its
    key or a price that the budget needs is missing, or the key may not go there; nothing is sent.
    """
    match settings:
        case ScriptedTeacherSettings():
            return ScriptedChat(script, settings, journal=journal, budget=budget, stop=stop)
        case ServedModelSettings():
            price = settings.price_in(prices)
            return ServedChat(
                settings, journal=journal, budget=budget, stop=stop, price=price, threads=threads, permits=permits
            )
        case GeneratorSettings():
            return LocalChat(
                settings, journal=journal, budget=budget, stop=stop, generators=generators, threads=threads
            )
        case _:
            assert_never(settings)
