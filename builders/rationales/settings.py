"""The section `rationales` of a recipe: what is asked, how often, and what is not even a candidate."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from builders.dedupe import DedupeSettings
from ostensive.settings import Settings
from ostensive.user_paths import PathMark

PROMPT_PREFIX = "explain_"
"""What the names of templates that are explanation prompts begin with."""


def prompt_sets() -> Traversable:
    """The folder of the prompt sets that ship with the recipe."""
    return files("builders.rationales") / "templates"


class PromptSearchSettings(Settings):
    """The search for the prompts that suit a teacher (ILLUME, section 3.3): tried on a sample, the best are kept."""

    sample: int = Field(default=0, ge=0, le=100_000)
    """Items on which every prompt is tried, drawn from the whole run; 0 asks all prompts about everything, without a
    search. The paper does not say how many it takes."""
    keep: int = Field(default=1, ge=1)
    """How many prompts are kept, the best ones. ILLUME: one, and two in the first round on ACT-X."""
    samples: int = Field(default=1, ge=1, le=100)
    """Rationales drawn for each tried item, prompt and temperature; at most `rationales.samples`. They are the first
    draws of these, so that what is tried is paid once."""
    min_overlap: float = Field(default=0.7, ge=0, le=1)
    """ROUGE-L to the nearest of people's rationales from which on a reply counts as fitting, 0-1. ILLUME: 0.7."""


class RationalesSettings(Settings):
    """How the teacher is asked why answers are right. ILLUME, section 4.1: 5 temperatures, 5 samples at each."""

    temperatures: tuple[Annotated[float, Field(ge=0, le=2)], ...] = Field(
        default=(0.01, 0.1, 0.3, 0.6, 0.9), min_length=1
    )
    """Temperatures at which rationales are drawn, 0-2. ILLUME: these five."""
    samples: int = Field(default=5, ge=1, le=100)
    """Rationales drawn for each item, prompt and temperature, a request each. ILLUME: five, 25 an item in all."""
    top_k: int | None = Field(default=None, ge=1)
    """Tokens are drawn from so many of the likeliest; None leaves it to the teacher's own setting. ILLUME: 5025, a
    tenth of its model's vocabulary. What that is of another vocabulary has to be worked out, and OpenAI refuses it."""
    prompts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")], ...] = Field(default=("why",), min_length=1)
    """Explanation prompts: `why` is the template `explain_why.j2` of the set. Each is asked everything. ILLUME: one,
    and two in the first round on ACT-X."""
    prompt_search: PromptSearchSettings = PromptSearchSettings()
    prompt_set: Annotated[str, PathMark(or_name="folder", names=("rationales",))] = "rationales"
    """A built-in prompt set, or a folder of your own templates; start from a copy of the built-in one."""
    label_questions: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Questions to which the label of an item with neither question nor answer is the answer. ILLUME asks five alike of
    ACT-X, such as what the person is doing."""
    min_words: int = Field(default=3, ge=1)
    """A rationale of fewer words is no candidate."""
    max_sentences: int = Field(default=2, ge=1)
    """What a reply says beyond so many sentences is cut off."""
    min_letter_share: float = Field(default=0.5, ge=0, le=1)
    """Least share of letters among what is no white space, 0-1."""
    min_distinct_share: float = Field(default=0.4, ge=0, le=1)
    """Least share of different words among eight words or more, 0-1."""

    @field_validator("temperatures", "prompts", "label_questions")
    @classmethod
    def _distinct(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each at most once is expected")
        return value

    @field_validator("label_questions")
    @classmethod
    def _questions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(question.strip() for question in value):
            raise ValueError("questions with words in them are expected")
        return value

    @model_validator(mode="after")
    def _something_to_search(self) -> Self:
        search = self.prompt_search
        if search.sample and search.keep >= len(self.prompts):
            raise ValueError(
                f"prompt_search keeps {search.keep} of {len(self.prompts)} prompts; name more in prompts, or keep fewer"
            )
        if search.sample and search.samples > self.samples:
            raise ValueError(f"prompt_search.samples is at most samples, {self.samples}; it is {search.samples}")
        return self

    @property
    def requests_an_item(self) -> int:
        """How often the teacher is asked about each question with its answer."""
        return len(self.prompts) * len(self.temperatures) * self.samples


class RationaleDedupeSettings(DedupeSettings):
    """Which candidates of an image count as one: here those that are the same, since ILLUME keeps every unique one."""

    max_distance: float = Field(default=0.0, ge=0, le=2)
    """Largest cosine distance (0-2) at which clusters are joined. Two rationales of one item share question and answer,
    so that even different ones are near each other; 0 takes out repeats alone."""
