import pytest

from critics.critic import Score, decide
from critics.settings import RulesSettings
from critics.stage import CRITICS, JudgeStage, make_critics, outcome
from ostensive import arrow
from ostensive.records import Judged, Judgement, Qar
from ostensive.stage import Dropped, Kept

GOOD = Qar("r0", "a" * 64, "ids", "What does [0] do?", "[0] swims.", "[0] is deep in the water.", (0,), "t", "p", "k")
HEDGED = Qar(
    "r1", "a" * 64, "ids", "What does [0] do?", "Maybe swim.", "[0] is deep in the water.", (0,), "t", "p", "k"
)


@pytest.mark.parametrize(("probability", "accepted"), [(0.0, False), (0.79, False), (0.8, True), (1.0, True)])
def test_the_threshold_itself_is_accepted(probability: float, accepted: bool) -> None:
    judgement = decide(Score(probability, "why"), critic="c", version="v", min_accept_probability=0.8)
    assert judgement == Judgement("c", "v", probability, accepted, "" if accepted else "why")


def test_rows_are_kept_or_dropped_with_every_judgement_beside_them() -> None:
    two = (RulesSettings(), RulesSettings(hedging=False))
    with JudgeStage(two) as stage:
        first, second = stage.process([GOOD, HEDGED], {})
    assert isinstance(first, Kept)
    assert first.records[0].candidate is GOOD
    assert [judgement.accepted for judgement in first.records[0].judgements] == [True, True]
    assert isinstance(second, Dropped)
    assert second.reason == "hedging"
    assert second.record is not None
    assert second.record.candidate is HEDGED
    assert [(j.accepted, j.reason) for j in second.record.judgements] == [(False, "hedging"), (True, "")]


def test_no_rows_give_no_outcomes() -> None:
    with JudgeStage((RulesSettings(),)) as stage:
        assert stage.process([], {}) == []


def test_the_first_rejection_gives_the_reason() -> None:
    judgements = [Judgement("a", "1", 0.9, True, ""), Judgement("b", "1", 0.25, False, "dull")]
    assert outcome(GOOD, judgements) == Dropped("dull", "b 0.250", Judged(GOOD, tuple(judgements)))


def test_identity_names_every_critic_and_changes_with_its_settings() -> None:
    plain = JudgeStage((RulesSettings(),))
    assert plain.identity["critics"] == [["rules", make_critics([RulesSettings()])[0].version]]
    assert plain.identity != JudgeStage((RulesSettings(length=False),)).identity
    assert plain.identity == JudgeStage((RulesSettings(),)).identity


def test_records_go_through_arrow() -> None:
    with JudgeStage((RulesSettings(),)) as stage:
        kept = stage.process([GOOD], {})[0]
        assert isinstance(kept, Kept)
        table = arrow.to_table(kept.records, stage.record_out)
    assert arrow.from_table(table, Judged[Qar]) == list(kept.records)


def test_every_kind_of_settings_has_a_critic() -> None:
    assert set(CRITICS) == {"rules"} == {RulesSettings().kind}
