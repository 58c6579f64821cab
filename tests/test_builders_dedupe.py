"""Dedupe with the packaged model: what counts as a repeat, which one stays, and what must not matter."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_services import plain_services

from builders.dedupe import (
    DedupeSettings,
    DedupeStage,
    Labels,
    choose_roots,
    cluster_distances,
    comparable,
    cosine_distances,
    near_duplicates,
)
from builders.embeddings import SentenceEmbedder, Vectors
from builders.localized.recipe import KIND
from builders.localized.records import Qar
from ostensive.errors import SettingsError
from ostensive.records import Candidate
from ostensive.settings import validate
from ostensive.stage import Dropped, Kept, Outcome

READING = (
    "What is the woman in [2] doing?",
    "She is reading a book.",
    "She holds an open book and looks down at the pages.",
)
READING_REWORDED = (
    "What is the person in [2] doing?",
    "Reading a book.",
    "Her eyes are on the pages of the open book she is holding.",
)
CALM = ("What does the woman in [2] feel?", "She is calm.", "Her face is relaxed and she sits comfortably.")
GREEN = ("What colour is the area [3]?", "It is mostly dark green.", "The palette of [3] is dominated by dark green.")
GREEN_ELSEWHERE = tuple(text.replace("[3]", "[5]") for text in GREEN)


def cluster(embeddings: Vectors, settings: DedupeSettings) -> Labels:
    return cluster_distances(cosine_distances(embeddings), settings)


def qar(texts: Sequence[str], row_id: str | None = None, image_id: str = "a") -> Qar:
    question, answer, rationale = texts
    made = row_id or hashlib.sha256("".join(texts).encode()).hexdigest()[:8]
    return Qar(made, image_id, "ids", question, answer, rationale, (), "scripted", "prompt", "request")


def vectors(*angles_deg: float) -> Vectors:
    """Unit vectors in a plane: two that are d degrees apart have the cosine distance 1 - cos d."""
    radians = np.deg2rad(np.array(angles_deg))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def stage() -> Iterator[DedupeStage]:
    with DedupeStage(DedupeSettings(device="cpu"), KIND).opened(plain_services()) as entered:
        yield entered


def by_id(rows: Sequence[Qar], outcomes: Sequence[Outcome[Candidate]]) -> dict[str, Outcome[Candidate]]:
    return {row.row_id: outcome for row, outcome in zip(rows, outcomes, strict=True)}


def test_is_a_stage() -> None:
    made = DedupeStage(DedupeSettings(), KIND)
    assert (made.name, made.record_in, made.record_out, made.images_at_once) == ("unique", Qar, Qar, None)


def test_reworded_triples_are_near_and_others_are_not(stage: DedupeStage) -> None:
    rows = [
        qar(READING, "r1"),
        qar(CALM, "r2"),
        qar(READING_REWORDED, "r3"),
        qar(GREEN, "r4"),
        qar(GREEN_ELSEWHERE, "r5"),
    ]
    outcomes = stage.process(rows, {})
    assert [type(outcome) for outcome in outcomes] == [Kept, Kept, Dropped, Kept, Kept]
    dropped = outcomes[2]
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "near duplicate"
    assert dropped.detail.startswith("r1 at cosine distance 0.06")
    assert dropped.record is rows[2]


def test_exact_repeats_name_the_smallest_row_id(stage: DedupeStage) -> None:
    shouted = tuple(text.upper().replace(" ", "  ") for text in READING)
    rows = [qar(READING, "r3"), qar(shouted, "r1"), qar(READING, "r2")]
    outcomes = stage.process(rows, {})
    assert outcomes[1] == Kept((rows[1],))
    assert outcomes[0] == Dropped("repeats another candidate", "r1", rows[0])
    assert outcomes[2] == Dropped("repeats another candidate", "r1", rows[2])


def test_images_do_not_see_each_other(stage: DedupeStage) -> None:
    rows = [qar(READING, "r1", "a"), qar(READING, "r2", "b"), qar(CALM, "r3", "a"), qar(READING_REWORDED, "r4", "b")]
    assert [type(outcome) for outcome in stage.process(rows, {})] == [Kept, Kept, Kept, Dropped]


def test_nothing_and_one_row(stage: DedupeStage) -> None:
    assert stage.process([], {}) == []
    assert stage.process([qar(CALM)], {}) == [Kept((qar(CALM),))]


def test_number_of_clusters_an_image() -> None:
    rows = [
        qar(texts, f"r{place}") for place, texts in enumerate([READING, CALM, GREEN, GREEN_ELSEWHERE, READING_REWORDED])
    ]
    with DedupeStage(DedupeSettings(clusters=2, device="cpu"), KIND).opened(plain_services()) as two:
        outcomes = by_id(rows, two.process(rows, {}))
    kept = {row_id for row_id, outcome in outcomes.items() if isinstance(outcome, Kept)}
    assert len(kept) == 2
    assert len(kept & {"r2", "r3"}) == 1, "one about the colour"
    assert len(kept & {"r0", "r1", "r4"}) == 1, "one about the woman"


def test_at_no_distance_only_exact_repeats_go_however_long_two_texts_are_the_same() -> None:
    """The packaged model reads 128 tokens; no model is needed either."""
    long = "She turns a page and reads on. " * 60
    rows = [qar(("Why?", "So.", long + end), f"r{number}") for number, end in enumerate(("Ann.", "Bob.", "ann."))]
    settings = DedupeSettings(max_distance=0, model="/there/is/none")
    with DedupeStage(settings, KIND).opened(plain_services()) as exact:
        outcomes = exact.process(rows, {})
    assert outcomes[:2] == [Kept((row,)) for row in rows[:2]]
    assert outcomes[2] == Dropped("repeats another candidate", "r0", rows[2])
    assert settings.needs() == ()
    assert DedupeStage(settings, KIND).identity["weights"] is None
    assert DedupeSettings(max_distance=0, clusters=2).needs()
    with DedupeStage(DedupeSettings(max_distance=1e-4, device="cpu"), KIND).opened(plain_services()) as near:
        assert isinstance(near.process(rows[:2], {})[1], Dropped)


def test_order_and_batch_size_change_nothing(stage: DedupeStage) -> None:
    texts = [READING, CALM, GREEN, GREEN_ELSEWHERE, READING_REWORDED]
    rows = [qar(each, image_id=image_id) for image_id in ("a", "b", "c") for each in texts]
    expected = stage.process(rows, {})
    backwards = stage.process(rows[::-1], {})
    assert backwards[::-1] == expected
    for batch_size in (1, 4):
        with DedupeStage(DedupeSettings(batch_size=batch_size, device="cpu"), KIND).opened(plain_services()) as other:
            assert other.process(rows, {}) == expected


def test_batch_size_and_device_are_not_part_of_the_identity() -> None:
    plain = DedupeStage(DedupeSettings(), KIND)
    assert DedupeStage(DedupeSettings(batch_size=7, device="cpu"), KIND).identity == plain.identity
    assert DedupeStage(DedupeSettings(max_distance=0.2), KIND).identity != plain.identity


def test_embeddings_are_unit_vectors_in_the_order_of_the_texts() -> None:
    texts = ["a longer text than the others are", "short", "a longer text than the others are", "", "été 東京 🌍"]
    with SentenceEmbedder(device="cpu", batch_size=2) as embedder:
        found = embedder.embed(texts)
        alone = [embedder.embed([text])[0] for text in texts]
        assert embedder.embed([]).shape == (0, 384)
    assert found.shape == (5, 384)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)
    assert (found[0] == found[2]).all()
    assert abs(float(found[0] @ found[1])) < 0.9


def test_an_unknown_model_is_one_line(tmp_path: Path) -> None:
    for model in ("./no-such-folder/model", "nobody/nothing-such", str(tmp_path)):
        with pytest.raises(SettingsError) as caught, SentenceEmbedder(model, device="cpu"):
            pass
        message = str(caught.value)
        assert message.startswith(f"embedding model {model!r} cannot be loaded on cpu: ")
        assert message.endswith("expected 'packaged', a folder, or the name of a sentence-transformers model")
        assert "\n" not in message


def test_an_unknown_device_is_one_line() -> None:
    with pytest.raises(SettingsError, match=r"^embedding model 'packaged' cannot be loaded on abacus: [^\n]*$"):
        SentenceEmbedder(device="abacus").__enter__()


def test_settings_are_checked() -> None:
    for values, message in (
        ({"max_distance": 3}, "unique: max_distance: input should be less than or equal to 2, not 3"),
        ({"clusters": 0}, "unique: clusters: input should be greater than or equal to 1, not 0"),
        ({"linkage": "ward"}, "unique: linkage: input should be 'average', 'complete' or 'single', not 'ward'"),
    ):
        with pytest.raises(SettingsError) as caught:
            validate(DedupeSettings, values, "unique")
        assert str(caught.value) == message


def test_importing_and_constructing_load_no_library() -> None:
    code = (
        "import sys, builders.dedupe as d; from builders.localized.recipe import KIND;"
        "d.DedupeStage(d.DedupeSettings(), KIND);"
        "print(sorted({'torch', 'scipy', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (found.stdout.strip(), found.stderr) == ("[]", "")


def test_comparable_text() -> None:
    assert comparable(" What\n is  THIS？ ") == comparable("what is this?")
    assert comparable("What is [1]?") != comparable("What is [2]?")


def test_distances() -> None:
    distances = cosine_distances(vectors(0, 60, 90, 180))
    np.testing.assert_array_equal(distances[0], [0, 0.5, 1, 2])
    np.testing.assert_array_equal(distances, distances.T)
    zero = cosine_distances(np.array([[0, 0], [1, 0]], dtype=np.float32))
    np.testing.assert_array_equal(zero, [[0, 1], [1, 0]])


@pytest.mark.parametrize("count", [0, 1])
def test_clusters_of_nothing_and_of_one(count: int) -> None:
    assert cluster(vectors(*[10] * count), DedupeSettings()).tolist() == [0] * count
    assert near_duplicates(["r"] * count, vectors(*[10] * count), DedupeSettings()) == []


def test_threshold_is_inclusive_and_linkage_matters() -> None:
    chain = vectors(0, 60, 120)  # neighbours at 0.5, ends at 1.5
    assert cluster(vectors(0, 60), DedupeSettings(max_distance=0.5)).tolist() == [0, 0]
    assert cluster(vectors(0, 60), DedupeSettings(max_distance=0.4999)).tolist() == [0, 1]
    assert len(set(cluster(chain, DedupeSettings(max_distance=0.5, linkage="single")).tolist())) == 1
    assert len(set(cluster(chain, DedupeSettings(max_distance=1.0, linkage="average")).tolist())) == 1
    assert (
        len(
            set(
                cluster_distances(
                    cosine_distances(chain), DedupeSettings(max_distance=1.0, linkage="complete")
                ).tolist()
            )
        )
        == 2
    )


def test_a_mean_distance_at_the_threshold_counts_as_within_it() -> None:
    distances = np.array([[0, 0, 0.1], [0, 0, 0.2], [0.1, 0.2, 0]])
    assert (0.1 + 0.2) / 2 > 0.15, "what linkage computes is above the mean by rounding"
    assert cluster_distances(distances, DedupeSettings(max_distance=0.15)).tolist() == [0, 0, 0]
    assert cluster_distances(distances, DedupeSettings(max_distance=0.1499)).tolist() == [0, 0, 1]


@pytest.mark.parametrize("clusters", [1, 2, 3, 4, 9])
def test_identical_vectors_are_cut_into_the_number_asked_for(clusters: int) -> None:
    labels = cluster(vectors(5, 5, 5, 5), DedupeSettings(clusters=clusters))
    assert len(set(labels.tolist())) == min(clusters, 4)


def test_the_root_is_the_medoid_and_ties_go_to_the_smallest_row_id() -> None:
    embeddings = vectors(0, 10, 30, 200, 200)
    labels = np.array([0, 0, 0, 1, 1])
    distances = cosine_distances(embeddings)
    assert choose_roots(distances, labels, ["a", "b", "c", "z", "y"]) == [1, 4]
    assert choose_roots(np.zeros((0, 0)), np.zeros(0, dtype=np.int64), []) == []


@settings(max_examples=60, deadline=None)
@given(
    angles=st.lists(st.integers(0, 24), min_size=0, max_size=9),
    clusters=st.none() | st.integers(1, 5),
    seed=st.randoms(use_true_random=False),
)
def test_result_does_not_depend_on_order(angles: list[int], clusters: int | None, seed: random.Random) -> None:
    """Many ties (angles repeat, and are multiples of one step); every cluster has one root and all others name one."""
    asked = DedupeSettings(max_distance=0.02, clusters=clusters)
    ids = [f"r{place}" for place in range(len(angles))]

    def found(order: list[int]) -> dict[str, tuple[str, float]]:
        given_ids = [ids[place] for place in order]
        duplicates = near_duplicates(given_ids, vectors(*[7.5 * angles[place] for place in order]), asked)
        return {given_ids[each.place]: (given_ids[each.root], each.distance) for each in duplicates}

    order = list(range(len(angles)))
    straight = found(order)
    seed.shuffle(order)
    assert found(order) == straight
    roots = set(ids) - set(straight)
    assert {root for root, _ in straight.values()} <= roots
    if clusters is not None:
        assert len(roots) == min(clusters, len(ids))


def test_rows_that_stand_are_roots_whatever_they_are_like() -> None:
    row_ids, settings = ["a", "b", "c", "d", "e"], DedupeSettings(max_distance=0.02)
    embeddings = vectors(0.0, 5.0, 8.0, 90.0, 92.0)  # two clusters, with the medoids b and d
    assert {(one.place, one.root) for one in near_duplicates(row_ids, embeddings, settings)} == {(0, 1), (2, 1), (4, 3)}
    found = near_duplicates(row_ids, embeddings, settings, {0, 2, 4})
    assert {(one.place, one.root) for one in found} == {(1, 2), (3, 4)}, "the nearest of those that stand"
    assert near_duplicates(["a", "b"], vectors(5.0, 5.0), settings, {0, 1}) == []


@dataclass(frozen=True, slots=True)
class RoundQar(Qar):
    round: int = 0


def test_what_fitted_in_earlier_rounds_is_no_repeat_and_new_rows_are_repeats_of_it() -> None:
    def of_round(number: int, row_id: str, texts: Sequence[str]) -> RoundQar:
        return RoundQar(**asdict(qar(texts, row_id)), round=number)

    # Both earlier ones are near each other: a round with another `max_distance` let both stand.
    rows = [of_round(2, "0", READING), of_round(0, "x", READING), of_round(1, "y", READING_REWORDED)]
    rows += [of_round(2, "1", READING_REWORDED), of_round(2, "2", CALM), of_round(1, "z", READING)]
    with DedupeStage(DedupeSettings(device="cpu"), KIND, round_number=2).opened(plain_services()) as later:
        outcomes = by_id(rows, later.process(rows, {}))
    assert {row_id for row_id, outcome in outcomes.items() if isinstance(outcome, Kept)} == {"x", "y", "z", "2"}
    repeats = {row_id: outcome for row_id, outcome in outcomes.items() if isinstance(outcome, Dropped)}
    assert {row_id: (one.reason, one.detail) for row_id, one in repeats.items()} == {
        "0": ("repeats another candidate", "x"),
        "1": ("repeats another candidate", "y"),
    }
