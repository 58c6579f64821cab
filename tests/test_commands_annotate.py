"""`ostensive annotate` without its page: what is put up to be judged, and what is done with what was said."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from annotated_run import candidate, write_run, write_stage
from PIL import Image

from critics.annotation.label_studio_files import from_label_studio, to_label_studio
from critics.annotation.serving import AnnotateOptions, annotate, export_judgements, read_recipe, stock
from critics.annotation.store import STORE_NAME, AnnotationStore
from critics.labels import read_labels
from ostensive.commands.agreement import agreement, agreement_lines
from ostensive.commands.annotate_lines import Wish, carry_out
from ostensive.errors import SettingsError
from ostensive.records import Qar
from ostensive.run.folder import RunFolder
from ostensive.run.partitions import read_kept

OPTIONS = AnnotateOptions()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path, images=4)


def stocked(run: RunFolder, **options: object) -> tuple[list[str], list[str]]:
    """The notes of putting up what is to be judged, and the image of each item then."""
    with AnnotationStore(run.path / STORE_NAME) as store:
        notes = stock(run, store, read_recipe(run), AnnotateOptions(**options))  # type: ignore[arg-type] # of a test
        return notes, [item.image_id for item in store.items("triple")]


def judge_all(run: RunFolder, *people: str, qa: str = "accept", count: int = 99) -> None:
    with AnnotationStore(run.path / STORE_NAME) as store:
        for name in people:
            for _ in range(count):
                item = store.next_item("triple", name, len(people))
                if item is None:
                    break
                store.record("triple", item.item_id, name, {"qa": qa, "rationale": "maybe"})


def lines(run: RunFolder, wish: Wish, *, options: AnnotateOptions = OPTIONS, as_json: bool = False) -> str:
    said: list[str] = []
    return "\n".join([*said, *carry_out(run.path, wish, options=options, as_json=as_json, say=said.append)])


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
    assert export_judgements(run.path).label_count == 3
    write_stage(run, "unique", rows, Qar)
    assert stocked(run)[0] == ["20 triples about 4 of 4 images to judge"]


def test_what_cannot_be_put_up(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the task rating needs --items FILE; only triples are taken from the run"):
        stocked(run, task="rating")
    items = tmp_path / "items.jsonl"
    row = {"image_id": "0" * 64, "question": "q", "answer": "a", "rationale": "r"}
    items.write_text(json.dumps(row))
    with pytest.raises(SettingsError, match=r"1 of 1 items are about images that .* does not have, 0{12}\.\.\. first"):
        stocked(run, task="rating", items=items)
    image_id = read_kept(run.partition_paths("unique")[0], Qar)[0].image_id
    items.write_text(json.dumps({**row, "image_id": image_id}))
    assert stocked(run, task="rating", items=items)[0] == ["1 items of the task rating, 1 of them new"]
    assert stocked(run, task="rating", items=items)[0] == ["1 items of the task rating, 0 of them new"]
    with pytest.raises(SettingsError, match="--items is for the tasks rating, pairwise and preference; triples come"):
        stocked(run, items=items)
    for path in run.partition_paths("unique"):
        path.unlink()
    with pytest.raises(
        SettingsError, match="has no candidates to judge yet; run `ostensive build` with this folder as"
    ):
        stocked(run)


def test_a_page_needs_a_run_and_an_open_one_a_token(run: RunFolder, tmp_path: Path) -> None:
    def serve(out: Path, options: AnnotateOptions) -> None:
        annotate(out, options=options, on_ready=lambda _: pytest.fail("served"), on_note=lambda _: None)

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
    values = json.loads(lines(run, Wish(agreement=True), as_json=True))
    assert values["triple"][0] == json.loads(json.dumps(asdict(agreement(run.path)["triple"][0])))


def test_export_is_printed(run: RunFolder) -> None:
    stocked(run, images=1)
    judge_all(run, "Ada")
    folder = run.path / "annotations"
    assert lines(run, Wish(export=True)) == (
        f"5 judgements in {folder / 'judgements.parquet'}\n5 labels in {folder / 'labels.parquet'}"
    )
    assert len(read_labels(folder / "labels.parquet")) == 5
    assert json.loads(lines(run, Wish(export=True), as_json=True))["label_count"] == 5


def test_one_wish_at_a_time(run: RunFolder) -> None:
    with pytest.raises(SettingsError, match="--to-label-studio and --from-label-studio: give one of them at a time"):
        lines(run, Wish(agreement=True, export=True))


def test_label_studio_and_back(run: RunFolder, tmp_path: Path) -> None:
    stocked(run, images=2)
    judge_all(run, "Ada", "Bo", count=4)
    folder = tmp_path / "studio"
    options = AnnotateOptions(images=2)
    assert lines(run, Wish(to_label_studio=folder), options=options) == (
        f"10 tasks, their images and config.xml in {folder}"
    )
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert len(tasks) == 10
    for task in tasks:
        name = task["data"]["image"].removeprefix("/data/local-files/?d=")
        assert Image.open(folder / name).size == (640, 480)
    assert (folder / "config.xml").read_text().startswith("<View>")

    # Somebody's run of the same candidates, to which nothing was put up.
    other = write_run(tmp_path / "other", images=4)
    notes: list[str] = []
    assert from_label_studio(other.path, folder / "tasks.json", on_note=notes.append) == 8
    assert notes == []
    assert from_label_studio(other.path, folder / "tasks.json", on_note=notes.append) == 0
    export_judgements(run.path)
    export_judgements(other.path)
    assert read_labels(other.path / "annotations/labels.parquet") == read_labels(
        run.path / "annotations/labels.parquet"
    )

    tasks[0]["data"]["item_id"] = "unknown"
    tasks[1]["annotations"] = [{"result": tasks[2]["annotations"][0]["result"], "completed_by": 4}]
    tasks[1]["annotations"][0]["result"][0]["meta"]["annotator"] = "\u202e"
    (folder / "tasks.json").write_text(json.dumps(tasks))
    assert lines(other, Wish(from_label_studio=folder / "tasks.json")) == "0 judgements taken in that were not here yet"
    from_label_studio(other.path, folder / "tasks.json", on_note=notes.append)
    assert notes[0].endswith("task 1: its item_id is 'unknown', which this run does not have")
    assert notes[1].endswith("a name of 1 to 40 visible characters is expected")


def test_an_image_that_is_gone_is_named(run: RunFolder, tmp_path: Path) -> None:
    image_id = read_kept(run.partition_paths("unique")[0], Qar)[0].image_id
    items = tmp_path / "items.jsonl"
    items.write_text(
        json.dumps({"image_id": image_id, "question": "q", "answer": "a", "rationale": "r", "item_id": "one"})
    )
    options = AnnotateOptions(task="rating", items=items)
    assert to_label_studio(run.path, tmp_path / "studio", options=options) == 1
    write_stage(run, "unique", [candidate(image_id, 1)], Qar)
    for path in run.partition_paths("images"):
        path.unlink()
    with pytest.raises(SettingsError, match="1 of 1 items are about images that"):
        to_label_studio(run.path, tmp_path / "studio", options=options)
