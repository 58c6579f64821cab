"""Which of several answers to a question is kept: the one that fits the image's concepts and no others, without a
reward model (SelfSynthX, step 2.6).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self  # Any: JSON values

import numpy as np

from builders.embeddings import Vectors
from builders.explanations.embedded import EmbeddedConcepts
from builders.explanations.scoring import cosines
from builders.explanations.selecting import best_answer, unselected
from builders.explanations.settings import ExplanationsSettings

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """Answers to one question, at least one, and the concepts of its image."""

    concepts: tuple[str, ...]
    answers: tuple[str, ...]


class AnswerChooser:
    """Compares answers with concepts by their sentence embeddings; made of settings alone."""

    def __init__(self, settings: ExplanationsSettings) -> None:
        """Raises `SettingsError` for a list of concepts that cannot be used."""
        self._temperature = settings.score_temperature
        self._embedded = EmbeddedConcepts(settings)

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that its choices depend on; raises `SettingsError` without a list of concepts."""
        return {"version": _VERSION, **self._embedded.identity, "temperature": self._temperature}

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Itself with the embedding model."""
        with self._embedded.opened():
            yield self

    def best(self, choices: Sequence[Choice]) -> list[int | None]:
        """The place of the best answer of each choice, the first of equals; None where a vector of one is not finite.

        The concepts of all labels that are not those of the image stand against an answer.
        """
        vectors = self._embedded.embed([answer for choice in choices for answer in choice.answers])
        ends = np.cumsum([len(choice.answers) for choice in choices])[:-1]
        return [self._best(choice, part) for choice, part in zip(choices, np.split(vectors, ends), strict=True)]

    def _best(self, choice: Choice, answers: Vectors) -> int | None:
        if not np.isfinite(answers).all():
            return None
        others = unselected(self._embedded.concepts.texts, choice.concepts)
        fit, misfit = (cosines(self._embedded.vectors_of(texts), answers) for texts in (choice.concepts, others))
        return best_answer(fit, misfit, self._temperature)
