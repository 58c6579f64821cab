"""A list of concepts asked of a teacher: what a thing of each label looks like, a request a label (SelfSynthX, step 0).

The list is for people to read over before it is used. Labels that the file has already are not asked again, so that it
can be mended by hand and added to.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from builders.asking import FILTERED, TRUNCATED, request_seed, sampling_of, whole_reply
from builders.explanations.concepts import load_entries
from builders.explanations.describing import PROMPT_VALUES
from builders.explanations.scripted import make_script
from builders.explanations.settings import prompt_sets
from critics.label_names import plain_label
from critics.lexicon import words_of
from ostensive.chat.records import Conversation, Message, Reply
from ostensive.files import write_text
from ostensive.prompts import load_prompts
from ostensive.recipe_kind import ListedConcepts
from ostensive.records import NO_SPEND
from ostensive.run.services import Services
from ostensive.text_lines import lines_of

MAX_WORDS: Final = 20
"""A line with more words is no feature but a remark."""
MIN_CONCEPTS: Final = 3
"""A label with fewer leaves nothing to select from; SelfSynthX keeps at least three."""
NOTHING_LISTED: Final = "no feature in the reply"
REASONS: Final = (TRUNCATED, FILTERED, NOTHING_LISTED)
"""Every reason for which a label gets no concepts."""

_CONCEPTS: Final = "concepts"
_MARK = re.compile(r"^\s*(?:[-*•–—·]|\d{1,2}[.)])\s+(?P<text>\S.*)$")
_EMPHASIS = re.compile(r"\*\*|__|`")


def read_concepts(reply: str, label: str) -> tuple[str, ...]:
    """The features that a reply lists, each once, in order; empty where it lists none.

    Lines with a bullet or a number are features; where no line has one and there are several, each is. What is only the
    label, or too long, is none. (The published code keeps lines that begin with a dash.)
    """
    lines = [line.strip() for line in lines_of(reply) if line.strip()]
    marked = [match["text"] for line in lines if (match := _MARK.match(line))]
    found: dict[str, str] = {}
    plain = [line for line in lines if not line.endswith(":")]
    for line in marked or (plain if len(plain) > 1 else ()):  # one line alone may be a refusal
        text = " ".join(_EMPHASIS.sub("", line).split()).rstrip(".;,")
        if plain_label(text) != plain_label(label) and 0 < len(words_of(text)) <= MAX_WORDS:
            found.setdefault(plain_label(text), text)
    return tuple(found.values())


def list_concepts(recipe: Any, labels: Iterable[str], out: Path, services: Services) -> ListedConcepts:  # Any: a recipe
    """Asks the recipe's teacher about each of `labels` that the file `out` does not have, and writes them all there.

    Raises `SettingsError` for a file that is there and is no list of concepts, and for prompts that cannot be used.
    """
    known = load_entries(out) if out.exists() else {}
    there = {plain_label(label) for label in known}
    wanted: dict[str, str] = {}
    for label in labels:
        if plain_label(label) not in there:
            wanted.setdefault(plain_label(label), label.strip())
    asked = list(wanted.values())
    prompts = load_prompts(recipe.explanations.prompt_set, prompt_sets(), required=[_CONCEPTS], variables=PROMPT_VALUES)
    conversations = [_conversation(recipe, label, prompts.render(_CONCEPTS, {"label": label})) for label in asked]
    found, lost, spend = dict[str, Sequence[str]](known), dict[str, str](), NO_SPEND
    with services.open_chat(recipe.teacher, make_script(0.0)) as chat:
        exchanges = chat.chat(conversations)
    for label, exchange in zip(asked, exchanges, strict=True):
        reply = whole_reply(exchange.replies[0])
        spend = sum((one.spend for one in exchange.replies), spend)
        concepts = read_concepts(reply.text, label) if isinstance(reply, Reply) else ()
        if concepts:
            found[label] = concepts
        else:
            lost[label] = NOTHING_LISTED if isinstance(reply, Reply) else reply.reason
    if len(found) > len(known):
        _write(out, found)
    few = {label: len(concepts) for label, concepts in found.items() if len(concepts) < MIN_CONCEPTS}
    return ListedConcepts(len(known), len(asked) - len(lost), lost, few, spend)


def _conversation(recipe: Any, label: str, prompt: str) -> Conversation:  # Any: a recipe
    seed = request_seed(recipe.seed, _CONCEPTS, label)
    return Conversation((Message("user", prompt),), (), sampling_of(recipe.teacher, seed))


def _write(out: Path, found: Mapping[str, Sequence[str]]) -> None:
    """As JSON that people read: a label, and a concept on each line under it."""
    write_text(
        out,
        json.dumps({label: list(concepts) for label, concepts in found.items()}, indent=2, ensure_ascii=False) + "\n",
    )
