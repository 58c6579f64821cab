"""Scores of other critics, read by a trained one: the same at training and after, and refused where they are not."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_critics
from tiny_models import one_thread, save_llava  # noqa: F401 - a fixture among them

from critics.critic import CriticContext, NoScore, Score
from critics.evidence import NO_EVIDENCE
from critics.trained.critic import TrainedCritic
from critics.trained.model import head_outputs, make_heads, put_scores
from critics.trained.read_critics import (
    ReadCritic,
    check_versions,
    fit_scores,
    read_scores,
    reading_critics,
    score_features,
)
from critics.trained.settings import TrainedSettings, TrainSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.errors import SettingsError
from ostensive.images.loader import ImageLoader
from ostensive.images.settings import IntakeSettings
from ostensive.recipe import Recipe
from ostensive.records import ImageRecord, Region, Verbalization
from ostensive.run.services import Services
from ostensive.stage import ImageEvidence


def known_of(image: ImageRecord, regions: tuple[Region, ...]) -> dict[str, ImageEvidence]:
    return {image.image_id: ImageEvidence(image, Verbalization(image.image_id, (), (), regions, ()))}


def said_of(image: ImageRecord, rationale: str) -> Any:  # Any: a candidate
    return replace(tiny_critics.qar(image, rationale, "So.", (0, 1)), rationale=rationale)


def test_scores_are_those_of_the_critics_in_their_order(tmp_path: Path) -> None:
    image = tiny_critics.save_picture(tmp_path / "a.png", (9, 9, 9))
    rows = [said_of(image, f"[0] lies {side} of [1].") for side in ("left", "right")]
    critics = reading_critics(("geometry", "evidence"), tiny_critics.KIND)
    known = known_of(image, tiny_critics.regions(2))
    right, wrong = read_scores(critics, rows, known)
    assert isinstance(right, tuple)
    assert isinstance(wrong, tuple)
    assert (right[0], wrong[0]) == (1.0, 0.0)
    assert right[1] == wrong[1] > 0.5, "both name regions that there are"
    assert read_scores((), rows, known) == [(), ()]


def test_a_row_without_a_score_says_whose_is_missing(tmp_path: Path) -> None:
    image = tiny_critics.save_picture(tmp_path / "a.png", (9, 9, 9))
    critics = reading_critics(("evidence",), tiny_critics.KIND)
    found = read_scores(critics, [said_of(image, "It is so.")], {image.image_id: ImageEvidence(image)})
    assert found == [NoScore(NO_EVIDENCE, "evidence, whose score is read")]


def test_candidates_that_lack_what_a_critic_requires_and_other_versions_are_refused() -> None:
    with pytest.raises(SettingsError) as lacking:
        reading_critics(("geometry",), replace(tiny_critics.KIND, recipe=Recipe))
    assert str(lacking.value) == (
        "scores_of: geometry requires a verbalization with regions; a triple of the recipe triples has no such thing."
        " Train a critic that does not read its scores"
    )
    critics = reading_critics(("geometry",), tiny_critics.KIND)
    check_versions(critics, (ReadCritic("geometry", critics[0].version),), "critics/street")
    with pytest.raises(SettingsError) as other:
        check_versions(critics, (ReadCritic("geometry", "0"),), "critics/street")
    assert str(other.value) == (
        f"critics/street: was trained on scores of geometry in version 0, and here that is {critics[0].version}; train"
        " the critic anew, or apply it with the version of ostensive that trained it"
    )


@pytest.mark.parametrize("favoured", [0.0, 0.5, 1.0])
def test_right_wrong_and_not_checkable_are_each_worth_what_the_labels_say(favoured: float) -> None:
    """What cannot be checked may be worth more than what is right, which no straight line through the three says."""
    import torch

    scores = [(score,) for score in (0.0, 0.5, 1.0) * 20]
    heads = make_heads(4, 0, 0, None, 1)
    put_scores(heads, fit_scores(scores, [score == favoured for (score,) in scores], [1.0] * len(scores)))
    with torch.inference_mode():
        features = torch.tensor([score_features((score,)) for score in (0.0, 0.5, 1.0)])
        plain, logits = (
            head_outputs(heads, torch.zeros(3, 1, 4), some).accept_logits for some in (0 * features, features)
        )
        found = (logits[:, 1] - logits[:, 0]).tolist()
    assert found.index(max(found)) == [0.0, 0.5, 1.0].index(favoured)
    assert max(found) > 0.9
    assert sorted(found)[1] < -0.9
    assert plain[0].equal(plain[1])


def test_weights_of_rows_count_in_the_fit() -> None:
    scores, accepted = [(1.0,), (1.0,), (0.0,), (0.0,)] * 10, [True, False, False, False] * 10
    even, heavy = (fit_scores(scores, accepted, [weight, 1.0, 1.0, 1.0] * 10) for weight in (1.0, 5.0))
    assert sum(heavy.weights) + heavy.bias > sum(even.weights) + even.bias + 1


def test_scores_begin_without_weight_and_leave_the_other_heads_as_they_begin() -> None:
    import torch

    states = torch.ones(2, 3, 8)
    without, beside = make_heads(8, 1, 5, None), make_heads(8, 1, 5, None, 2)
    first = head_outputs(without, states)
    assert head_outputs(beside, states, torch.rand(2, 4)).accept_logits.equal(first.accept_logits)
    assert head_outputs(beside, states, torch.rand(2, 4)).ratings[0].equal(first.ratings[0])


@pytest.mark.slow
def test_a_critic_reads_at_applying_what_it_read_at_training(tmp_path: Path) -> None:
    labels = tiny_critics.make_run(tmp_path, images=24, on_boxes=True)
    save_llava(tmp_path / "vlm")
    settings = TrainSettings.model_validate(
        {
            "backbone": "vlm",
            "model": str(tmp_path / "vlm"),
            "device": "cpu",
            "scores_of": ["geometry"],
            "max_epochs": 1,
            "held_out_share": 0.2,
            "test_share": 0.2,
        }
    )
    out = tmp_path / "critic"
    figures = tiny_critics.train(tmp_path, out, settings, labels)
    assert figures.test.accepted_in_best_fifth == 1
    (geometry,) = reading_critics(("geometry",), tiny_critics.KIND)
    file = json.loads((out / "critic.json").read_text("utf-8"))
    assert file["scores_of"] == [{"kind": "geometry", "version": geometry.version}]

    image = tiny_critics.save_picture(tmp_path / "new.png", (200, 200, 200))
    rows = [said_of(image, f"[0] lies {side} of [1].") for side in ("left", "right")]
    context = CriticContext(tiny_critics.KIND, ScriptedTeacherSettings(), 0)
    critic = TrainedCritic(TrainedSettings(model=str(out), device="cpu"), context)
    services = Services(ImageLoader(IntakeSettings()), lambda *_: pytest.fail("nobody is asked"), 1, threading.Event())
    swapped = tuple(replace(region, number=1 - region.number) for region in tiny_critics.regions(2))
    with critic.opened(services) as one:
        found = [one.score(rows, known_of(image, regions)) for regions in (tiny_critics.regions(2), swapped)]
    (left, right), (left_swapped, right_swapped) = (
        [score.accept_probability for score in scores if isinstance(score, Score)] for scores in found
    )
    assert left > right + 0.2
    assert right_swapped > left_swapped + 0.2

    file["scores_of"][0]["version"] = "0"
    (out / "critic.json").write_text(json.dumps(file), "utf-8")
    with pytest.raises(SettingsError, match="was trained on scores of geometry in version 0"):
        TrainedCritic(TrainedSettings(model=str(out)), context)
