"""The `localized` recipe (LSKD): its settings, the stages they make, and what it tells the house of itself."""

from collections.abc import Sequence
from typing import Final, Literal, Self

from pydantic import model_validator

from builders.dialogues import with_reason
from builders.filtering import FilteredRecipe, filtering_stages
from builders.localized.probing import TeacherAsker, load_probing_prompts
from builders.localized.records import Qar
from builders.localized.scripted import make_script
from builders.localized.settings import LocalizedSettings
from builders.localized.stage import CandidatesStage
from builders.localized.unanswerable import ITEMS
from builders.unanswerable import FIELD_NOTE as UNANSWERABLE_NOTE
from ostensive.chat.access import ChatSettings
from ostensive.chat.endpoint import ServedModelSettings, ServedTeacherSettings
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Turn
from ostensive.stage import AnyStage
from verbalizers.image_text.settings import GeneratorProbeSettings, ServedProbeSettings
from verbalizers.stage import VerbalizeStage
from verbalizers.table import VerbalizeSettings


class LocalizedRecipe(FilteredRecipe):
    """Questions, answers and rationales about numbered regions (LSKD)."""

    recipe: Literal["localized"]
    verbalize: VerbalizeSettings = VerbalizeSettings()
    localized: LocalizedSettings = LocalizedSettings()

    @model_validator(mode="after")
    def _endpoint_is_known(self) -> Self:
        if self.verbalize.asks_endpoint and self.verbalizing_endpoint is None:
            raise ValueError(
                "verbalize has a part of kind served, and no server: name one with verbalize.endpoint.model (and"
                f" base_url), or a teacher of kind served, not {self.teacher.kind}"
            )
        return self

    @property
    def verbalizing_endpoint(self) -> ServedModelSettings | None:
        """The served model that looks at images: its own, or the teacher where that is a served one."""
        if self.verbalize.endpoint is not None:
            return self.verbalize.endpoint
        return self.teacher if isinstance(self.teacher, ServedTeacherSettings) else None

    @property
    def chats(self) -> tuple[ChatSettings, ...]:
        """The models of teacher and critics and, where one is asked, the server of the verbalizers."""
        own = self.verbalize.endpoint if self.verbalize.asks_endpoint else None
        return (*super().chats, *(() if own is None else (own,)))


def script_of(recipe: Recipe) -> Script:
    """What the scripted teacher says, with the share of errors that the recipe sets."""
    return make_script(recipe.teacher.error_rate if isinstance(recipe.teacher, ScriptedTeacherSettings) else 0.0)


def make_stages(recipe: LocalizedRecipe) -> Sequence[AnyStage]:
    """Verbalize, ask the teacher, filter."""
    asker, probes = None, recipe.verbalize.probes
    if isinstance(probes, GeneratorProbeSettings | ServedProbeSettings) and probes.asked_by == "teacher":
        asker = TeacherAsker(load_probing_prompts(probes.prompt_set), teacher=recipe.teacher, seed=recipe.seed)
    return (
        VerbalizeStage(recipe.verbalize, seed=recipe.seed, endpoint=recipe.verbalizing_endpoint, asker=asker),
        CandidatesStage(recipe.localized, teacher=recipe.teacher, script=script_of(recipe), seed=recipe.seed),
        *filtering_stages(recipe, KIND),
    )


def shown(candidate: Qar) -> tuple[ShownText, ...]:
    """Question, answer and rationale; the mentions are those of the triple as a whole."""
    texts = ("question", candidate.question), ("answer", candidate.answer), ("rationale", candidate.rationale)
    return tuple(
        ShownText(name, text, tuple(k for k in candidate.mentions if f"[{k}]" in text)) for name, text in texts
    )


def dialogue(candidate: Qar) -> tuple[Turn, ...]:
    """The question with its answer, and why it is so."""
    return with_reason(candidate.question, candidate.answer, candidate.rationale)


def questions(candidate: Qar) -> tuple[str, ...]:
    """Its only one."""
    return (candidate.question,)


def compared_text(candidate: Qar) -> str:
    """Question, answer and rationale in one line."""
    return f"{candidate.question} {candidate.answer} {candidate.rationale}"


_METHOD: Final = (
    "The recipe is Localized Symbolic Knowledge Distillation (LSKD): each picture is put into words (concepts,"
    " narratives, captions of numbered regions, short questions with answers), a teacher that reads these words (and"
    " sees the picture only where `teacher.sees_image` is set) writes questions, answers and rationales about the"
    " regions, and critics drop what does not hold."
)
_CITATION: Final = """@inproceedings{park2023localized,
  title = {Localized Symbolic Knowledge Distillation for Visual Commonsense Models},
  author = {Park, Jae Sung and Hessel, Jack and Chandu, Khyathi Raghavi and Liang, Paul Pu and Lu, Ximing and West,
            Peter and Yu, Youngjae and Huang, Qiuyuan and Gao, Jianfeng and Farhadi, Ali and Choi, Yejin},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023}
}"""

KIND: Final = RecipeKind(
    name="localized",
    recipe=LocalizedRecipe,
    candidate=Qar,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=compared_text,
    parts=("question", "answer", "rationale"),
    questions=questions,
    judged_parts=("answer", "rationale"),
    judging_question="Is the answer right for what is marked, and does the rationale justify it?",
    has_regions=True,
    counted_fields=("mode", "unanswerable"),
    unanswerable=ITEMS,
    tasks=("triple", "rating"),
    dialogue=dialogue,
    title="questions, answers and rationales about numbered regions",
    noun="triple",
    task_categories=("visual-question-answering", "image-text-to-text"),
    tags=("rationales", "regions"),
    method=_METHOD,
    citation=_CITATION,
    limits=(
        "The rows are machine-made. A teacher that was given text never saw the picture, and whatever it read may have"
        " been incomplete or wrong; the critics remove some of what is false, not all.",
        "Regions come from a detector or a segmentation. A box may hold several things or a part of one.",
    ),
    field_notes={
        "unanswerable": UNANSWERABLE_NOTE,
        "mode": "`ids` where regions are named by number, `descriptions` where by what they look like",
        "question": "what is asked",
        "answer": "the answer",
        "rationale": "why the answer holds",
        "mentions": "the region numbers in the text, in the order of their first mention",
    },
    package="builders.localized",
    # The scripted teacher errs in one triple out of eight, so that the filters have something to show.
    demo_settings=("teacher.error_rate=0.125",),
)
