"""The `critics` section of a recipe: a list of critics, each with its `kind` and its own settings."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union  # Any: JSON values of any depth

from pydantic import Field, field_validator, model_validator

from critics.critic import CriticName, ScoringSettings
from critics.trained.settings import TrainedSettings
from ostensive.chat.access import TeacherSettings
from ostensive.errors import SettingsError
from ostensive.models.needs import ModelNeed
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.settings import Settings

_NO_CLAIMS: Final = "a text that claims something"
_NOTHING_KNOWN: Final = "a verbalization or annotations of their image"


def _is_known(kind: RecipeKind) -> bool:
    """Whether anything is known in words of the images that candidates are about."""
    return "verbalize" in kind.recipe.model_fields or bool(kind.annotations_required)


class TextLimits(Settings):
    """How long a text of a candidate may be."""

    min_words: int = Field(default=1, ge=1)
    max_words: int = Field(default=1000, ge=1)
    max_sentences: int = Field(default=2, ge=1)
    """LSKD's prompt: one to two."""

    @model_validator(mode="after")
    def _ordered(self) -> "TextLimits":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words at most max_words is expected, not {self.min_words} and {self.max_words}")
        return self


DEFAULT_LIMITS: Final[Mapping[str, Mapping[str, int]]] = {
    "question": {"min_words": 3, "max_words": 45},
    "answer": {"min_words": 1, "max_words": 60},
    "rationale": {"min_words": 3, "max_words": 80},
}
"""LSKD, table of the corpus: the means are 12, 12 and 24 words; the limits catch what ran away."""


class RulesSettings(ScoringSettings):
    """The prompt's own rules, as far as a program can check them. Each switch is one rule; see `critics.rules`."""

    kind: Literal["rules"] = "rules"
    name: CriticName | None = None
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """A candidate is accepted from this probability on; rules give 0 or 1."""
    not_a_question: bool = True
    """Reject questions that do not end in a question mark."""
    hedging: bool = True
    """Reject claims (answers and rationales) that hedge: maybe, perhaps, likely, seems, might, ..."""
    unclear_answer: bool = True
    """Reject answers that say that there is no answer: unclear, cannot be determined, ..."""
    speaks_of_source: bool = True
    """Reject candidates that speak of an image, a photo, a description, a caption, a region, coordinates, ..."""
    watermark: bool = True
    """Reject candidates about watermarks or text at the bottom."""
    ambience: bool = True
    """Reject questions about atmosphere, ambience, mood or lighting."""
    clothing: bool = True
    """Reject questions about what somebody wears, an outfit or its significance."""
    hair_colour: bool = True
    """Reject questions for the colour of hair."""
    alternatives: bool = True
    """Reject questions that join alternatives with "or"."""
    answer_in_question: bool = True
    """Reject candidates whose question holds every word of the answer."""
    repeats_probe: bool = True
    """Reject questions that the teacher was shown already, or that reword one lightly."""
    length: bool = True
    """Reject texts with too few or too many words or sentences, by `limits`."""
    min_probe_overlap: float = Field(default=0.8, gt=0, le=1)
    """Shared words over all words (Jaccard) from which on a question repeats a probe."""
    limits: Mapping[str, TextLimits] = Field(default={}, validate_default=True)
    """By part: its least and most words and its most sentences. What is not said of question, answer and rationale is
    3 to 45, 1 to 60 and 3 to 80 words and two sentences; other parts have no limits but those that are given here."""
    allowed_phrases: tuple[str, ...] = (
        "picture frame",
        "picture frames",
        "picture window",
        "picture book",
        "photo booth",
        "photo album",
        "more or less",
        "sooner or later",
        "whether or not",
        "one way or another",
    )
    """Phrases in which a word means no harm; they are passed over by every rule about words."""

    @field_validator("allowed_phrases")
    @classmethod
    def _words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(phrase[:1].isalnum() for phrase in value):
            raise ValueError("phrases that begin with a letter or digit are expected")
        return value

    @field_validator("limits", mode="before")
    @classmethod
    def _with_defaults(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = {part: one.model_dump() if isinstance(one, TextLimits) else one for part, one in value.items()}
        plain = {part: {**DEFAULT_LIMITS.get(part, {}), **one} for part, one in given.items() if isinstance(one, dict)}
        return {**DEFAULT_LIMITS, **given, **plain}

    def lacking(self, kind: RecipeKind) -> str:
        """A part of which there is a limit; one of those that have limits by themselves may be missing."""
        unknown = [part for part in self.limits if part not in kind.parts and part not in DEFAULT_LIMITS]
        return f"the text {unknown[0]}, of which limits has a limit" if unknown else ""


class OverlapSettings(ScoringSettings):
    """Likeness to reference texts: ROUGE-L, as ILLUME simulates people's feedback with it."""

    kind: Literal["overlap"] = "overlap"
    min_accept_probability: float = Field(default=0.7, ge=0, le=1)
    """ILLUME, section 4: a rationale from 0.7 on counts as fitting."""
    references: str = Field(min_length=1)
    """A Parquet or JSON Lines file: `reference` or `references`, and `row_id`, `image_id` with `question`, or
    `image_id` alone."""
    compare: str = "rationale"
    """Which text of a candidate is compared, by its name."""
    recall_weight: float = Field(default=1.2, gt=0)
    """Beta of the F-measure: what recall counts beside precision. 1.2 is that of the COCO caption metrics, by which
    ILLUME was measured; 1 counts both alike."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file of references."""
        return (ModelNeed(role="references", kind="file", name=self.references),)

    def lacking(self, kind: RecipeKind) -> str:
        """The text that is compared."""
        return "" if self.compare in kind.parts else f"the text {self.compare}, which compare names"


class FeedbackSettings(ScoringSettings):
    """What people said of a candidate: its label, or a rating from 1 (excellent) to 5."""

    kind: Literal["feedback"] = "feedback"
    min_accept_probability: float = Field(default=0.75, ge=0, le=1)
    """Ratings 1 to 5 are 1, 0.75, 0.5, 0.25 and 0; ILLUME: 1 and 2 are fitting. A label is 1 or 0."""
    ratings: str = Field(min_length=1)
    """A Parquet or JSON Lines file with `row_id` and `accepted` or `rating`, such as the labels and judgements that
    `ostensive annotate` exports."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file of ratings."""
        return (ModelNeed(role="ratings", kind="file", name=self.ratings),)


class JudgeSettings(ScoringSettings):
    """A chat model with a written rubric, through the journal and the budget of the run."""

    kind: Literal["judge"] = "judge"
    min_accept_probability: float = Field(default=0.75, ge=0, le=1)
    """Ratings 1 to 5 are 0, 0.25, 0.5, 0.75 and 1; the lowest of a candidate's texts counts."""
    chat: TeacherSettings | None = None
    """The model that judges; None takes the recipe's teacher, which then judges its own work."""
    prompt_set: str = "judge"
    """A built-in rubric, or a folder of your own templates; start from a copy of the built-in one."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """In place of the model's own: the same candidate should be judged the same way twice."""
    max_tokens: int = Field(default=300, ge=1)
    """Longest reply, in tokens, in place of the model's own."""

    def lacking(self, kind: RecipeKind) -> str:
        """Claims, and something to hold them against."""
        return _NO_CLAIMS if not kind.judged_parts else "" if _is_known(kind) else _NOTHING_KNOWN


class EvidenceSettings(ScoringSettings):
    """What a candidate's claims (answer and rationale) name, checked against what is known of the image."""

    kind: Literal["evidence"] = "evidence"
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """Share of what is named that has to be supported."""

    def lacking(self, kind: RecipeKind) -> str:
        """Claims, and something to hold them against."""
        return _NO_CLAIMS if not kind.judged_parts else "" if _is_known(kind) else _NOTHING_KNOWN


class _CombiningSettings(Settings):
    """A way to decide on the scores of several critics; it has no score and no threshold of its own."""

    kind: str
    name: CriticName | None = None
    """What judgements call it; None takes the kind."""
    critics: tuple["CriticSettings", ...] = Field(min_length=1)
    """Its members, each with its own threshold; they may be combinations themselves."""

    @property
    def title(self) -> str:
        """Its name, or its kind where it has none."""
        return self.name or self.kind

    def decision(self) -> list[Any]:
        """What decisions depend on besides the scores."""
        return [self.kind, self.title, [critic.decision() for critic in self.critics]]


class AllOfSettings(_CombiningSettings):
    """Accepts what every member accepts."""

    kind: Literal["all_of"] = "all_of"


class AnyOfSettings(_CombiningSettings):
    """Accepts what at least one member accepts."""

    kind: Literal["any_of"] = "any_of"


CriticSettings = Annotated[
    Union[  # noqa: UP007 - further kinds stand on lines of their own
        RulesSettings,
        OverlapSettings,
        FeedbackSettings,
        JudgeSettings,
        EvidenceSettings,
        TrainedSettings,
        AllOfSettings,
        AnyOfSettings,
    ],
    Field(discriminator="kind"),
]
"""The settings of one critic, told apart by `kind`. Further kinds join this union."""

for _combining in (AllOfSettings, AnyOfSettings):
    _combining.model_rebuild()


def leaves(critics: Sequence[CriticSettings]) -> tuple[ScoringSettings, ...]:
    """The settings of every critic that scores, in order, those inside combinations too."""
    found: list[ScoringSettings] = []
    for critic in critics:
        if isinstance(critic, AllOfSettings | AnyOfSettings):
            found += leaves(critic.critics)
        else:
            found.append(critic)
    return tuple(found)


def titles(critics: Sequence[CriticSettings]) -> list[str]:
    """What every critic and every combination is called."""
    found = []
    for critic in critics:
        found.append(critic.title)
        if isinstance(critic, AllOfSettings | AnyOfSettings):
            found += titles(critic.critics)
    return found


def critics_of(recipe: Recipe) -> tuple[CriticSettings, ...]:
    """The critics of a recipe; raises `SettingsError` for one of a kind that has none."""
    critics: tuple[CriticSettings, ...] | None = getattr(recipe, "critics", None)
    if critics is None:
        raise SettingsError(f"the recipe {recipe.recipe} has no critics")
    return critics


def with_critic(recipe: Recipe, critic: TrainedSettings) -> Recipe:
    """`recipe` with one more critic, in place of a trained one of the same name."""
    critics = list(critics_of(recipe))
    same = [place for place, one in enumerate(critics) if one.kind == "trained" and one.title == critic.title]
    critics[slice(same[0], same[0] + 1) if same else slice(len(critics), None)] = [critic]
    return recipe.model_copy(update={"critics": tuple(critics)})


def with_threshold(recipe: Recipe, critic: str, min_accept_probability: float) -> Recipe:
    """`recipe` with another threshold of the critic of that name, wherever it stands."""

    def moved(one: CriticSettings) -> CriticSettings:
        if isinstance(one, AllOfSettings | AnyOfSettings):
            return one.model_copy(update={"critics": tuple(map(moved, one.critics))})
        changed = {"min_accept_probability": min_accept_probability} if one.title == critic else {}
        return one.model_copy(update=changed)

    return recipe.model_copy(update={"critics": tuple(map(moved, critics_of(recipe)))})
