import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from critic_context import CAPTIONS_CONTEXT, IMAGE, SERVICES, caption, context, qar

from critics.critic import Score
from critics.feedback import REJECTED, UNRATED, FeedbackCritic, FeedbackSettings, read_ratings
from critics.labels import CriterionTarget, Label, write_labels
from ostensive.errors import SettingsError


def test_labels_as_annotating_exports_them(tmp_path: Path) -> None:
    labels = [
        Label("r0", IMAGE, True, (CriterionTarget("qa", 3.0), CriterionTarget("rationale", 3.0))),
        Label("r1", IMAGE, False, (CriterionTarget("qa", 3.0), CriterionTarget("rationale", 0.0))),
    ]
    write_labels(tmp_path / "labels.parquet", labels)
    settings = FeedbackSettings(ratings=str(tmp_path / "labels.parquet"))
    with FeedbackCritic(settings, context()).opened(SERVICES) as critic:
        found = critic.score([qar(row_id=name) for name in ("r0", "r1", "r2")], {})
    assert found == [Score(1.0, REJECTED), Score(0.0, REJECTED), Score(0.0, UNRATED)]
    with FeedbackCritic(settings, CAPTIONS_CONTEXT).opened(SERVICES) as critic:
        assert critic.score([caption("a dog", row_id="r1")], {}) == [Score(0.0, REJECTED)]


def test_ratings_from_1_to_5_and_the_worst_of_several(tmp_path: Path) -> None:
    file = tmp_path / "ratings.jsonl"
    rows = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 1), ("f", 3), ("f", 2)]
    file.write_text("".join(json.dumps({"row_id": row, "rating": rating}) + "\n" for row, rating in rows))
    found = read_ratings(str(file))
    assert found == {"a": 1, "b": 0.75, "c": 0.5, "d": 0.25, "e": 0, "f": 0.5}
    threshold = FeedbackSettings(ratings=str(file)).min_accept_probability
    assert [row for row, share in found.items() if share >= threshold] == ["a", "b"], "ILLUME: fitting is 1 or 2"


def test_judgements_of_rationales_as_annotating_exports_them(tmp_path: Path) -> None:
    columns = {
        "task": ["rating", "triple", "rating"],
        "item_id": ["r0", "r0", "r1"],
        "question": ["rating", "qa", "rating"],
        "answer": ["2", "reject", "5"],
    }
    pq.write_table(pa.table(columns), tmp_path / "judgements.parquet")
    assert read_ratings(str(tmp_path / "judgements.parquet")) == {"r0": 0.75, "r1": 0.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rating": 1}, "line 1: row_id is missing; it says which candidate was rated"),
        ({"row_id": "r", "rating": 0}, "line 1: accepted (true or false) or rating (1 to 5) is expected, not 0"),
        ({"row_id": "r", "rating": True}, "is expected, not True"),
        ({"row_id": "r", "rating": 1.5}, "is expected, not 1.5"),
        ({"row_id": "r", "rating": "good"}, "is expected, not 'good'"),
        ({"row_id": "r"}, "is expected, not None"),
    ],
)
def test_what_is_no_rating(tmp_path: Path, values: dict[str, object], message: str) -> None:
    (tmp_path / "ratings.jsonl").write_text(json.dumps(values))
    with pytest.raises(SettingsError) as caught:
        read_ratings(str(tmp_path / "ratings.jsonl"))
    assert message in str(caught.value)


def test_the_version_follows_the_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "ratings.jsonl"
    file.write_text('{"row_id": "r", "rating": 1}')
    first = FeedbackCritic(FeedbackSettings(ratings=str(file)), context()).version
    assert (
        FeedbackCritic(FeedbackSettings(ratings=str(file), name="people", min_accept_probability=1), context()).version
        == first
    )
    file.write_text('{"row_id": "r", "rating": 2}')
    assert FeedbackCritic(FeedbackSettings(ratings=str(file)), context()).version != first
