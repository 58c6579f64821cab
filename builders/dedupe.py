"""Dedupe: of the candidates of one image that say the same, one stays.

Exact repeats go first, then sentence embeddings are clustered per image and one root of each cluster is kept (LSKD,
where it picks triples for annotation: SBERT embeddings, hierarchical clustering with scipy, one root a cluster). The
paper does not define the root; here it is the medoid, the member nearest to all others. With the first member
the result would depend on the order of the rows. Embeddings are computed for a whole partition at
once, not image by image.

Distances are rounded to `DISTANCE_STEP` before anything is decided, because the batch in which a text is embedded moves
them by about 1e-7: what ties in exact arithmetic then ties here, and row ids break the tie.
"""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self  # Any: JSON values

import numpy as np
import numpy.typing as npt
from pydantic import Field

from builders.embeddings import PACKAGED_MODEL, PACKAGED_MODULE, SentenceEmbedder, Vectors
from ostensive.models.files import model_version
from ostensive.models.needs import ModelNeed
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Candidate
from ostensive.run.services import Services
from ostensive.settings import Operational, Settings
from ostensive.stage import Dropped, Evidence, Failed, Kept, Outcome, Stage
from ostensive.user_paths import PathMark

UNIQUE: Final = "unique"
DISTANCE_STEP = 1e-4
_DECIMALS = 4

Distances = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class DedupeSettings(Settings):
    """Which candidates of an image count as one."""

    model: Annotated[str, PathMark(or_name="folder", names=(PACKAGED_MODEL,))] = PACKAGED_MODEL
    """`packaged` (all-MiniLM-L6-v2, offline), or a folder or name of a sentence-transformers model."""
    revision: str | None = None
    """Commit, branch or tag of a model on the Hub; None takes its main branch."""
    max_distance: float = Field(default=0.1, ge=0, le=2)
    """Largest cosine distance (0-2) at which clusters are joined. With the packaged model reworded triples lie at
    0.03-0.15, the same wording about another region at 0.16, and different questions about a region above 0.25. At 0
    exact repeats go and nothing is embedded: a model reads no more than the beginning of a long text."""
    clusters: int | None = Field(default=None, ge=1)
    """Keep this many candidates an image (fewer where there are fewer); `max_distance` is then not used. LSKD cuts to 5
    for annotation."""
    linkage: Literal["average", "complete", "single"] = "average"
    """How far apart two clusters are: by the mean, the largest or the smallest distance between their members."""
    batch_size: Operational[Annotated[int, Field(ge=1)]] = 64
    """Texts embedded at a time."""
    device: Operational[str | None] = None
    """Where to compute embeddings: cpu, cuda, cuda:1, mps; None takes a GPU where there is one."""

    @property
    def embeds(self) -> bool:
        """Whether texts that are no exact repeats are compared too."""
        return self.max_distance > 0 or self.clusters is not None

    def needs(self) -> tuple[ModelNeed, ...]:
        """The embedding model, where there is something to embed."""
        if not self.embeds:
            return ()
        if self.model == PACKAGED_MODEL:
            return (ModelNeed(role="dedupe", kind="packaged", name=PACKAGED_MODULE, device=self.device),)
        return (ModelNeed(role="dedupe", kind="hub", name=self.model, revision=self.revision, device=self.device),)


def embedder_of(settings: DedupeSettings) -> SentenceEmbedder:
    """The embedding model that settings name, not loaded yet."""
    return SentenceEmbedder(
        settings.model, revision=settings.revision, batch_size=settings.batch_size, device=settings.device
    )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row that says what another one says: places in the list that was clustered, and their cosine distance."""

    place: int
    root: int
    distance: float


def comparable(text: str) -> str:
    """`text` as it is compared for exact repeats: compatibility forms, case and white space do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def cosine_distances(embeddings: Vectors) -> Distances:
    """Distances between all rows of `embeddings (n, width) float32`: `(n, n) float64`, 0-2, rounded, symmetric.

    A vector of length zero is at distance 1 from every other.
    """
    vectors = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    distances = 1.0 - np.clip(vectors @ vectors.T, -1.0, 1.0)
    distances = np.round((distances + distances.T) / 2, _DECIMALS)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(np.abs(distances), dtype=np.float64)  # no -0.0


def cluster_distances(distances: Distances, settings: DedupeSettings) -> Labels:
    """The cluster of each of n things from their `(n, n)` distances, numbered from 0 as they first occur."""
    count = len(distances)
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    from scipy.cluster.hierarchy import cut_tree, fcluster, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distances, checks=False), method=settings.linkage)
    if settings.clusters is None:
        # Half a step more than asked: the means that linkage computes are off by some 1e-17 from what they stand for.
        found = fcluster(tree, t=settings.max_distance + DISTANCE_STEP / 2, criterion="distance")
    else:
        # `fcluster(criterion="maxclust")` gives fewer clusters than asked where distances tie.
        found = cut_tree(tree, n_clusters=min(settings.clusters, count))[:, 0]
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(int(label), len(numbers)) for label in found], dtype=np.int64)


def choose_roots(distances: Distances, labels: Labels, row_ids: Sequence[str]) -> list[int]:
    """The place of the root of each cluster, in the order of labels: its medoid, the smallest row id among equals."""
    roots = []
    for label in range(int(labels.max()) + 1 if len(labels) else 0):
        members = np.flatnonzero(labels == label).tolist()
        totals = np.round(distances[np.ix_(members, members)].sum(axis=1), _DECIMALS).tolist()
        ranks = {place: (total, row_ids[place]) for place, total in zip(members, totals, strict=True)}
        roots.append(min(members, key=ranks.__getitem__))
    return roots


def near_duplicates(
    row_ids: Sequence[str], embeddings: Vectors, settings: DedupeSettings, standing: Collection[int] = ()
) -> list[Duplicate]:
    """The rows of one image that are not a root; the result does not depend on the order in which rows are given.

    The places in `standing` are of rows that stay whatever they are like, as roots of the clusters they are in.
    """
    order = sorted(range(len(row_ids)), key=lambda place: row_ids[place])
    distances = cosine_distances(embeddings[order])
    labels = cluster_distances(distances, settings)
    roots = choose_roots(distances, labels, [row_ids[place] for place in order])
    stand = [place for place, given in enumerate(order) if given in standing]
    found = []
    for place, label in enumerate(labels):
        if place in stand:
            continue
        near = [other for other in stand if labels[other] == label]
        root = min(near, key=lambda other: (distances[place, other], other)) if near else roots[label]
        if place != root:
            found.append(Duplicate(order[place], order[root], float(distances[place, root])))
    return found


class DedupeStage(Stage[Candidate, Candidate]):
    """Keeps one candidate of those of an image that say the same; the others name the one that stays."""

    name = UNIQUE

    def __init__(self, settings: DedupeSettings, kind: RecipeKind, *, round_number: int = 0) -> None:
        """Rows of rounds before `round_number` stay; only recipes with rounds have any."""
        self.settings, self._round = settings, round_number
        self.record_in = self.record_out = kind.candidate
        self._text_of: Callable[[Candidate], str] = kind.compared_text
        self._embedder = embedder_of(settings)

    @property
    def identity(self) -> Mapping[str, Any]:
        settings = self.settings
        is_packaged = settings.model == PACKAGED_MODEL or not settings.embeds
        weights = None if is_packaged else model_version(settings.model, settings.revision)
        return {"stage": "dedupe", "version": 2, "weights": weights, "round": self._round, **settings.identity()}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:  # noqa: ARG002 - of a stage
        with self._embedder if self.settings.embeds else nullcontext():
            yield self

    def process(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Outcome[Candidate]]:  # noqa: ARG002 - the protocol's
        """`Kept` for each root, `Dropped` with the row id of the root for the others, same length and order."""
        outcomes: dict[int, Outcome[Candidate]] = {}
        rest: list[list[int]] = []
        for places in _by_image(rows):
            exact = self._exact_repeats(rows, places)
            outcomes.update(exact)
            rest.append([place for place in places if place not in exact])
        if self.settings.embeds:
            # An image with a single row has nothing to compare it with.
            self._compare(rows, [places for places in rest if len(places) > 1], outcomes)
        return [outcomes.get(place) or Kept((row,)) for place, row in enumerate(rows)]

    def _compare(
        self, rows: Sequence[Candidate], groups: Sequence[list[int]], outcomes: dict[int, Outcome[Candidate]]
    ) -> None:
        """Puts what becomes of the near duplicates to `outcomes`; each of `groups` has the places of an image."""
        vectors = self._embedder.embed([self._text_of(rows[place]) for places in groups for place in places])
        start = 0
        for places in groups:
            outcomes.update(self._near(rows, places, vectors[start : start + len(places)]))
            start += len(places)

    def _near(
        self, rows: Sequence[Candidate], places: Sequence[int], vectors: Vectors
    ) -> dict[int, Outcome[Candidate]]:
        finite = [bool(np.isfinite(vector).all()) for vector in vectors]
        outcomes: dict[int, Outcome[Candidate]] = {
            place: Failed("embedding is not finite", self.settings.model, rows[place])
            for place, is_finite in zip(places, finite, strict=True)
            if not is_finite
        }
        whole = [place for place, is_finite in zip(places, finite, strict=True) if is_finite]
        standing = {number for number, place in enumerate(whole) if self._is_earlier(rows[place])}
        for found in near_duplicates([rows[place].row_id for place in whole], vectors[finite], self.settings, standing):
            row, root = rows[whole[found.place]], rows[whole[found.root]]
            outcomes[whole[found.place]] = Dropped(
                "near duplicate", f"{root.row_id} at cosine distance {found.distance:.4f}", row
            )
        return outcomes

    def _exact_repeats(self, rows: Sequence[Candidate], places: Sequence[int]) -> dict[int, Outcome[Candidate]]:
        """What becomes of rows whose text another row of the image has too; the smallest row id stays."""
        kept: dict[str, int] = {}
        outcomes: dict[int, Outcome[Candidate]] = {}
        for place in sorted(places, key=lambda place: (not self._is_earlier(rows[place]), rows[place].row_id)):
            first = kept.setdefault(comparable(self._text_of(rows[place])), place)
            if first != place and not self._is_earlier(rows[place]):
                outcomes[place] = Dropped("repeats another candidate", rows[first].row_id, rows[place])
        return outcomes

    def _is_earlier(self, row: Candidate) -> bool:
        return self._round > 0 and getattr(row, "round", 0) < self._round


def _by_image(rows: Sequence[Candidate]) -> Iterable[list[int]]:
    """The places of the rows of each image."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row.image_id, []).append(place)
    return groups.values()
