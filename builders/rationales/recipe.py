"""The `rationales` recipe (ILLUME): its settings, the stages they make, and what it tells the house of itself."""

import json
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from builders.dialogues import with_reason
from builders.filtering import filtering_stages
from builders.rationales.records import Rationale
from builders.rationales.scripted import make_script
from builders.rationales.searching import search_notes, search_stages
from builders.rationales.settings import RationaleDedupeSettings, RationalesSettings
from builders.rationales.stage import RationalesStage
from builders.rationales.unanswerable import ITEMS
from builders.rounds import RoundsRecipe
from builders.unanswerable import FIELD_NOTE as UNANSWERABLE_NOTE
from critics.rules import RulesSettings, TextLimits
from critics.table import CriticSettings
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Turn
from ostensive.stage import AnyStage

_ANY_LENGTH: Final = TextLimits(min_words=1, max_words=10_000, max_sentences=10_000)
# Question and answer are people's, so that nothing is asked of them. How few words make a rationale, in any script,
# is for `jabber`; that it may speak of the image is not against ILLUME.
RULES: Final = RulesSettings(
    not_a_question=False,
    unclear_answer=False,
    speaks_of_source=False,
    watermark=False,
    ambience=False,
    clothing=False,
    hair_colour=False,
    alternatives=False,
    answer_in_question=False,
    repeats_probe=False,
    limits={"question": _ANY_LENGTH, "answer": _ANY_LENGTH, "rationale": TextLimits(min_words=1, max_words=80)},
)
"""The rules that suit rationales of given answers: none hedges, none runs away."""


class RationalesRecipe(RoundsRecipe):
    """Rationales for answers that are known (ILLUME)."""

    recipe: Literal["rationales"]
    rationales: RationalesSettings = RationalesSettings()
    dedupe: RationaleDedupeSettings = RationaleDedupeSettings()
    critics: tuple[CriticSettings, ...] = Field(default=(RULES,), min_length=1)


def script_of(recipe: Recipe) -> Script:
    """What the scripted teacher says, with the share of errors that the recipe sets."""
    return make_script(recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0)


def make_stages(recipe: RationalesRecipe) -> Sequence[AnyStage]:
    """Search for prompts where that is asked for, ask the teacher, filter."""
    settings, teacher, script, seed = recipe.rationales, recipe.teacher, script_of(recipe), recipe.seed
    return (
        *search_stages(settings, teacher=teacher, script=script, seed=seed),
        RationalesStage(settings, teacher=teacher, script=script, seed=seed, rounds=recipe.rounds),
        *filtering_stages(recipe, KIND),
    )


def shown(candidate: Rationale) -> tuple[ShownText, ...]:
    """Question, answer and rationale."""
    return (
        ShownText("question", candidate.question),
        ShownText("answer", candidate.answer),
        ShownText("rationale", candidate.rationale),
    )


def dialogue(candidate: Rationale) -> tuple[Turn, ...]:
    """The question with its answer; and why it is so where no teacher was asked for that."""
    whole = with_reason(candidate.question, candidate.answer, candidate.rationale)
    return whole[:2] if candidate.asked else whole


def explanation(candidate: Rationale) -> tuple[Turn, ...]:
    """The rationale in reply to the very words that it was asked for in (ILLUME, section 3.3)."""
    return (Turn("user", candidate.asked), Turn("assistant", candidate.rationale)) if candidate.asked else ()


def questions(candidate: Rationale) -> tuple[str, ...]:
    """Its only one, as it came in."""
    return (candidate.question,)


def compared_text(candidate: Rationale) -> str:
    """Question, answer and rationale in one line: the same rationale of another question is another row."""
    return f"{candidate.question} {candidate.answer} {candidate.rationale}"


_METHOD: Final = (
    "The recipe is ILLUME: a model that sees a picture is told a question about it with the right answer and asked why"
    " the answer holds, several times at several temperatures. It is never shown a rationale that a person wrote. What"
    " is no rationale at all is dropped by its words; of the others critics, which may compare them with people's"
    " rationales or be people themselves, say which fit. All different fitting ones of a question are kept."
)
_CITATION: Final = """@inproceedings{brack2023illume,
  title = {{ILLUME}: Rationalizing Vision-Language Models through Human Interactions},
  author = {Brack, Manuel and Schramowski, Patrick and Deiseroth, Bj{\\"o}rn and Kersting, Kristian},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2023}
}"""

KIND: Final = RecipeKind(
    name="rationales",
    recipe=RationalesRecipe,
    candidate=Rationale,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=compared_text,
    parts=("question", "answer", "rationale"),
    questions=questions,
    judged_parts=("rationale",),
    judging_question="Does the rationale say why the answer is right, and does it hold for what the image shows?",
    counted_fields=("prompt", "temperature", "round", "unanswerable"),
    unanswerable=ITEMS,
    tasks=("rating", "triple"),
    dialogue=dialogue,
    explanation=explanation,
    run_notes=search_notes,
    annotations_optional=("question", "answers", "choices", "label", "rationales"),
    title="rationales for answers to questions about images",
    noun="rationale",
    task_categories=("visual-question-answering", "image-text-to-text"),
    tags=("rationales",),
    method=_METHOD,
    citation=_CITATION,
    limits=(
        "The rationales are machine-made. Their writer was told the answer, so that a rationale may have been found for"
        " an answer that is wrong; and what justifies an answer need not be what led to it.",
        "Likeness to a reference in its words says little of meaning: a good rationale in other words is dropped, and a"
        " wrong one that differs in one word is kept.",
    ),
    field_notes={
        "unanswerable": UNANSWERABLE_NOTE,
        "annotation_id": "the item, beside the image, that question and answer are from",
        "question": "what is asked, as it came in",
        "answer": "the answer that is known to be right, as it came in",
        "rationale": "why the answer holds",
        "prompt": "the explanation prompt that was used",
        "asked": "what the teacher was asked, in words; empty where none was",
        "temperature": "the temperature at which the rationale was drawn",
        "round": "the round that made it, from 0",
    },
    package="builders.rationales",
    # A smaller grid than the paper's; the scripted teacher errs in one reply out of eight. It knows colours and light
    # alone, so that it is not held to be as like to people's rationales as the paper's 0.7 asks.
    demo_settings=(
        "rationales.temperatures=[0.1, 0.9]",
        "rationales.samples=3",
        "teacher.error_rate=0.125",
        f"critics=[{json.dumps(RULES.model_dump(mode='json', exclude_unset=True) | {'kind': 'rules'})},"
        " {kind: overlap, min_accept_probability: 0.4}]",
    ),
)
