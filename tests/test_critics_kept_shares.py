"""What is said of thresholds by which a run keeps nothing, or next to nothing."""

from pathlib import Path

import numpy as np
import pytest
from annotated_run import write_stage
from critic_context import Caption, caption, notes_recipe
from hypothesis import given
from hypothesis import strategies as st

from critics.kept_shares import KeptShare, notes_of, read_scores, share_words, shares_of, threshold_notes
from critics.stage import SCORED
from critics.table import CriticSettings
from critics.trained.settings import TrainedSettings
from ostensive.recipe import Recipe
from ostensive.records import CriticScore, Scored
from ostensive.run.folder import RunFolder

ROWS = 100
RISING = np.arange(ROWS) / (2 * ROWS)  # from 0 to 0.495
SET = "set another with: ostensive critic threshold RUN --critic {} --keep 0.2 --apply"


def critics(*values: dict[str, object]) -> tuple[CriticSettings, ...]:
    found: tuple[CriticSettings, ...] = notes_recipe(*values).critics
    return found


def notes(scores: dict[str, "np.ndarray[tuple[int], np.dtype[np.float64]]"], *values: dict[str, object]) -> list[str]:
    return list(notes_of(critics(*values), scores))


def test_a_threshold_that_no_score_reaches_is_told_with_what_others_keep() -> None:
    found = shares_of("trained", RISING, 0.8)
    assert (found.kept, found.candidates, found.highest) == (0, ROWS, 0.495)
    assert found.in_force == KeptShare(0.8, 0.0)
    assert found.others == (KeptShare(0.5, 0.0), KeptShare(0.45, 0.1), KeptShare(0.4, 0.2), KeptShare(0.25, 0.5))
    assert share_words(found) == (
        "trained rejects all of 100 candidates: it asks for 0.8, and the highest score is 0.495; it would keep 0.0%"
        f" from 0.5 on, 10.0% from 0.45 on, 20.0% from 0.4 on, 50.0% from 0.25 on; {SET.format('trained')}"
    )
    assert share_words(shares_of("trained", RISING, 0.48)).startswith(
        "trained keeps 4 of 100 candidates (4.0%): it asks for 0.48; it would keep 0.0% from 0.5 on, 10.0% from 0.45"
    )


def test_scores_of_yes_and_no_have_no_other_threshold_that_helps() -> None:
    assert share_words(shares_of("rules", [0.0] * 30, 0.5)) == (
        "rules rejects all of 30 candidates: it asks for 0.5, and the highest score is 0; its scores are so few that no"
        " other threshold keeps some of the rest"
    )
    assert shares_of("rules", [0.0] * 29 + [1.0], 0.5).others == ()


@given(st.lists(st.integers(0, 20).map(lambda number: number / 20), min_size=1, max_size=60), st.integers(0, 20))
def test_every_share_that_is_told_is_what_its_threshold_keeps(scores: list[float], twentieths: int) -> None:
    found = shares_of("any", scores, twentieths / 20)
    for one in (found.in_force, *found.others):
        kept = sum(score >= one.min_accept_probability for score in scores)
        assert one.kept_share == pytest.approx(kept / len(scores))
    assert found.kept == sum(score >= twentieths / 20 for score in scores)


def test_only_critics_that_keep_next_to_nothing_are_told_of() -> None:
    evidence: dict[str, object] = {"kind": "evidence", "min_accept_probability": 0.25}
    judge: dict[str, object] = {"kind": "judge", "min_accept_probability": 0.48}
    scores = {"evidence": RISING, "judge": RISING}
    assert notes(scores, evidence) == []
    (line,) = notes(scores, evidence, judge)
    assert line.startswith("judge keeps 4 of 100 candidates (4.0%)")
    few = {"evidence": RISING[-10:], "judge": np.r_[RISING[-1:], np.zeros(9)]}
    assert notes(few, evidence, judge) == [], "of ten rows one is not next to nothing"


def test_members_of_combinations_are_told_where_the_combination_keeps_next_to_nothing() -> None:
    low: dict[str, object] = {"kind": "judge", "min_accept_probability": 0.9}
    enough: dict[str, object] = {"kind": "evidence", "min_accept_probability": 0.25}
    scores = {"judge": RISING, "evidence": RISING}
    assert notes(scores, {"kind": "any_of", "critics": [low, enough]}) == [], "one that accepts is enough"
    (line,) = notes(scores, {"kind": "all_of", "critics": [low, enough]})
    assert line.startswith("judge rejects all of 100 candidates: it asks for 0.9")
    both = notes(scores, {"kind": "any_of", "critics": [low, {**enough, "min_accept_probability": 0.7}]})
    assert [line.split()[0] for line in both] == ["judge", "evidence"]


def test_critics_that_accept_enough_each_and_nothing_together() -> None:
    values: tuple[dict[str, object], ...] = (
        {"kind": "judge", "min_accept_probability": 0.25},
        {"kind": "evidence", "min_accept_probability": 0.25},
    )
    scores = {"judge": RISING, "evidence": RISING[::-1]}
    assert notes(scores, *values) == [
        "the critics together keep 0 of 100 candidates (0.0%), though each alone keeps more: judge 50.0%, evidence"
        " 50.0%; move one of their thresholds, or combine them with any_of"
    ]
    assert notes(scores, {"kind": "all_of", "critics": list(values)}) == [
        "all_of keeps 0 of 100 candidates (0.0%), though each of its members keeps more: judge 50.0%, evidence 50.0%;"
        " move one of their thresholds, or combine them with any_of"
    ]


def test_a_trained_critic_whose_threshold_changes_nothing_is_told_of_and_one_that_only_measures_is_not() -> None:
    scores = {"trained": 0.2 + RISING}
    trained = TrainedSettings(model="a", min_accept_probability=0.1)
    assert list(notes_of((trained,), scores)) == [
        f"trained keeps all of 100 candidates: it asks for 0.1, and the lowest score is 0.2; {SET.format('trained')}"
    ]
    assert list(notes_of((trained.model_copy(update={"min_accept_probability": 0.0}),), scores)) == []
    assert list(notes_of((trained.model_copy(update={"min_accept_probability": 0.4}),), scores)) == []


def test_scores_are_read_from_a_run_of_several_partitions(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    rows = [
        Scored(
            caption("A dog.", row_id=f"c{number}"),
            (CriticScore("rules", "r", 1.0, "", ""), CriticScore("evidence", "e", float(score), "no", "")),
        )
        for number, score in enumerate(RISING)
    ]
    write_stage(run, SCORED, rows, Scored[Caption])
    found = read_scores(run, ["rules", "evidence"])
    assert found["evidence"].tolist() == RISING.tolist()
    assert found["rules"].tolist() == [1.0] * ROWS
    recipe = notes_recipe({"kind": "rules"}, {"kind": "evidence", "min_accept_probability": 0.6})
    (line,) = threshold_notes(run, recipe)
    assert line.startswith("evidence rejects all of 100 candidates: it asks for 0.6, and the highest score is 0.495")
    assert threshold_notes(RunFolder(tmp_path), recipe) == [], "nothing is scored there"
    assert threshold_notes(run, Recipe.model_construct(recipe="captions", corpus=recipe.corpus)) == []
