"""Which candidates are put up to be judged, round by round, and what of them is held out."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from annotated_run import SETTINGS, write_run, write_stage
from hypothesis import given
from hypothesis import strategies as st
from page_client import PageClient, served
from typer.testing import CliRunner

import ostensive
from builders.localized.records import Qar
from builders.representatives import annotated_run
from builders.table import load
from critics.annotation.access import AccessControl
from critics.annotation.app import AnnotationSession
from critics.annotation.choosing import (
    ScoredRow,
    by_disagreement,
    by_doubt,
    by_lot,
    in_turns,
    is_held_out,
)
from critics.annotation.export import agreement, export, run_labels
from critics.annotation.label_studio import from_label_studio, to_label_studio
from critics.annotation.stock import AnnotateOptions, stock
from critics.annotation.store import STORE_NAME, AnnotationStore
from critics.annotation.tasks import TASKS
from critics.labels import CriterionTarget, Label, read_labels, write_labels
from critics.threshold_choice import ThresholdTarget, choose_threshold
from critics.trained.inputs import MIN_LABELS, Example, LabelSplits, split_examples, split_notes
from microworld.folder import write_scenes
from ostensive.cli import app
from ostensive.errors import SettingsError
from ostensive.recipe import dump
from ostensive.records import CriticScore, ImageRecord, Location, Scored
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import read_kept

IMAGES, PER_IMAGE = 30, 4
SEED = 0  # of the recipe


def rows_of(probabilities: Sequence[float], *, images: int = 3) -> list[ScoredRow]:
    return [ScoredRow(f"r{place}", f"i{place % images}", (one,)) for place, one in enumerate(probabilities)]


def test_doubt_takes_first_what_is_nearest_to_where_a_critic_is_least_sure() -> None:
    rows = rows_of([0.1, 0.9, 0.45, 0.6, 0.52])
    assert [row.row_id for row in by_doubt(rows, 0.5)] == ["r4", "r2", "r3", "r0", "r1"]
    assert by_doubt(rows, 0.8)[0].row_id == "r1"


def test_disagreement_compares_ranks_and_not_scales() -> None:
    # The second critic says the same on a scale of its own, but for the first row.
    rows = [
        ScoredRow(f"r{place}", "i", pair)
        for place, pair in enumerate([(0.9, 0.01), (0.1, 0.02), (0.2, 0.03), (0.3, 0.04)])
    ]
    assert by_disagreement(rows)[0].row_id == "r0"
    agreed = [ScoredRow(f"r{place}", "i", (place / 10, place / 100)) for place in range(5)]
    assert [row.row_id for row in by_disagreement(agreed)] == [f"r{place}" for place in range(5)], "by id where none do"
    assert by_disagreement([]) == []


def test_of_an_image_there_are_at_most_so_many() -> None:
    chosen = in_turns({"doubt": rows_of([0.5] * 9)}, 5, per_image=2)
    assert Counter(row.image_id for row in chosen) == {"i0": 2, "i1": 2, "i2": 1}
    more = in_turns({"doubt": rows_of([0.5] * 9)}, 9, per_image=2, judged={"i0": 2, "i1": 1})
    assert Counter(row.image_id for row in more) == {"i1": 1, "i2": 2}


def test_ways_take_turns_and_a_row_counts_once() -> None:
    rows = rows_of([0.5, 0.6, 0.7, 0.8], images=4)
    chosen = in_turns({"doubt": rows, "random": rows[::-1]}, 4, per_image=1)
    assert [(row.row_id, row.drawn) for row in chosen] == [
        ("r0", "doubt"),
        ("r3", "random"),
        ("r1", "doubt"),
        ("r2", "random"),
    ]
    assert [row.row_id for row in in_turns({"doubt": rows, "random": rows}, 99, per_image=9, seen=["r0"])] == [
        "r1",
        "r2",
        "r3",
    ]


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 40), st.integers(1, 4))
def test_no_order_of_rows_changes_a_choice(probabilities: list[float], count: int, per_image: int) -> None:
    rows = rows_of(probabilities)
    chosen = in_turns({"doubt": by_doubt(rows, 0.5)}, count, per_image=per_image)
    assert chosen == in_turns({"doubt": by_doubt(rows[::-1], 0.5)}, count, per_image=per_image)
    room = sum(min(per_image, size) for size in Counter(row.image_id for row in rows).values())
    assert len(chosen) == min(count, room)
    assert len({row.row_id for row in chosen}) == len(chosen)
    assert by_lot(rows, 1) == by_lot(rows[::-1], 1)


def test_a_share_of_the_images_is_held_out_by_lot_and_stays_so() -> None:
    images = [f"{number:064x}" for number in range(2000)]
    held = {image for image in images if is_held_out(image, seed=1, share=0.2)}
    assert 0.17 < len(held) / len(images) < 0.23
    assert held < {image for image in images if is_held_out(image, seed=1, share=0.3)}
    assert held != {image for image in images if is_held_out(image, seed=2, share=0.2)}
    assert not any(is_held_out(image, seed=1, share=0) for image in images)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose critics have scored it: `evidence` is least sure of the last candidate of each image."""
    run = write_run(tmp_path, images=IMAGES, per_image=PER_IMAGE)
    critics = "critics=[{kind: rules}, {kind: evidence}, {kind: evidence, name: second}]"
    run.recipe_path.write_text(dump(load("localized", assignments=(*SETTINGS, critics))), "utf-8")
    score(run, "1")
    return run


def score(run: RunFolder, version: str) -> None:
    """Gives the candidates of a run scores by critics of this version."""
    rows = read_kept(run.partition_paths("unique")[0], Qar)
    scored = []
    for place, row in enumerate(rows):
        number = place % PER_IMAGE
        evidence = 0.5 + (PER_IMAGE - 1 - number) / 10 + place / 10_000
        scores = (
            CriticScore("rules", "r", 1.0, "", ""),
            CriticScore("evidence", version, evidence, "no", ""),
            CriticScore("second", version, 1 - evidence if number == 0 else evidence, "no", ""),
        )
        scored.append(Scored(row, scores))
    write_stage(run, "scored", scored, Scored[Qar])


def stocked(run: RunFolder, **options: object) -> list[str]:
    with AnnotationStore(run.path / STORE_NAME) as store:
        return stock(annotated_run(run.path), store, AnnotateOptions(**options))  # type: ignore[arg-type] # of a test


def items_of(run: RunFolder) -> dict[str, tuple[str, str, bool, int]]:
    """The image, how it was drawn, whether it is held out and the round of each item."""
    with AnnotationStore(run.path / STORE_NAME) as store:
        return {
            item.item_id: (item.image_id, item.draw.drawn, item.draw.held_out, item.draw.round_number)
            for item in store.items("triple")
        }


def judge_all(run: RunFolder, *people: str) -> int:
    """Judges all there is; returns how often anybody was asked. Nobody may be asked twice."""
    asked = []
    with AnnotationStore(run.path / STORE_NAME) as store:
        for name in people:
            while (item := store.next_item("triple", name, len(people))) is not None:
                answer = "accept" if int(item.item_id[0], 16) % 2 else "reject"
                store.record("triple", item.item_id, name, {"qa": answer, "rationale": answer})
                asked.append((name, item.item_id))
    assert len(set(asked)) == len(asked)
    return len(asked)


def test_a_round_by_doubt(run: RunFolder) -> None:
    notes = stocked(run, choose="doubt", critics=("evidence",), images=10, per_image=2)
    items = items_of(run)
    assert notes == [
        f"round 1, by doubt of evidence: {len(items)} triples, {len(items)} of them new",
        f"{len(items)} triples about {len({one[0] for one in items.values()})} of 30 images to judge, 2 of them held"
        " out to measure by",
    ]
    doubtful = {row_id: one for row_id, one in items.items() if not one[2]}
    held = {row_id: one for row_id, one in items.items() if one[2]}
    assert len(doubtful) == 8 * 2
    assert {one[1] for one in doubtful.values()} == {"doubt"}
    assert {one[1] for one in held.values()} == {"random"}
    assert len({one[0] for one in held.values()}) == 2
    assert all(is_held_out(one[0], seed=SEED, share=0.2) == one[2] for one in items.values())
    assert max(Counter(one[0] for one in items.values()).values()) <= 2
    rows = {row.record_id: row.scores[1] for row in read_kept(run.partition_paths("scored")[0], Scored[Qar])}
    others = [abs(score.accept_probability - 0.5) for row_id, score in rows.items() if row_id not in items]
    # Evidence's own threshold is one half, where the last candidates of images are.
    assert max(abs(rows[row_id].accept_probability - 0.5) for row_id in doubtful) < min(others) + 0.02


def test_rounds_keep_what_there_was_and_no_image_changes_sides(run: RunFolder) -> None:
    stocked(run, images=8, per_image=2, held_out=0.25)
    first = items_of(run)
    assert {one[1] for one in first.values()} == {"differing", "random"}
    assert {one[1] for one in first.values() if one[2]} == {"random"}
    assert judge_all(run, "ada", "bo") == 2 * len(first)

    said = stocked(run, choose="mixed", critics=("evidence",), images=10, per_image=2)
    second = items_of(run)
    assert first.items() < second.items()
    new = {row_id: one for row_id, one in second.items() if row_id not in first}
    assert {one[3] for one in first.values()} == {1}
    assert {one[3] for one in new.values()} == {2}
    assert Counter(one[1] for one in new.values() if not one[2]) == {"doubt": 8, "random": 8}
    assert said[0] == f"round 2, by mixed of evidence: {len(new)} triples, {len(new)} of them new"
    # Whoever comes is asked of the new ones alone, those of images that others judged included.
    assert judge_all(run, "cy", "ada") == 2 * len(new)
    again = stocked(run, choose="mixed", critics=("evidence",), images=10, per_image=2)
    assert again[0] == (
        f"round 2, by mixed of evidence: {len(new)} triples, none of them new, 0 still to judge; for another round"
        " train and apply a critic that knows this one, for more by the same scores give a larger --images"
    )
    assert items_of(run) == second

    score(run, "2")
    stocked(run, choose="mixed", critics=("evidence",), images=10, per_image=2)
    third = items_of(run)
    assert second.items() < third.items()
    assert {one[3] for row_id, one in third.items() if row_id not in second} == {3}
    sides = {(one[0], one[2]) for one in third.values()}
    assert len({image_id for image_id, _ in sides}) == len(sides), "an image is held out or not"
    judge_all(run, "ada", "bo")
    labels = run_labels(run)
    assert {(label.round_number, label.drawn, label.held_out) for label in labels} == {
        one[3:] + one[1:3] for one in third.values()
    }
    with AnnotationStore(run.path / STORE_NAME) as store:
        exported = export(run, store)
    assert exported.labels is not None
    assert read_labels(exported.labels) == labels
    table = pq.read_table(exported.judgements).to_pylist()
    assert {(row["item_id"], row["drawn"], row["held_out"], row["round_number"]) for row in table} == {
        (row_id, *one[1:]) for row_id, one in third.items()
    }
    assert agreement(run.path)["triple"][0].items == len(third)


def test_a_round_grows_with_the_number_that_is_asked_for(run: RunFolder) -> None:
    stocked(run, choose="doubt", critics=("evidence",), images=5, per_image=2)
    small = items_of(run)
    stocked(run, choose="doubt", critics=("evidence",), images=10, per_image=2)
    large = items_of(run)
    assert small.items() < large.items()
    assert {one[3] for one in large.values()} == {1}
    fresh = RunFolder(run.path)
    (run.path / STORE_NAME).unlink()
    stocked(fresh, choose="doubt", critics=("evidence",), images=10, per_image=2)
    assert items_of(fresh).keys() == large.keys(), "as if it had been asked for at once"


def test_a_sample_that_differs_goes_on_after_a_round(run: RunFolder) -> None:
    stocked(run, choose="doubt", critics=("evidence",), images=5, per_image=1)
    before = items_of(run)
    stocked(run, images=IMAGES, per_image=2)
    after = items_of(run)
    assert before.items() < after.items()
    new = {row_id: one for row_id, one in after.items() if row_id not in before}
    assert {one[3] for one in new.values()} == {2}
    held = {one[0] for one in before.values() if one[2]}
    assert not held & {one[0] for one in new.values() if not one[2]}
    assert {one[0] for one in after.values()} == set(
        pq.read_table(run.partition_paths("unique")[0])["image_id"].to_pylist()
    )


def test_disagreement_of_all_critics_but_rules(run: RunFolder) -> None:
    notes = stocked(run, choose="disagreement", images=10, per_image=1, held_out=0)
    assert notes[0] == "round 1, by disagreement of evidence and second: 10 triples, 10 of them new"
    rows = read_kept(run.partition_paths("unique")[0], Qar)
    first_of_image = {row.row_id for place, row in enumerate(rows) if place % PER_IMAGE == 0}
    assert set(items_of(run)) <= first_of_image
    assert not any(one[2] for one in items_of(run).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"choose": "doubt"},
            r"--choose doubt: of 2 critics \(evidence, second\) one is to choose; name one, --critic",
        ),
        ({"choose": "doubt", "critics": ("evidense",)}, "it has rules, evidence, second; did you mean evidence"),
        (
            {"choose": "disagreement", "critics": ("evidence",)},
            "two critics that score are needed, and .* has evidence",
        ),
        ({"critics": ("evidence",)}, "--critic evidence: no scores are asked for; say what they choose by"),
        ({"choose": "often"}, "--choose often: one of differing, doubt, disagreement, mixed is expected"),
        ({"held_out": 1.0}, "--held-out 1: a share from 0 to 0.9 is expected"),
        ({"items": Path("x"), "task": "rating", "choose": "doubt"}, "--items: a file's items are all judged"),
    ],
)
def test_what_is_asked_for_wrongly(run: RunFolder, options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        stocked(run, **options)
    assert items_of(run) == {}


def test_a_run_without_scores(tmp_path: Path) -> None:
    run = write_run(tmp_path, images=2)
    run.recipe_path.write_text(dump(load("localized", assignments=(*SETTINGS, "critics=[{kind: rules}]"))), "utf-8")
    done = CliRunner().invoke(app, ["annotate", str(run.path), "--choose", "doubt"])
    assert isinstance(done.exception, SettingsError)
    assert str(done.exception) == (
        f"--choose doubt: {run.path} has no critic but rules to choose by; train one with `ostensive critic train`, and"
        " give the run its scores with `ostensive critic apply RUN MODEL`"
    )
    assert not (run.path / STORE_NAME).exists()
    with pytest.raises(SettingsError, match="no candidate has a score by rules yet; train one with"):
        stocked(run, choose="doubt", critics=("rules",))


def test_a_trained_critic_is_least_sure_at_one_half_and_needs_no_name(run: RunFolder) -> None:
    critics = "critics=[{kind: rules}, {kind: evidence}, {kind: trained, model: x, min_accept_probability: 0.9}]"
    run.recipe_path.write_text(dump(load("localized", assignments=(*SETTINGS, critics))), "utf-8")
    rows = read_kept(run.partition_paths("unique")[0], Qar)
    scored = [
        Scored(
            row, (CriticScore("evidence", "e", 0.5, "no", ""), CriticScore("trained", "t", place / len(rows), "no", ""))
        )
        for place, row in enumerate(rows)
    ]
    write_stage(run, "scored", scored, Scored[Qar])
    assert "by doubt of trained" in stocked(run, choose="doubt", images=4, per_image=1, held_out=0)[0]
    middle = len(rows) // 2
    place = {row.row_id: at for at, row in enumerate(rows)}
    assert all(abs(place[row_id] - middle) <= 2 * PER_IMAGE for row_id in items_of(run))


def test_the_page_does_not_tell_what_is_held_out(run: RunFolder) -> None:
    stocked(run, choose="doubt", critics=("evidence",), images=10, per_image=2)
    annotated = annotated_run(run.path)
    with AnnotationStore(run.path / STORE_NAME) as store:
        session = AnnotationSession(store, annotated.pictures(store), (TASKS["triple"],), 1)
        with served(session, AccessControl(store.secret(), host="127.0.0.1")) as address, PageClient(address) as ada:
            ada.enter("Ada")
            shown = ada.page
            judged = []
            while item_id := ada.judge(qa="accept", rationale="accept"):
                judged.append(item_id)
                shown += ada.page
    assert sorted(judged) == sorted(items_of(run))
    for word in ("held out", "held_out", "doubt", "random", "differ"):
        assert word not in shown.lower()
    sides = [items_of(run)[item_id][2] for item_id in judged]
    assert sides not in (sorted(sides), sorted(sides, reverse=True)), "the order does not tell either"


def test_label_studio_takes_rounds_and_is_told_no_side(run: RunFolder, tmp_path: Path) -> None:
    annotated, folder = annotated_run(run.path), tmp_path / "studio"
    notes: list[str] = []
    options = AnnotateOptions(choose="doubt", critics=("evidence",), images=10, per_image=2)
    count = to_label_studio(annotated, folder, options, on_note=notes.append)
    items = items_of(run)
    assert count == len(items)
    assert notes[0].startswith("round 1, by doubt of evidence")
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert all(
        set(task["data"]) == {"image", "task", "item_id", "image_id", "question", "answer", "rationale"}
        for task in tasks
    )
    # Somebody judged all, and of a held-out image a candidate too that was not chosen here.
    held = next(one[0] for one in items.values() if one[2])
    other = next(
        row
        for row in read_kept(run.partition_paths("unique")[0], Qar)
        if row.image_id == held and row.row_id not in items
    )
    tasks.append({"data": {"item_id": other.row_id}})
    for task in tasks:
        given = [{"from_name": name, "value": {"choices": ["accept"]}} for name in ("qa", "rationale")]
        task["annotations"] = [{"id": 1, "result": given, "completed_by": 7}]
    (folder / "back.json").write_text(json.dumps(tasks), "utf-8")
    assert from_label_studio(annotated, folder / "back.json", on_note=notes.append) == len(items) + 1
    labels = {label.row_id: label for label in run_labels(run)}
    assert {row_id: (one.drawn, one.held_out) for row_id, one in labels.items() if row_id in items} == {
        row_id: one[1:3] for row_id, one in items.items()
    }
    assert (labels[other.row_id].drawn, labels[other.row_id].held_out) == ("elsewhere", True)


def test_labels_from_elsewhere_need_not_say_how_they_were_drawn(tmp_path: Path) -> None:
    label = Label("r", "i", True, (CriterionTarget("qa", 3.0),), "doubt", True, 2)
    write_labels(tmp_path / "all.parquet", [label])
    assert read_labels(tmp_path / "all.parquet") == [label]
    table = pq.read_table(tmp_path / "all.parquet").select(["row_id", "image_id", "accepted", "targets"])
    pq.write_table(table, tmp_path / "few.parquet")
    assert read_labels(tmp_path / "few.parquet") == [Label("r", "i", True, (CriterionTarget("qa", 3.0),))]
    assert read_labels(tmp_path / "few.parquet")[0].is_fair
    write_labels(tmp_path / "odd.parquet", [replace(label, drawn="by hand")])
    with pytest.raises(SettingsError, match="row r: drawn is 'by hand'; one of random, differing, doubt"):
        read_labels(tmp_path / "odd.parquet")


def test_a_threshold_is_measured_by_what_was_drawn_fairly(run: RunFolder, tmp_path: Path) -> None:
    rows = read_kept(run.partition_paths("scored")[0], Scored[Qar])
    labels = [
        Label(
            row.record_id,
            row.image_id,
            place % 3 > 0,
            (CriterionTarget("qa", 3.0),),
            "doubt" if place < 50 else "random",
        )
        for place, row in enumerate(rows)
    ]
    labels_at = str(tmp_path / "labels.parquet")
    write_labels(Path(labels_at), labels)
    annotated = annotated_run(run.path)
    chosen = choose_threshold(
        run,
        ThresholdTarget(keep=0.5),
        recipe=annotated.recipe,
        kind=annotated.kind,
        critic="evidence",
        labels=Path(labels_at),
    )
    assert chosen.curve is not None
    assert (chosen.curve.rows, chosen.chosen_by_scores, chosen.gone) == (len(rows) - 50, 50, 0)
    told = CliRunner().invoke(
        app,
        [
            "critic",
            "threshold",
            str(run.path),
            "--critic",
            "evidence",
            "--keep",
            "0.5",
            "--quiet",
            "--labels",
            labels_at,
        ],
    )
    assert "left out: 50 labels that were chosen by scores, which say nothing of all candidates" in told.output


def example(image: int, number: int, **draw: object) -> Example:
    """One of four of an image, two of them accepted."""
    label = Label(f"{image}-{number}", f"i{image}", number < 2, (), **draw)  # type: ignore[arg-type] # of a test
    record = ImageRecord(f"i{image}", 8, 8, "PNG", "RGB", 1, "x.png", Location("x.png"))
    return Example(label, (), record, ())


def split(examples: Sequence[Example]) -> LabelSplits:
    return split_examples(examples, held_out_share=0.1, test_share=0.1, seed=0)


def images_in(examples: Sequence[Example]) -> set[str]:
    return {one.image.image_id for one in examples}


def test_what_is_held_out_is_the_test_split_and_nothing_else() -> None:
    held = [example(image, number, held_out=True, drawn="random") for image in range(8) for number in range(4)]
    others = [example(image, number, drawn="doubt") for image in range(8, 40) for number in range(4)]
    splits = split([*others, *held])
    assert images_in(splits.test) == images_in(held)
    assert len(splits.test) == len(held)
    assert not (images_in(splits.train) | images_in(splits.held_out)) & images_in(held)
    assert len(splits.train) + len(splits.held_out) == len(others)
    assert split_notes([*others, *held], splits.test) == []


@pytest.mark.parametrize(
    ("count", "told"), [(MIN_LABELS // 4 - 1, "are 16, and 20 are needed"), (8, "are all accepted")]
)
def test_too_little_held_out_is_filled_up_by_fair_images_and_never_learned_from(count: int, told: str) -> None:
    held = [example(image, number, held_out=True, drawn="random") for image in range(count) for number in range(4)]
    if count == 8:
        held = [replace(one, label=replace(one.label, accepted=True)) for one in held]
    fair = [example(image, number, drawn="differing") for image in range(100, 110) for number in range(4)]
    doubtful = [example(image, number, drawn="doubt") for image in range(200, 300) for number in range(4)]
    examples = [*doubtful, *fair, *held]
    splits = split(examples)
    assert images_in(held) < images_in(splits.test) <= images_in(held) | images_in(fair)
    assert len(splits.test) >= 0.1 * len(examples)
    assert split_notes(examples, splits.test) == [
        f"the labels held out to measure by {told}: further images are drawn for the test split"
    ]


def test_a_test_split_that_scores_chose_is_said_to_be_so() -> None:
    doubtful = [example(image, number, drawn="doubt") for image in range(40) for number in range(4)]
    (note,) = split_notes(doubtful, split(doubtful).test)
    assert note.startswith("16 of 16 labels of the test split were chosen by scores: its figures say nothing of all")
    fair = [example(image, number) for image in range(40) for number in range(4)]
    assert split_notes(fair, split(fair).test) == []


def test_the_oracle_judges_rounds_too(tmp_path: Path) -> None:
    images, out = tmp_path / "scenes", tmp_path / "run"
    write_scenes(images, 12, first_seed=70)
    settings = (
        *SETTINGS,
        "localized.modes=[ids]",
        "teacher.error_rate=0.6",
        "critics=[{kind: rules}, {kind: evidence}]",
    )
    ostensive.build("localized", images=images, out=out, options=ostensive.BuildOptions(settings=settings))

    def annotate(*arguments: str) -> dict[str, object]:
        command = ["microworld", "annotate", str(out), "--images", str(images), *arguments, "--json"]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        return dict(json.loads(done.stdout))

    first = annotate("--sample", "4", "--held-out", "0.5", "--per-image", "3")
    second = annotate("--choose", "doubt", "--sample", "4", "--held-out", "0.5", "--per-image", "3")
    assert int(str(second["judged"])) > int(str(first["judged"])) > 0
    labels = run_labels(RunFolder(out))
    assert len(labels) == second["judged"]
    assert {label.round_number for label in labels} == {1, 2}
    assert {label.drawn for label in labels if label.round_number == 2} == {"doubt", "random"}
    assert annotate("--choose", "doubt", "--sample", "4", "--held-out", "0.5", "--per-image", "3")["judged"] == len(
        labels
    )
