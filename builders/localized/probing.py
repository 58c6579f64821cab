"""The probing prompt: a teacher that cannot see asks what it would like to know of a scene (LSKD, section 2.1).

Fifteen interesting yet simple questions, asked after the global and the local descriptors; somebody who can see answers
them. The prompt is a set of its own, so that a change to it leaves the hash of the other prompts as it is.
"""

import re

from builders.localized.context import context_text
from builders.prompts import Prompts, load_prompts
from ostensive.records import Verbalization

QUESTIONS = 15
"""LSKD, section 2.1."""

_LINE = re.compile(
    r"[ \t>*_#\-•·\"“]{0,12}(?:\(?\d{1,3}[.):][ \t*_\"“]{0,8})?(?:Q(?:uestion)?\s?\d{0,3}[.):][ \t*_\"“]{0,8})?"
    r"(?P<text>\S.*?[?？])[ \t*_\"”,]{0,8}$",
    re.IGNORECASE,
)


def load_probing_prompts(name_or_folder: str = "probing") -> Prompts:
    """The prompt set for probing; raises `SettingsError` like `load_prompts`."""
    return load_prompts(name_or_folder, required=("questions",), variables=("context", "questions"))


def probing_prompt(prompts: Prompts, verbalization: Verbalization, *, questions: int = QUESTIONS) -> str:
    """The prompt that asks for questions about the image behind `verbalization`, its regions without numbers."""
    context = context_text(verbalization, "descriptions")
    return prompts.render("questions", {"context": context, "questions": questions})


def parse_questions(text: str, *, questions: int = QUESTIONS) -> list[str]:
    """The first `questions` different questions in a reply, one a line, numbers and markup removed. Never raises."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            question = " ".join(match["text"].replace("**", "").split())
            found.setdefault(question.casefold(), question)
        if len(found) >= questions:
            break
    return list(found.values())
