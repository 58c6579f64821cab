import pytest

from verbalizers import words


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listing(items: list[str], text: str) -> None:
    assert words.listing(items) == text


def test_articles() -> None:
    assert words.with_article("orange area") == "an orange area"
    assert words.with_article("blue area") == "a blue area"


def test_sentences_keep_their_inner_capitals() -> None:
    assert words.sentence("left is L") == "Left is L."


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "a trace"), (0.02, "a trace"), (0.03, "about 5 percent"), (0.5, "about 50 percent"), (0.99, "nearly all")],
)
def test_percent(share: float, text: str) -> None:
    assert words.percent(share) == text


def test_numbers() -> None:
    assert [words.number_word(count) for count in (0, 1, 10, 11)] == ["no", "one", "ten", "11"]
