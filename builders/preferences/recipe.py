"""The `preferences` recipe (STIC): its settings, the stages they make, and what it tells the house of itself."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from builders.filtering import filtering_stages
from builders.preferences.records import PreferencePair
from builders.preferences.scripted import make_script
from builders.preferences.settings import PreferencesSettings
from builders.preferences.stage import PairsStage
from builders.preferences.unanswerable import ITEMS
from builders.rounds import MaxRounds, RoundSettings, RoundsRecipe
from builders.unanswerable import FIELD_NOTE as UNANSWERABLE_NOTE
from critics.rules import RulesSettings, TextLimits
from critics.table import CriticSettings
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import Preference, RecipeKind, ShownText
from ostensive.stage import AnyStage

# Rules of `localized` that descriptions cannot keep are off: the good prompt asks for what a picture may mean, and a
# description may call it a picture. Descriptions are long.
RULES: Final = RulesSettings(
    speaks_of_source=False,
    hedging=False,
    limits={
        "chosen": TextLimits(min_words=20, max_words=700, max_sentences=60),
        "rejected": TextLimits(min_words=3, max_words=700, max_sentences=60),
    },
)
"""The rules that suit descriptions."""


class PreferencesRounds(RoundSettings):
    """Which round a run is; of pairs there is one, and `instructions` are what comes after it."""

    max_rounds: MaxRounds = 1
    """After so many rounds `ostensive loop` ends. STIC, section 4: one stage of preferences."""


class PreferencesRecipe(RoundsRecipe):
    """Pairs of descriptions, one to be preferred and one spoilt on purpose (STIC)."""

    recipe: Literal["preferences"]
    rounds: PreferencesRounds = PreferencesRounds()
    preferences: PreferencesSettings = PreferencesSettings()
    critics: tuple[CriticSettings, ...] = Field(default=(RULES,), min_length=1)


def script_of(recipe: Recipe) -> Script:
    """What the scripted teacher says, with the share of errors that the recipe sets."""
    return make_script(recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0)


def make_stages(recipe: PreferencesRecipe) -> Sequence[AnyStage]:
    """Ask for both sides, filter."""
    return (
        PairsStage(
            recipe.preferences, teacher=recipe.teacher, script=script_of(recipe), seed=recipe.seed, rounds=recipe.rounds
        ),
        *filtering_stages(recipe, KIND),
    )


def shown(candidate: PreferencePair) -> tuple[ShownText, ...]:
    """The prompt and both sides."""
    return tuple(ShownText(name, getattr(candidate, name)) for name in ("prompt", "chosen", "rejected"))


def preference(candidate: PreferencePair) -> Preference:
    """Both sides. The row's picture is the clean one, whatever was done to that of the rejected side."""
    return Preference(candidate.prompt, candidate.chosen, candidate.rejected)


def compared_text(candidate: PreferencePair) -> str:
    """Both sides in one line, the rejected first: it tells pairs of an image apart, and embeddings look no further than
    some 200 words."""
    return f"{candidate.rejected} {candidate.chosen}"


_METHOD: Final = (
    "The recipe is the first stage of STIC (Self-Training on Image Comprehension): a model describes each picture to a"
    " prompt that takes it through the picture step by step, which is the side to be preferred; the side to be rejected"
    " it writes itself as well, asked to make things up, or about a picture that was corrupted. Both sides stand under"
    " one plain captioning prompt and beside the clean picture. No person says which is better: the way in which they"
    " were made does."
)
_CITATION: Final = """@inproceedings{deng2024enhancing,
  title = {Enhancing Large Vision Language Models with Self-Training on Image Comprehension},
  author = {Deng, Yihe and Lu, Pan and Yin, Fan and Hu, Ziniu and Shen, Sheng and Gu, Quanquan and Zou, James and
            Chang, Kai-Wei and Wang, Wei},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024}
}"""

KIND: Final = RecipeKind(
    name="preferences",
    recipe=PreferencesRecipe,
    candidate=PreferencePair,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=compared_text,
    parts=("prompt", "chosen", "rejected"),
    request_fields=("request_key", "rejected_request_key"),
    judged_parts=("chosen",),
    judging_question="Is everything that the description says true of the image?",
    counted_fields=("way", "round", "unanswerable"),
    unanswerable=ITEMS,
    tasks=("preference",),
    preference=preference,
    title="pairs of descriptions of images, one to be preferred and one spoilt on purpose",
    noun="pair",
    task_categories=("image-to-text", "image-text-to-text"),
    tags=("preference", "dpo", "captions"),
    method=_METHOD,
    citation=_CITATION,
    limits=(
        "The preferred side is machine-made too, and may be wrong: it is better than the other side by how it was asked"
        " for, not because anybody compared them.",
        "Rejected texts are false on purpose. Do not train on them as descriptions.",
        "Preferred texts are several times as long as rejected ones that answer a plain prompt, so that a student may"
        " learn length along with truth.",
    ),
    field_notes={
        "unanswerable": UNANSWERABLE_NOTE,
        "prompt": "a plain captioning prompt, the same for both sides; neither side was written to it word for word"
        " where it was asked to describe in detail or to make things up",
        "chosen": "the description to be preferred",
        "rejected": "the description to be rejected",
        "way": "`imagined` where the rejected side was asked to make things up, `corrupted` where it was written about"
        " a corrupted picture",
        "corruption": "what was done to that picture, with its numbers; the picture itself is not kept",
        "hallucination_prompt": "the template that asked for what is not there",
        "round": "the round that made it, from 0",
        "rejected_request_key": "the journal's entry with the request for the rejected side",
    },
    package="builders.preferences",
    # The scripted teacher errs in one reply out of eight, so that the filters have something to show.
    demo_settings=("teacher.error_rate=0.125", "preferences.pairs=2"),
)
