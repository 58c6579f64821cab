"""The stages `compared` and `selected`: which concepts of its label an image shows, and other images do not.

`compared` embeds descriptions and concepts and needs a model; `selected` must see the whole run, for the descriptions
of all other images are the negatives of an image. What it has to know of a partition is one number for each concept.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self  # Any: JSON values

import numpy as np
import pyarrow as pa

from builders.embeddings import Vectors
from builders.explanations.concepts import NO_LIST, ConceptList, load_concepts
from builders.explanations.embedded import EmbeddedConcepts
from builders.explanations.records import Compared, Described, Selected
from builders.explanations.scoring import Array, cosines, infonce_scores, log_sums, log_sums_of_others
from builders.explanations.selecting import chosen_concepts
from builders.explanations.settings import ExplanationsSettings
from ostensive.errors import SettingsError
from ostensive.run.services import Services
from ostensive.stage import Evidence, Failed, Kept, Outcome, RunWideStage, Stage

COMPARED: Final = "compared"
SELECTED: Final = "selected"
NOT_FINITE: Final = "embedding is not finite"
_COMPARE_VERSION = 1
_SELECT_VERSION = 1
_SUMS: Final = pa.schema(
    [pa.field("first_image_id", pa.string()), pa.field("log_masses", pa.list_(pa.float64()))]
)  # of a partition, by the least of its image ids


class CompareStage(Stage[Described, Compared]):
    """From descriptions to how they fit the concepts."""

    name = COMPARED
    record_in = Described
    record_out = Compared

    def __init__(self, settings: ExplanationsSettings) -> None:
        """Stores and validates; raises `SettingsError` for a list of concepts that cannot be used."""
        self._temperature = settings.score_temperature
        self._embedded = EmbeddedConcepts(settings)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": _COMPARE_VERSION, **self._embedded.identity, "temperature": self._temperature}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - of a stage
        with self._embedded.opened():
            yield self

    def process(self, rows: Sequence[Described], evidence: Evidence) -> list[Outcome[Compared]]:  # noqa: ARG002 - of a stage
        vectors = self._embedded.embed([text for row in rows for text in row.descriptions])
        ends = np.cumsum([len(row.descriptions) for row in rows])[:-1]
        return [self._compared(row, part) for row, part in zip(rows, np.split(vectors, ends), strict=True)]

    def _compared(self, row: Described, vectors: Vectors) -> Outcome[Compared]:
        if not np.isfinite(vectors).all():
            return Failed(NOT_FINITE, self._embedded.model)
        concepts, found = self._embedded.concepts, cosines(vectors, self._embedded.vectors)
        places = concepts.places(row.label)
        return Kept(
            (
                Compared(
                    image_id=row.image_id,
                    label=row.label,
                    concepts=tuple(concepts.texts[place] for place in places),
                    cosines=tuple(found[:, places.start : places.stop].ravel().tolist()),
                    log_masses=tuple(log_sums(found / self._temperature).tolist()),
                ),
            )
        )


class SelectStage(RunWideStage[Compared, Selected]):
    """Chooses concepts of each image by their scores against all other images."""

    name = SELECTED
    record_in = Compared
    record_out = Selected

    def __init__(self, settings: ExplanationsSettings) -> None:
        """Stores and validates; raises `SettingsError` for a list of concepts that cannot be used."""
        self._settings = settings
        self._concepts = None if settings.concepts is None else load_concepts(settings.concepts)

    @property
    def identity(self) -> Mapping[str, Any]:
        settings = self._settings
        return {
            "version": _SELECT_VERSION,
            "concepts": _given(self._concepts).digest,
            "temperature": settings.score_temperature,
            "exclude_same_class": settings.exclude_same_class,
            "threshold_std": settings.threshold_std,
            "min_concepts": settings.min_concepts,
        }

    def summarise(self, rows: Sequence[Compared], evidence: Evidence) -> pa.Table:  # noqa: ARG002 - of a stage
        """The masses of a partition's descriptions by concept."""
        if not rows:
            return _SUMS.empty_table()
        return _sums_table([_key(rows)], log_sums(self._masses(rows))[np.newaxis])

    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """For each partition the masses of all other partitions by concept."""
        table = pa.concat_tables([_SUMS.empty_table(), *summaries]).sort_by("first_image_id")
        if not len(table):
            return table
        masses = np.array(table.column("log_masses").to_pylist(), dtype=np.float64)
        return _sums_table(table.column("first_image_id").to_pylist(), log_sums_of_others(masses))

    def apply(self, rows: Sequence[Compared], decision: pa.Table) -> list[Outcome[Selected]]:
        """The concepts of each image."""
        if not rows:
            return []
        place = decision.column("first_image_id").to_pylist().index(_key(rows))
        elsewhere = np.array(decision.column("log_masses")[place].as_py(), dtype=np.float64)
        others = np.logaddexp(log_sums_of_others(self._masses(rows)), elsewhere[np.newaxis])
        return [Kept((self._selected(row, negatives),)) for row, negatives in zip(rows, others, strict=True)]

    def _masses(self, rows: Sequence[Compared]) -> Array:
        """The masses of each row by concept, `(rows, concepts)`; -inf where they are not to count."""
        masses = np.array([row.log_masses for row in rows], dtype=np.float64)
        if self._settings.exclude_same_class:
            for number, row in enumerate(rows):
                own = _given(self._concepts).places(row.label)
                masses[number, own.start : own.stop] = -np.inf
        return masses

    def _selected(self, row: Compared, log_negatives: Array) -> Selected:
        own = _given(self._concepts).places(row.label)
        positives = np.array(row.cosines, dtype=np.float64).reshape(-1, len(own))
        scores = infonce_scores(positives, log_negatives[own.start : own.stop], self._settings.score_temperature)
        chosen = chosen_concepts(
            scores,
            positives.sum(axis=0),
            threshold_std=self._settings.threshold_std,
            min_concepts=self._settings.min_concepts,
        )
        return Selected(
            row.image_id,
            row.label,
            tuple(row.concepts[place] for place in chosen),
            tuple(float(scores[place]) for place in chosen),
        )


def _given(concepts: ConceptList | None) -> ConceptList:
    if concepts is None:
        raise SettingsError(NO_LIST)
    return concepts


def _key(rows: Sequence[Compared]) -> str:
    """By what a partition is known: rows of an image are in one partition alone."""
    return min(row.image_id for row in rows)


def _sums_table(keys: Sequence[str], masses: Array) -> pa.Table:
    return pa.table({"first_image_id": list(keys), "log_masses": masses.tolist()}, schema=_SUMS)
