import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from critic_context import CAPTIONS_CONTEXT, IMAGE, SERVICES, caption, context, image, qar
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.recipe import KIND
from builders.rationales.recipe import KIND as RATIONALES
from builders.rationales.records import Rationale
from critics.critic import Score
from critics.overlap import (
    NO_REFERENCE,
    TOO_SHORT,
    UNLIKE,
    OverlapCritic,
    OverlapSettings,
    common_length,
    read_references,
    references_beside,
    rouge_l,
)
from ostensive.errors import SettingsError
from ostensive.records import Annotation
from ostensive.stage import Evidence, ImageEvidence

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=9)
TEXTS = st.text("ab c.", max_size=20)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ("police kill the gunman", 3 / 4),  # Lin 2004, section 3.1, S2
        ("the gunman kill police", 2 / 4),  # S3
        ("the gunman police killed", 2 / 4),  # S4: "the gunman" or "police killed"
        ("police killed the gunman", 1.0),
        ("nobody saw it", 0.0),
        ("", 0.0),
    ],
)
def test_the_examples_of_the_paper(candidate: str, expected: float) -> None:
    assert rouge_l(candidate, "police killed the gunman") == pytest.approx(expected)


def test_recall_weighs_more_with_a_greater_weight() -> None:
    # 2 of 2 words said are right, 2 of 4 meant are said: P = 1, R = 1/2.
    assert rouge_l("the gunman", "police killed the gunman") == pytest.approx(2 / 3)
    b = 1.2**2
    expected = (1 + b) * 0.5 / (0.5 + b)
    assert rouge_l("the gunman", "police killed the gunman", recall_weight=1.2) == pytest.approx(expected)
    assert expected < 2 / 3


def slow_common_length(first: list[str], second: list[str]) -> int:
    if not first or not second:
        return 0
    if first[0] == second[0]:
        return 1 + slow_common_length(first[1:], second[1:])
    return max(slow_common_length(first[1:], second), slow_common_length(first, second[1:]))


@given(WORDS, WORDS)
def test_the_longest_common_subsequence_is_what_its_definition_says(first: list[str], second: list[str]) -> None:
    assert common_length(first, second) == slow_common_length(first, second) == common_length(second, first)


@given(TEXTS, TEXTS)
def test_a_score_is_a_share_and_1_for_a_text_itself(first: str, second: str) -> None:
    assert 0 <= rouge_l(first, second, recall_weight=1.2) <= 1
    assert rouge_l(first, first) in (0, 1)
    assert rouge_l(first, second) == pytest.approx(rouge_l(second, first))


def lines(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    return str(path)


def test_the_closest_reference_counts_and_the_best_of_several(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "references.jsonl",
        {"row_id": "r0", "references": ["nothing alike", "[0] is deep in the water"]},
        {"image_id": IMAGE, "question": "what does [0] DO", "reference": "it is wet"},
        {"image_id": IMAGE, "reference": "a fish"},
    )
    rows = [
        qar(row_id="r0"),
        qar(row_id="r1", rationale="It is wet."),
        qar("Why?", row_id="r2", rationale="A fish"),
        qar("Why?", row_id="r3", rationale="A"),
        qar("Why?", row_id="r4", image_id="b" * 64),
    ]
    with OverlapCritic(OverlapSettings(references=file), context()).opened(SERVICES) as critic:
        assert critic.score(rows, {}) == [
            Score(1.0, UNLIKE, "nearest: [0] is deep in the water"),
            Score(1.0, UNLIKE, "nearest: it is wet"),
            Score(1.0, UNLIKE, "nearest: a fish"),
            Score(0.0, TOO_SHORT),
            Score(0.0, NO_REFERENCE),
        ]
    with OverlapCritic(OverlapSettings(references=file, compare="answer"), context()).opened(SERVICES) as critic:
        (found,) = critic.score(rows[:1], {})
        assert 0 < found.accept_probability < 1
    with OverlapCritic(OverlapSettings(references=file, compare="caption"), CAPTIONS_CONTEXT).opened(
        SERVICES
    ) as critic:
        assert critic.score([caption("A fish.", row_id="c0")], {}) == [Score(1.0, UNLIKE, "nearest: a fish")]


def test_references_from_parquet(tmp_path: Path) -> None:
    table = pa.table({"row_id": ["r0", None], "image_id": [None, IMAGE], "references": [["a"], ["b", "c"]]})
    pq.write_table(table, tmp_path / "references.parquet")
    found = read_references(str(tmp_path / "references.parquet"))
    assert (found.by_row, found.by_image, found.by_question) == ({"r0": ["a"]}, {IMAGE: ["b", "c"]}, {})


def test_the_version_follows_the_file_and_the_settings_that_scores_depend_on(tmp_path: Path) -> None:
    file = lines(tmp_path / "references.jsonl", {"row_id": "r0", "reference": "a"})

    def version(**settings: object) -> str:
        return OverlapCritic(OverlapSettings.model_validate({"references": file, **settings}), context()).version

    first = version()
    assert version(name="likeness", min_accept_probability=0.1) == first
    assert len({first, version(compare="answer"), version(recall_weight=1.0)}) == 3
    lines(tmp_path / "references.jsonl", {"row_id": "r0", "reference": "b"})
    assert version() != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "references.jsonl, line 1: not JSON"),
        (
            '{"row_id": "r", "reference": "a"}\n{"row_id": "s", "reference": "a", "row_id": "t"}',
            "references.jsonl, line 2: the key 'row_id' stands twice in one object; leave one of them",
        ),
        ("[1]", "references.jsonl, line 1: one object a line is expected, not [1]"),
        ('{"reference": "a"}', "line 1: row_id, or image_id with or without question, is expected"),
        ('{"row_id": 7, "reference": "a"}', "line 1: row_id is 7; text is expected"),
        ('{"row_id": "r"}', "line 1: reference (a text) or references (a list of texts) is expected"),
        ('{"row_id": "r", "references": []}', "line 1: reference (a text) or references (a list of texts)"),
        ("\udce9", "references.jsonl: is not UTF-8; JSON Lines or a file whose name ends in .parquet"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "references.jsonl"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError) as caught:
        read_references(str(file))
    assert message in str(caught.value)


def test_a_file_that_is_not_there_or_not_parquet(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file; a Parquet or JSON Lines file is expected"):
        _ = OverlapCritic(OverlapSettings(references=str(tmp_path / "gone.jsonl")), context()).version
    (tmp_path / "no.parquet").write_text("x")
    with pytest.raises(SettingsError, match=r"no\.parquet: cannot be read as a Parquet file"):
        read_references(str(tmp_path / "no.parquet"))


def beside(*items: Annotation) -> Evidence:
    return {IMAGE: ImageEvidence(image(), annotations=items)}


def item(name: str, question: str | None, *rationales: str, answers: tuple[str, ...] = ("yes",)) -> Annotation:
    return Annotation(name, IMAGE, question=question, answers=answers, rationales=rationales)


def about(annotation_id: str, text: str, *, question: str = "Is it wet?") -> Rationale:
    return Rationale("r0", IMAGE, annotation_id, question, "yes", text, "why", 0.1, 0, "t", "p", "k")


def test_references_that_came_in_beside_the_image_are_those_of_the_item_itself() -> None:
    known = beside(
        item("n0", "Is it wet?", "it rains", "people run"),
        item("n1", "Is it wet?", "the street shines"),
        item("n2", "Is it wet?", "the sun is out", answers=("no",)),
        item("n3", "Is it cold?", "they wear hats"),
        item("n4", "Is it late?"),
    )
    rows = [
        about("n0", "It rains."),
        about("n0", "The street shines."),
        about("n0", "Out is sun."),
        about("n0", "Hats they wear."),
        about("n4", "It rains.", question="Is it late?"),
    ]
    with OverlapCritic(OverlapSettings(), context(RATIONALES)).opened(SERVICES) as critic:
        found = critic.score(rows, known)
        assert critic.score(rows[:1], {}) == [Score(0.0, NO_REFERENCE)]
    assert found[:2] == [Score(1.0, UNLIKE, "nearest: it rains"), Score(1.0, UNLIKE, "nearest: the street shines")]
    assert found[2].accept_probability == 0, "another answer has other reasons"
    assert found[3].accept_probability == 0, "another question of the same image"
    assert found[4] == Score(0.0, NO_REFERENCE)


def test_a_candidate_that_names_no_item_is_held_against_its_question_or_its_image() -> None:
    items = [item("n0", "Is it wet?", "it rains"), item("n1", "is it WET", "people run"), item("n2", None, "hats")]
    assert references_beside(items, None, "Is it wet?") == ("it rains", "people run")
    assert references_beside(items, None, "Is it late?") == ("it rains", "people run", "hats")
    assert references_beside(items, "gone", "") == ("it rains", "people run", "hats")
    assert references_beside([], "n0", "Is it wet?") == ()


def test_without_a_file_the_recipe_has_to_read_rationales() -> None:
    assert OverlapSettings().lacking(RATIONALES) == ""
    assert OverlapSettings().lacking(KIND) == "rationales beside images, or a file in references"
    assert OverlapSettings(references="x").lacking(KIND) == ""
    assert OverlapSettings().needs() == ()
    assert OverlapCritic(OverlapSettings(), context(RATIONALES)).version
