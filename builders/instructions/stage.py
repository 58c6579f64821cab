"""The stage `candidates`: the teacher describes the picture of each instruction by a plain prompt.

One of the prompts is drawn for each instruction. Instructions of one image that draw the same one share the
description, which is asked for once. What a person asked and answered is not shown to the teacher.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any, Final, Self  # Any: JSON values of any depth

import PIL.Image

from builders.asking import (
    IMAGES_AT_ONCE,
    UNREADABLE,
    Asker,
    Gathered,
    check_sees,
    open_asker,
    request_identity,
    request_seed,
    sampling_of,
)
from builders.instructions.items import NO_INSTRUCTION, Instruction, LostInstruction, instructions_of
from builders.instructions.records import InfusedInstruction
from builders.instructions.replies import fault_of
from builders.instructions.settings import InstructionsSettings
from builders.preferences.planning import CAPTION
from builders.preferences.settings import prompt_sets
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Message, NoReply, Reply
from ostensive.chat.scripted import Script
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.prompts import load_prompts
from ostensive.records import ImageRecord, Turn
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

CANDIDATES: Final = "candidates"
_STAGE_VERSION = 1

_Key = tuple[str, str]  # an image, and the prompt by which it is described


class InstructionsStage(Stage[ImageRecord, InfusedInstruction]):
    """From images with instructions to instructions with descriptions."""

    name = CANDIDATES
    record_in = ImageRecord
    record_out = InfusedInstruction
    partitions_at_once = 2
    images_at_once = IMAGES_AT_ONCE
    uses_annotations = True

    def __init__(self, settings: InstructionsSettings, *, teacher: TeacherSettings, script: Script, seed: int) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        check_sees(teacher, "instructions")
        self._settings, self._teacher, self._script, self._seed = settings, teacher, script, seed
        self._asker: Asker | None = None
        self._prompts = load_prompts(settings.prompt_set, prompt_sets(), required=(), variables=())
        names = [name for name in self._prompts.names if name.startswith(CAPTION)]
        if not names:
            raise SettingsError(
                f"{self._prompts.origin}: a template {CAPTION}1.j2 is missing; one or more are expected"
            )
        self._texts = {name: self._prompts.render(name, {}) for name in names}

    @property
    def identity(self) -> Mapping[str, Any]:
        return request_identity(
            _STAGE_VERSION, self._settings, prompts=self._prompts, teacher=self._teacher, seed=self._seed
        )

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker:
            yield self
        self._asker = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[InfusedInstruction]]:
        gathered = Gathered[InfusedInstruction]()
        wanted: list[tuple[Instruction, _Key]] = []
        for row in rows:
            for one in instructions_of(evidence[row.image_id].annotations):
                if isinstance(one, LostInstruction):
                    gathered.lose(row.image_id, Dropped(one.reason, one.detail))
                else:
                    wanted.append((one, (row.image_id, self._drawn_prompt(one))))
        said = self._describe(list(dict.fromkeys(key for _, key in wanted)), evidence, gathered)
        for one, key in wanted:
            self._gather(gathered, one, key[1], said[key])
        return [gathered.outcome(row.image_id, otherwise=NO_INSTRUCTION) for row in rows]

    def _describe(
        self, keys: Sequence[_Key], evidence: Evidence, gathered: Gathered[InfusedInstruction]
    ) -> dict[_Key, Reply | NoReply | ImageFailure]:
        """What is said of each image to each prompt; all is asked in one call, and what it cost goes to `gathered`."""
        assert self._asker is not None, "the stage is opened before it is used"
        images = dict.fromkeys(image_id for image_id, _ in keys)
        pictures = self._asker.pictures([evidence[image_id].image for image_id in images])
        said: dict[_Key, Reply | NoReply | ImageFailure] = {}
        conversations: dict[_Key, Conversation] = {}
        for image_id, prompt in keys:
            picture = pictures[image_id]
            if isinstance(picture, ImageFailure):
                said[image_id, prompt] = picture
            else:
                conversations[image_id, prompt] = self._conversation(image_id, prompt, picture)
        for key, exchange in zip(conversations, self._asker.ask(list(conversations.values())), strict=True):
            gathered.pay(key[0], exchange)
            said[key] = exchange.replies[0]
        return said

    def _drawn_prompt(self, instruction: Instruction) -> str:
        """The prompt of an instruction; neither the order of instructions nor other ones change it."""
        seed = request_seed(self._seed, instruction.image_id, "prompt", _plain(instruction.turns))
        return Random(seed).choice(sorted(self._texts))  # noqa: S311 - sampling, not secrets

    def _conversation(self, image_id: str, prompt: str, picture: PIL.Image.Image) -> Conversation:
        sampling = sampling_of(self._teacher, request_seed(self._seed, image_id, prompt))
        return Conversation((Message("user", self._texts[prompt], (picture,)),), (), sampling)

    def _gather(
        self,
        gathered: Gathered[InfusedInstruction],
        instruction: Instruction,
        prompt: str,
        said: Reply | NoReply | ImageFailure,
    ) -> None:
        image_id = instruction.image_id
        if isinstance(said, ImageFailure):
            gathered.lose(image_id, Failed(UNREADABLE, said.detail))
        elif isinstance(said, NoReply):
            gathered.lose(image_id, Failed(said.reason, said.detail))
        elif (loss := fault_of(said)) is not None:
            gathered.lose(image_id, replace(loss, record=self._infused(instruction, prompt, said)))
        else:
            gathered.keep(self._infused(instruction, prompt, said))

    def _infused(self, instruction: Instruction, prompt: str, reply: Reply) -> InfusedInstruction:
        image_id = instruction.image_id
        return InfusedInstruction(
            row_id=fingerprint([image_id, reply.request_key, _plain(instruction.turns)])[:16],
            image_id=image_id,
            annotation_id=instruction.annotation_id,
            description=reply.text.strip(),
            turns=instruction.turns,
            prompt=prompt,
            teacher=reply.model,
            prompt_hash=self._prompts.prompt_hash,
            request_key=reply.request_key,
        )


def _plain(turns: Sequence[Turn]) -> list[list[str]]:
    return [[turn.role, turn.text] for turn in turns]
