"""What follows from two annotators' ratings of a triple, case by case."""

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from critics.labels import (
    RATINGS,
    CriteriaJudgement,
    CriterionRating,
    CriterionTarget,
    Label,
    Rating,
    labels_from,
    read_labels,
    target,
    write_labels,
)
from ostensive.errors import SettingsError

PAIRS: list[tuple[Rating, Rating]] = [
    (qa, rationale) for qa in RATINGS for rationale in RATINGS if qa != "reject" or rationale == "reject"
]


def judged(annotator: str, qa: Rating, rationale: Rating, row: str = "row") -> CriteriaJudgement:
    ratings = (CriterionRating("qa", qa), CriterionRating("rationale", rationale))
    return CriteriaJudgement(row, f"image of {row}", annotator, ratings)


def targets(label: Label) -> tuple[float, float]:
    return label.target("qa"), label.target("rationale")


@pytest.mark.parametrize(
    ("first", "second", "accepted", "qa_target", "rationale_target"),
    [
        (("accept", "accept"), ("accept", "accept"), True, 3.0, 3.0),
        (("accept", "accept"), ("maybe", "accept"), True, 2.5, 3.0),
        (("accept", "maybe"), ("accept", "accept"), True, 3.0, 2.5),
        (("maybe", "maybe"), ("maybe", "maybe"), True, 2.0, 2.0),
        (("accept", "accept"), ("accept", "reject"), False, 3.0, 0.0),
        (("maybe", "reject"), ("accept", "reject"), False, 2.5, 0.0),
        (("accept", "accept"), ("reject", "reject"), False, 0.0, 0.0),
        (("reject", "reject"), ("reject", "reject"), False, 0.0, 0.0),
    ],
)
def test_two_annotators(
    first: tuple[Rating, Rating],
    second: tuple[Rating, Rating],
    accepted: bool,
    qa_target: float,
    rationale_target: float,
) -> None:
    found = labels_from([judged("ada", *first), judged("bo", *second)])
    wanted = (CriterionTarget("qa", qa_target), CriterionTarget("rationale", rationale_target))
    assert found == [Label("row", "image of row", accepted, wanted)]


@pytest.mark.parametrize("pair", PAIRS)
def test_one_annotator_alone_decides(pair: tuple[Rating, Rating]) -> None:
    (label,) = labels_from([judged("ada", *pair)])
    assert label.accepted == ("reject" not in pair)
    assert targets(label) == tuple({"reject": 0.0, "maybe": 2.0, "accept": 3.0}[rating] for rating in pair)


@given(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=5))
def test_laws_of_labels(pairs: list[tuple[Rating, Rating]]) -> None:
    judgements = [judged(f"annotator {number}", *pair) for number, pair in enumerate(pairs)]
    (label,) = labels_from(judgements)
    # 1 is accept: the flag and the targets say the same of every triple, whoever comes first.
    assert label.accepted == (all(value > 0 for value in targets(label)))
    assert all(value == 0 or 2 <= value <= 3 for value in targets(label))
    for order in itertools.islice(itertools.permutations(judgements), 6):
        assert labels_from(order) == [label]
    # One more rejection never makes a label better.
    (worse,) = labels_from([*judgements, judged("another", "reject", "reject")])
    assert not worse.accepted
    assert targets(worse) == (0.0, 0.0)


def test_each_head_has_its_own_target() -> None:
    found = labels_from([judged("ada", "accept", "maybe"), judged("bo", "maybe", "reject")])
    assert targets(found[0]) == (2.5, 0.0)


def test_rows_are_apart_and_in_order() -> None:
    found = labels_from([judged("ada", "accept", "accept", "b"), judged("ada", "reject", "reject", "a")])
    assert [(label.row_id, label.accepted) for label in found] == [("a", False), ("b", True)]
    assert labels_from([]) == []


def test_a_mean_of_three() -> None:
    assert target(["accept", "accept", "maybe"]) == pytest.approx(8 / 3)


def test_what_is_no_judgement() -> None:
    with pytest.raises(ValueError, match="row r: rationale is 'good'; one of accept, maybe, reject is expected"):
        CriteriaJudgement("r", "i", "ada", (CriterionRating("rationale", "good"),))  # type: ignore[arg-type] # the point


def test_any_criteria_make_labels_and_targets_are_found_by_name() -> None:
    by_annotator: dict[str, dict[str, Rating]] = {
        "ada": {"true": "accept", "clear": "maybe", "useful": "accept"},
        "bo": {"true": "accept", "clear": "reject", "useful": "maybe"},
    }
    three = [
        CriteriaJudgement("r", "i", name, tuple(CriterionRating(one, rating) for one, rating in said.items()))
        for name, said in by_annotator.items()
    ]
    (label,) = labels_from(three)
    assert [(one.name, one.value) for one in label.targets] == [("true", 3.0), ("clear", 0.0), ("useful", 2.5)]
    assert not label.accepted
    with pytest.raises(KeyError):
        label.target("qa")
    (one,) = labels_from([CriteriaJudgement("r", "i", "ada", (CriterionRating("acceptable", "maybe"),))])
    assert one == Label("r", "i", True, (CriterionTarget("acceptable", 2.0),))


def test_contradictions_are_named() -> None:
    twice = [judged("ada", "accept", "accept"), judged("ada", "maybe", "maybe")]
    with pytest.raises(SettingsError, match="row row is judged twice by 'ada'; keep one of the two judgements"):
        labels_from(twice)
    other = CriteriaJudgement("row", "another image", "bo", twice[0].ratings)
    with pytest.raises(SettingsError, match="row row is judged as one of 2 images"):
        labels_from([twice[0], other])
    alone = CriteriaJudgement("row", "image of row", "bo", (CriterionRating("acceptable", "accept"),))
    with pytest.raises(SettingsError, match="row row is judged by different criteria; keep the judgements of one task"):
        labels_from([twice[0], alone])


def test_labels_on_disk(tmp_path: Path) -> None:
    labels = labels_from([judged("ada", "accept", "maybe"), judged("bo", "reject", "reject", "行 \u202e")])
    write_labels(tmp_path / "deep" / "labels.parquet", labels)
    assert read_labels(tmp_path / "deep" / "labels.parquet") == labels
    write_labels(tmp_path / "none.parquet", [])
    assert read_labels(tmp_path / "none.parquet") == []


def test_files_that_hold_no_labels(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no\.parquet: no such file; label with `ostensive annotate RUN`"):
        read_labels(tmp_path / "no.parquet")
    (tmp_path / "text.parquet").write_text("row_id,accepted")
    with pytest.raises(SettingsError, match=r"text\.parquet: cannot be read as a Parquet file of labels"):
        read_labels(tmp_path / "text.parquet")
    table = pa.table({"row_id": ["a"], "image_id": ["i"], "accepted": [True]})
    pq.write_table(table, tmp_path / "short.parquet")
    with pytest.raises(SettingsError, match="is not a file of labels: it has no column targets"):
        read_labels(tmp_path / "short.parquet")
    pq.write_table(table.append_column("targets", pa.array(["high"])), tmp_path / "words.parquet")
    with pytest.raises(SettingsError, match=r"is not a file of labels: .*cast"):
        read_labels(tmp_path / "words.parquet")
