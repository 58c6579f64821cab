"""What a section of a recipe says that names a model to be asked, whichever provider answers.

A provider's module derives its sections from `ChatModelSettings`, and `ostensive.chat.access` lists them. What a
section does not say otherwise holds for a model that is free and wants no key.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar  # Any: JSON values of any depth

from ostensive.chat.key_permits import KeyPermit
from ostensive.chat.prices import FREE, Price, PriceTable
from ostensive.settings import Settings

READING_VERSION = 2  # of what is read out of a server's body or a generated text; another number makes rows anew


class ChatModelSettings(Settings, ABC):
    """A model that is asked. One that may be the teacher also has `sampling(seed)`: how its replies are drawn."""

    role: ClassVar[str] = "teacher"  # as `ostensive doctor` names it

    @property
    @abstractmethod
    def model_name(self) -> str:
        """What people, and tables of prices, know it by."""

    @property
    def address(self) -> str | None:
        """Where it is asked, if that is set."""
        return None

    def reply_identity(self) -> Mapping[str, Any]:
        """All that replies depend on besides what is asked. Raises `SettingsError` where a model has no files here."""
        return self.identity()

    def price_in(self, prices: PriceTable) -> Price | None:  # noqa: ARG002 - of the interface
        """What its tokens cost; None if not known."""
        return FREE

    def check_access(self, environment: Mapping[str, str] = os.environ, permits: Sequence[KeyPermit] = ()) -> None:
        """Raises `SettingsError`, or `AccessRefusedError`, before any work for a key that is missing or refused.

        Also for one that may not go there, by what is usual and by `permits`.
        """
