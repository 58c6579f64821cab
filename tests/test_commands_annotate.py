"""`ostensive annotate` without its page: what is put up to be judged, and what is done with what was said."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from annotated_run import candidate, write_run, write_stage
from critic_context import CAPTIONS, Caption, caption, notes_recipe
from PIL import Image
from typer.testing import CliRunner

from builders.localized.records import Qar
from builders.representatives import annotated_run
from critics.annotation.export import agreement, export, run_labels
from critics.annotation.label_studio import from_label_studio, to_label_studio
from critics.annotation.serving import annotate
from critics.annotation.stock import AnnotatedRun, AnnotateOptions, stock
from critics.annotation.store import STORE_NAME, AnnotationStore
from critics.labels import Draw, read_labels
from ostensive.cli import app
from ostensive.commands.annotate import agreement_lines
from ostensive.errors import SettingsError
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import read_kept

OPTIONS = AnnotateOptions()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path, images=4)


def stocked(run: RunFolder, **options: object) -> tuple[list[str], list[str]]:
    """The notes of putting up what is to be judged, and the image of each item then."""
    annotated = annotated_run(run.path)
    wanted = AnnotateOptions(**options)  # type: ignore[arg-type] # of a test
    with AnnotationStore(run.path / STORE_NAME) as store:
        notes = stock(annotated, store, wanted)
        return notes, [item.image_id for item in store.items(annotated.task(wanted.task).name)]


def labels_of(run: RunFolder) -> int:
    with AnnotationStore(run.path / STORE_NAME) as store:
        return export(run, store).label_count


def judge_all(run: RunFolder, *people: str, qa: str = "accept", count: int = 99) -> None:
    with AnnotationStore(run.path / STORE_NAME) as store:
        for name in people:
            for _ in range(count):
                item = store.next_item("triple", name, len(people))
                if item is None:
                    break
                store.record("triple", item.item_id, name, {"qa": qa, "rationale": "maybe"})


def lines(run: RunFolder, *arguments: object) -> str:
    """What the command prints; raises what it raises."""
    done = CliRunner().invoke(app, ["annotate", str(run.path), *map(str, arguments)], catch_exceptions=False)
    return done.stdout.rstrip("\n")


def test_the_sample_grows_and_keeps_what_it_had(run: RunFolder) -> None:
    notes, two = stocked(run, images=2)
    assert notes == ["10 triples about 2 of 4 images to judge"]
    assert len(set(two)) == 2
    notes, three = stocked(run, images=3)
    assert notes == ["15 triples about 3 of 4 images to judge"]
    assert three[:10] == two
    assert stocked(run, images=1) == (["15 triples about 3 of 4 images to judge"], three)
    assert stocked(run) == (["20 triples about 4 of 4 images to judge"], stocked(run)[1])


def test_candidates_that_went_are_retired_and_what_was_said_of_them_is_kept(run: RunFolder) -> None:
    stocked(run)
    judge_all(run, "Ada", count=3)
    rows = read_kept(run.partition_paths("unique")[0], Qar)
    with AnnotationStore(run.path / STORE_NAME) as store:
        judged = set(store.answers("triple"))
    write_stage(run, "unique", [row for row in rows if row.row_id not in judged], Qar)
    notes, images = stocked(run)
    assert notes[0] == "3 judged triples are no candidates of this run any more; their judgements are kept"
    assert len(images) == 17
    assert labels_of(run) == 3
    write_stage(run, "unique", rows, Qar)
    assert stocked(run)[0] == ["20 triples about 4 of 4 images to judge"]


def test_what_cannot_be_put_up(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        stocked(run, task="pairwise")
    assert str(caught.value) == (
        "the task pairwise does not suit the triples of the recipe localized; give --items FILE, or --task triple or"
        " rating or accept"
    )
    items = tmp_path / "items.jsonl"
    row = {"image_id": "0" * 64, "question": "q", "answer": "a", "rationale": "r"}
    items.write_text(json.dumps(row))
    with pytest.raises(SettingsError, match=r"1 of 1 items are about images that .* does not have, 0{12}\.\.\. first"):
        stocked(run, task="rating", items=items)
    image_id = read_kept(run.partition_paths("unique")[0], Qar)[0].image_id
    items.write_text(json.dumps({**row, "image_id": image_id}))
    assert stocked(run, task="rating", items=items)[0] == ["1 items of the task rating, 1 of them new"]
    assert stocked(run, task="rating", items=items)[0] == ["1 items of the task rating, 0 of them new"]
    with pytest.raises(
        SettingsError,
        match="--items is for the tasks rating, pairwise, preference; what the task triple asks about comes from",
    ):
        stocked(run, items=items)
    for path in run.partition_paths("unique"):
        path.unlink()
    with pytest.raises(
        SettingsError, match="has no candidates to judge yet; run `ostensive build` with this folder as"
    ):
        stocked(run)


def test_a_page_needs_a_run_and_an_open_one_a_token(run: RunFolder, tmp_path: Path) -> None:
    def serve(out: Path, options: AnnotateOptions) -> None:
        annotate(annotated_run(out), options, on_ready=lambda _: pytest.fail("served"), on_note=lambda _: None)

    with pytest.raises(
        SettingsError, match="there is no run here; give the folder that was --out of `ostensive build`"
    ):
        serve(tmp_path / "nothing", OPTIONS)
    with pytest.raises(SettingsError, match="--token: at least 16 printable ASCII characters are expected"):
        serve(run.path, AnnotateOptions(token="short"))
    with pytest.raises(SettingsError, match=r"cannot listen on 203\.0\.113\.1:0: .*"):
        serve(run.path, AnnotateOptions(host="203.0.113.1", port=0))


def test_agreement_is_printed(run: RunFolder) -> None:
    with pytest.raises(SettingsError, match="nothing was judged here yet; label with `ostensive annotate RUN`"):
        agreement(run.path)
    stocked(run)
    with pytest.raises(SettingsError, match="nothing was judged here yet"):
        agreement(run.path)
    judge_all(run, "Ada", "Bo")
    with AnnotationStore(run.path / STORE_NAME) as store:
        for item in store.items("triple")[:5]:
            store.record("triple", item.item_id, "Bo", {"qa": "reject"})
    assert list(agreement_lines(agreement(run.path))) == [
        "triple                      items  the same  nominal  ordinal   kappa",
        "qa                             20     75.0%   -0.114   -0.114",
        "  Ada, Bo                      20     75.0%                     0.000",
        "rationale                      20     75.0%   -0.114   -0.114",
        "  Ada, Bo                      20     75.0%                     0.000",
        "nominal, ordinal: Krippendorff's alpha; kappa: Cohen's. 1 is full agreement, 0 is chance, - is undefined.",
    ]
    values = json.loads(lines(run, "--agreement", "--json"))
    assert values["triple"][0] == json.loads(json.dumps(asdict(agreement(run.path)["triple"][0])))


def test_export_is_printed(run: RunFolder) -> None:
    stocked(run, images=1)
    judge_all(run, "Ada")
    folder = run.path / "annotations"
    assert lines(run, "--export") == (
        f"5 judgements in {folder / 'judgements.parquet'}\n5 labels in {folder / 'labels.parquet'}"
    )
    assert len(read_labels(folder / "labels.parquet")) == 5
    assert json.loads(lines(run, "--export", "--json"))["label_count"] == 5


def test_one_thing_at_a_time(run: RunFolder) -> None:
    with pytest.raises(SettingsError, match="--to-label-studio and --from-label-studio: give one of them at a time"):
        lines(run, "--agreement", "--export")


def test_label_studio_and_back(run: RunFolder, tmp_path: Path) -> None:
    stocked(run, images=2)
    judge_all(run, "Ada", "Bo", count=4)
    folder = tmp_path / "studio"
    assert lines(run, "--images", 2, "--to-label-studio", folder) == (
        f"10 tasks, their images and config.xml in {folder}"
    )
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert len(tasks) == 10
    for task in tasks:
        name = task["data"]["image"].removeprefix("/data/local-files/?d=")
        assert Image.open(folder / name).size == (640, 480)
    assert (folder / "config.xml").read_text().startswith("<View>")

    # Somebody's run of the same candidates, to which nothing was put up.
    other = annotated_run(write_run(tmp_path / "other", images=4).path)
    notes: list[str] = []
    assert from_label_studio(other, folder / "tasks.json", on_note=notes.append) == 8
    assert notes == []
    assert from_label_studio(other, folder / "tasks.json", on_note=notes.append) == 0
    # How they were drawn is known where they were drawn, and nothing that people see there tells it.
    unknown = asdict(Draw())
    assert run_labels(other.folder) == [replace(label, **unknown) for label in run_labels(run)]
    assert not unknown.keys() & tasks[0]["data"].keys()

    tasks[0]["data"]["item_id"] = "unknown"
    tasks[1]["annotations"] = [{"result": tasks[2]["annotations"][0]["result"], "completed_by": 4}]
    tasks[1]["annotations"][0]["result"][0]["meta"]["annotator"] = "\u202e"
    (folder / "tasks.json").write_text(json.dumps(tasks))
    assert (
        lines(other.folder, "--from-label-studio", folder / "tasks.json")
        == "0 judgements taken in that were not here yet"
    )
    from_label_studio(other, folder / "tasks.json", on_note=notes.append)
    assert notes[0].endswith("task 1: its item_id is 'unknown', which this run does not have")
    assert notes[1].endswith("a name of 1 to 254 visible characters is expected")


def test_an_image_that_is_gone_is_named(run: RunFolder, tmp_path: Path) -> None:
    image_id = read_kept(run.partition_paths("unique")[0], Qar)[0].image_id
    items = tmp_path / "items.jsonl"
    items.write_text(
        json.dumps({"image_id": image_id, "question": "q", "answer": "a", "rationale": "r", "item_id": "one"})
    )
    options = AnnotateOptions(task="rating", items=items)
    assert to_label_studio(annotated_run(run.path), tmp_path / "studio", options) == 1
    write_stage(run, "unique", [candidate(image_id, 1)], Qar)
    for path in run.partition_paths("images"):
        path.unlink()
    with pytest.raises(SettingsError, match="1 of 1 items are about images that"):
        to_label_studio(annotated_run(run.path), tmp_path / "studio", options)


def test_rationales_of_the_run_are_rated_where_that_suits_its_recipe(run: RunFolder) -> None:
    notes, images = stocked(run, task="rating", images=2)
    assert notes == ["10 triples about 2 of 4 images to judge"]
    assert len(images) == 10


# ---- a recipe that is not ours ----------------------------------------------------------------------------------


@pytest.fixture
def captions(tmp_path: Path) -> AnnotatedRun:
    """A run of captions, of images that nobody verbalized."""
    run = write_run(tmp_path, images=3)
    images = sorted({row.image_id for row in read_kept(run.partition_paths("unique")[0], Qar)})
    rows = [
        caption(f"A dog, number {number}.", note=f"dog {number}", image_id=image_id, row_id=f"{image_id[:8]}-{number}")
        for image_id in images
        for number in range(3)
    ]
    for stage in ("verbalized", "unique"):
        for path in run.partition_paths(stage):
            path.unlink()
    write_stage(run, "unique", rows, Caption)
    return AnnotatedRun(run, notes_recipe(), CAPTIONS, first_of_each)


def first_of_each(rows: Sequence[Caption], per_image: int) -> list[Caption]:
    return [row for row in rows if int(row.row_id.rpartition("-")[2]) < per_image]


def test_candidates_of_any_recipe_are_put_up_judged_and_become_labels(captions: AnnotatedRun) -> None:
    with AnnotationStore(captions.folder.path / STORE_NAME) as store:
        assert stock(captions, store, AnnotateOptions(per_image=2)) == ["6 captions about 3 of 3 images to judge"]
        assert [text.name for item in store.items("accept") for text in item.texts] == ["note", "caption"] * 6
        with pytest.raises(SettingsError, match="task triple does not suit the captions of the recipe captions; give"):
            stock(captions, store, AnnotateOptions(task="triple"))
        while (item := store.next_item("accept", "Ada", 1)) is not None:
            store.record(
                "accept", item.item_id, "Ada", {"acceptable": "reject" if "0." in item.texts[1].text else "maybe"}
            )
        export(captions.folder, store)
        assert captions.pictures(store).subjects.keys() == {item.image_id for item in store.items("accept")}
    labels = read_labels(captions.folder.path / "annotations/labels.parquet")
    assert [(label.accepted, label.target("acceptable")) for label in labels] == [(False, 0.0), (True, 2.0)] * 3
    assert list(agreement(captions.folder.path)) == ["accept"]


def test_candidates_of_any_recipe_go_to_label_studio_and_back(captions: AnnotatedRun, tmp_path: Path) -> None:
    folder = tmp_path / "studio"
    assert to_label_studio(captions, folder, AnnotateOptions(per_image=1)) == 3
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert tasks[0]["data"]["caption"] == "A dog, number 0."
    assert 'value="$caption"' in (folder / "config.xml").read_text()
    choice = {"from_name": "acceptable", "to_name": "image", "type": "choices", "value": {"choices": ["Accept"]}}
    for task in tasks:
        task["annotations"] = [{"result": [choice], "completed_by": "Ada"}]
    tasks[0]["data"]["item_id"] = tasks[0]["data"]["item_id"].replace("-0", "-2")  # not put up here, but of the run
    (folder / "tasks.json").write_text(json.dumps(tasks))
    assert from_label_studio(captions, folder / "tasks.json", on_note=pytest.fail) == 3
    assert all(label.accepted for label in run_labels(captions.folder))
