"""What may be answered, task by task."""

import pytest
from critic_context import CAPTIONS
from hypothesis import given
from hypothesis import strategies as st

from builders.explanations.recipe import KIND as EXPLANATIONS
from builders.localized.recipe import KIND
from critics.annotation.tasks import FITTING_RATINGS, TASKS, AnswerError, check_answers, task_named
from ostensive.errors import SettingsError


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_task_is_whole(task) -> None:  # type: ignore[no-untyped-def] # parametrized
    assert TASKS[task.name] is task
    assert task.questions
    for question in task.questions:
        assert len(set(question.values)) == len(question.values) > 1
        keys = [option.key for option in question.options]
        # Those of the page itself are taken: undo, guide, regions.
        assert len(set(keys)) == len(keys)
        assert not set(keys) & {"u", "g", "b"}
    assert task.sides is None or set(task.sides) < set(task.fields or ())
    names = [question.name for question in task.questions]
    for place, question in enumerate(task.questions):
        assert question.rejected_with is None or question.rejected_with in names[:place]


@given(st.sampled_from(sorted(TASKS)), st.data())
def test_known_answers_come_back_and_nothing_else(name: str, data: st.DataObject) -> None:
    task = TASKS[name]
    chosen = {question.name: data.draw(st.sampled_from(question.values)) for question in task.questions}
    found = check_answers(task, {**chosen, "form_token": "x", "item_id": "y"})
    assert list(found) == [question.name for question in task.questions]
    if name == "triple" and chosen["qa"] == "reject":
        assert found == {"qa": "reject", "rationale": "reject"}
    else:
        assert found == chosen


def test_the_rationale_of_a_rejected_answer_needs_no_answer() -> None:
    assert check_answers(TASKS["triple"], {"qa": "reject"}) == {"qa": "reject", "rationale": "reject"}


def test_what_is_no_answer() -> None:
    with pytest.raises(AnswerError, match="no answer to rationale; one of accept, maybe, reject is expected"):
        check_answers(TASKS["triple"], {"qa": "accept"})
    with pytest.raises(AnswerError, match="rating is '0'; one of 1, 2, 3, 4, 5 is expected"):
        check_answers(TASKS["rating"], {"rating": "0"})
    with pytest.raises(AnswerError, match=r"^overall is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; one of"):
        check_answers(
            TASKS["pairwise"],
            dict.fromkeys(("correctness", "informativeness", "plausibility"), "tie") | {"overall": "x" * 99},
        )


def test_tasks_are_found_by_name() -> None:
    assert task_named("pairwise").title == "Comparisons"
    with pytest.raises(
        SettingsError, match="task raiting: there is none of that name; the nearest known one is rating"
    ):
        task_named("raiting")
    with pytest.raises(
        SettingsError, match="task zzz: there is none of that name; known are triple, accept, rating, pairwise"
    ):
        task_named("zzz")


def test_fitting_are_the_two_best_ratings() -> None:
    assert FITTING_RATINGS == set(TASKS["rating"].questions[0].values[:2]) == {"1", "2"}


def test_which_tasks_suit_a_recipe_and_which_make_labels() -> None:
    assert [name for name, task in TASKS.items() if task.suits(KIND)] == ["triple", "accept", "rating"]
    assert [name for name, task in TASKS.items() if task.suits(EXPLANATIONS)] == ["accept", "explanation"]
    assert [name for name, task in TASKS.items() if task.suits(CAPTIONS)] == ["accept"]
    assert [name for name, task in TASKS.items() if task.makes_labels] == ["triple", "accept", "explanation"]


def test_whoever_compares_sides_is_not_told_which_was_chosen() -> None:
    task = TASKS["preference"]
    assert task.sides == ("chosen", "rejected")
    (question,) = task.questions
    shown = " ".join([question.text, *(option.text for option in question.options)]).lower()
    assert not any(word in shown for word in ("chosen", "rejected", "confirm", "swap", "discard"))
    turned = [(option.text, option.value) for option in question.turned.options]
    assert turned == [("Left", "swap"), ("Tie", "discard"), ("Right", "confirm")]
    assert question.turned.turned == question
