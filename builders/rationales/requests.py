"""What the teacher is asked: the grid of prompts, temperatures and draws about each item, and each request's words.

The stages `tried` and `candidates` make their requests here, so that what is tried is the very request that is made
again when its prompt is kept, and the journal has its answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final  # Any: JSON values of any depth

import PIL.Image

from builders.asking import request_identity, request_seed, sampling_of
from builders.rationales.items import Item
from builders.rationales.settings import PROMPT_PREFIX, RationalesSettings, prompt_sets
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Message
from ostensive.prompts import PromptValue, load_prompts

_VARIABLES = ("question", "answer", "choices")
_TRIAL: Final = Item("trial", "0" * 64, "Is it so?", "yes", ("yes", "no"))


@dataclass(frozen=True, slots=True)
class Request:
    """One rationale that is to be drawn: why which answer, asked in which words, at which temperature."""

    item: Item
    prompt: str
    temperature: float
    draw: int


class Requests:
    """The requests of one recipe. Made of settings alone; it pickles."""

    def __init__(self, settings: RationalesSettings, teacher: TeacherSettings, seed: int) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        self._settings, self._teacher, self._seed = settings, teacher, seed
        required = [f"{PROMPT_PREFIX}{name}" for name in settings.prompts]
        self._prompts = load_prompts(settings.prompt_set, prompt_sets(), required=required, variables=_VARIABLES)
        self.prompt_hash = self._prompts.prompt_hash
        for name in settings.prompts:
            self.text(_TRIAL, name)  # a template that fails does so before any work

    def identity(self, version: int) -> dict[str, Any]:
        """All that a stage's requests depend on but the prompt search, which comes to its rows."""
        found = request_identity(version, self._settings, prompts=self._prompts, teacher=self._teacher, seed=self._seed)
        settings: Mapping[str, Any] = found["settings"]
        return {**found, "settings": {name: value for name, value in settings.items() if name != "prompt_search"}}

    def of(self, item: Item, prompts: Sequence[str], samples: int) -> Iterator[Request]:
        """The grid for one item: each of `prompts` at each temperature, drawn `samples` times."""
        for prompt in prompts:
            for temperature in self._settings.temperatures:
                for draw in range(samples):
                    yield Request(item, prompt, temperature, draw)

    def conversation(self, request: Request, picture: PIL.Image.Image) -> Conversation:
        """One message with the picture in it."""
        item = request.item
        seed = request_seed(self._seed, item.image_id, item.question, item.answer, request.prompt, request.temperature)
        sampling = replace(sampling_of(self._teacher, seed, draw=request.draw), temperature=request.temperature)
        if self._settings.top_k is not None:
            sampling = replace(sampling, top_k=self._settings.top_k)
        return Conversation((Message("user", self.text(item, request.prompt), (picture,)),), (), sampling)

    def text(self, item: Item, prompt: str) -> str:
        """A prompt about an item, in words."""
        values: dict[str, PromptValue] = {"question": item.question, "answer": item.answer, "choices": item.choices}
        return self._prompts.render(f"{PROMPT_PREFIX}{prompt}", values)
