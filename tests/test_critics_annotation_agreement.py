"""Kappa and alpha against published worked examples, and the laws they obey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from critics.annotation.agreement import cohen_kappa, krippendorff_alpha, question_agreement, task_agreement
from critics.annotation.tasks import TASKS


def repeated(counts: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    return [pair for pair, count in counts.items() for _ in range(count)]


def test_the_kappa_of_cohens_own_table() -> None:
    # Cohen 1960, table 2: 200 diagnoses by two clinicians; kappa is printed as .492.
    table = [(88, 14, 18), (10, 40, 10), (2, 6, 12)]
    counts = {(f"{row}", f"{column}"): table[row][column] for row in range(3) for column in range(3)}
    assert cohen_kappa(repeated(counts)) == pytest.approx(0.492, abs=5e-4)


def test_the_kappa_of_fifty_proposals() -> None:
    # The example that textbooks use: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no; kappa is 0.4.
    counts = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    assert cohen_kappa(repeated(counts)) == pytest.approx(0.4)


# Krippendorff 2011, section C: four observers, twelve units, gaps; nominal .743, and in section D ordinal .815.
OBSERVERS = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
UNITS = [[value for value in unit if value != "."] for unit in zip(*(line.split() for line in OBSERVERS), strict=True)]


def test_the_alphas_of_krippendorffs_own_example() -> None:
    values = ("1", "2", "3", "4", "5")
    assert krippendorff_alpha(UNITS, values, is_ordinal=False) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(UNITS, values, is_ordinal=True) == pytest.approx(0.815, abs=5e-4)


def test_the_alpha_of_the_encyclopedias_example() -> None:
    # "Krippendorff's alpha" in Wikipedia: three coders, fifteen units, many gaps; nominal 0.691.
    coders = ("* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4")
    units = [[value for value in unit if value != "*"] for unit in zip(*map(str.split, coders), strict=True)]
    assert krippendorff_alpha(units, "1234", is_ordinal=False) == pytest.approx(0.691, abs=5e-4)


def test_undefined_figures() -> None:
    assert cohen_kappa([]) is None
    assert cohen_kappa([("a", "a"), ("a", "a")]) is None
    assert krippendorff_alpha([], "ab", is_ordinal=True) is None
    assert krippendorff_alpha([["a"], ["b"]], "ab", is_ordinal=False) is None
    assert krippendorff_alpha([["a", "a"], ["a", "a"]], "ab", is_ordinal=False) is None


units_of_ratings = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), max_size=12)


@given(units_of_ratings, st.booleans())
def test_laws_of_alpha(units: list[list[str]], is_ordinal: bool) -> None:
    alpha = krippendorff_alpha(units, "abc", is_ordinal=is_ordinal)
    assert krippendorff_alpha([unit[::-1] for unit in units[::-1]], "abc", is_ordinal=is_ordinal) == (
        None if alpha is None else pytest.approx(alpha)
    )
    if alpha is not None:
        assert alpha <= 1 + 1e-12
        same = all(len(set(unit)) == 1 for unit in units if len(unit) > 1)
        assert (alpha == pytest.approx(1)) == same


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1, max_size=20))
def test_laws_of_kappa(pairs: list[tuple[str, str]]) -> None:
    kappa = cohen_kappa(pairs)
    turned = cohen_kappa([(second, first) for first, second in pairs])
    assert (kappa is None) == (turned is None)
    if kappa is not None:
        assert kappa == pytest.approx(turned)
        assert -1 - 1e-12 <= kappa <= 1


def test_scikit_learn_says_the_same_of_kappa() -> None:
    from sklearn.metrics import cohen_kappa_score

    pairs = [("a", "b"), ("a", "a"), ("b", "b"), ("c", "a"), ("c", "c"), ("b", "c"), ("a", "a")]
    firsts, seconds = zip(*pairs, strict=True)
    assert cohen_kappa(pairs) == pytest.approx(cohen_kappa_score(firsts, seconds))


def test_order_matters_to_the_ordinal_alpha_alone() -> None:
    near = [["accept", "maybe"]] * 3 + [["accept", "accept"]] * 4 + [["reject", "reject"]] * 4
    far = [["accept", "reject"]] * 3 + [["accept", "accept"]] * 4 + [["reject", "reject"]] * 4
    values = ("accept", "maybe", "reject")
    near_alpha, far_alpha = (krippendorff_alpha(units, values, is_ordinal=True) for units in (near, far))
    assert near_alpha is not None
    assert far_alpha is not None
    assert near_alpha > far_alpha + 0.1


def test_what_is_said_of_a_question() -> None:
    ratings = {
        "one": {"ada": "accept", "bo": "accept"},
        "two": {"ada": "reject", "bo": "maybe", "cy": "maybe"},
        "three": {"cy": "accept"},
    }
    found = question_agreement("qa", ratings, ("accept", "maybe", "reject"), is_ordered=True)
    assert (found.question, found.items, found.same_share) == ("qa", 2, 0.5)
    assert [(pair.first, pair.second, pair.items, pair.same_share) for pair in found.pairs] == [
        ("ada", "bo", 2, 0.5),
        ("ada", "cy", 1, 0.0),
        ("bo", "cy", 1, 1.0),
    ]
    assert found.pairs[2].kappa is None
    unordered = question_agreement("qa", ratings, ("accept", "maybe", "reject"), is_ordered=False)
    assert unordered.alpha_ordinal is None
    assert unordered.alpha_nominal == found.alpha_nominal
    nothing = question_agreement("qa", {}, ("accept",), is_ordered=True)
    assert (nothing.items, nothing.same_share, nothing.alpha_nominal, nothing.pairs) == (0, None, None, ())


def test_each_question_has_its_own_figures() -> None:
    same, other = {"qa": "accept", "rationale": "accept"}, {"qa": "accept", "rationale": "reject"}
    answers = {"one": {"ada": same, "bo": same}, "two": {"ada": same, "bo": other}}
    qa, rationale = task_agreement(TASKS["triple"], answers)
    assert (qa.question, qa.same_share, rationale.question, rationale.same_share) == ("qa", 1.0, "rationale", 0.5)
