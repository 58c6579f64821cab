"""The `critics` section of a recipe: a list of critics, each with its `kind` and its own settings."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ostensive.settings import Settings

CriticName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ScoringSettings(Settings):
    """What all critics that score have: a name, and the threshold, which scores never depend on."""

    kind: str
    name: CriticName | None = None
    """What scores and judgements call it; None takes the kind. Two critics of one kind need two names."""
    min_accept_probability: float = Field(default=0.5, ge=0, le=1)
    """A candidate is accepted from this probability on."""

    @property
    def title(self) -> str:
        """Its name, or its kind where it has none."""
        return self.name or self.kind

    def scoring_identity(self) -> dict[str, Any]:  # Any: JSON values of any depth
        """The settings that scores depend on: all that rows depend on but the name and the threshold."""
        values = self.identity()
        return {key: value for key, value in values.items() if key not in ("name", "min_accept_probability")}

    def decision(self) -> list[Any]:  # Any: JSON values
        """What decisions depend on besides the scores."""
        return [self.title, self.min_accept_probability]


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


CriticSettings = Annotated[RulesSettings, Field(discriminator="kind")]
"""The settings of one critic, told apart by `kind`. Further kinds join this union."""
