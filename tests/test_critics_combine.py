import pytest

from critics.combine import decide
from ostensive.records import CriticScore, Judgement


@pytest.mark.parametrize(("probability", "accepted"), [(0.0, False), (0.79, False), (0.8, True), (1.0, True)])
def test_the_threshold_itself_is_accepted(probability: float, accepted: bool) -> None:
    judgement = decide(CriticScore("c", "v", probability, "why", "more"), 0.8)
    assert judgement == Judgement("c", "v", probability, accepted, "" if accepted else "why")
