"""The `instructions` recipe (STIC, stage 2): its settings, its stages, and what it tells the house of itself."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from builders.dedupe import DedupeSettings
from builders.filtering import FilteredRecipe, filtering_stages
from builders.instructions.infusing import infused_turns
from builders.instructions.records import InfusedInstruction
from builders.instructions.scripted import make_script
from builders.instructions.settings import InstructionsSettings
from builders.instructions.stage import InstructionsStage
from builders.instructions.unanswerable import ITEMS
from builders.unanswerable import FIELD_NOTE as UNANSWERABLE_NOTE
from critics.rules import RulesSettings, TextLimits
from critics.table import CriticSettings
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Turn
from ostensive.stage import AnyStage

# What people asked and answered is theirs, so that nothing is asked of it. A description may call the picture one, say
# what mood it conveys, and name a text that stands in it.
RULES: Final = RulesSettings(
    speaks_of_source=False,
    hedging=False,
    watermark=False,
    limits={"description": TextLimits(min_words=5, max_words=700, max_sentences=60)},
)
"""The rules that suit descriptions by plain prompts."""


class InstructionDedupeSettings(DedupeSettings):
    """Which instructions of an image count as one: those that are the same, since people wrote each on purpose."""

    max_distance: float = Field(default=0.0, ge=0, le=2)
    """Largest cosine distance (0-2) at which clusters are joined; 0 takes out repeats alone."""


class InstructionsRecipe(FilteredRecipe):
    """Instructions with a description of their image before the question (STIC, stage 2)."""

    recipe: Literal["instructions"]
    instructions: InstructionsSettings = InstructionsSettings()
    dedupe: InstructionDedupeSettings = InstructionDedupeSettings()
    critics: tuple[CriticSettings, ...] = Field(default=(RULES,), min_length=1)


def script_of(recipe: Recipe) -> Script:
    """What the scripted teacher says, with the share of errors that the recipe sets."""
    return make_script(recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0)


def make_stages(recipe: InstructionsRecipe) -> Sequence[AnyStage]:
    """Ask for descriptions, filter."""
    return (
        InstructionsStage(recipe.instructions, teacher=recipe.teacher, script=script_of(recipe), seed=recipe.seed),
        *filtering_stages(recipe, KIND),
    )


def conversation_of(candidate: InfusedInstruction) -> str:
    """The turns as people and critics are shown them, each after whose it is."""
    return "\n".join(f"{turn.role}: {turn.text}" for turn in candidate.turns)


def dialogue(candidate: InfusedInstruction) -> tuple[Turn, ...]:
    """The conversation with the description before its first question."""
    return infused_turns(candidate.turns, candidate.description)


def questions(candidate: InfusedInstruction) -> tuple[str, ...]:
    """What the user says, turn by turn."""
    return tuple(turn.text for turn in candidate.turns if turn.role == "user")


def shown(candidate: InfusedInstruction) -> tuple[ShownText, ...]:
    """The description and the conversation."""
    return ShownText("description", candidate.description), ShownText("turns", conversation_of(candidate))


_METHOD: Final = (
    "The recipe is the second stage of STIC (Self-Training on Image Comprehension): a model describes the picture of an"
    " instruction to a plain captioning prompt, and its description is put before the first question; the questions and"
    " answers of people stay as they are. A student that is trained on them learns to use what it says of a picture"
    " itself. The model is shown neither question nor answer when it describes."
)
_CITATION: Final = """@inproceedings{deng2024enhancing,
  title = {Enhancing Large Vision Language Models with Self-Training on Image Comprehension},
  author = {Deng, Yihe and Lu, Pan and Yin, Fan and Hu, Ziniu and Shen, Sheng and Gu, Quanquan and Zou, James and
            Chang, Kai-Wei and Wang, Wei},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024}
}"""

KIND: Final = RecipeKind(
    name="instructions",
    recipe=InstructionsRecipe,
    candidate=InfusedInstruction,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=conversation_of,
    parts=("description", "turns"),
    questions=questions,
    judged_parts=("description",),
    judging_question="Is everything that the description says true of the image?",
    counted_fields=("prompt", "unanswerable"),
    unanswerable=ITEMS,
    dialogue=dialogue,
    annotations_optional=("turns", "instruction", "question", "answers"),
    title="instructions about images, with a description of the image before the question",
    noun="instruction",
    task_categories=("visual-question-answering", "image-text-to-text"),
    tags=("instructions", "captions"),
    method=_METHOD,
    citation=_CITATION,
    limits=(
        "The descriptions are machine-made and may be wrong; what people asked and answered was not checked against"
        " them.",
        "Questions and answers are those that came in beside the images, under terms of their own.",
    ),
    field_notes={
        "annotation_id": "the item, beside the image, that the turns are from",
        "description": "what the teacher says of the image",
        "turns[].role": "whose turn it is: system, user or assistant",
        "turns[].text": "what is said, as it came in, without an image slot",
        "unanswerable": UNANSWERABLE_NOTE,
        "prompt": "the template that asked for the description",
    },
    package="builders.instructions",
    # The scripted teacher errs in one reply out of eight, so that the filters have something to show.
    demo_settings=("teacher.error_rate=0.125",),
)
