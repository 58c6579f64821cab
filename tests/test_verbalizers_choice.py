"""Laws of the choice of regions, and one example for each heuristic."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostensive.records import Box
from verbalizers.choice import AREA_LABEL, PEOPLE_LABELS, WHOLE_BOX, Proposal, centrality, choose, worth
from verbalizers.choice_settings import ChoiceSettings


def area(x1: float, y1: float, x2: float, y2: float, kind: str = "red", prominence: float = 0.5) -> Proposal:
    return Proposal(Box(x1, y1, x2, y2), AREA_LABEL, None, kind, prominence)


def face(x: float, y: float, side: float = 0.1) -> Proposal:
    return Proposal(Box(x, y, x + side, y + side), "face", None, "face", 1.0)


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    x1, y1 = draw(st.integers(0, 90)), draw(st.integers(0, 90))
    x2, y2 = draw(st.integers(x1 + 1, 100)), draw(st.integers(y1 + 1, 100))
    kind = draw(st.sampled_from(["red", "green", "face", "person"]))
    label = kind if kind in PEOPLE_LABELS else AREA_LABEL
    box = Box(x1 / 100, y1 / 100, x2 / 100, y2 / 100)
    return Proposal(box, label, None, kind, draw(st.integers(0, 10)) / 10)


choices = st.builds(
    ChoiceSettings,
    max_regions=st.integers(1, 8),
    max_people=st.integers(0, 4),
    max_per_kind=st.integers(1, 4),
    max_overlap=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    repeat_factor=st.sampled_from([0.3, 1.0]),
)


@given(st.lists(proposals(), max_size=25), choices, st.randoms(use_true_random=False))
def test_laws_of_choice(given_proposals: list[Proposal], settings: ChoiceSettings, rng: random.Random) -> None:
    chosen = choose(given_proposals, settings)
    shuffled = given_proposals * 2
    rng.shuffle(shuffled)
    assert choose(shuffled, settings) == chosen, "neither order nor repetition matters"
    assert len(chosen) <= settings.max_regions
    people = [proposal for proposal in chosen if proposal.label in PEOPLE_LABELS]
    others = [proposal for proposal in chosen if proposal.label not in PEOPLE_LABELS]
    assert len(people) <= settings.max_people
    for kind in {proposal.kind for proposal in others}:
        assert sum(proposal.kind == kind for proposal in others) <= settings.max_per_kind
    assert all(one.box.overlap(two.box) <= settings.max_overlap for one in chosen for two in chosen if one is not two)
    if any(proposal.label == AREA_LABEL for proposal in given_proposals):
        assert set(chosen) <= set(given_proposals)
    assert chosen, "there is always a region to speak of"


def test_nothing_proposed_gives_the_whole_view() -> None:
    (only,) = choose([], ChoiceSettings())
    assert (only.box, only.label) == (WHOLE_BOX, AREA_LABEL)


def test_people_that_may_not_be_kept_leave_the_whole_view() -> None:
    (only,) = choose([face(0.1, 0.1)], ChoiceSettings(max_people=0))
    assert only.box == WHOLE_BOX


def test_the_largest_and_most_central_people_are_kept_before_all_else() -> None:
    central, corner, small = face(0.4, 0.4, 0.2), face(0.0, 0.0, 0.2), face(0.7, 0.45, 0.05)
    chosen = choose([small, corner, central, area(0.1, 0.6, 0.9, 0.9)], ChoiceSettings(max_people=1, max_regions=1))
    assert chosen == (central,)
    assert set(choose([small, corner, central], ChoiceSettings(max_people=2))) == {central, corner}


def test_large_before_small_and_central_before_outlying() -> None:
    settings = ChoiceSettings(max_regions=1)
    large, small = area(0.1, 0.1, 0.5, 0.5), area(0.6, 0.6, 0.7, 0.7)
    assert choose([small, large], settings) == (large,)
    middle, corner = area(0.4, 0.4, 0.6, 0.6), area(0.0, 0.0, 0.2, 0.2)
    assert choose([corner, middle], settings) == (middle,)
    assert choose([corner, middle], ChoiceSettings(max_regions=1, centrality_weight=0)) == (corner,), (
        "a tie goes to the top"
    )


def test_variety_prefers_another_kind() -> None:
    red, second_red = area(0.0, 0.4, 0.3, 0.6), area(0.35, 0.4, 0.6, 0.6)
    green = area(0.7, 0.4, 0.9, 0.6, kind="green")
    assert set(choose([red, second_red, green], ChoiceSettings(max_regions=2, repeat_factor=0.5))) == {
        second_red,
        green,
    }
    assert set(choose([red, second_red, green], ChoiceSettings(max_regions=2, repeat_factor=1))) == {red, second_red}
    assert len(choose([red, second_red, green], ChoiceSettings(max_per_kind=1))) == 2


def test_overlapping_boxes_are_deduplicated() -> None:
    box, nearly = area(0.2, 0.2, 0.6, 0.6, prominence=0.9), area(0.21, 0.2, 0.61, 0.6, kind="green")
    assert choose([box, nearly], ChoiceSettings(max_overlap=0.5)) == (box,)
    assert len(choose([box, nearly], ChoiceSettings(max_overlap=1))) == 2


def test_numbers_go_in_reading_order() -> None:
    boxes = [area(0.7, 0.05, 0.8, 0.1), area(0.1, 0.1, 0.2, 0.2), area(0.5, 0.5, 0.6, 0.6), area(0.0, 0.8, 0.1, 0.9)]
    expected = [boxes[1], boxes[0], boxes[2], boxes[3]]
    assert choose(boxes, ChoiceSettings()) == tuple(expected)


def test_centrality_and_worth_are_shares() -> None:
    assert centrality(Box(0.4, 0.4, 0.6, 0.6)) == pytest.approx(1)
    assert centrality(Box(0.0, 0.0, 1e-9, 1e-9)) == pytest.approx(0, abs=1e-6)
    whole = dataclasses.replace(area(0, 0, 1, 1), prominence=1.0)
    assert worth(whole, ChoiceSettings()) == pytest.approx(1)
