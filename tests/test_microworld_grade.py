from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from microworld_scenes import regions_of, scene

from builders.localized.records import Qar
from microworld import findings as why
from microworld.grade import Grade, GradedRow, PartGrades, ReasonCount, RunGrades, Tally, grade, grade_lines
from microworld.scenes import Scene, Thing
from ostensive.intervals import over_groups
from ostensive.records import Box, Region

STAR = Thing(0, "star", "blue", "large", "plain", None, None, None, Box(0.1, 0.1, 0.475, 0.475), 1.0)
RING = Thing(1, "ring", "red", "large", "plain", None, None, None, Box(0.6, 0.6, 0.975, 0.975), 1.0)
SCENE = Scene(0, "street", (STAR, RING))
REGIONS = tuple(Region(k, thing.box, thing.shape, None, "") for k, thing in enumerate(SCENE.things))
TRUTH = {"known": SCENE}
NOTHING = Tally(0, 0, 0, 0, None, ())


def row(
    question: str, answer: str, rationale: str, image_id: str = "known", regions: Sequence[Region] = REGIONS
) -> GradedRow:
    return GradedRow(Qar("row", image_id, "ids", question, answer, rationale, (), "t", "p", "r"), tuple(regions))


RIGHT = row("What colour is the star?", "blue", "[0] is a blue star.")
BADLY_REASONED = row("What colour is the star?", "blue", "[0] is right of [1].")
WRONG = row("What colour is the star?", "red", "[0] is a blue star.")
VAGUE = row("What colour is the star?", "a nice one", "[0] is a red star.")
MUTE = row("Why?", "Because.", "Who knows.")
_TEXTS = (
    [("What colour is the star?", "blue", "[0] is a blue star.")],
    [("What colour is the star?", "red", "[0] is a blue star.")],
)


def test_parts_are_counted_apart_and_rows_as_a_whole() -> None:
    found = grade([RIGHT, RIGHT, BADLY_REASONED, WRONG, VAGUE, MUTE], TRUTH)
    assert (found.rows, found.without_truth) == (6, 0)
    assert (found.answers.true, found.answers.false, found.answers.not_checkable) == (3, 1, 2)
    assert (found.rationales.true, found.rationales.false, found.rationales.not_checkable) == (3, 2, 1)
    assert (found.whole.true, found.whole.false, found.whole.not_checkable) == (2, 3, 1)
    assert found.answers.reasons == (
        ReasonCount("not checkable", why.UNKNOWN_WORD, 2),
        ReasonCount("false", why.WRONG["colour"], 1),
    )
    assert found.answers.decided == 4
    assert found.answers.decided_share == pytest.approx(4 / 6)
    assert found.answers.true_share == 0.75
    assert (found.answers.images, found.answers.true_share_95) == (1, over_groups([3], [4]))


def test_equal_reasons_are_counted_together_whatever_they_are_about() -> None:
    other = row("What colour is the ring?", "green", "[1] is a red ring.")
    assert grade([WRONG, other], TRUTH).answers.reasons == (ReasonCount("false", why.WRONG["colour"], 2),)


def test_rows_of_unknown_images_are_counted_and_left_out() -> None:
    assert grade([row("What?", "It.", "So.", "stranger"), RIGHT], TRUTH).without_truth == 1
    assert grade([row("What?", "It.", "So.", "stranger")], {}) == Grade(0, 1, NOTHING, NOTHING, NOTHING)


def test_an_empty_corpus_has_no_shares() -> None:
    found = grade([], TRUTH)
    assert found == Grade(0, 0, NOTHING, NOTHING, NOTHING)
    assert (found.whole.true_share, found.whole.decided_share, found.whole.true_share_95) == (None, None, None)


def test_without_a_decided_row_there_is_no_share_of_true_ones() -> None:
    found = grade([MUTE], TRUTH).whole
    assert (found.decided_share, found.true_share, found.true_share_95) == (0.0, None, None)


def test_the_interval_is_over_images_and_not_over_rows() -> None:
    rows = [row(*one, f"image {k}") for k in range(12) for one in _TEXTS[k % 2] * 3]
    truth = {f"image {k}": SCENE for k in range(12)}
    found = grade(rows, truth).whole
    assert (found.true, found.false, found.images) == (18, 18, 12)
    alone = grade([row(*_TEXTS[k % 2][0], f"image {k}") for k in range(12)], truth).whole
    assert found.true_share_95 == alone.true_share_95, "three times the same of each image tell nothing more"
    assert alone.true_share_95 is not None
    assert alone.true_share_95.high - alone.true_share_95.low > 0.4


def grades(unseen: bool, *, learned: int, unknown: tuple[str, ...] = ()) -> RunGrades:
    few, all_rows = grade([RIGHT], TRUTH), grade([RIGHT, WRONG, WRONG], TRUTH)
    parts = PartGrades(few, few) if unseen else None
    return RunGrades(parts, all_rows, all_rows, ("trained",), unknown, learned)


def test_images_that_no_critic_learned_from_are_told_first_and_all_are_marked_as_mixed() -> None:
    lines = list(grade_lines(grades(True, learned=3)))
    assert lines[0] == "images that trained did not learn from and was not stopped by:"
    assert lines[1] == "candidates: 1 judged"
    mixed = lines.index("all images, mixed: with 3 that trained learned from or was stopped by:")
    assert lines[mixed + 1] == "candidates: 3 judged"
    assert "of the 3 decided of 1 image are true (95 %: " in lines[mixed + 4]


def test_where_nothing_was_learned_from_there_is_one_grade_and_where_it_is_not_known_that_is_said() -> None:
    none = list(grade_lines(grades(True, learned=0)))
    assert none[:2] == ["no image of this run is one that trained learned from:", "candidates: 3 judged"]
    assert sum(line.startswith("candidates") for line in none) == 1
    gone = list(grade_lines(grades(False, learned=0, unknown=("trained",))))
    assert gone[0] == (
        "all images; it is not known which of them trained learned from, so the kept rows may be too good:"
    )
    bare = RunGrades(None, grade([RIGHT], TRUTH), grade([RIGHT], TRUTH), (), (), 0)
    assert next(grade_lines(bare)) == "candidates: 1 judged"


def test_regions_give_numbers_their_meaning() -> None:
    swapped = [Region(1 - region.number, region.box, "", None, "") for region in REGIONS]
    told = row("What is [0]?", "a blue star", "[0] is left of [1].", regions=swapped)
    found = grade([told], TRUTH)
    assert (found.answers.false, found.rationales.false) == (1, 1)
    assert (
        grade([row("What is [0]?", "a blue star", "[0] is left of [1].", regions=())], TRUTH).whole.not_checkable == 1
    )


def test_the_wordings_of_the_teacher_are_read() -> None:
    question = "Which way should somebody who faces straight ahead turn to meet [0]?"
    right = row(
        question,
        "They should turn left.",
        "[0] lies in the left half of the view, so the right would lead away from it.",
    )
    wrong = row(
        question,
        "They should turn left.",
        "[0] lies in the right half of the view, so the left would lead away from it.",
    )
    assert grade([right], TRUTH).whole.true == 1
    assert grade([wrong], TRUTH).rationales.false == 1


@given(st.lists(st.sampled_from([RIGHT, WRONG, BADLY_REASONED, VAGUE, MUTE]), max_size=12), st.randoms())
def test_the_order_of_rows_does_not_matter_and_the_counts_add_up(rows: list[GradedRow], rng: object) -> None:
    found = grade(rows, TRUTH)
    assert grade(rows[::-1], TRUTH) == found
    for tally in (found.answers, found.rationales, found.whole):
        assert tally.decided + tally.not_checkable == found.rows == len(rows)
        assert sum(reason.count for reason in tally.reasons) == tally.false + tally.not_checkable


def test_rows_may_be_a_generator_over_many_images() -> None:
    scenes = {str(seed): scene(seed) for seed in range(40)}
    rows = (
        row("What place is this?", where.place, "This is a beach.", key, regions_of(where))
        for key, where in scenes.items()
    )
    found = grade(rows, scenes)
    beaches = sum(where.place == "beach" for where in scenes.values())
    assert found.answers.true == 40
    assert (found.rationales.true, found.rationales.false) == (beaches, 40 - beaches)
