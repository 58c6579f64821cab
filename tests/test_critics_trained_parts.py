"""The arithmetic of the trained critic: what is drawn, parts by whole images, calibration, figures, and its card."""

import json
import logging
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_critics import make_run, qar, regions

from critics.labels import Label
from critics.trained.calibration import Calibration, calibration_error, fit_temperature
from critics.trained.card import TrainedFigures, critic_card
from critics.trained.checkpoints import HeldOut, Progress, Round
from critics.trained.examples import Example, check_labels, read_examples, split
from critics.trained.figures import Part, accepted_in_best, average_precision, figures_of
from critics.trained.folder import Known, known_regions, read_critic
from critics.trained.loop import rate_at, steps_of
from critics.trained.scoring import Found
from critics.trained.settings import ShowingSettings, TrainedSettings, TrainSettings
from critics.trained.showing import APPLIED, Showing, drawn_regions
from critics.trained.texts import triple_text
from ostensive.errors import SettingsError
from ostensive.records import Box, ImageRecord, Location, Qar, Region
from ostensive.run.folder import RunFolder
from ostensive.settings import validate


def image(name: str) -> ImageRecord:
    return ImageRecord(name, 10, 10, "PNG", "RGB", 1, name, Location(f"/{name}"))


def example(image_id: str, number: int, accepted: bool) -> Example:
    row: Qar = qar(image(image_id), str(number), "So.")
    return Example(Label(row.row_id, image_id, accepted, 0.0, 0.0, 2), row, image(image_id), regions(3))


def test_texts_are_fixed() -> None:
    row = replace(qar(image("a"), "x", "It is bright."), question="How is [0]?", rationale="Light falls on [0].")
    plain = "Question: How is [0]? Answer: It is bright. Rationale: Light falls on [0]."
    assert triple_text(row, "blip2") == plain
    assert triple_text(row, "vlm") == (
        f"{plain}\nIs the answer right for what is marked, and does the rationale justify it?"
    )


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
        drawn = [region.number for region in drawn_regions(sorted(mentions), known, settings, random.Random(seed))]
        assert drawn == sorted(set(drawn))
        assert mentions & there <= set(drawn) <= there
        among = max(len(mentions & there), min(most, len(there)))
        alone = len(mentions & there)
        assert len(drawn) in {"mentioned": {alone}, "among_others": {among}, "mixed": {alone, among}}[which]


def test_what_is_drawn_follows_from_seed_row_and_round_alone() -> None:
    row, there = qar(image("a"), "x", "So.", (3,)), regions(12)
    showing = Showing("blip2", ShowingSettings(regions="among_others"), 5)
    first = [showing.show(row, image("a"), there, epoch).regions for epoch in range(6)]
    random.seed(1)
    assert [showing.show(row, image("a"), there, epoch).regions for epoch in range(6)] == first
    assert len(set(first)) > 1
    other = Showing("blip2", ShowingSettings(regions="among_others"), 6)
    assert [other.show(row, image("a"), there, epoch).regions for epoch in range(6)] != first
    assert showing.show(row, image("a"), there) == showing.show(row, image("a"), there, APPLIED)


def test_mixed_draws_the_mentioned_alone_in_three_of_five() -> None:
    settings, there = ShowingSettings(regions="mixed"), regions(8)
    counts = [len(drawn_regions((2,), there, settings, random.Random(seed))) for seed in range(2000)]
    assert set(counts) == {1, 5}
    assert counts.count(1) / 2000 == pytest.approx(0.6, abs=0.04)


@given(st.lists(st.tuples(st.integers(0, 14), st.booleans()), min_size=40, max_size=120), st.integers(0, 99))
def test_no_image_is_in_two_parts_and_no_example_is_lost(rows: list[tuple[int, bool]], seed: int) -> None:
    examples = [example(f"image {number}", place, accepted) for place, (number, accepted) in enumerate(rows)]
    try:
        parts = split(examples, held_out_share=0.2, test_share=0.2, seed=seed)
    except SettingsError as error:
        assert "all accepted" in str(error) or "all rejected" in str(error) or "has no labels" in str(error)  # noqa: PT017
        return
    found = (parts.train, parts.held_out, parts.test)
    images = [{one.image.image_id for one in part} for part in found]
    assert sum(map(len, images)) == len(set().union(*images))
    assert sorted(one.label.row_id for part in found for one in part) == sorted(one.label.row_id for one in examples)
    assert split(examples, held_out_share=0.2, test_share=0.2, seed=seed) == parts


def test_a_part_with_one_kind_of_label_is_refused() -> None:
    rows = [example(f"image {place}", place, True) for place in range(20)]
    rows += [example("image 20", place, False) for place in range(20, 30)]
    with pytest.raises(SettingsError) as refused:
        split(rows, held_out_share=0.2, test_share=0.2, seed=0)
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
    found = read_examples(run, labels[::-1])
    assert [one.label for one in found] == sorted(labels, key=lambda label: label.row_id)
    assert all(one.candidate.row_id == one.label.row_id for one in found)
    assert all(one.image.image_id == one.label.image_id == one.candidate.image_id for one in found)
    assert {len(one.regions) for one in found} == {2}
    gone = [replace(label, row_id=f"gone {place}") for place, label in enumerate(labels[:2])]
    with caplog.at_level(logging.WARNING):
        assert read_examples(run, [*labels[2:], *gone]) == [one for one in found if one.label in labels[2:]]
    assert caplog.messages == [
        f"2 of 24 labels are for candidates that {run.path} no longer has, as after a change of its recipe; they are"
        f" left out. Label the new ones with: ostensive annotate {run.path}"
    ]
    with pytest.raises(SettingsError, match="has no candidates; run `ostensive build` with this folder as --out first"):
        read_examples(RunFolder(tmp_path / "nothing"), labels)


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
    found = [Found(logit, 2.0, 1.0) for logit in (3.0, 1.0, -1.0, -3.0)]
    labels = [
        Label("a", "x", True, 3.0, 1.0, 2),
        Label("b", "x", False, 1.0, 1.0, 2),
        Label("c", "y", True, 2.0, 1.0, 2),
        Label("d", "y", False, 2.0, 1.0, 2),
    ]
    one = figures_of(found, labels, Calibration())
    assert one.part == Part(rows=4, images=2, accepted=2)
    assert (one.precision, one.recall, one.f1) == (0.5, 0.5, 0.5)
    assert one.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert one.accepted_in_best_fifth == 1.0
    assert one.qa_error == pytest.approx(math.sqrt(0.5))
    assert (one.rationale_error, one.rationale_error_of_mean) == (0.0, 0.0)
    assert figures_of(found, labels, Calibration(10.0)).precision == 0.0


def test_the_best_fifth_and_average_precision() -> None:
    scores = [float(place) for place in range(10)]
    accepted = [place in (9, 3) for place in range(10)]
    assert accepted_in_best(scores, accepted, 0.2) == 0.5
    assert accepted_in_best([1.0], [True], 0.2) == 1.0
    assert average_precision(scores, accepted) == pytest.approx((1 + 2 / 7) / 2)


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert rate_at(0, 1, 0.0) == 1.0


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
    reached = [HeldOut(0.5, 0.1), HeldOut(0.7, 0.6), HeldOut(0.7, 0.4), HeldOut(0.7, 0.4), HeldOut(0.7, 0.5)]
    rounds = tuple(Round(epoch, 1.0, held_out, 1.0) for epoch, held_out in enumerate(reached))
    assert Progress(epoch=5, rounds=rounds).best == rounds[2]
    assert Progress(epoch=2, rounds=rounds[:2]).best == rounds[1]
    assert Progress().best is None


def test_what_a_critic_knows_of_regions() -> None:
    rows = [
        replace(example("a", 0, True), candidate=qar(image("a"), "x", "So.", (0, 2))),
        replace(example("b", 1, False), regions=regions(4)),
    ]
    assert known_regions(rows, ShowingSettings()) == Known(2, 2)
    assert known_regions(rows, ShowingSettings(regions="among_others", max_regions=3)) == Known(3, 3)
    nothing = [replace(rows[0], candidate=qar(image("a"), "x", "So.", ()))]
    assert known_regions(nothing, ShowingSettings()) == Known(0, -1)


def test_settings_are_checked() -> None:
    good = {"backbone": "vlm", "model": "some/model"}
    assert validate(TrainSettings, good, "here").head_weights.qa == 0.5
    for values, message in (
        ({"held_out_share": 0.5, "test_share": 0.4}, "held_out_share and test_share together at most 0.8"),
        ({"head_weights": {"accept": 0}}, "head_weights.accept: input should be greater than 0"),
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
        ('{"format": 1}', "backbone: Field required; take the folder as training wrote it"),
    ],
)
def test_a_folder_that_is_no_critic_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "critic.json").write_text(text, "utf-8")
    with pytest.raises(SettingsError) as refused:
        read_critic(tmp_path)
    assert message in str(refused.value)


def test_the_card_says_what_was_reached() -> None:
    found = [Found(logit, 2.0, 1.0) for logit in (3.0, 1.0, -1.0, -3.0)]
    labels = [Label(str(place), "x", place % 2 == 0, 2.0, 1.0, 2) for place in range(4)]
    figures = TrainedFigures(
        version="abc" * 22,
        base_version="sha256:0",
        labels_hash="def" * 22,
        known=Known(2, 7),
        train=Part(80, 30, 40),
        held_out=Part(10, 4, 5),
        test=figures_of(found, labels, Calibration(0.1, 1.7)),
        calibration=Calibration(0.1, 1.7),
        rounds=(Round(0, 0.7, HeldOut(0.6, 0.6), 12.0), Round(1, 0.6, HeldOut(0.8, 0.5), 11.0)),
        best_epoch=1,
        seconds=23.0,
    )
    card = critic_card(TrainSettings(backbone="blip2", model="some/model", revision="v1"), figures)
    for line in (
        "| training | 80 | 30 | 50.0% |",
        "| precision, recall, F1 at probability 0.5 | 0.500, 0.500, 0.500 |",
        "- Base: `some/model` at `v1` (`sha256:0`), backbone `blip2`; image tower trained, language part trained.",
        "- 2 rounds, the best was number 2; 23 seconds; temperature 1.700, logit offset 0.100.",
        "numbers up to 7.",
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
