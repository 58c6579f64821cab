"""The `critics` section of a recipe: a list of critics, each with its `kind` and its own settings."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union

from pydantic import Field, field_validator, model_validator

from critics.scoring_settings import CriticName, ScoringSettings
from critics.trained.settings import TrainedSettings
from ostensive.models.needs import ModelNeed
from ostensive.recipe import TeacherSettings
from ostensive.settings import Settings


class RulesSettings(ScoringSettings):
    """The prompt's own rules, as far as a program can check them. Each switch is one rule; see `critics.rules`."""

    kind: Literal["rules"] = "rules"
    name: CriticName | None = None
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """A candidate is accepted from this probability on; rules give 0 or 1."""
    not_a_question: bool = True
    """Reject questions that do not end in a question mark."""
    hedging: bool = True
    """Reject answers and rationales that hedge: maybe, perhaps, likely, seems, might, ..."""
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
    """Reject fields with too few or too many words or sentences."""
    min_probe_overlap: float = Field(default=0.8, gt=0, le=1)
    """Shared words over all words (Jaccard) from which on a question repeats a probe."""
    max_sentences: int = Field(default=2, ge=1)
    """Most sentences in each of question, answer and rationale. LSKD's prompt: one to two."""
    min_question_words: int = Field(default=3, ge=1)
    max_question_words: int = Field(default=45, ge=1)
    min_answer_words: int = Field(default=1, ge=1)
    max_answer_words: int = Field(default=60, ge=1)
    min_rationale_words: int = Field(default=3, ge=1)
    max_rationale_words: int = Field(default=80, ge=1)
    """LSKD, table of the corpus: the means are 12, 12 and 24 words; the limits catch what ran away."""
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

    @model_validator(mode="after")
    def _ordered(self) -> "RulesSettings":
        for part in ("question", "answer", "rationale"):
            least, most = getattr(self, f"min_{part}_words"), getattr(self, f"max_{part}_words")
            if least > most:
                raise ValueError(f"min_{part}_words at most max_{part}_words is expected, not {least} and {most}")
        return self


class OverlapSettings(ScoringSettings):
    """Likeness to reference texts: ROUGE-L, as ILLUME simulates people's feedback with it."""

    kind: Literal["overlap"] = "overlap"
    min_accept_probability: float = Field(default=0.7, ge=0, le=1)
    """ILLUME, section 4: a rationale from 0.7 on counts as fitting."""
    references: str = Field(min_length=1)
    """A Parquet or JSON Lines file: `reference` or `references`, and `row_id`, `image_id` with `question`, or
    `image_id` alone."""
    compare: Literal["rationale", "answer"] = "rationale"
    """Which text of a candidate is compared."""
    recall_weight: float = Field(default=1.2, gt=0)
    """Beta of the F-measure: what recall counts beside precision. 1.2 is that of the COCO caption metrics, by which
    ILLUME was measured; 1 counts both alike."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file of references."""
        return (ModelNeed(role="references", kind="file", name=self.references),)


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
    """Ratings 1 to 5 are 0, 0.25, 0.5, 0.75 and 1; the lower of answer and rationale counts."""
    chat: TeacherSettings | None = None
    """The model that judges; None takes the recipe's teacher, which then judges its own work."""
    prompt_set: str = "judge"
    """A built-in rubric, or a folder of your own templates; start from a copy of the built-in one."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """In place of the model's own: the same candidate should be judged the same way twice."""
    max_tokens: int = Field(default=300, ge=1)
    """Longest reply, in tokens, in place of the model's own."""


class EvidenceSettings(ScoringSettings):
    """What answer and rationale name, checked against the verbalization of the image."""

    kind: Literal["evidence"] = "evidence"
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the claims that the verbalization has to support."""


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

    def decision(self) -> list[Any]:  # Any: JSON values of any depth
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
