"""What follows from a trained critic's numbers, whatever they are."""

import math

import pytest

from critics.critic import NoScore, Score
from critics.trained.critic import NO_NUMBER, score_of
from critics.trained.folder import CriticFile, KnownRegions
from critics.trained.scoring import Calibration, Prediction
from critics.trained.settings import ShowingSettings

FILE = CriticFile(
    format=1,
    text_version=1,
    backbone="vlm",
    parts=("question",),
    question="Is it right?",
    noun="row",
    criteria=(),
    show=ShowingSettings(),
    seed=0,
    calibration=Calibration(),
    known=KnownRegions(most_regions=1, highest_number=1),
    scores_of=(),
)


def test_no_number_is_no_score() -> None:
    """A comparison with it would take it for certain."""
    found = score_of(Prediction(math.nan, ()), FILE)
    assert isinstance(found, NoScore)
    assert found.reason == NO_NUMBER


@pytest.mark.parametrize(("logit", "least", "most"), [(math.inf, 0.99, 1.0), (-math.inf, 0.0, 0.01), (0.0, 0.5, 0.5)])
def test_any_number_is_a_score(logit: float, least: float, most: float) -> None:
    found = score_of(Prediction(logit, ()), FILE)
    assert isinstance(found, Score)
    assert least <= found.accept_probability <= most
