"""What a model is given to go on with: beginnings of questions, of statements, and what stands before a choice."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from builders.self_talk.records import Question
from ostensive.fingerprint import fingerprint
from ostensive.models.likelihoods import Passage
from ostensive.prompts import Prompts, load_prompts
from ostensive.text_lines import lines_of

TASKS = ("csqa", "copa", "piqa", "social_iqa", "winogrande", "mc_taco")
_VARIABLES = ("about", "asked", "beginning", "candidate", "clarification", "context", "question")
_PLACE = "_"
_WITHIN_SENTENCE = frozenset({"copa"})  # their choices, sentences of their own, end the sentence that is begun


@dataclass(frozen=True, slots=True)
class Wording:
    """The beginning of a question, and of the statement that answers it; `_` in it is what the question is about."""

    ask: str
    tell: str

    def statement(self, topic: str) -> str:
        """The beginning of the statement about `topic`, with a capital."""
        before, _, after = self.tell.partition(_PLACE)
        text = f"{before}{topic}{after}"
        return text[:1].upper() + text[1:]


@lru_cache(maxsize=1)
def shipped_wordings() -> Mapping[str, tuple[Wording, ...]]:
    """The wordings of each task."""
    table = yaml.safe_load((files("builders.self_talk") / "wordings.yaml").read_text("utf-8"))
    return {task: tuple(Wording(one["ask"], one["tell"]) for one in table[task]) for task in TASKS}


@lru_cache(maxsize=1)
def shipped_prompts() -> Prompts:
    """The templates."""
    required = ("ask", "tell", *(f"choose_{task}" for task in TASKS))
    shipped = files("builders.self_talk") / "templates"
    return load_prompts("self_talk", shipped, required=required, variables=_VARIABLES)


def prompt_hash() -> str:
    """What templates and wordings are known by, 16 hexadecimal digits: figures depend on them."""
    wordings = {task: [[one.ask, one.tell] for one in found] for task, found in shipped_wordings().items()}
    return fingerprint([shipped_prompts().prompt_hash, wordings])[:16]


def asking(about: str, wording: Wording) -> str:
    """What the model goes on with to ask."""
    return shipped_prompts().render("ask", {"about": about, "beginning": wording.ask})


def telling(about: str, wording: Wording, topic: str) -> str:
    """What the model goes on with to answer its own question about `topic`."""
    values = {"about": about, "asked": f"{wording.ask} {topic}?", "beginning": wording.statement(topic)}
    return shipped_prompts().render("tell", values)


def passages(question: Question, clarification: str) -> list[Passage]:
    """Each choice behind what stands before it; `clarification` is empty for the baseline."""
    values = {
        "context": question.context,
        "question": question.question,
        "candidate": question.candidate,
        "clarification": clarification,
    }
    rendered = shipped_prompts().render(f"choose_{question.task}", values)
    prompt = "\n".join(line.strip() for line in lines_of(rendered))  # no blank where there is no clarification
    blank = "" if not prompt or question.is_joined else " "
    choices = [_within(choice) if question.task in _WITHIN_SENTENCE else choice for choice in question.choices]
    return [Passage(prompt, f"{blank}{choice}{question.ending}") for choice in choices]


def _within(sentence: str) -> str:
    """A sentence as it goes on within another: with a small letter, but for "I"."""
    is_me = re.match(r"I\b", sentence)
    return sentence if is_me else sentence[:1].lower() + sentence[1:]
