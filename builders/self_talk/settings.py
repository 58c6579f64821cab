"""How a base model is asked: which one, how many clarifications it makes, and how they are drawn."""

from typing import Annotated, ClassVar

from pydantic import Field

from ostensive.models.generator_settings import GeneratorSettings

Share = Annotated[float, Field(gt=0, le=1)]


class SelfTalkSettings(GeneratorSettings):
    """A language model of `transformers`, and how it talks to itself."""

    role: ClassVar[str] = "language model"

    questions: int = Field(5, ge=0, le=100)
    """Questions drawn from each beginning; 0 leaves self-talk out. The paper: 5."""
    answers: int = Field(10, ge=1, le=100)
    """Answers drawn to each question. The paper: 10."""
    question_top_p: Share = 0.2
    """Nucleus from which tokens of questions are drawn, greater than 0. The paper: 0.2."""
    answer_top_p: Share = 0.5
    """Nucleus from which tokens of answers are drawn, greater than 0. The paper: 0.5."""
    question_tokens: int = Field(12, ge=1, le=200)
    """Most tokens of a question without its beginning; one that is not at its end then is dropped. The paper: 6."""
    answer_tokens: int = Field(20, ge=1, le=200)
    """Most tokens of an answer without its beginning; one that is not at its end then is dropped. The paper: 10."""
    seed: int = Field(0, ge=0)
    """What tokens are drawn by; equal seeds give equal texts, whatever the size of a batch."""
