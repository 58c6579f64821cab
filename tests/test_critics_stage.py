"""Every critic scores every row; thresholds decide; what a critic requires and a recipe lacks is said beforehand."""

import pickle
from collections.abc import Sequence

import pytest
from critic_context import CAPTIONS, CAPTIONS_CONTEXT, SERVICES, Caption, caption, context, noted, qar

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from critics.critic import Critic, NoScore, Score, ScoringSettings
from critics.evidence import EvidenceSettings
from critics.feedback import FeedbackSettings
from critics.judge import JudgeSettings
from critics.overlap import OverlapSettings
from critics.rules import RulesSettings
from critics.stage import ScoreStage, judge_stage, judged, scored
from critics.table import CriticSettings, check_critics
from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.records import Candidate, CriticScore, Judged, Judgement, Scored, Spend
from ostensive.stage import Dropped, Evidence, Failed, Kept

GOOD = qar()
HEDGED = qar(answer="Maybe swim.", row_id="r1")
TWO = (RulesSettings(), RulesSettings(name="lenient", hedging=False))


class Named(Critic[ScoringSettings]):
    """A critic with nothing but a name and a version, for the functions that ask no more of it."""

    version = "v"

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score]:
        return [Score(1.0, "")] * len(rows)


def named(name: str) -> Named:
    return Named(ScoringSettings(kind="named", name=name), context())


def test_every_critic_scores_every_row_and_nothing_is_decided() -> None:
    with ScoreStage(TWO, context()).opened(SERVICES) as stage:
        first, second = stage.process([GOOD, HEDGED], {})
    assert isinstance(first, Kept)
    assert isinstance(second, Kept)
    assert first.records[0].candidate is GOOD
    assert [(one.critic, one.accept_probability, one.reason) for one in second.records[0].scores] == [
        ("rules", 0.0, "hedging"),
        ("lenient", 1.0, ""),
    ]
    assert len({one.critic_version for one in second.records[0].scores}) == 2


def test_rows_are_kept_or_dropped_with_every_judgement_beside_them() -> None:
    with ScoreStage(TWO, context()).opened(SERVICES) as stage:
        rows = [record for one in stage.process([GOOD, HEDGED], {}) if isinstance(one, Kept) for record in one.records]
    first, second = judge_stage(TWO, Qar).process(rows, {})
    assert isinstance(first, Kept)
    assert first.records[0].candidate is GOOD
    assert [judgement.accepted for judgement in first.records[0].judgements] == [True, True]
    assert isinstance(second, Dropped)
    assert second.reason == "hedging"
    assert second.record is not None
    assert second.record.candidate is HEDGED
    assert [(j.accepted, j.reason) for j in second.record.judgements] == [(False, "hedging"), (True, "")]


def test_no_rows_give_no_outcomes() -> None:
    with ScoreStage((RulesSettings(),), context()).opened(SERVICES) as stage:
        assert stage.process([], {}) == []
    assert judge_stage((RulesSettings(),), Qar).process([], {}) == []


def test_a_row_that_cannot_be_scored_has_failed_with_its_cost_and_its_other_scores() -> None:
    paid, other = Spend(1, 20, 3, 0.5), Spend(1, 5, 5, 0.25)
    found = scored(
        GOOD, [named("a"), named("b")], [Score(0.25, "dull", "so dull", other), NoScore("no JSON", "bla", paid)]
    )
    record = Scored(GOOD, (CriticScore("a", "v", 0.25, "dull", "so dull"),))
    assert found == Kept((), (Failed("no JSON", "b: bla", record),), paid + other)
    assert scored(GOOD, [named("b")], [NoScore("timeout")]) == Kept((), (Failed("timeout", "b", Scored(GOOD, ())),))


def test_the_first_rejection_gives_the_reason() -> None:
    judgements = [Judgement("a", "1", 0.9, True, ""), Judgement("b", "1", 0.25, False, "dull")]
    assert judged(GOOD, judgements) == Dropped("dull", "b 0.250", Judged(GOOD, tuple(judgements)))


def test_a_threshold_is_of_the_second_stage_alone_and_all_else_of_the_first() -> None:
    plain, moved = (RulesSettings(),), (RulesSettings(min_accept_probability=0.75),)
    other = (RulesSettings(length=False),)
    (critic,) = ScoreStage(plain, context()).critics
    assert ScoreStage(plain, context()).identity["critics"] == [["rules", critic.version]]
    assert ScoreStage(plain, context()).identity == ScoreStage(moved, context()).identity
    assert judge_stage(plain, Qar).identity != judge_stage(moved, Qar).identity
    assert ScoreStage(plain, context()).identity != ScoreStage(other, context()).identity
    assert judge_stage(plain, Qar).identity == judge_stage(other, Qar).identity


def test_records_go_through_arrow() -> None:
    judge = judge_stage((RulesSettings(),), Qar)
    with ScoreStage((RulesSettings(),), context()).opened(SERVICES) as stage:
        kept = stage.process([GOOD], {})[0]
        assert isinstance(kept, Kept)
        accepted = judge.process(kept.records, {})[0]
        assert isinstance(accepted, Kept)
        assert arrow.from_table(arrow.to_table(kept.records, stage.record_out), Scored[Qar]) == list(kept.records)
        table = arrow.to_table(accepted.records, judge.record_out)
    assert arrow.from_table(table, Judged[Qar]) == list(accepted.records)


def test_two_critics_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        check_critics([RulesSettings(), RulesSettings(hedging=False)], KIND)
    assert str(caught.value) == (
        "critics: 2 critics are called 'rules'; give each a `name` of its own, e.g. name: rules-2"
    )


@pytest.mark.parametrize(("probability", "reason"), [(-0.1, "x"), (1.1, "x"), (float("nan"), "x"), (0.5, "")])
def test_what_is_no_score(probability: float, reason: str) -> None:
    with pytest.raises(AssertionError, match="a score"):
        Score(probability, reason)


def test_stages_pickle_with_all_that_they_are_made_of() -> None:
    critics = (RulesSettings(), JudgeSettings(), EvidenceSettings())
    stage = ScoreStage(critics, context())
    again = pickle.loads(pickle.dumps(stage))
    assert again.identity == stage.identity
    assert again.record_out == Scored[Qar]
    judge = pickle.loads(pickle.dumps(judge_stage(critics, Qar)))
    assert judge.identity == judge_stage(critics, Qar).identity
    assert judge.record_out == Judged[Qar]


def test_candidates_of_another_recipe_are_scored_and_judged_by_their_own_texts() -> None:
    critics = (RulesSettings(limits={"caption": {"max_words": 4}}), EvidenceSettings(min_accept_probability=1))
    rows = [
        caption("a wet dog", row_id="c0"),
        caption("a wet dog beside a boat", row_id="c1"),
        caption("perhaps a dog", row_id="c2"),
        caption("a dry cat", row_id="c3"),
    ]
    with ScoreStage(critics, CAPTIONS_CONTEXT).opened(SERVICES) as stage:
        found = [
            record
            for one in stage.process(rows, noted("a wet dog, and a boat"))
            if isinstance(one, Kept)
            for record in one.records
        ]
    first, *others = judge_stage(critics, Caption).process(found, {})
    assert isinstance(first, Kept)
    assert arrow.from_table(arrow.to_table(found, stage.record_out), Scored[Caption]) == found
    assert [one.reason for one in others if isinstance(one, Dropped)] == [
        "caption too long",
        "hedging",
        "claims what the evidence does not say",
    ]


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        (
            OverlapSettings(references="x"),
            "critics: overlap requires the text rationale, which compare names; a caption of the recipe captions has no"
            " such thing (its texts are note, caption)",
        ),
        (
            RulesSettings(limits={"captoin": {"max_words": 3}}),
            "critics: rules requires the text captoin, of which limits has a limit; a caption of the recipe captions"
            " has no such thing (its texts are note, caption)",
        ),
    ],
)
def test_what_a_recipe_lacks_is_said_in_one_line(critic: CriticSettings, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_critics((critic,), CAPTIONS)
    assert str(caught.value) == message
    with pytest.raises(SettingsError, match=f"critics: {critic.kind} requires"):
        ScoreStage((critic,), CAPTIONS_CONTEXT)


def test_what_is_held_against_nothing_is_refused_and_all_else_is_not() -> None:
    from dataclasses import replace

    unknown = replace(CAPTIONS, annotations_required=())
    silent = replace(CAPTIONS, judged_parts=())
    for critic in (JudgeSettings(), EvidenceSettings()):
        with pytest.raises(
            SettingsError, match=r"requires a verbalization or annotations of their image; a caption of"
        ):
            check_critics((critic,), unknown)
        with pytest.raises(SettingsError, match="requires a text that claims something; a caption of"):
            check_critics((critic,), silent)
        check_critics((critic,), CAPTIONS)
        check_critics((critic,), KIND)
    suited = (RulesSettings(), OverlapSettings(references="x", compare="caption"), FeedbackSettings(ratings="x"))
    check_critics(suited, unknown)
