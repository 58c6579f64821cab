"""The words of texts: what is one, in which scripts, and that no batch matters."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.statistics.words import openings_of, stop_words, telling_words, words_of


def counted(*texts: str, has_tags: bool = True) -> tuple[list[int], dict[str, int]]:
    words = words_of(pa.array(texts, pa.string()), has_tags=has_tags)
    said = [words.distinct[code] for code in words.codes]
    return words.counts.tolist(), {word: said.count(word) for word in dict.fromkeys(said)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n ", []),
        ("The red, RED 'boat' -- it\u2019s!", ["the", "red", "red", "boat", "it\u2019s"]),
        ("well-known 3.5 ...", ["well-known", "3.5"]),
        ("a dog\u2014or 1\u20132\u2026 wolves", ["a", "dog", "or", "1", "2", "wolves"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("\u6771\u4eac\u30bf\u30ef\u30fc\u306e\u5199\u771f\u3002", ["\u6771", "\u4eac", "\u30bf\u30ef\u30fc", "\u306e", "\u5199", "\u771f"]),  # noqa: E501 - Tokyo Tower's picture
        ("\u0447\u0442\u043e \u042d\u0422\u041e?", ["\u0447\u0442\u043e", "\u044d\u0442\u043e"]),
        ("\u05de\u05d4 \u05d6\u05d4?", ["\u05de\u05d4", "\u05d6\u05d4"]),
        ("\u0915\u093f\u0924\u093e\u092c \u0939\u0948\u0964", ["\u0915\u093f\u0924\u093e\u092c", "\u0939\u0948"]),
        ("\U0001f30d \U0001f44d", []),
        ("[0] and [12]'s, [1, 2]", ["[k]", "and", "[k]", "[k]", "[k]"]),
    ],
)  # fmt: skip
def test_words(text: str, words: list[str]) -> None:
    assert counted(text) == ([len(words)], {word: words.count(word) for word in dict.fromkeys(words)})


def test_tags_are_numbers_where_no_region_is_mentioned() -> None:
    assert counted("array[0] [7]", has_tags=False)[1] == {"array[0": 1, "7": 1}


def test_texts_are_told_apart_and_begin_with_their_own_words() -> None:
    words = words_of(pa.array(["What is [0]?", "", "what IS it", "Why", "\u4f55"]), has_tags=True)
    assert words.counts.tolist() == [3, 0, 3, 1, 1]
    assert openings_of(words, 2) == {"what is": 2, "why": 1, "\u4f55": 1}
    assert openings_of(words, 1) == {"what": 2, "why": 1, "\u4f55": 1}
    assert openings_of(words_of(pa.array([], pa.string()), has_tags=True), 2) == {}


def test_short_words_tell_of_a_corpus_and_grammar_numbers_and_tags_do_not() -> None:
    words = words_of(pa.array(["The red dog [0] and the 12 men's cat", "It's the dog of \u4f55"]), has_tags=True)
    assert telling_words(words) == {"red": 1, "dog": 2, "men's": 1, "cat": 1, "\u4f55": 1}
    assert {"the", "of", "it's"} <= stop_words()


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=12), st.integers(0, 12))
def test_texts_are_counted_the_same_in_any_batches(texts: list[str], cut: int) -> None:
    whole = words_of(pa.array(texts, pa.string()), has_tags=True)
    parts = [words_of(pa.array(part, pa.string()), has_tags=True) for part in (texts[:cut], texts[cut:])]
    assert whole.counts.tolist() == [count for part in parts for count in part.counts.tolist()]
    said = [[of.distinct[code] for code in of.codes] for of in (whole, *parts)]
    assert said[0] == said[1] + said[2]
