"""When an answer names a label, and what of an answer counts as an explanation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critics.explanation_measures import concept_share, content_words, distinct_trigrams, explains, mentions
from critics.label_names import aliases_of, names_label, plain_label


@pytest.mark.parametrize(
    ("label", "answer", "named"),
    [
        ("robin", "This is a Robin.", True),
        ("robin", "The robin's breast is red.", True),
        ("robin", "This is Robinson.", False),
        ("cat", "All of its categories", False),
        ("737-700", "It is a Boeing 737-700.", True),
        ("737-700", "It is a Boeing 737 700, as the nose says.", True),
        ("737-700", "It is a Boeing 737-800.", False),
        ("737-700", "It is a 737-7000.", False),
        ("737-700", "It is a plane.", False),
        ("A320", "This is an A320.", True),
        ("A320", "This is a plane with a tail.", False),
        ("A320", "This is an A321.", False),
        ("7", "The number is 7.", True),
        ("7", "The value is 3.7 here.", False),
        ("7", "The value is 7.5 here.", False),
        ("7", "Number 17", False),
        ("Black-footed_Albatross", "A black footed albatross.", True),
        ("black footed albatross", "Black‑footed   Albatross", True),
        ("Swainson's Warbler", "It is Swainson’s warbler.", True),
        ("Swainson's Warbler", "It is Swainsons warbler.", True),
        ("Swainson's Warbler", "It is a warbler of Swainson.", False),
        ("C++", "The logo of C++ is shown.", True),
        ("a.c", "It is abc.", False),
        ("Ürümqi", "Seen from ÜRÜMQI.", True),
        ("---", "Anything at all --- even this", False),
    ],
)
def test_names_label(label: str, answer: str, named: bool) -> None:
    assert names_label(answer, label) is named


@given(st.text(alphabet="abZ0123456789 -'", min_size=1, max_size=12).filter(lambda text: any(map(str.isalnum, text))))
def test_an_answer_that_quotes_a_label_names_it(label: str) -> None:
    assert names_label(f"What is shown is “{label}”, as can be seen.", label)
    assert names_label(label.upper(), label)
    assert plain_label(plain_label(label)) == plain_label(label)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_are_named_by_themselves_alone(label: int, other: int) -> None:
    assert names_label(f"It is an A{other}.", f"A{label}") is (label == other)


def test_an_alias_counts_for_its_label_alone() -> None:
    aliases = {"Pneumonia": ["infected lung"], "normal": ["healthy lung"]}
    assert aliases_of("pneumonia ", aliases) == ("infected lung",)
    assert names_label("An infected lung.", "pneumonia", aliases_of("pneumonia", aliases))
    assert not names_label("A healthy lung.", "pneumonia", aliases_of("pneumonia", aliases))


def test_a_concept_is_mentioned_by_half_of_its_content_words() -> None:
    assert content_words("The dark wings of a robin") == {"dark", "wing", "robin"}
    assert mentions("Its wings are pointed.", "long pointed wings")
    assert not mentions("Its wings are short.", "long pointed wings")
    assert not mentions("It is a bird.", "of the")
    assert (
        concept_share("A red breast and thin bill.", ("red breast", "thin bill", "cocked tail", "white eye ring"))
        == 0.5
    )
    assert concept_share("Anything", ()) == 0.0


def test_an_explanation_says_more_than_the_label_and_why() -> None:
    concepts = ("red breast", "thin bill")
    assert explains("It is a robin because of the red breast.", "robin", concepts)
    assert not explains("It is a robin.", "robin", concepts)
    assert not explains("Red breast. Robin.", "robin", concepts), "no reason is given"
    assert not explains("It is a robin because it is one.", "robin", concepts)
    assert not explains("It is a red breast, since it has this name.", "red breast", concepts), "that is the label"


def test_an_answer_that_goes_in_circles_has_few_distinct_trigrams() -> None:
    assert distinct_trigrams("A bird with a long red tail.") == 1.0
    assert distinct_trigrams("a red bill a red bill a red bill") == pytest.approx(3 / 7)
    assert distinct_trigrams("A robin.") == distinct_trigrams("") == 1.0, "too short to repeat itself"
