import pytest
from critic_context import SERVICES, context, qar
from hypothesis import given
from hypothesis import strategies as st

from builders.localized.recipe import LocalizedRecipe
from builders.localized.records import Qar
from critics.evidence import EvidenceSettings
from critics.rules import RulesSettings
from critics.stage import ScoreStage, decide, judge_stage, judgements
from critics.table import AllOfSettings, AnyOfSettings, CriticSettings, leaves
from ostensive.errors import SettingsError
from ostensive.records import CriticScore, Judgement
from ostensive.settings import known_keys, validate
from ostensive.stage import Kept

SHARES = st.floats(0, 1)


@pytest.mark.parametrize(("probability", "accepted"), [(0.0, False), (0.79, False), (0.8, True), (1.0, True)])
def test_the_threshold_itself_is_accepted(probability: float, accepted: bool) -> None:
    judgement = decide(CriticScore("c", "v", probability, "why", "more"), 0.8)
    assert judgement == Judgement("c", "v", probability, accepted, "" if accepted else "why")


def critic(name: str, threshold: float) -> RulesSettings:
    return RulesSettings(name=name, min_accept_probability=threshold)


def scores(first: float, second: float) -> list[CriticScore]:
    return [CriticScore("a", "1", first, "a's fault", ""), CriticScore("b", "2", second, "b's fault", "")]


@given(SHARES, SHARES, SHARES, SHARES)
def test_a_combination_decides_as_its_members_do_each_at_its_own_threshold(
    first: float, second: float, at: float, other: float
) -> None:
    members = (critic("a", at), critic("b", other))
    together: tuple[CriticSettings, ...] = (AllOfSettings(critics=members), AnyOfSettings(critics=members))
    both, either = judgements(together, scores(first, second))
    assert both.accepted == (first >= at and second >= other)
    assert either.accepted == (first >= at or second >= other)
    assert (both.accept_probability, either.accept_probability) == (min(first, second), max(first, second))
    assert both.accepted == all(one.accepted for one in judgements(members, scores(first, second)))
    for one in (both, either):
        assert one.accepted == (one.reason == "")


def test_reasons_names_and_versions_of_combinations() -> None:
    members = (critic("a", 0.5), critic("b", 0.5))
    (both,) = judgements([AllOfSettings(name="strict", critics=members)], scores(0.9, 0.2))
    assert (both.critic, both.accepted, both.reason) == ("strict", False, "b's fault")
    (either,) = judgements([AnyOfSettings(critics=members)], scores(0.1, 0.2))
    assert (either.critic, either.accepted, either.reason) == ("any_of", False, "a's fault")
    assert len({both.critic_version, either.critic_version}) == 2


def test_combinations_nest_and_every_member_scores_once() -> None:
    nested = AnyOfSettings(critics=(EvidenceSettings(), AllOfSettings(critics=(critic("a", 0.5), critic("b", 0.5)))))
    recipe: tuple[CriticSettings, ...] = (RulesSettings(), nested)
    assert [one.title for one in leaves(recipe)] == ["rules", "evidence", "a", "b"]
    assert [one.name for one in ScoreStage(recipe, context()).critics] == ["rules", "evidence", "a", "b"]
    known = [CriticScore(name, "1", p, f"{name} says no", "") for name, p in (("rules", 1), ("evidence", 0.2))]
    kept = judgements(recipe, [*known, *scores(1, 1)])
    assert [(one.critic, one.accepted, one.accept_probability) for one in kept] == [
        ("rules", True, 1),
        ("any_of", True, 1),
    ]
    lost = judgements(recipe, [*known, *scores(1, 0)])
    assert [(one.accepted, one.reason) for one in lost] == [(True, ""), (False, "evidence says no")]


def test_how_critics_are_combined_is_of_the_second_stage_alone() -> None:
    members = (critic("a", 0.5), critic("b", 0.5))
    plain: tuple[CriticSettings, ...] = members
    combined: tuple[CriticSettings, ...] = (AnyOfSettings(critics=members),)
    assert ScoreStage(plain, context()).identity == ScoreStage(combined, context()).identity
    assert judge_stage(plain, Qar).identity != judge_stage(combined, Qar).identity
    with ScoreStage(combined, context()).opened(SERVICES) as stage:
        (found,) = stage.process([qar()], {})
    assert isinstance(found, Kept)
    assert [one.critic for one in found.records[0].scores] == ["a", "b"]


def test_a_name_is_given_once_in_the_whole_tree() -> None:
    with pytest.raises(SettingsError, match="2 critics are called 'rules'; give each a `name` of its own"):
        ScoreStage([RulesSettings(), AllOfSettings(critics=(RulesSettings(),))], context())
    with pytest.raises(SettingsError, match="2 critics are called 'all_of'"):
        ScoreStage([AllOfSettings(critics=(critic("a", 0.5),)), AllOfSettings(critics=(critic("b", 0.5),))], context())


def test_what_is_wrong_inside_a_combination_is_named() -> None:
    values = {"kind": "any_of", "critics": [{"kind": "all_of", "critics": []}]}
    with pytest.raises(SettingsError, match=r"critics\.0\..*critics: tuple should have at least 1 item"):
        validate(AnyOfSettings, values, "critic")
    keys = set(known_keys(LocalizedRecipe))  # ends, though a combination may hold combinations
    assert {"critics.kind", "critics.critics", "critics.critics.kind", "critics.hedging"} <= keys
