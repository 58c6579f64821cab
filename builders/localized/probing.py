"""The probing prompt: a teacher that cannot see asks what it would like to know of a scene (LSKD, section 2.1).

Fifteen interesting yet simple questions, asked after the global and the local descriptors; somebody who can see answers
them. The prompt is a set of its own, so that a change to it leaves the hash of the other prompts as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self  # Any: JSON values of any depth

from builders.asking import request_seed
from builders.localized.context import context_text, read_context
from builders.localized.settings import prompt_sets
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply
from ostensive.prompts import Prompts, load_prompts
from ostensive.records import Verbalization
from ostensive.run.services import Services
from ostensive.text_lines import lines_of
from verbalizers.base import ImageFailure, Questions

QUESTIONS = 15
"""LSKD, section 2.1."""
_VERSION = 1  # of what is read out of a reply

_LINE = re.compile(
    r"[ \t>*_#\-•·\"“]{0,12}(?:\(?\d{1,3}[.):][ \t*_\"“]{0,8})?(?:Q(?:uestion)?\s?\d{0,3}[.):][ \t*_\"“]{0,8})?"
    r"(?P<text>\S.*?[?？])[ \t*_\"”,]{0,8}$",
    re.IGNORECASE,
)


def load_probing_prompts(name_or_folder: str = "probing") -> Prompts:
    """The prompt set for probing; raises `SettingsError` like `load_prompts`."""
    return load_prompts(name_or_folder, prompt_sets(), required=("questions",), variables=("context", "questions"))


def probing_prompt(prompts: Prompts, verbalization: Verbalization, *, questions: int = QUESTIONS) -> str:
    """The prompt that asks for questions about the image behind `verbalization`, its regions without numbers."""
    context = context_text(verbalization, "descriptions")
    return prompts.render("questions", {"context": context, "questions": questions})


def parse_questions(text: str, *, questions: int = QUESTIONS) -> list[str]:
    """The first `questions` different questions in a reply, one a line, numbers and markup removed. Never raises."""
    found: dict[str, str] = {}
    for line in lines_of(text):
        match = _LINE.match(line)
        if match:
            question = " ".join(match["text"].replace("**", "").split())
            found.setdefault(question.casefold(), question)
        if len(found) >= questions:
            break
    return list(found.values())


class TeacherAsker:
    """The recipe's teacher as a `verbalizers.base.QuestionAsker`: one request an image, all of them under way at once.

    A reply without questions leaves an image with the standing ones; a request without a reply fails the image, for
    the next run will get one.
    """

    def __init__(self, prompts: Prompts, *, teacher: TeacherSettings, seed: int) -> None:
        self._prompts, self._teacher, self._seed = prompts, teacher, seed
        self._chat: Chat | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Prompts, teacher and seed."""
        return {
            "version": _VERSION,
            "prompts": self._prompts.prompt_hash,
            "teacher": self._teacher.reply_identity(),
            "seed": self._seed,
        }

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        """With the teacher open."""
        with services.open_chat(self._teacher, scripted_questions) as self._chat:
            yield self
        self._chat = None

    def ask(self, drafts: Sequence[Verbalization], count: int) -> list[Questions]:
        """See `QuestionAsker`."""
        assert self._chat is not None, "the asker is opened before it is used"
        exchanges = self._chat.chat([self._conversation(draft, count) for draft in drafts])
        return [_asked(exchange, count) for exchange in exchanges]

    def _conversation(self, draft: Verbalization, count: int) -> Conversation:
        prompt = probing_prompt(self._prompts, draft, questions=count)
        seed = request_seed(self._seed, draft.image_id, "probing")
        return Conversation((Message("user", prompt),), (), self._teacher.sampling(seed))


def _asked(exchange: Exchange, count: int) -> Questions:
    reply = exchange.replies[0]
    if isinstance(reply, NoReply):
        return Questions(ImageFailure(f"no questions: {reply.reason}: {reply.detail}"), reply.spend)
    return Questions(tuple(parse_questions(reply.text, questions=count)), reply.spend)


_SCRIPTED = (
    "What is near {thing}?",
    "What is {thing} made of?",
    "What is behind {thing}?",
    "Who could have put {thing} there?",
)


def scripted_questions(messages: Sequence[Message], seed: int) -> str:  # noqa: ARG001 - of a script
    """What the scripted teacher asks: simple questions on each region that the notes tell of."""
    context = read_context(messages[-1].text)
    asked = [
        wording.format(thing=region.caption.partition(",")[0]) for wording in _SCRIPTED for region in context.regions
    ]
    return "\n".join(f"{k}. {question}" for k, question in enumerate(asked[:QUESTIONS], start=1)) or "Nothing."
