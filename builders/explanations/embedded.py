"""The list of concepts with its sentence embeddings, and texts embedded in the same way."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Self  # Any: JSON values

import numpy as np

from builders.embeddings import PACKAGED_MODEL, Vectors
from builders.explanations.concepts import NO_LIST, ConceptList, load_concepts
from builders.explanations.settings import ExplanationsSettings
from ostensive.errors import SettingsError
from ostensive.models.files import model_version


class EmbeddedConcepts:
    """Concepts of all labels and their vectors. Made of settings alone; the model is loaded while it is open."""

    def __init__(self, settings: ExplanationsSettings) -> None:
        """Raises `SettingsError` for a list of concepts that cannot be used."""
        self._embedding = settings.embedding
        self._list = None if settings.concepts is None else load_concepts(settings.concepts)
        self._embedder = settings.embedding.embedder()
        self._vectors: Vectors | None = None

    @property
    def concepts(self) -> ConceptList:
        """The list; raises `SettingsError` where none is set."""
        if self._list is None:
            raise SettingsError(NO_LIST)
        return self._list

    @property
    def model(self) -> str:
        """The embedding model, as it was named."""
        return self._embedder.model

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that vectors depend on; raises as `concepts`, and where the model has no files."""
        embedding = self._embedding
        weights = None if embedding.model == PACKAGED_MODEL else model_version(embedding.model, embedding.revision)
        return {"concepts": self.concepts.digest, "embedding": embedding.identity(), "weights": weights}

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Itself with the model; raises `SettingsError` for one that gives no usable numbers."""
        self._lock = Lock()  # a tokenizer serves one thread at a time
        with self._embedder:
            self._vectors = self.embed(self.concepts.texts)
            if not np.isfinite(self._vectors).all():
                raise SettingsError(f"explanations.embedding.model: {self.model!r} gives no usable numbers")
            yield self
        self._vectors = None
        del self._lock  # so that it pickles again

    @property
    def vectors(self) -> Vectors:
        """Of `concepts.texts`, `(texts, width)`."""
        assert self._vectors is not None, "it is opened before it is used"
        return self._vectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, `(texts, width)`, with the prefix of the settings; not finite where a model fails."""
        with self._lock:
            return self._embedder.embed([f"{self._embedding.prefix}{text}" for text in texts])

    def vectors_of(self, concepts: Sequence[str]) -> Vectors:
        """The vectors of some concepts, as `embed` gives them; those of the list are at hand."""
        places = [self.concepts.places_in_texts.get(text) for text in concepts]
        known = [place for place in places if place is not None]
        return self.vectors[known] if len(known) == len(places) else self.embed(concepts)
