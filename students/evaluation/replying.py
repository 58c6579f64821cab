"""Replies of a student in its own words; describe and respond (STIC, section 4) if wanted.

The picture is in both requests of describe and respond: the published script left it out of the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: JSON values

import PIL.Image

from ostensive.chat.records import Completion, Conversation, Message, NoReply, Sampling
from ostensive.image_slots import without_slots
from ostensive.models.generator import Generator
from students.evaluation.items import ReplyItem
from students.evaluation.scoring import with_picture

LOST_REPLY: Final = "no reply"


@dataclass(frozen=True, slots=True)
class Describing:
    """How a model is asked for a description, and how a question is put under one."""

    prompt: str
    infuse: Callable[[str, str], str]  # question and description to what is asked


@dataclass(frozen=True, slots=True)
class Replier:
    """Asks an entered generator, the likeliest token each time."""

    generator: Generator
    max_tokens: int
    describing: Describing | None = None

    def reply(self, items: Sequence[ReplyItem], pictures: Sequence[PIL.Image.Image]) -> list[dict[str, Any]]:
        """`reply`, and `description` where one was asked for, of each item in order; `lost` where there is none."""
        asked = [item.question.turns for item in items]
        messages = [tuple(Message(turn.role, turn.text) for turn in turns) for turns in asked]  # type: ignore[arg-type]  # roles
        if self.describing is None:
            return [_result(found) for found in self._asked(messages, pictures)]
        prompts = [(Message("user", self.describing.prompt),) for _ in items]
        described = self._asked(prompts, pictures)
        known = [place for place, found in enumerate(described) if isinstance(found, Completion)]
        infused = [self._infused(messages[place], described[place], self.describing) for place in known]
        answers = dict(zip(known, self._asked(infused, [pictures[place] for place in known]), strict=True))
        return [
            {**_result(answers.get(place, found)), **({"description": found.text} if place in answers else {})}  # type: ignore[union-attr]  # those that are known
            for place, found in enumerate(described)
        ]

    def _asked(
        self, messages: Sequence[tuple[Message, ...]], pictures: Sequence[PIL.Image.Image]
    ) -> list[Completion | NoReply]:
        sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens, seed=0)
        return self.generator.generate(
            [
                Conversation(self._fitting(some, picture), (), sampling)
                for some, picture in zip(messages, pictures, strict=True)
            ]
        )

    def _fitting(self, messages: tuple[Message, ...], picture: PIL.Image.Image) -> tuple[Message, ...]:
        """With the picture; as one prompt for a model that holds no conversations."""
        if self.generator.form != "chat":
            return (Message("user", messages[-1].text, (picture,)),)
        return with_picture(messages, picture)

    @staticmethod
    def _infused(
        messages: tuple[Message, ...], described: Completion | NoReply, describing: Describing
    ) -> tuple[Message, ...]:
        description = without_slots(described.text) if isinstance(described, Completion) else ""
        if not description:
            return messages
        last = messages[-1]
        return (*messages[:-1], Message("user", describing.infuse(last.text, description)))


def _result(found: Completion | NoReply) -> dict[str, Any]:
    if isinstance(found, NoReply):
        return {"lost": found.reason or LOST_REPLY, "detail": found.detail}
    return {"reply": found.text, "is_whole": found.finish_reason == "stop"}
