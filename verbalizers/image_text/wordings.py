"""What image-text models are asked, in the form that each family wants, and what is read out of their replies.

BLIP-2 goes on with what it is given: nothing for a description, `Question: ... Answer:` for an answer, as its model
card has it. InstructBLIP and models with a chat template are told what to do. Florence-2 knows only its tasks.

Which questions are put to an image: those of a list and of a teacher, none of them twice. Questions count as alike by
their words. Sentence embeddings would find more pairs, but another model would have to be loaded for fifteen lines.
"""

import re
import unicodedata
from collections.abc import Sequence

from ostensive.chat.records import Form
from ostensive.errors import SettingsError
from ostensive.records import Box
from ostensive.text_lines import lines_of
from verbalizers.image_text.settings import QUESTION_SLOT

NARRATIVE: dict[Form, str] = {
    "chat": "Tell in two or three plain sentences what can be seen here: who or what is there, what is going on, and"
    " where things are. Say only what is visible.",
    "continuation": "",
    "instruction": "Tell in two or three plain sentences what can be seen here.",
    "task": "<MORE_DETAILED_CAPTION>",
}
DRAWN_CAPTION: dict[Form, str] = {
    "chat": "A box is drawn on this picture. In one short phrase, name what is inside the box and how it looks. Do not"
    " mention the box.",
    "continuation": "the thing inside the box is",
    "instruction": "What is inside the drawn box? Answer with one short phrase.",
    "task": "<REGION_TO_DESCRIPTION>",
}
CROP_CAPTION: dict[Form, str] = {
    "chat": "In one short phrase, name what this picture shows and how it looks.",
    "continuation": "",
    "instruction": "What does this picture show? Answer with one short phrase.",
    "task": "<REGION_TO_DESCRIPTION>",
}
ANSWER: dict[Form, str] = {
    "chat": "{question} Answer in a few words, from what can be seen.",
    "continuation": "Question: {question} Answer:",
    "instruction": "Question: {question} Short answer:",
}
ANSWER_ALL = (
    "Answer each of these questions about the picture in a few words, from what can be seen. Write one answer a line,"
    " numbered as the questions are, and nothing else; write a dash where the picture does not tell.\n\n{questions}"
)
_ANSWER_LINE = re.compile(r"^[\s>*#-]{0,8}\(?(\d{1,3})[.):]\s*[*_]{0,2}\s*(.*?)\s*$")
_PLACE = re.compile(r"<loc_\d{1,3}>")  # Florence-2 may repeat the place that it was asked about
_BINS = 1000  # Florence-2 counts places along each side of an image in thousandths


def narrative_prompt(form: Form, prompt: str | None) -> str:
    """What is asked for a description; `prompt` is the user's own or None."""
    return NARRATIVE[form] if prompt is None else prompt


def caption_prompt(form: Form, box: Box, prompt: str | None, *, drawn: bool) -> str:
    """What is asked for the caption of a region that is shown drawn or cut out; Florence-2 is told its place."""
    words = (DRAWN_CAPTION if drawn else CROP_CAPTION)[form] if prompt is None else prompt
    return words + location_tokens(box) if form == "task" else words


def answer_prompt(model: str, form: Form, question: str, prompt: str | None) -> str:
    """What is asked for an answer; raises `SettingsError` that names `model` if it knows no questions."""
    if form not in ANSWER:
        raise SettingsError(f"{model}: answers no questions (it knows only its tasks); name another model for probes")
    return (ANSWER[form] if prompt is None else prompt).replace(QUESTION_SLOT, question)


def answers_prompt(questions: Sequence[str]) -> str:
    """What is asked for the answers to several questions on one image at once."""
    return ANSWER_ALL.format(questions="\n".join(f"{k}. {question}" for k, question in enumerate(questions, start=1)))


def parse_answers(text: str, count: int) -> list[str]:
    """The answers to `count` questions in a reply, in their order; empty where there is none. Never raises.

    A number that comes twice counts the first time: what follows the list is talk.
    """
    answers = [""] * count
    for line in lines_of(text):
        match = _ANSWER_LINE.match(line)
        if match and 1 <= int(match[1]) <= count and not answers[int(match[1]) - 1]:
            answers[int(match[1]) - 1] = clean_reply(match[2].strip("*_ "))
    return answers


def location_tokens(box: Box) -> str:
    """A box as Florence-2 reads it: `<loc_x1><loc_y1><loc_x2><loc_y2>`, each in thousandths from 0 to 999."""
    return "".join(f"<loc_{min(int(corner * _BINS), _BINS - 1)}>" for corner in (box.x1, box.y1, box.x2, box.y2))


def clean_reply(text: str) -> str:
    """What a model said, as one line and without places; empty when it said nothing but blanks and signs."""
    line = " ".join(_PLACE.sub(" ", text).split())
    return line if any(character.isalnum() for character in line) else ""


# What questions are made of whatever they ask. Words such as where, who, how and not matter, and are missing here.
_FRAME_WORDS = (
    "a an and any are be been being can could did do does for had has have image is it its of on or picture photo"
    " photograph scene seem seems shown that the their there these they this those to visible was were what would you"
    " your"
)
_FRAME = frozenset(_FRAME_WORDS.split())


def question_key(question: str) -> str:
    """What two questions share that differ only in case, white space and punctuation."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", question).casefold()))


def distinct_questions(questions: Sequence[str], count: int) -> tuple[str, ...]:
    """The first `count` of `questions` that differ in more than case, white space and punctuation."""
    found: dict[str, str] = {}
    for question in questions:
        found.setdefault(question_key(question), question)
    return tuple(found.values())[:count]


def question_overlap(one: str, other: str) -> float:
    """Intersection over union of the words that matter, 0-1; 1 for equal questions, whatever they are made of."""
    first, second = _matter(one), _matter(other)
    if first == second:
        return 1.0
    return len(first & second) / len(first | second)


def _matter(question: str) -> frozenset[str]:
    words = question_key(question).split()
    return frozenset(_singular(word) for word in words if word not in _FRAME) or frozenset(words)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def with_fresh(known: Sequence[str], asked: Sequence[str], max_overlap: float, count: int) -> tuple[str, ...]:
    """`known` and what of `asked` none of the questions before it has more than `max_overlap` in common with.

    At most `count` in all, the known ones first.
    """
    chosen = list(distinct_questions(known, count))
    for question in asked:
        if len(chosen) >= count:
            break
        overlap = max((question_overlap(question, other) for other in chosen), default=0.0)
        if overlap <= max_overlap and overlap < 1:
            chosen.append(question)
    return tuple(chosen)
