"""Files of six data sets: tiny ones in each format, and odd ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from builders.self_talk.reading import read_questions
from builders.self_talk.records import Question
from ostensive.errors import SettingsError

Row = dict[str, object]

STEM = "What's a teacher's way: praise, or what?"
CSQA: Row = {
    "id": "q1",
    "answerKey": "B",
    "question": {
        "question_concept": "punishing",
        "stem": STEM,
        "choices": [{"label": "A", "text": "ignore"}, {"label": "B", "text": "don't know"}],
    },
}
COPA: Row = {
    "premise": "My body cast a shadow.",
    "choice1": "The sun rose.",
    "choice2": "Grass grew.",
    "idx": 0,
}
PIQA: Row = {
    "goal": "How do I dry\nwet shoes?",
    "sol1": "Put paper in: it's dry.",
    "sol2": "Put water in.",
}
SOCIAL: Row = {
    "context": "Kai won.",
    "question": "How does Kai feel?",
    "answerA": "sad",
    "answerB": "glad",
    "answerC": "ill",
}
WINO: Row = {
    "sentence": "Ann called Bea because _'s late.",
    "option1": "Ann",
    "option2": "Bea",
    "answer": "2",
    "qID": "x-1",
}
TACO = "They're at sea: all day.\tHow long?\t{}\t{}\tEvent Duration"


def lines(path: Path, *rows: object, end: str = "\n") -> Path:
    path.write_bytes("".join(f"{row if isinstance(row, str) else json.dumps(row)}{end}" for row in rows).encode())
    return path


def only(path: Path, **given: Any) -> Question:
    (question,) = read_questions(path, **given).questions
    return question


def test_csqa(tmp_path: Path) -> None:
    found = only(lines(tmp_path / "dev.jsonl", CSQA))
    assert (found.task, found.about, found.question) == ("csqa", STEM, STEM)
    assert (found.choices, found.right) == (("ignore", "don't know"), 1)


@pytest.mark.parametrize("asked_for", ["cause", "effect"])
def test_copa_of_superglue(tmp_path: Path, asked_for: str) -> None:
    found = only(lines(tmp_path / "val.jsonl", {**COPA, "question": asked_for, "label": 1}))
    assert (found.task, found.context, found.question) == ("copa", "My body cast a shadow.", asked_for)
    assert (found.choices, found.right) == (("The sun rose.", "Grass grew."), 1)


def test_copa_of_its_makers(tmp_path: Path) -> None:
    path = tmp_path / "copa-dev.xml"
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE copa-corpus SYSTEM "copa.dtd">\n<copa-corpus>'
        '<item id="7" asks-for="cause" most-plausible-alternative="1"><p>Caf\xe9 &amp; bar: it&apos;s shut.</p>'
        "<a1>It burnt.</a1><a2>It rained.</a2></item>"
        '<item id="8" asks-for="cause" most-plausible-alternative="3"><p>P.</p><a1>A.</a1><a2>B.</a2></item>'
        '<item id="9" asks-for="effect" most-plausible-alternative=""><p>P.</p><a1>A.</a1><a2>B.</a2></item>'
        '<item id="10" asks-for="effect" most-plausible-alternative="2"><p>P.</p><a1>A.</a1></item></copa-corpus>',
        "latin-1",
    )
    found = read_questions(path)
    assert [(one.place, one.about, one.right) for one in found.questions] == [("item 7", "Café & bar: it's shut.", 0)]
    assert found.lost == {"label is none of the choices": 1, "no label": 1, "a field is missing or empty": 1}


def test_piqa_with_labels_beside_it(tmp_path: Path) -> None:
    path = lines(tmp_path / "valid.jsonl", PIQA, "", PIQA)
    lines(tmp_path / "valid-labels.lst", "1", "0", end="\r\n")
    first, second = read_questions(path).questions
    assert (first.about, first.choices[0]) == ("How do I dry wet shoes?", "Put paper in: it's dry.")
    assert (first.right, second.right, second.place) == (1, 0, "line 3")


def test_labels_that_are_named(tmp_path: Path) -> None:
    path, labels = lines(tmp_path / "a.jsonl", SOCIAL), lines(tmp_path / "b.lst", "3")
    assert only(path, labels=labels).right == 2


@pytest.mark.parametrize("labelled", [{"correct": "B"}, {"label": "2"}, {"label": 2}])
def test_social_iqa_with_labels_in_it(tmp_path: Path, labelled: dict[str, object]) -> None:
    found = only(lines(tmp_path / "dev.jsonl", {**SOCIAL, **labelled}))
    assert (found.task, found.question, found.choices[found.right]) == ("social_iqa", "How does Kai feel?", "glad")


def test_winogrande_keeps_what_follows_the_blank(tmp_path: Path) -> None:
    found = only(lines(tmp_path / "train_xs.jsonl", WINO))
    assert (found.context, found.ending) == ("Ann called Bea because ", "'s late.")
    assert (found.choices, found.right) == (("Ann", "Bea"), 1)
    assert found.about == "Ann called Bea because Ann or Bea's late."


def test_mc_taco_asks_yes_or_no_of_each_answer(tmp_path: Path) -> None:
    path = lines(tmp_path / "dev.tsv", TACO.format("a day", "yes"), TACO.format("an hour", "no"))
    first, second = read_questions(path).questions
    assert (first.choices, first.candidate, first.right) == (("yes", "no"), "a day", 0)
    assert (second.right, second.group) == (1, first.group)
    assert first.about == "They're at sea: all day."


def test_a_question_of_mc_taco_that_lost_a_row_is_lost_whole(tmp_path: Path) -> None:
    other = "Other.\tHow long?\ta day\tyes\tx"
    path = lines(tmp_path / "dev.tsv", TACO.format("a day", "yes"), TACO.format("an hour", "maybe"), other, "a\tb")
    found = read_questions(path)
    assert [question.context for question in found.questions] == ["Other."]
    assert found.lost == {
        "label is none of the choices": 1,
        "another row of its question is lost": 1,
        "not five columns": 1,
    }


def test_a_limit_counts_questions_not_rows(tmp_path: Path) -> None:
    rows = [f"S.\tQ{number}?\tone\tyes\tx" for number in (1, 1, 2, 3)]
    assert len(read_questions(lines(tmp_path / "a.tsv", *rows), limit=2).questions) == 3
    assert len(read_questions(lines(tmp_path / "b.jsonl", CSQA, CSQA, CSQA), limit=2).questions) == 2


def test_a_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    for name, row in (("a.jsonl", json.dumps(CSQA)), ("b.tsv", TACO.format("a day", "no"))):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + row.encode() + b"\r\n" + row.encode().replace(b"day", b"year") + b"\r\n")
        found = read_questions(path)
        assert (len(found.questions), dict(found.lost)) == (2, {})
        assert not found.questions[0].about.startswith("\ufeff")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**CSQA, "answerKey": "F"}, "label is none of the choices"),
        ({**CSQA, "answerKey": ""}, "no label"),
        ({"question": {"stem": "Why?", "choices": []}, "answerKey": "A"}, "a field is missing or empty"),
        ({**PIQA, "label": -1}, "no label"),
        ({**PIQA, "sol2": str(PIQA["sol1"]).upper(), "label": 0}, "two choices are the same"),
        ({**COPA, "question": "reason", "label": 0}, "a field is missing or empty"),
        ({**SOCIAL, "answerC": " ", "label": "1"}, "a field is missing or empty"),
        ({**SOCIAL, "label": "4"}, "label is none of the choices"),
        ({**WINO, "sentence": "No blank."}, "not one blank in the sentence"),
        ({**WINO, "answer": ""}, "no label"),
        ({**WINO, "option1": ["Ann"]}, "a field is missing or empty"),
        ({"something": "else"}, "a field is missing or empty"),
        ("{", "not a JSON object"),
        ("[1]", "not a JSON object"),
    ],
)
def test_rows_that_are_no_questions_are_counted(tmp_path: Path, row: object, reason: str) -> None:
    good: dict[str, Row] = {
        "csqa": CSQA,
        "piqa": {**PIQA, "label": 0},
        "copa": {**COPA, "question": "cause", "label": 0},
        "social": {**SOCIAL, "label": "1"},
        "wino": WINO,
    }
    like = row.keys() if isinstance(row, dict) else ()
    beside = max(good.values(), key=lambda one: len(one.keys() & like))  # of the same data set
    found = read_questions(lines(tmp_path / "x.jsonl", beside, row))
    assert (len(found.questions), dict(found.lost)) == (1, {reason: 1})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "it has no rows; expected are .jsonl"),
        ("a.jsonl", b'{"a": 1}\n', "its rows have the fields of none of CSQA"),
        ("a.jsonl", b"text\n", "no line holds a JSON object"),
        ("a.jsonl", json.dumps({**CSQA, "answerKey": "Z"}).encode(), "can be asked (label is none of the choices: 1)"),
        ("a.jsonl", '{"goal": "Caf\xe9"}'.encode("latin-1"), "line 1: byte 0xe9 at 13 is not UTF-8"),
        ("a.tsv", b"\xff\xfea\x00", "line 1: byte 0xff at 0 is not UTF-8"),
        ("a.tsv", b"", "holds no question that can be asked (it has no rows)"),
        ("a.xml", b"<copa", "not XML (unclosed token"),
        ("a.xml", b"<copa/>", "holds no <item>"),
        ("a.txt", b"", "a file of another kind; expected are .jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_of_labels_that_do_not_fit(tmp_path: Path) -> None:
    path = lines(tmp_path / "dev.jsonl", PIQA, PIQA, PIQA)
    labels = lines(tmp_path / "dev_labels.lst", "1", "0")
    with pytest.raises(SettingsError, match=r"dev_labels.lst: 2 labels for the 3 rows of .*one label a line"):
        read_questions(path)
    lines(labels, "1", "7", "0")
    found = read_questions(path)
    assert ([one.right for one in found.questions], found.lost) == ([1, 0], {"label is none of the choices": 1})
    with pytest.raises(SettingsError, match=r"no.lst: there is no such file; the labels of "):
        read_questions(path, labels=tmp_path / "no.lst")
    with pytest.raises(SettingsError, match=r"--labels .*: is for JSON Lines"):
        read_questions(lines(tmp_path / "x.tsv", TACO.format("a", "no")), labels=labels)
    with pytest.raises(SettingsError, match=r"gone.jsonl: there is no such file"):
        read_questions(tmp_path / "gone.jsonl")
