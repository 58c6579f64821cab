"""What an image-text model is asked and what it says, whichever model it is."""

from dataclasses import dataclass
from typing import Literal

import PIL.Image

from ostensive.records import NO_SPEND, Spend


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; its images come before its text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[PIL.Image.Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Draw:
    """How tokens are drawn. Temperature 0 takes the likeliest each time, and the seed then counts for nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation up to and including a user's turn; `samples` texts are drawn from seeds of their own.

    Models without a chat template take one user's turn: a text that they go on with (BLIP-2), an instruction
    (InstructBLIP) or a task prompt such as `<CAPTION>` (Florence-2).
    """

    turns: tuple[Turn, ...]
    draw: Draw = Draw()
    samples: int = 1

    @property
    def images(self) -> tuple[PIL.Image.Image, ...]:
        """All images, in the order of the turns."""
        return tuple(image for turn in self.turns for image in turn.images)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One text, without prompt and special tokens. `finish_reason` is "stop", or "length" where it was cut."""

    text: str
    finish_reason: Literal["stop", "length"]
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Generated:
    """What a request came to: one text for each sample."""

    drawn: tuple[Drawn, ...]
    prompt_tokens: int  # image slots included, padding left out
    spend: Spend = NO_SPEND  # of a served model


@dataclass(frozen=True, slots=True)
class NotGenerated:
    """A request that the model could not answer: `reason` is a short fixed phrase to count by, `detail` is free."""

    reason: str
    detail: str
    spend: Spend = NO_SPEND  # of a served model, whose empty answers are paid for like any other


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of the request at `index` of those that were handed in."""

    index: int
    result: Generated | NotGenerated
