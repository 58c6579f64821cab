"""What the card says of what is frequent, and of how far people agreed."""

from dataclasses import replace

from builders.localized.recipe import KIND
from cards.distributions import Frequencies
from cards.figure_text import agreement, frequent
from cards.statistics.figures import QUESTION_TYPES
from cards.statistics.gathering import StatisticsGatherer
from ostensive.run.agreements import AnnotatorAgreement

EVIL = "<b>x</b>|[a](http://b)`c`"
NOTHING = StatisticsGatherer(KIND).result()


def test_the_most_frequent_with_their_shares() -> None:
    figures = replace(NOTHING, frequencies=(Frequencies("words", {"red": 5, "boat": 3}, 2), Frequencies("none", {})))
    table, told = frequent(figures).split("\n\n")
    assert table.splitlines()[2:] == ["| words | red 50.0%, boat 30.0% |"]
    assert "LSKD" not in told
    assert frequent(NOTHING) == ""


def test_eight_are_listed_and_what_they_are_is_text_that_is_cut() -> None:
    counts = {EVIL: 3, "y" * 300: 2, **{f"w{n}": 1 for n in range(9)}}
    text = frequent(replace(NOTHING, frequencies=(Frequencies(QUESTION_TYPES, counts),)))
    assert "\\<b\\>x\\</b\\>\\|" in text
    assert f"{'y' * 39}\u2026 14.3%" in text
    assert text.count(" 7.1%") == 6
    assert "Types of questions are those of LSKD" in text


def test_what_people_agreed_on() -> None:
    assert agreement(()) == ""
    text = agreement([AnnotatorAgreement("triple", EVIL, 1200, 3, 0.75, 0.5, None)])
    assert "| triple: \\<b\\>" in text
    assert " | 3 | 1,200 | 75.0% | 0.500 | - |" in text
    assert agreement([AnnotatorAgreement("t", "q", 0, 1, None, None, -0.25)]).count("| - | - | -0.250 |") == 1
