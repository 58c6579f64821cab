"""The `explanations` recipe (SelfSynthX): its settings, its stages, and what it tells the house of itself."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from builders.asking import check_sees
from builders.dedupe import DedupeSettings
from builders.explanations.answering import AnswerStage
from builders.explanations.asking_concepts import list_concepts
from builders.explanations.comparing import CompareStage, SelectStage
from builders.explanations.describing import DescribeStage
from builders.explanations.records import Explanation
from builders.explanations.scripted import make_script
from builders.explanations.settings import ExplanationsSettings
from builders.explanations.taking_over import TakeOverStage
from builders.explanations.unanswerable import ITEMS
from builders.filtering import filtering_stages
from builders.rounds import MaxRounds, RoundSettings, RoundsRecipe
from builders.unanswerable import FIELD_NOTE as UNANSWERABLE_NOTE
from critics.rules import RulesSettings, TextLimits
from critics.table import CriticSettings
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Turn
from ostensive.stage import AnyStage

# Questions speak of a picture, which is no fault here, and an explanation may be longer than an answer of LSKD.
_RULES: Final = RulesSettings(
    speaks_of_source=False, limits={"answer": TextLimits(min_words=1, max_words=130, max_sentences=8)}
)
# Answers about one image share its label and its concepts. At the 0.1 of other recipes different questions with good
# answers count as one; the method keeps all.
_DEDUPE: Final = DedupeSettings(max_distance=0.02)


class ExplanationsRounds(RoundSettings):
    """Which round a run is, of four."""

    max_rounds: MaxRounds = 4
    """After so many rounds `ostensive loop` ends. SelfSynthX: 4."""


class ExplanationsRecipe(RoundsRecipe):
    """Questions about labelled images, with answers that name the label and what shows it (SelfSynthX)."""

    recipe: Literal["explanations"]
    rounds: ExplanationsRounds = ExplanationsRounds()
    explanations: ExplanationsSettings = ExplanationsSettings()
    dedupe: DedupeSettings = _DEDUPE
    critics: tuple[CriticSettings, ...] = Field(default=(_RULES,), min_length=1)


def script_of(recipe: Recipe) -> Script:
    """What the scripted teacher says, with the share of errors that the recipe sets."""
    return make_script(recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0)


def make_stages(recipe: ExplanationsRecipe) -> Sequence[AnyStage]:
    """Describe, compare with concepts, select some, ask and answer, filter; later rounds take over the selection."""
    settings, teacher, script, seed = recipe.explanations, recipe.teacher, script_of(recipe), recipe.seed
    if recipe.rounds.parent is None:
        selecting: tuple[AnyStage, ...] = (
            DescribeStage(settings, teacher=teacher, script=script, seed=seed),
            CompareStage(settings),
            SelectStage(settings),
        )
    else:
        check_sees(teacher, recipe.recipe)
        selecting = (TakeOverStage(recipe.rounds),)
    answering = AnswerStage(settings, teacher=teacher, script=script, seed=seed, rounds=recipe.rounds)
    return (*selecting, answering, *filtering_stages(recipe, KIND))


def shown(candidate: Explanation) -> tuple[ShownText, ...]:
    """Question and answer."""
    return ShownText("query", candidate.query), ShownText("answer", candidate.answer)


def dialogue(candidate: Explanation) -> tuple[Turn, ...]:
    """The question and the answer."""
    return Turn("user", candidate.query), Turn("assistant", candidate.answer)


def questions(candidate: Explanation) -> tuple[str, ...]:
    """Its only one."""
    return (candidate.query,)


def compared_text(candidate: Explanation) -> str:
    """Question and answer in one line: the label is in every answer, so that the answers alone are much alike."""
    return f"{candidate.query} {candidate.answer}"


def given(candidate: Explanation) -> tuple[str, ...]:
    """The concepts that the teacher was told; the label came in with the image."""
    return candidate.concepts


_METHOD: Final = (
    "The recipe is that of SelfSynthX: a teacher that sees each picture describes it many times without knowing its"
    " label; of the concepts that experts give for the label those are selected which fit these descriptions better"
    " than those of all other pictures (InfoNCE on sentence embeddings); and the teacher answers questions about the"
    " picture from the label and the selected concepts. An answer that does not name the label gives way to the label."
)
_CITATION: Final = """@inproceedings{shi2025enhancing,
  title = {Enhancing Cognition and Explainability of Multimodal Foundation Models with Self-Synthesized Data},
  author = {Shi, Yucheng and Li, Quanzheng and Sun, Jin and Li, Xiang and Liu, Ninghao},
  booktitle = {International Conference on Learning Representations},
  year = {2025}
}"""

KIND: Final = RecipeKind(
    name="explanations",
    recipe=ExplanationsRecipe,
    candidate=Explanation,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=compared_text,
    parts=("query", "answer"),
    questions=questions,
    judged_parts=("answer",),
    judging_question="Is the answer right for the image, and does it name only what can be seen?",
    given=given,
    list_concepts=list_concepts,
    counted_fields=("way", "query_kind", "round", "unanswerable"),
    averaged_fields=("explains", "concept_share", "distinct_trigrams"),
    unanswerable=ITEMS,
    tasks=("explanation",),
    dialogue=dialogue,
    annotations_required=("label",),
    title="questions about labelled pictures, with answers that say what shows the label",
    noun="explanation",
    task_categories=("visual-question-answering", "image-text-to-text"),
    tags=("explanations", "image-classification"),
    method=_METHOD,
    citation=_CITATION,
    limits=(
        "Labels came in with the images and are taken to be right: answers were asked for with the label given, so that"
        " a wrong one is explained like a right one.",
        "Concepts are selected by sentence embeddings of descriptions, so that what the teacher does not see, or has no"
        " words for, is not selected; a selected concept may still not be in the picture.",
    ),
    field_notes={
        "unanswerable": UNANSWERABLE_NOTE,
        "label": "the class of the image, as it came in",
        "query": "the question",
        "answer": "the answer, which names the label",
        "concepts": "what the teacher was told of the picture, best first",
        "way": "`explained` where the teacher answered, `label only` where the answer did not name the label and the"
        " bare label took its place",
        "explains": "whether the answer gives a reason and mentions a concept in words other than the label's, by rule",
        "concept_share": "the share of `concepts` that the answer mentions, 0-1, by rule",
        "distinct_trigrams": "the different three-word sequences of the answer by all of them, 0-1: low where it"
        " repeats itself",
        "round": "which round made the row",
        "query_kind": "`explain` and `step` ask for reasons, `simple` for the name alone",
    },
    package="builders.explanations",
    # The scripted teacher errs in one answer out of four, so that the check of labels and critics have work.
    demo_settings=("teacher.error_rate=0.25", "explanations.concepts={demo}/concepts.json"),
)
