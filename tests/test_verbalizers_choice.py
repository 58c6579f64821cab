"""Laws of the choice of regions, and one example for each heuristic."""

import dataclasses
import itertools
import random
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ostensive.errors import SettingsError
from ostensive.records import AREA_LABEL, Box
from ostensive.settings import validate
from verbalizers.choice import (
    CHOICE_VERSION,
    PEOPLE_LABELS,
    WHOLE_BOX,
    ChoiceSettings,
    Chooser,
    Proposal,
    centrality,
    choose,
    is_person,
    worth,
)
from verbalizers.frequencies import Frequencies

THINGS = ("kite", "lamp", "Wall clock")
FOLK = ("face", "Person")


def area(x1: float, y1: float, x2: float, y2: float, kind: str = "red", prominence: float = 0.5) -> Proposal:
    return Proposal(Box(x1, y1, x2, y2), AREA_LABEL, None, kind, prominence)


def thing(label: str, x: float, y: float = 0.4, side: float = 0.2, probability: float = 0.5) -> Proposal:
    return Proposal(Box(x, y, x + side, y + side), label, probability, label, probability)


def face(x: float, y: float, side: float = 0.1) -> Proposal:
    return Proposal(Box(x, y, x + side, y + side), "face", None, "face", 1.0)


@st.composite
def proposals(draw: st.DrawFn, labels: tuple[str, ...] = (*THINGS, *FOLK, AREA_LABEL)) -> Proposal:
    # On a coarse grid and mostly small, so that many fit side by side and many share most of their area.
    x1, y1 = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    x2, y2 = min(x1 + draw(st.sampled_from([1, 2, 2, 9])), 10), min(y1 + draw(st.sampled_from([1, 2, 2, 9])), 10)
    label = draw(st.sampled_from(labels))
    kind = draw(st.sampled_from(["red", "green"])) if label == AREA_LABEL else label
    probability = draw(st.none() | st.sampled_from([0.0, 0.5, 1.0]))
    box = Box(x1 / 10, y1 / 10, x2 / 10, y2 / 10)
    return Proposal(box, label, probability, kind, draw(st.integers(0, 10)) / 10)


# Few cases of a random size would come near a limit: most are larger, and leave room for many.
crowds = st.lists(proposals(), min_size=8, max_size=25) | st.lists(proposals(), max_size=3)
choices = st.builds(
    ChoiceSettings,
    max_regions=st.sampled_from([8, 4, 2, 1]),
    max_people=st.sampled_from([2, 4, 1, 0]),
    max_per_kind=st.sampled_from([2, 4, 1]),
    max_overlap=st.sampled_from([0.3, 0.0, 0.5, 1.0]),
    repeat_factor=st.sampled_from([0.3, 1.0]),
    rarity_exponent=st.sampled_from([0.0, 0.5, 2.0]),
)
counts = st.dictionaries(st.sampled_from(["kite", "lamp", "wall clock", "area", "face"]), st.integers(0, 10**9))
priors = st.builds(Frequencies, counts)


@hypothesis.settings(max_examples=200)
@given(crowds, choices, priors)
def test_no_limit_is_ever_passed(given_proposals: list[Proposal], settings: ChoiceSettings, prior: Frequencies) -> None:
    chosen = choose(given_proposals, settings, prior)
    assert chosen, "there is always a region to speak of"
    assert len(chosen) <= settings.max_regions
    assert sum(is_person(proposal, settings) for proposal in chosen) <= settings.max_people
    assert max(Counter(proposal.kind for proposal in chosen).values()) <= settings.max_per_kind
    assert all(one.box.overlap(two.box) <= settings.max_overlap for one in chosen for two in chosen if one is not two)
    if any(not is_person(proposal, settings) for proposal in given_proposals):
        assert set(chosen) <= set(given_proposals), "nothing is made up where something can be kept"


@given(crowds, choices, priors, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(
    given_proposals: list[Proposal], settings: ChoiceSettings, prior: Frequencies, rng: random.Random
) -> None:
    chosen = choose(given_proposals, settings, prior)
    shuffled = given_proposals * 2
    rng.shuffle(shuffled)
    assert choose(shuffled, settings, prior) == chosen
    turned = Frequencies(dict(reversed(list(prior.counts.items()))))
    assert choose(iter(given_proposals), settings, turned) == chosen


def test_equals_are_told_apart_by_something_of_their_own() -> None:
    first = thing("kite", 0.4, probability=0.0)
    alike = [first, *(dataclasses.replace(first, label_probability=value) for value in (None, 0.5))]
    alike += [dataclasses.replace(first, kind="lamp"), dataclasses.replace(first, label="lamp")]
    found = {choose(order, ChoiceSettings(max_regions=2, max_overlap=1)) for order in itertools.permutations(alike)}
    assert len(found) == 1


@given(crowds, choices, priors)
def test_choosing_among_the_chosen_gives_the_chosen(
    given_proposals: list[Proposal], settings: ChoiceSettings, prior: Frequencies
) -> None:
    chosen = choose(given_proposals, settings, prior)
    assert choose(chosen, settings, prior) == chosen


@given(proposals(), choices, priors)
def test_worth_is_a_share_and_falls_with_each_sight(
    proposal: Proposal, settings: ChoiceSettings, prior: Frequencies
) -> None:
    found = worth(proposal, settings, prior)
    assert 0 <= found <= 1
    once_more = {label: count + 1 for label, count in {**dict.fromkeys(THINGS, 0), **prior.counts}.items()}
    folded_once_more = Frequencies({label.lower(): count for label, count in once_more.items()})
    assert worth(proposal, settings, folded_once_more) <= found <= worth(proposal, settings)
    if is_person(proposal, settings):
        assert found == worth(proposal, settings), "people are chosen by size and centrality alone"


@given(
    st.lists(proposals(labels=(*THINGS, AREA_LABEL)), min_size=1, max_size=12),
    choices,
    priors,
    st.sampled_from([(0.0, 0.3), (0.3, 1.0), (1.0, 2.0)]),
)
def test_raising_the_exponent_never_costs_the_rarest_label_a_region(
    given_proposals: list[Proposal], settings: ChoiceSettings, prior: Frequencies, exponents: tuple[float, float]
) -> None:
    # Where boxes compete for place the law cannot hold: what keeps one rare thing may push aside another.
    lower, higher = (
        settings.model_copy(update={"rarity_exponent": exponent, "max_overlap": 1.0}) for exponent in exponents
    )
    seen = {proposal: prior.counts.get(proposal.label.lower(), 0) for proposal in given_proposals}
    rarest = {proposal for proposal, count in seen.items() if count == min(seen.values())}
    kept = rarest & set(choose(given_proposals, lower, prior))
    assume(all(worth(proposal, higher, prior) > 0 for proposal in kept))  # among nothings place decides
    assert kept <= set(choose(given_proposals, higher, prior))


@given(st.sampled_from([0.1, 0.5, 1.0, 2.0]), st.integers(0, 10**6), st.integers(1, 10**6), st.booleans())
def test_the_rarer_of_two_that_are_otherwise_equal_wins(
    exponent: float, count: int, more: int, rarer_is_left: bool
) -> None:
    settings = ChoiceSettings(max_regions=1, rarity_exponent=exponent)
    left, right = thing("kite", 0.2), thing("lamp", 0.6)
    rarer, other = (left, right) if rarer_is_left else (right, left)
    prior = Frequencies({rarer.label: count, other.label: count + more})
    assert choose([left, right], settings, prior) == (rarer,)
    assert choose([left, right], settings.model_copy(update={"rarity_exponent": 0.0}), prior) == (left,)


def test_a_label_seen_a_quarter_as_often_makes_up_for_a_quarter_of_the_size() -> None:
    settings = ChoiceSettings(centrality_weight=0)
    prior = Frequencies({"lamp": 399, "kite": 99})
    large, small = thing("lamp", 0.0, side=0.4), thing("kite", 0.5, side=0.2)
    assert worth(large, settings, prior) == pytest.approx(worth(small, settings, prior))
    assert worth(small, settings, prior) == pytest.approx(0.5 * 0.2 / 10), "(1 + 99) ** -0.5 is a tenth"
    assert worth(thing("never seen", 0.5), settings, prior) == pytest.approx(0.5 * 0.2)
    assert worth(thing(" KITE ", 0.5), settings, prior) == worth(small, settings, prior), "whatever the case"


def test_people_are_weighed_by_size_and_centrality_however_often_they_were_seen() -> None:
    man, woman, prior = thing("man", 0.4), thing("woman", 0.1), Frequencies({"man": 10**6, "kite": 10**6})
    assert worth(man, ChoiceSettings(), prior) == worth(man, ChoiceSettings())
    assert choose([man, woman], ChoiceSettings(max_people=1), prior) == (man,)
    assert worth(thing("kite", 0.4), ChoiceSettings(), prior) < worth(thing("kite", 0.4), ChoiceSettings())


def test_what_counts_as_people_is_a_setting() -> None:
    assert set(PEOPLE_LABELS) >= {"face", "person", "man", "woman", "boy", "girl", "child", "baby", "people"}
    dog, kite = thing("Dog", 0.1, probability=0.1), thing("kite", 0.6, probability=0.9)
    assert choose([dog, kite], ChoiceSettings(max_regions=1)) == (kite,)
    assert choose([dog, kite], ChoiceSettings(max_regions=1, people_labels=("dog", " DOG "))) == (dog,)
    assert ChoiceSettings(people_labels=("dog", " DOG ")).people_labels == ("dog",)
    nobody = ChoiceSettings(max_regions=1, people_labels=())
    assert choose([thing("person", 0.1, probability=0.1), kite], nobody) == (kite,)


def test_people_are_capped_as_one_kind_too() -> None:
    crowd = [face(0.2 * place, 0.4) for place in range(4)]
    assert len(choose(crowd, ChoiceSettings())) == 4
    assert len(choose(crowd, ChoiceSettings(max_per_kind=2))) == 2


def test_a_chooser_reads_its_prior_once_and_its_version_is_that_of_the_content(tmp_path: Path) -> None:
    file, copy = tmp_path / "counts.tsv", tmp_path / "copy.tsv"
    file.write_text("lamp\t1\nkite\t1000\n")
    copy.write_text("KITE\t1000\nlamp\t1\n")
    left, right = thing("kite", 0.2), thing("lamp", 0.6)
    chooser = Chooser(ChoiceSettings(max_regions=1, frequencies=str(file)))
    version = chooser.version
    assert version.startswith(f"{CHOICE_VERSION}:")
    assert Chooser(ChoiceSettings(frequencies=str(copy))).version == version
    file.write_text("lamp\t1\nkite\t1\n")
    assert chooser([left, right]) == (right,)
    assert chooser.version == version
    changed = Chooser(ChoiceSettings(max_regions=1, frequencies=str(file)))
    assert changed.version != version
    assert changed([left, right]) == (left,)
    assert Chooser(ChoiceSettings()).version == CHOICE_VERSION
    (need,) = ChoiceSettings(frequencies=str(file)).needs()
    assert (need.kind, need.name, ChoiceSettings().needs()) == ("file", str(file), ())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"people_labels": [""]}, "choice: people_labels.0: string should have at least 1 character, not ''"),
        ({"rarity_exponent": -1}, "choice: rarity_exponent: input should be greater than or equal to 0, not -1"),
        ({"max_regions": 0}, "choice: max_regions: input should be greater than or equal to 1, not 0"),
    ],
)
def test_wrong_settings_of_the_choice_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        validate(ChoiceSettings, values, "choice")
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "corners",
    [
        (0.2, 0.2, 0.2, 0.4),
        (0.2, 0.4, 0.4, 0.4),
        (0.4, 0.2, 0.2, 0.4),
        (-0.1, 0.2, 0.4, 0.4),
        (0.2, 0.2, 1.1, 0.4),
        (1.2, 0.2, 1.4, 0.4),
        (0.2, float("nan"), 0.4, 0.4),
        (0.2, 0.2, float("inf"), 0.4),
    ],
)
def test_boxes_without_area_and_outside_the_image_cannot_be_made(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="not a box with corners in 0-1, first above and left of second: ") as refused:
        Box(*corners)
    assert str(corners) in str(refused.value)


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
