"""What more labels would bring: parts of labels, the law, its words, and measures on samples of images."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_critics_trained_parts import example

from critics.trained.curve_training import curve_of_parts
from critics.trained.inputs import Example, LabelSplits
from critics.trained.learning_curve import (
    AVERAGE_PRECISION,
    BEST_FIFTH,
    LearningCurve,
    MeasureCurve,
    Promise,
    Reached,
    SizedScores,
    curve_lines,
    fit,
    learning_curve,
    nested_part,
)
from critics.trained.resampling import (
    accepted_in_bests,
    accepted_shares,
    average_precisions,
    image_samples,
    interval_of,
    measured,
    of_kept,
)
from critics.trained.scoring import accepted_in_best, average_precision
from ostensive.intervals import Interval

ROWS = st.lists(
    st.tuples(st.integers(0, 5).map(float), st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=30
).filter(lambda rows: any(accepted for _, accepted, _ in rows))


def examples(images: int, a_image: int = 3) -> list[Example]:
    return [example(f"image {k}", place, (k + place) % 2 == 0) for k in range(images) for place in range(a_image)]


@given(st.integers(1, 40), st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(0, 5))
def test_parts_are_of_whole_images_and_nested(images: int, one: float, other: float, seed: int) -> None:
    rows = examples(images)
    small, large = (nested_part(rows, share, seed=seed) for share in sorted((one, other)))
    assert set(small) <= set(large)
    for part, share in ((small, min(one, other)), (large, max(one, other))):
        chosen = {row.image.image_id for row in part}
        assert list(part) == [row for row in rows if row.image.image_id in chosen]
        assert share * len(rows) <= len(part) < share * len(rows) + 3


@settings(max_examples=25)
@given(ROWS)
def test_a_measure_of_a_sample_is_that_of_its_rows(rows: list[tuple[float, bool, str]]) -> None:
    scores, accepted, images = (list(column) for column in zip(*rows, strict=True))
    samples = image_samples(images, resamples=3)
    kept = [score >= 3 for score in scores]
    precision, recall, f1 = of_kept(kept, accepted)
    found = {
        name: measured(measure, samples)
        for name, measure in {
            "share": accepted_shares(accepted),
            "best": accepted_in_bests(scores, accepted, 0.2),
            "average": average_precisions(scores, accepted),
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }.items()
    }
    for number, weights in enumerate(samples):
        drawn = [place for place, weight in enumerate(weights) for _ in range(weight)]
        s, a, k = ([values[place] for place in drawn] for values in (scores, accepted, kept))
        assert found["share"][number] == pytest.approx(sum(a) / len(a))
        assert found["best"][number] == pytest.approx(accepted_in_best(s, a, 0.2))
        both = sum(x and y for x, y in zip(a, k, strict=True))
        assert found["precision"][number] == pytest.approx(both / max(1, sum(k)))
        if any(a):
            assert found["average"][number] == pytest.approx(average_precision(s, a))
            assert found["recall"][number] == pytest.approx(both / sum(a))
            assert found["f1"][number] == pytest.approx(2 * both / (sum(a) + sum(k)))
        else:
            assert np.isnan(found["average"][number])


def test_samples_are_of_whole_images_and_undefined_ones_are_left_out() -> None:
    samples = image_samples(["a", "b", "a", "b", "c"], resamples=50)
    assert samples.shape == (50, 5)
    assert (samples[:, 0] == samples[:, 2]).all()
    assert (samples[:, 1] == samples[:, 3]).all()
    assert (samples[:, [0, 1, 4]].sum(axis=1) == 3).all()
    assert interval_of(np.array([np.nan, 0.5, 0.5]), 0.1) == Interval(0.5, 0.5)
    assert interval_of(np.array([np.nan]), 0.1) == Interval(0.1, 0.1)


@given(st.floats(0.1, 0.9), st.floats(-0.3, 1.0), st.lists(st.integers(50, 5000), min_size=2, max_size=5, unique=True))
def test_a_power_law_is_found_again_and_read_further_on(factor: float, exponent: float, sizes: list[int]) -> None:
    labels = np.array(sizes, np.float64)
    law = fit(labels, (factor * labels**-exponent)[None])
    assert law.exponent[0] == pytest.approx(exponent, abs=1e-6)
    largest = float(labels.max())
    wanted = min(1, factor * largest**-exponent) - min(1, factor * (2 * largest) ** -exponent)
    assert law.gain(largest, 2)[0] == pytest.approx(wanted, abs=1e-6)


def scores_of(accepted: list[bool], *, noise: float, seed: int) -> tuple[float, ...]:
    rng = random.Random(seed)
    return tuple(one + rng.gauss(0, noise) for one in accepted)


def made_curve(images: int) -> LearningCurve:
    """Critics that tell better with more labels, on test rows of so many images, four each."""
    accepted = [(k // 2) % 2 == 0 for k in range(4 * images)]
    ids = [f"image {k // 4}" for k in range(4 * images)]
    sizes = [
        SizedScores(labels, labels // 4, scores_of(accepted, noise=noise, seed=labels))
        for labels, noise in ((400, 0.8), (100, 2.0), (200, 1.2))
    ]
    curve = learning_curve(sizes, accepted, ids, seed=0)
    assert curve is not None
    return curve


def test_a_curve_that_rises_promises_more_and_is_surer_with_more_images() -> None:
    few, many = made_curve(10), made_curve(250)
    assert (many.rows, many.images) == (1000, 250)
    assert [one.measure for one in many.measures] == [BEST_FIFTH, AVERAGE_PRECISION]
    for curve in many.measures:
        assert [point.labels for point in curve.reached] == [100, 200, 400]
        values = [point.value for point in curve.reached]
        assert values == sorted(values)
        assert curve.exponent > 0
        twice, four_times = curve.promises
        assert 0 < twice.gain < four_times.gain
        assert twice.gain_95.low <= twice.gain <= twice.gain_95.high
        assert twice.is_told
    for small, large in zip(few.measures, many.measures, strict=True):
        widths = [one.promises[0].gain_95.high - one.promises[0].gain_95.low for one in (small, large)]
        assert widths[0] > 2 * widths[1]
    assert learning_curve([SizedScores(9, 3, (0.0, 1.0))], [True, False], ["a", "b"], seed=0) is None


def test_the_words_of_a_curve() -> None:
    reached = (Reached(350, 90, 0.49, Interval(0.4, 0.6)), Reached(700, 180, 0.57, Interval(0.5, 0.65)))
    promises = (Promise(2, 0.042, Interval(-0.01, 0.09)), Promise(4, 0.08, Interval(-0.05, 0.3)))
    curve = MeasureCurve(BEST_FIFTH, reached, 0.2, promises)
    begins = "accepted in the best fifth, 350 labels: 49.0%, 700 labels: 57.0%; "
    assert list(curve_lines(LearningCurve(90, 40, (curve,)))) == [
        f"{begins}twice as many would bring about +4 points (95 %: -1 to +9)"
    ]
    (of_few,) = curve_lines(LearningCurve(90, 19, (curve,)))
    assert "cannot be told from so few" in of_few, "intervals of so few images are not to be believed"
    unsure = MeasureCurve(BEST_FIFTH, reached, 0.2, (Promise(2, 0.04, Interval(-0.12, 0.25)),))
    assert list(curve_lines(LearningCurve(90, 40, (unsure,)))) == [
        f"{begins}what more would bring cannot be told from so few (twice as many, 95 %: -12 to +25 points)"
    ]


def test_parts_that_are_done_are_not_trained_again_and_those_that_are_too_small_are_told(tmp_path: Path) -> None:
    rows = examples(30)
    splits = LabelSplits(tuple(rows[:60]), tuple(rows[60:75]), tuple(rows[75:]))
    trained, told = list[int](), list[str]()

    def train(part: object, folder: Path, _identity: str) -> list[float]:
        assert isinstance(part, tuple)
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(len(part))
        folder.mkdir()
        return [float(one.label.accepted) for one in splits.test]

    def curve(made_from: str) -> LearningCurve | None:
        return curve_of_parts(
            splits,
            (0.5, 0.1, 0.25),
            train,
            whole=[0.0] * 15,
            seed=0,
            folder=tmp_path,
            made_from=made_from,
            tell=told.append,
        )

    with pytest.raises(KeyboardInterrupt):
        curve("this")
    assert trained == [15]
    assert told == [
        "learning curve, critic 1 of 3, on 6 of 60 labels: left out, these are too few or of one kind",
        "learning curve, critic 2 of 3, on 15 of 60 labels",
        "learning curve, critic 3 of 3, on 30 of 60 labels",
    ]
    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        curve("another")  # of other labels, so that nothing of it is taken
    assert trained == [15]
    trained.append(0)
    found = curve("another")
    assert trained == [15, 0, 30]
    assert found is not None
    assert [point.labels for point in found.measures[0].reached] == [15, 30, 60]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["share-0.25.json", "share-0.5.json"]
