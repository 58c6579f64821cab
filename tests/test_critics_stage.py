from collections.abc import Sequence
from types import TracebackType
from typing import Self, get_args

import pytest
from critic_means import means, qar

from critics.critic import NoScore, Score
from critics.settings import CriticSettings, RulesSettings
from critics.stage import CRITICS, JudgeStage, ScoreStage, make_critics, outcome, scored
from ostensive import arrow
from ostensive.errors import SettingsError
from ostensive.records import CriticScore, Judged, Judgement, Qar, Scored, Spend
from ostensive.stage import Dropped, Evidence, Failed, Kept

GOOD = qar()
HEDGED = qar(answer="Maybe swim.", row_id="r1")
TWO = (RulesSettings(), RulesSettings(name="lenient", hedging=False))


class Named:
    """A critic with nothing but a name and a version, for the functions that ask no more of it."""

    version = "v"

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def score(self, rows: Sequence[Qar], evidence: Evidence) -> list[Score]:
        return [Score(1.0, "")] * len(rows)


def test_every_critic_scores_every_row_and_nothing_is_decided() -> None:
    with ScoreStage(TWO, means()) as stage:
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
    with ScoreStage(TWO, means()) as stage:
        rows = [record for one in stage.process([GOOD, HEDGED], {}) if isinstance(one, Kept) for record in one.records]
    with JudgeStage(TWO) as judge:
        first, second = judge.process(rows, {})
    assert isinstance(first, Kept)
    assert first.records[0].candidate is GOOD
    assert [judgement.accepted for judgement in first.records[0].judgements] == [True, True]
    assert isinstance(second, Dropped)
    assert second.reason == "hedging"
    assert second.record is not None
    assert second.record.candidate is HEDGED
    assert [(j.accepted, j.reason) for j in second.record.judgements] == [(False, "hedging"), (True, "")]


def test_no_rows_give_no_outcomes() -> None:
    with ScoreStage((RulesSettings(),), means()) as stage:
        assert stage.process([], {}) == []
    with JudgeStage((RulesSettings(),)) as judge:
        assert judge.process([], {}) == []


def test_a_row_that_cannot_be_scored_has_failed_with_its_cost_and_its_other_scores() -> None:
    paid, other = Spend(1, 20, 3, 0.5), Spend(1, 5, 5, 0.25)
    found = scored(
        GOOD, [Named("a"), Named("b")], [Score(0.25, "dull", "so dull", other), NoScore("no JSON", "bla", paid)]
    )
    record = Scored(GOOD, (CriticScore("a", "v", 0.25, "dull", "so dull"),))
    assert found == Kept((), (Failed("no JSON", "b: bla", record),), paid + other)
    assert scored(GOOD, [Named("b")], [NoScore("timeout")]) == Kept((), (Failed("timeout", "b", Scored(GOOD, ())),))


def test_the_first_rejection_gives_the_reason() -> None:
    judgements = [Judgement("a", "1", 0.9, True, ""), Judgement("b", "1", 0.25, False, "dull")]
    assert outcome(GOOD, judgements) == Dropped("dull", "b 0.250", Judged(GOOD, tuple(judgements)))


def test_a_threshold_is_of_the_second_stage_alone_and_all_else_of_the_first() -> None:
    plain, moved = (RulesSettings(),), (RulesSettings(min_accept_probability=0.75),)
    other = (RulesSettings(length=False),)
    (critic,) = make_critics(plain, means())
    assert ScoreStage(plain, means()).identity["critics"] == [["rules", critic.version]]
    assert ScoreStage(plain, means()).identity == ScoreStage(moved, means()).identity
    assert JudgeStage(plain).identity != JudgeStage(moved).identity
    assert ScoreStage(plain, means()).identity != ScoreStage(other, means()).identity
    assert JudgeStage(plain).identity == JudgeStage(other).identity


def test_records_go_through_arrow() -> None:
    with ScoreStage((RulesSettings(),), means()) as stage, JudgeStage((RulesSettings(),)) as judge:
        kept = stage.process([GOOD], {})[0]
        assert isinstance(kept, Kept)
        accepted = judge.process(kept.records, {})[0]
        assert isinstance(accepted, Kept)
        assert arrow.from_table(arrow.to_table(kept.records, stage.record_out), Scored[Qar]) == list(kept.records)
        table = arrow.to_table(accepted.records, judge.record_out)
    assert arrow.from_table(table, Judged[Qar]) == list(accepted.records)


def test_two_critics_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        make_critics([RulesSettings(), RulesSettings(hedging=False)], means())
    assert str(caught.value) == (
        "critics: 2 critics are called 'rules'; give each a `name` of its own, e.g. name: rules-2"
    )


@pytest.mark.parametrize(("probability", "reason"), [(-0.1, "x"), (1.1, "x"), (float("nan"), "x"), (0.5, "")])
def test_what_is_no_score(probability: float, reason: str) -> None:
    with pytest.raises(AssertionError, match="a score"):
        Score(probability, reason)


def test_every_kind_of_settings_has_a_critic() -> None:
    kinds = {settings.model_fields["kind"].default for settings in get_args(get_args(CriticSettings)[0])}
    assert kinds == {*CRITICS, "all_of", "any_of"}
