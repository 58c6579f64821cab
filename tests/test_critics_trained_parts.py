"""The arithmetic of the trained critic: what is drawn, splits by whole images, calibration, figures, and its card."""

import json
import logging
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_critics import KIND, UNIQUE, label, make_run, qar, regions, shown

from critics.trained.card import TrainedFigures, critic_card
from critics.trained.folder import KnownRegions, known_regions, make_file, read_critic
from critics.trained.inputs import (
    APPLIED,
    Example,
    InputFormat,
    check_labels,
    drawn_regions,
    read_examples,
    split_examples,
    steps_of,
)
from critics.trained.learning_curve import SizedScores, learning_curve
from critics.trained.read_critics import ReadCritic
from critics.trained.scoring import (
    Calibration,
    Prediction,
    RatingError,
    SplitCounts,
    accepted_in_best,
    average_precision,
    calibration_error,
    figures_of,
    fit_temperature,
)
from critics.trained.settings import ShowingSettings, TrainedSettings, TrainSettings
from critics.trained.training import best_round, is_over
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.models.checkpoints import Evaluation
from ostensive.recipe_kind import ShownText
from ostensive.records import Box, ImageRecord, Location, Region
from ostensive.run.folder import RunFolder
from ostensive.settings import validate

CRITERIA = ("qa", "rationale")


def image(name: str) -> ImageRecord:
    return ImageRecord(name, 10, 10, "PNG", "RGB", 1, name, Location(f"/{name}"))


def example(image_id: str, number: int, accepted: bool) -> Example:
    row = qar(image(image_id), str(number), "So.")
    return Example(label(row.row_id, image_id, accepted), shown(row), image(image_id), regions(3))


def evaluation(epoch: int, precision: float, entropy: float, loss: float = 1.0, seconds: float = 1.0) -> Evaluation:
    metrics = {"average_precision": precision, "cross_entropy": entropy}
    return Evaluation(10 * (epoch + 1), loss, metrics, seconds)


def test_texts_of_triples_are_fixed() -> None:
    from builders.localized.recipe import KIND as LOCALIZED

    row = replace(qar(image("a"), "x", "It is bright."), question="How is [0]?", rationale="Light falls on [0].")
    plain = "Question: How is [0]? Answer: It is bright. Rationale: Light falls on [0]."
    texts, ask = LOCALIZED.shown(row), LOCALIZED.judging_question
    assert InputFormat("blip2", ask, ShowingSettings(), 0).text_of(texts) == plain
    assert InputFormat("vlm", ask, ShowingSettings(), 0).text_of(texts) == (
        f"{plain}\nIs the answer right for what is marked, and does the rationale justify it?"
    )


def test_a_row_without_regions_is_given_with_the_bare_image() -> None:
    inputs = InputFormat("vlm", "Is it so?", ShowingSettings(regions="among_others"), 0)
    texts = (ShownText("caption", "Two dogs."), ShownText("image_note", "Rescued in May."))
    given = inputs.input_of("x", texts, image("a"), ())
    assert given.regions == ()
    assert given.text == "Caption: Two dogs. Image note: Rescued in May.\nIs it so?"


@given(
    st.sets(st.integers(0, 12), max_size=6),
    st.sets(st.integers(0, 12), max_size=10),
    st.integers(1, 8),
    st.integers(0, 10**9),
)
def test_mentioned_regions_are_always_drawn_and_others_only_where_they_may(
    mentions: set[int], there: set[int], most: int, seed: int
) -> None:
    box = Box(0.1, 0.1, 0.9, 0.9)
    known = [Region(number, box, "area", None, "an area") for number in sorted(there)]
    for which in ("mentioned", "among_others", "mixed"):
        settings = ShowingSettings.model_validate({"regions": which, "max_regions": most})
        drawn = [region.number for region in drawn_regions(mentions, known, settings, random.Random(seed))]
        assert drawn == sorted(set(drawn))
        assert mentions & there <= set(drawn) <= there
        among = max(len(mentions & there), min(most, len(there)))
        alone = len(mentions & there)
        assert len(drawn) in {"mentioned": {alone}, "among_others": {among}, "mixed": {alone, among}}[which]


def test_what_is_drawn_follows_from_seed_row_and_round_alone() -> None:
    texts, there = shown(qar(image("a"), "x", "So.", (3,))), regions(12)

    def drawn(seed: int, row: str, epoch: int = APPLIED) -> tuple[Region, ...]:
        inputs = InputFormat("blip2", "So?", ShowingSettings(regions="among_others"), seed)
        return inputs.input_of(row, texts, image("a"), there, epoch=epoch).regions

    first = [drawn(5, "x", epoch) for epoch in range(6)]
    random.seed(1)
    assert [drawn(5, "x", epoch) for epoch in range(6)] == first
    assert len(set(first)) > 1
    assert [drawn(6, "x", epoch) for epoch in range(6)] != first
    assert [drawn(5, "y", epoch) for epoch in range(6)] != first
    assert drawn(5, "x") == drawn(5, "x", APPLIED)


def test_mixed_draws_the_mentioned_alone_in_three_of_five() -> None:
    settings, there = ShowingSettings(regions="mixed"), regions(8)
    counts = [len(drawn_regions({2}, there, settings, random.Random(seed))) for seed in range(2000)]
    assert set(counts) == {1, 5}
    assert counts.count(1) / 2000 == pytest.approx(0.6, abs=0.04)


@given(st.lists(st.tuples(st.integers(0, 14), st.booleans()), min_size=40, max_size=120), st.integers(0, 99))
def test_no_image_is_in_two_parts_and_no_example_is_lost(rows: list[tuple[int, bool]], seed: int) -> None:
    examples = [example(f"image {number}", place, accepted) for place, (number, accepted) in enumerate(rows)]
    try:
        splits = split_examples(examples, held_out_share=0.2, test_share=0.2, seed=seed)
    except SettingsError as error:
        assert "all accepted" in str(error) or "all rejected" in str(error) or "has no labels" in str(error)  # noqa: PT017
        return
    found = (splits.train, splits.held_out, splits.test)
    images = [{one.image.image_id for one in split} for split in found]
    assert sum(map(len, images)) == len(set().union(*images))
    assert sorted(one.label.row_id for split in found for one in split) == sorted(one.label.row_id for one in examples)
    assert split_examples(examples, held_out_share=0.2, test_share=0.2, seed=seed) == splits


def test_a_part_with_one_kind_of_label_is_refused() -> None:
    rows = [example(f"image {place}", place, True) for place in range(20)]
    rows += [example("image 20", place, False) for place in range(20, 30)]
    with pytest.raises(SettingsError) as refused:
        split_examples(rows, held_out_share=0.2, test_share=0.2, seed=0)
    assert "from 21 images with 30 labels; label more images, give it a larger share" in str(refused.value)


def test_too_few_labels_or_of_one_kind_are_refused_with_what_to_do() -> None:
    labels = [example("a", place, place % 2 == 0).label for place in range(19)]
    with pytest.raises(SettingsError) as few:
        check_labels(labels, Path("runs/one"))
    assert str(few.value) == (
        "runs/one: 19 labels of candidates that are there, and 20 at least are needed (some hundreds to be of use);"
        " label more with: ostensive annotate runs/one"
    )
    for accepted, word in ((True, "accepted"), (False, "rejected")):
        with pytest.raises(SettingsError) as one:
            check_labels([example("a", place, accepted).label for place in range(20)], Path("runs/one"))
        assert str(one.value) == (
            f"runs/one: all 20 labels say {word}, and a critic learns from both kinds; label more with: ostensive"
            " annotate runs/one"
        )


def test_examples_are_read_from_a_run_and_labels_of_lost_candidates_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = make_run(tmp_path, images=12)
    run = RunFolder(tmp_path / "run")
    found = read_examples(run, labels[::-1], kind=KIND, stage=UNIQUE)
    assert [one.label for one in found] == sorted(labels, key=lambda label: label.row_id)
    assert all(fingerprint([one.image.image_id, one.texts[1].text])[:16] == one.label.row_id for one in found)
    assert all(one.image.image_id == one.label.image_id for one in found)
    assert all([text.name for text in one.texts] == list(KIND.parts) for one in found)
    assert {len(one.regions) for one in found} == {2}
    gone = [replace(label, row_id=f"gone {place}") for place, label in enumerate(labels[:2])]
    with caplog.at_level(logging.WARNING):
        again = read_examples(run, [*labels[2:], *gone], kind=KIND, stage=UNIQUE)
    assert again == [one for one in found if one.label in labels[2:]]
    assert caplog.messages == [
        f"2 of 24 labels are for candidates that {run.path} no longer has, as after a change of its recipe; they are"
        f" left out. Label the new ones with: ostensive annotate {run.path}"
    ]
    with pytest.raises(SettingsError, match="has no candidates; run `ostensive build` with this folder as --out first"):
        read_examples(RunFolder(tmp_path / "nothing"), labels, kind=KIND, stage=UNIQUE)


def test_labels_of_different_criteria_are_refused() -> None:
    rows = [example("a", place, place % 2 == 0).label for place in range(20)]
    mixed = [*rows[:10], *(replace(one, targets=one.targets[:1]) for one in rows[10:])]
    with pytest.raises(SettingsError) as refused:
        check_labels(mixed, Path("runs/one"))
    assert str(refused.value) == (
        "runs/one: the labels are of different criteria (qa and qa, rationale); train on those of one task"
    )


def test_the_temperature_of_too_bold_logits_is_found() -> None:
    rng = random.Random(4)
    true = [rng.gauss(0, 2) for _ in range(4000)]
    accepted = [rng.random() < 1 / (1 + math.exp(-logit)) for logit in true]
    found = fit_temperature([3 * logit + 1.0 for logit in true], accepted, 1.0)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.logit_offset == 1.0
    before = [Calibration(1.0).probability(3 * logit + 1.0) for logit in true]
    after = [found.probability(3 * logit + 1.0) for logit in true]
    assert calibration_error(after, accepted) < 0.03 < calibration_error(before, accepted)


def test_the_offset_undoes_the_balance_of_classes() -> None:
    """With weights w the loss is least where the odds are w times the true ones."""
    share, weights = 0.1, (1 / 1.8, 1 / 0.2)
    learned = math.log(weights[1] * share / (weights[0] * (1 - share)))
    assert learned == pytest.approx(0)
    assert Calibration(math.log(weights[1] / weights[0])).probability(learned) == pytest.approx(share)


@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=30))
def test_calibration_keeps_the_order_and_never_leaves_its_bounds(rows: list[tuple[float, bool]]) -> None:
    logits = sorted(logit for logit, _ in rows)
    found = fit_temperature(logits, [accepted for _, accepted in rows])
    assert 0.05 - 1e-6 <= found.temperature <= 20 + 1e-6
    probabilities = [found.probability(logit) for logit in logits]
    assert probabilities == sorted(probabilities)
    assert all(0 <= one <= 1 for one in probabilities)


def test_calibration_error_by_hand() -> None:
    assert calibration_error([0.05, 0.05, 0.95, 1.0], [False, True, True, True]) == pytest.approx(0.2375)
    assert calibration_error([1.0, 1.0], [True, True]) == 0


def test_figures_by_hand() -> None:
    found = [Prediction(logit, (2.0, 1.0)) for logit in (3.0, 1.0, -1.0, -3.0)]
    labels = [
        label("a", "x", True, 3.0, 1.0),
        label("b", "x", False, 1.0, 1.0),
        label("c", "y", True, 2.0, 1.0),
        label("d", "y", False, 2.0, 1.0),
    ]
    one = figures_of(found, labels, Calibration(), CRITERIA)
    assert one.counts == SplitCounts(rows=4, images=2, accepted=2)
    assert (one.precision, one.recall, one.f1) == (0.5, 0.5, 0.5)
    assert one.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert one.accepted_in_best_fifth == 1.0
    qa, rationale = one.ratings
    assert (qa.criterion, qa.error, qa.error_of_mean) == ("qa", *[pytest.approx(math.sqrt(0.5))] * 2)
    assert rationale == RatingError("rationale", 0.0, 0.0)
    assert figures_of(found, labels, Calibration(10.0), CRITERIA).precision == 0.0


def test_the_best_fifth_and_average_precision() -> None:
    scores = [float(place) for place in range(10)]
    accepted = [place in (9, 3) for place in range(10)]
    assert accepted_in_best(scores, accepted, 0.2) == 0.5
    assert accepted_in_best([1.0], [True], 0.2) == 1.0
    assert average_precision(scores, accepted) == pytest.approx((1 + 2 / 7) / 2)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 9))
def test_each_round_has_every_example_once_in_an_order_of_its_own(count: int, size: int, epoch: int) -> None:
    rows = [example(f"image {place}", place, True) for place in range(count)]
    steps = steps_of(rows, epoch, batch_size=size, seed=3)
    assert {len(step) for step in steps[:-1]} <= {size}
    assert sorted(one.label.row_id for step in steps for one in step) == sorted(one.label.row_id for one in rows)
    assert steps == steps_of(rows, epoch, batch_size=size, seed=3)
    if count > 20:
        assert steps != steps_of(rows, epoch + 1, batch_size=size, seed=3)


def test_the_best_round_is_the_first_of_the_best() -> None:
    reached = [(0.5, 0.1), (0.7, 0.6), (0.7, 0.4), (0.7, 0.4), (0.7, 0.5)]
    rounds = [evaluation(epoch, *held_out) for epoch, held_out in enumerate(reached)]
    assert best_round(rounds) is rounds[2]
    assert best_round(rounds[:2]) is rounds[1]


@pytest.mark.parametrize(
    ("reached", "over"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.5], True),  # as good is not better
        ([0.5, 0.4, 0.6], False),
        ([0.1, 0.2, 0.3, 0.4, 0.5], False),
    ],
)
def test_it_ends_when_no_round_is_better(reached: list[float], over: bool) -> None:
    assert is_over([evaluation(epoch, value, 0.5) for epoch, value in enumerate(reached)], patience=2) is over


def test_what_a_critic_knows_of_regions() -> None:
    rows = [
        replace(example("a", 0, True), texts=shown(qar(image("a"), "x", "So.", (0, 2)))),
        replace(example("b", 1, False), regions=regions(4)),
    ]
    assert known_regions(rows, ShowingSettings()) == KnownRegions(2, 2)
    assert known_regions(rows, ShowingSettings(regions="among_others", max_regions=3)) == KnownRegions(3, 3)
    nothing = [replace(rows[0], texts=shown(qar(image("a"), "x", "So.", ())))]
    assert known_regions(nothing, ShowingSettings()) == KnownRegions(0, -1)


def test_settings_are_checked() -> None:
    good = {"backbone": "vlm", "model": "some/model"}
    assert validate(TrainSettings, good, "here").head_weights.of("qa") == 0.5
    for values, message in (
        ({"held_out_share": 0.5, "test_share": 0.4}, "held_out_share and test_share together at most 0.8"),
        ({"head_weights": {"accept": 0}}, "head_weights.accept: input should be greater than 0"),
        ({"head_weights": {"criteria": {"qa": -1}}}, "head_weights.criteria.qa: input should be greater than or equal"),
        ({"learning_curve": [0.5, 1]}, "learning_curve.1: input should be less than 1"),
        ({"backbone": "clip"}, "backbone: input should be 'blip2' or 'vlm'"),
        ({"learning_rte": 1}, "learning_rte: unknown key; the nearest known key is learning_rate"),
    ):
        with pytest.raises(SettingsError) as refused:
            validate(TrainSettings, {**good, **values}, "here")
        assert message in str(refused.value)
    assert TrainSettings(backbone="vlm", model="m").needs()[0].kind == "hub"
    assert TrainedSettings(model="here").needs()[0].kind == "folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no critic.json; a folder that `ostensive critic train` finished is expected"),
        ("{", "the file: Invalid JSON"),
        ('{"format": 1}', "text_version: Field required; take the folder as training wrote it"),
    ],
)
def test_a_folder_that_is_no_critic_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "critic.json").write_text(text, "utf-8")
    with pytest.raises(SettingsError) as refused:
        read_critic(tmp_path)
    assert message in str(refused.value)


def test_the_card_says_what_was_reached() -> None:
    found = [Prediction(logit, (2.0, 1.0)) for logit in (3.0, 1.0, -1.0, -3.0)]
    labels = [label(str(place), "xy"[place // 2], place % 2 == 0, 2.0, 1.0) for place in range(4)]
    figures = TrainedFigures(
        version="abc" * 22,
        base_version="sha256:0",
        labels_hash="def" * 22,
        train=SplitCounts(80, 30, 40),
        held_out=SplitCounts(10, 4, 5),
        test=figures_of(found, labels, Calibration(0.1, 1.7), CRITERIA),
        best_fifth_from=0.41239,
        learning_curve=learning_curve(
            [SizedScores(40, 15, (1.0, 2.0, 0.0, 3.0)), SizedScores(80, 30, (3.0, 1.0, 2.0, 0.0))],
            [True, False, True, False],
            ["x", "x", "y", "y"],
            seed=0,
        ),
        rounds=(evaluation(0, 0.6, 0.6, 0.7, 12.0), evaluation(1, 0.8, 0.5, 0.6, 11.0)),
        best_epoch=1,
        seconds=23.0,
    )
    made = TrainSettings(backbone="blip2", model="some/model", revision="v1")
    file = make_file(
        InputFormat("blip2", "So?", made.show, 0),
        KIND,
        ("qa", "rationale"),
        calibration=Calibration(0.1, 1.7),
        known=KnownRegions(2, 7),
        read=(ReadCritic("geometry", "0123"),),
    )
    card = critic_card(made, figures, file)
    for line in (
        "# A critic of question, answer and rationale\n",
        "| split | triples | images | accepted |",
        "- Heads, with their weights in the loss: accept 1, rating of qa 0.5, rating of rationale 0.5.",
        "| error of the rating of qa (of always the mean 0.000) | 0.000 |  |",
        "| training | 80 | 30 | 50.0% |",
        "    min_accept_probability: 0.4123\n",
        "Of the test split: 4 labels of 2 images. Intervals are of resampled images.",
        "| accepted among the fifth with the highest score | 1.000 | ",
        "| precision at probability 0.5 | 0.500 | ",
        "- Average precision, 40 labels: 41.7%, 80 labels: 100.0%; ",
        "- Base: `some/model` at `v1` (`sha256:0`), backbone `blip2`; image tower trained, language part trained.",
        "- 2 rounds, the best was number 2; 23 seconds; temperature 1.700, logit offset 0.100.",
        "numbers up to 7.",
        "- It reads the scores of `geometry` (`0123`) too.",
    ):
        assert line in card


def test_the_page_lists_every_setting_with_its_default() -> None:
    page = Path(__file__).parent.parent / "docs" / "critic-training.md"
    table = page.read_text("utf-8").partition("<!-- settings of training -->")[2].strip().partition("\n\n")[0]
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    made = TrainSettings(backbone="vlm", model="m").model_dump(mode="json")
    flat = {
        f"{key}.{part}": value for key, more in made.items() if isinstance(more, dict) for part, value in more.items()
    }
    flat |= {key: value for key, value in made.items() if not isinstance(value, dict)}
    shown = {name: default for name, _, default in cells}
    assert shown.pop("backbone") == shown.pop("model") == "required"
    del flat["backbone"], flat["model"]
    assert shown == {key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()}
