"""Describe and respond: a model describes a picture first, and answers with its own description before it.

STIC, section 4 and table 2: it helps a model that was trained on infused instructions and harms one that was not.
The picture is in both requests; the published script left it out of the first, so that the description was made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.instructions.infusing import infused_text
from builders.preferences.planning import CAPTION
from builders.preferences.settings import prompt_sets
from ostensive.chat.pictures import Picture
from ostensive.chat.records import Chat, Conversation, Message, NoReply, Reply, Sampling
from ostensive.image_slots import without_slot, without_slots
from ostensive.prompts import load_prompts

LIKELIEST: Final = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """A question about a picture."""

    picture: Picture
    question: str


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said of a picture, and what it then answered; where there is no description there is no answer."""

    description: Reply | NoReply
    answer: Reply | NoReply


def describing_prompt() -> str:
    """The prompt that asks for the description where no other is given: the plain one, as in STIC always the same."""
    prompts = load_prompts("preferences", prompt_sets(), required=[f"{CAPTION}1"], variables=())
    return prompts.render(f"{CAPTION}1", {})


def describe_and_respond(
    chat: Chat, picture: Picture, question: str, *, prompt: str | None = None, sampling: Sampling = LIKELIEST
) -> Response:
    """The response to one question; see `describe_and_respond_all`."""
    (found,) = describe_and_respond_all(chat, [PictureQuestion(picture, question)], prompt=prompt, sampling=sampling)
    return found


def describe_and_respond_all(
    chat: Chat, asked: Sequence[PictureQuestion], *, prompt: str | None = None, sampling: Sampling = LIKELIEST
) -> list[Response]:
    """A response to each question, in order, in two rounds of requests; `chat` is entered.

    Placeholders of images that a description holds are taken out before it is used. Raises as `Chat.chat` does, and
    `SlotError` for a question with two slots.
    """
    questions = [without_slot(one.question, "the question") for one in asked]  # before anything is asked
    text = describing_prompt() if prompt is None else prompt
    described = _asked(chat, asked, [text] * len(asked), sampling)
    answerable = [place for place, reply in enumerate(described) if isinstance(reply, Reply)]
    answers = _asked(
        chat,
        [asked[place] for place in answerable],
        [_infused(questions[place], described[place]) for place in answerable],
        sampling,
    )
    answered = dict(zip(answerable, answers, strict=True))
    return [Response(reply, answered.get(place, reply)) for place, reply in enumerate(described)]


def _asked(
    chat: Chat, asked: Sequence[PictureQuestion], texts: Sequence[str], sampling: Sampling
) -> list[Reply | NoReply]:
    """The replies to texts, each with its picture."""
    conversations = [
        Conversation((Message("user", text, (one.picture,)),), (), sampling)
        for one, text in zip(asked, texts, strict=True)
    ]
    return [exchange.replies[0] for exchange in chat.chat(conversations)]


def _infused(question: str, reply: Reply | NoReply) -> str:
    """The question under what was said of the picture; the question alone where that is nothing."""
    description = without_slots(reply.text) if isinstance(reply, Reply) else ""
    return infused_text(question, description) if description else question
