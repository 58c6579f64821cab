"""Which questions are put to an image, and how several answers are read out of one reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbalizers.image_text.wordings import (
    answers_prompt,
    distinct_questions,
    parse_answers,
    question_overlap,
    with_fresh,
)

WORDS = st.lists(st.sampled_from("what is the dog dogs cat where red old near who of a".split()), max_size=6)  # noqa: SIM905
QUESTIONS = st.lists(WORDS.map(lambda words: " ".join(words).capitalize() + "?"), max_size=8)


@given(known=QUESTIONS, asked=QUESTIONS, max_overlap=st.floats(0, 1), count=st.integers(0, 12))
def test_what_is_asked(known: list[str], asked: list[str], max_overlap: float, count: int) -> None:
    chosen = with_fresh(known, asked, max_overlap, count)
    standing = distinct_questions(known, count)
    assert len(chosen) <= count
    assert chosen[: len(standing)] == standing, "the standing questions come first and are never lost"
    fresh = chosen[len(standing) :]
    assert set(fresh) <= set(asked)
    for place, question in enumerate(fresh, start=len(standing)):
        for other in chosen[:place]:
            assert question_overlap(question, other) <= max_overlap
            assert question_overlap(question, other) < 1
    if len(chosen) < count:  # nothing was left out but what is alike
        for question in set(asked) - set(chosen):
            overlaps = [question_overlap(question, other) for other in chosen]
            assert max(overlaps) > max_overlap or max(overlaps) == 1


@given(one=WORDS.map(" ".join), other=WORDS.map(" ".join))
def test_overlap_is_a_share_and_symmetric(one: str, other: str) -> None:
    assert 0 <= question_overlap(one, other) <= 1
    assert question_overlap(one, other) == question_overlap(other, one)
    assert question_overlap(one, one.upper() + " ?!") == 1


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("What colour is the car?", "What is the colour of the cars?", 1),
        ("Where is the car?", "What is the car?", 1 / 2),
        ("How many dogs are there?", "How many cats are there?", 2 / 4),
        ("What is this?", "What are these?", 1 / 5),
        ("Was ist das?", "Was ist das?", 1),
        ("", "?", 1),
    ],
)
def test_words_that_matter(one: str, other: str, overlap: float) -> None:
    assert question_overlap(one, other) == pytest.approx(overlap)


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        ("1. two\n2. red\n3. a dog", ["two", "red", "a dog"]),
        ("1) two\n(2) red\n**3.** a dog", ["two", "red", "a dog"]),
        ("Here you are:\n\n3. a dog\n1. two", ["two", "", "a dog"]),
        ("1. two\n2. -\n3. —", ["two", "", ""]),
        ("1. two\n1. three\n4. four\n0. none", ["two", "", ""]),
        ("", ["", "", ""]),
        ("two, red, a dog", ["", "", ""]),
        ("1. two\nhundred\n2: *red*", ["two", "red", ""]),
        ("- 1. 3 dogs\n- 2. at 5:30\n- 3. v2.0", ["3 dogs", "at 5:30", "v2.0"]),
    ],
)
def test_answers_are_read_by_their_numbers(reply: str, answers: list[str]) -> None:
    assert parse_answers(reply, 3) == answers


@given(text=st.text(max_size=300), count=st.integers(0, 5))
def test_any_reply_gives_as_many_answers_as_were_asked_for(text: str, count: int) -> None:
    assert len(parse_answers(text, count)) == count


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), min_size=1, max_size=15))
def test_answers_come_back_in_order(answers: list[str]) -> None:
    reply = "\n".join(f"{k}. {answer}" for k, answer in enumerate(answers, start=1))
    assert parse_answers(reply, len(answers)) == answers


def test_the_prompt_numbers_the_questions() -> None:
    prompt = answers_prompt(["Who?", "Where {is} it?"])
    assert prompt.endswith("\n\n1. Who?\n2. Where {is} it?")
