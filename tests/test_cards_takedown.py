"""An image goes out of a finished corpus with all of its rows, for good, and nothing else changes."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import caption_kind
import pytest
from drawn_corpus import written_corpus
from published_run import PublishedRun, drawn_run

from builders.localized.recipe import KIND as LOCALIZED
from builders.table import MODULES
from cards.assembling import publish
from cards.explaining import Explainer
from cards.lineage import Lineage
from cards.reading import CorpusManifest, open_corpus, read_corpus, read_manifest
from cards.report.writing import write_report
from cards.statistics.from_files import statistics_of
from cards.takedown import TakenDown, images_of, staged, take_down
from cards.takedowns import TAKEDOWNS_NAME, Takedown, read_takedowns, write_takedowns
from ostensive.commands.api import demo
from ostensive.commands.api_publish import takedown
from ostensive.errors import OstensiveError, SettingsError
from ostensive.run.build import Build
from ostensive.run.status import status

WIDE = {"max_shard_samples": 100, "max_shard_bytes": 1_000_000}
DAY = "2026-02-03"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> PublishedRun:
    """Seven images in six shards and three Parquet files."""
    return drawn_run(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def made(drawn: PublishedRun, tmp_path: Path) -> PublishedRun:
    """A copy of it to work on."""
    shutil.copytree(drawn.path, tmp_path / "run")
    return PublishedRun(drawn.images, tmp_path / "run")


def take(run: PublishedRun, image_id: str, **corpus: Any) -> TakenDown:
    return take_down(run.run, run.recipe(**corpus), caption_kind.KIND, image_id, reason="asked", day=DAY)


def manifest_of(run: PublishedRun) -> CorpusManifest:
    found = read_manifest(run.corpus)
    assert found is not None
    return found


def ids(run: PublishedRun) -> list[str]:
    """The images of the corpus, in order."""
    return list(dict.fromkeys(row["image_id"] for row in read_corpus(run.run).rows()))


def shards_of(run: PublishedRun) -> list[Path]:
    return sorted((run.corpus / "shards").glob("*.tar"))


@pytest.mark.parametrize("place", [0, 3, 6])
def test_the_same_bytes_as_a_build_that_leaves_it_out(drawn: PublishedRun, tmp_path: Path, place: int) -> None:
    taken, left_out = (PublishedRun(drawn.images, tmp_path / name) for name in ("taken", "left_out"))
    for run in (taken, left_out):
        shutil.copytree(drawn.path, run.path)
        run.build(**WIDE)
    image_id = ids(taken)[place]
    done = take(taken, image_id, **WIDE)
    write_takedowns(left_out.path, [Takedown(image_id, 2, "asked", DAY)])
    left_out.build(**WIDE)
    assert taken.files() == left_out.files()
    assert (done.rows, done.images, done.rows_left) == (2, 6, 12)
    assert taken.run.read_state() == left_out.run.read_state() | {"run_id": taken.run.read_state()["run_id"]}


def test_only_the_files_that_hold_it_are_others(made: PublishedRun) -> None:
    before, image_id = made.files(), ids(made)[5]
    done = take(made, image_id[:10].upper())
    after = made.files()
    shard, data = "shards/noted-train-000005.tar", "data/train-00001-of-00003.parquet"
    index, rows = "shards/shardindex-train.json", "rows/train-00000-of-00001.parquet"
    describing = tuple(path for path in before if path.startswith("plots/") and before[path] != after[path])
    assert "plots/rows-of-an-image.svg" in describing
    assert {path for path in before if before[path] != after.get(path)} == {
        shard, data, index, rows, *describing, "croissant.json", "manifest.json", "README.md",
    }  # fmt: skip
    assert set(done.changed) == {shard, index, data, rows, *describing, "croissant.json"}
    assert replace(done, changed=()) == TakenDown(image_id, 2, (), (), 6, 12)
    assert image_id not in ids(made)
    assert not any(image_id.encode() in content for content in after.values()), "not in any file of the corpus"


def test_what_is_left_adds_up(made: PublishedRun) -> None:
    """The third image fills a shard by itself, which goes: those behind it move up."""
    before, image_id = list(read_corpus(made.run).rows()), ids(made)[2]
    done = take(made, image_id)
    assert done.removed == ("shards/noted-train-000005.tar",)
    card = (made.corpus / "README.md").read_text("utf-8")
    assert "noted-train-{000000..000004}.tar" in card
    wanted = [row for row in before if row["image_id"] != image_id]
    rows = list(read_corpus(made.run).rows())
    assert [{**row, "shard": ""} for row in rows] == [{**row, "shard": ""} for row in wanted]
    index = json.loads((made.corpus / "shards" / "shardindex-train.json").read_text("utf-8"))
    assert [(one["url"], one["filesize"]) for one in index["shardlist"]] == [
        (path.name, path.stat().st_size) for path in shards_of(made)
    ]
    assert sum(one["nsamples"] for one in index["shardlist"]) == 6
    manifest = manifest_of(made)
    (summary,) = manifest.publishing
    assert (summary.inputs, summary.kept, summary.dropped, summary.failed) == (14, 12, {"taken down": 2}, {})
    assert "| corpus: published | 14 | 14 | 12 | 2 | 0 |" in card
    assert "1 picture was taken down so far, with 2 rows." in card
    assert status(made.path).stages[-1].summary == replace(summary, name="corpus")


@pytest.mark.slow
def test_what_is_left_reads_back(made: PublishedRun) -> None:
    """By each of the readers, and all agree on which shard holds a row."""
    import datasets
    import webdataset

    take(made, ids(made)[2])
    shards = f"{made.corpus}/shards/noted-train-{{000000..000004}}.tar"
    found = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [one["json"]["image_id"] for one in found] == ids(made)
    assert {row["row_id"]: row["shard"] for row in read_corpus(made.run).rows()} == {
        inner["row_id"]: Path(one["__url__"]).name for one in found for inner in one["json"]["rows"]
    }
    data = datasets.load_dataset(str(made.corpus), split="train")
    assert list(data["image_id"]) == ids(made)
    tars = datasets.load_dataset("webdataset", data_files={"train": [*map(str, shards_of(made))]}, split="train")
    assert len(tars) == 6


def test_bytes_in_memory_are_those_of_what_is_left(made: PublishedRun, tmp_path: Path) -> None:
    image_id = ids(made)[4]
    take(made, image_id)
    (taken,) = manifest_of(made).splits
    made.build(**WIDE)  # writes all of it anew, in other files
    (built,) = manifest_of(made).splits
    assert (taken.images, taken.rows) == (built.images, built.rows)
    # Each group of rows has a few bytes of its own, and there are others now.
    assert abs(taken.rows_arrow_bytes - built.rows_arrow_bytes) < 200
    assert abs(taken.arrow_bytes - built.arrow_bytes) < 200


def test_no_build_puts_it_back(made: PublishedRun) -> None:
    image_id = ids(made)[1]
    take(made, image_id)
    after = made.files()
    made.build()
    assert made.files() == after, "the corpus is of the run as it is"
    made.build(splits={"train": 0.5, "test": 0.5})
    assert image_id not in ids(made)
    assert manifest_of(made).taken_down_images == 1
    (made.corpus / "manifest.json").unlink()
    made.build()
    assert image_id not in ids(made)


def test_one_after_the_other_down_to_nothing(made: PublishedRun) -> None:
    for left, image_id in enumerate(reversed(ids(made))):
        done = take(made, image_id)
        assert done.images == 6 - left
        assert len(list((made.corpus / "data").glob("*"))) == len(manifest_of(made).files_of("samples"))
    manifest = manifest_of(made)
    assert (manifest.files, manifest.rows, manifest.taken_down_images, manifest.taken_down_rows) == ((), 0, 7, 14)
    assert set(made.files()) == {"README.md", "manifest.json"}
    assert "7 pictures were taken down so far, with 14 rows." in (made.corpus / "README.md").read_text("utf-8")


def test_a_split_that_is_emptied_has_no_files(made: PublishedRun) -> None:
    import datasets

    splits = {"splits": {"train": 0.8, "test": 0.2}}
    made.build(**splits)
    for image_id in [row["image_id"] for row in read_corpus(made.run).rows("test")][::2]:
        take(made, image_id, **splits)
    manifest = manifest_of(made)
    assert [split.rows for split in manifest.splits if split.name == "test"] == [0]
    assert {file.split for file in manifest.files if file.kind not in ("plot", "croissant")} == {"train"}
    assert list(datasets.load_dataset(str(made.corpus))) == ["train"]
    assert "Without a row, and so without files: test." in (made.corpus / "README.md").read_text("utf-8")


def test_what_a_person_wrote_into_the_card_stays(made: PublishedRun) -> None:
    card = made.corpus / "README.md"
    text = (
        card.read_text("utf-8")
        .replace("(Nothing yet.)", "Mine.")
        .replace("\npretty_name", "\nviewer: true\npretty_name")
    )
    card.write_text(text, "utf-8")
    take(made, ids(made)[0])
    assert "<!-- yours -->\nMine.\n<!-- /yours -->" in card.read_text("utf-8")
    assert "viewer: true" in card.read_text("utf-8")


def test_it_is_recorded_where_nobody_publishes_it(made: PublishedRun) -> None:
    first, second = ids(made)[:2]
    take(made, first)
    take(made, second)
    assert read_takedowns(made.path) == (Takedown(first, 2, "asked", DAY), Takedown(second, 2, "asked", DAY))
    after = made.files()
    assert take(made, first).rows == 0
    assert made.files() == after
    assert len(read_takedowns(made.path)) == 2
    assert [event["image_id"] for event in made.run.read_log() if event["event"] == "taken down"] == [
        first,
        second,
        first,
    ]


def test_an_image_without_rows_can_be_taken_down_before_it_has_any(drawn: PublishedRun, tmp_path: Path) -> None:
    run = PublishedRun(drawn.images, tmp_path / "run")
    shutil.copytree(drawn.path, run.path)
    first = ids(run)[0]
    source = next(row["source"] for row in read_corpus(run.run).rows() if row["image_id"] == first)
    notes = {name: note for name, note in run.recipe().notes.items() if name != source}
    recipe = run.recipe().model_copy(update={"notes": notes})
    Build(recipe, caption_kind.KIND, publish).from_images(run.images, run.path)
    assert first not in ids(run)
    before = run.files()
    done = take_down(run.run, recipe, caption_kind.KIND, first, reason="asked", day=DAY)
    assert (done.rows, done.changed, run.files()) == (0, (), before)
    run.build()
    assert first not in ids(run)
    assert manifest_of(run).taken_down_images == 1


def test_images_that_are_not_there(made: PublishedRun) -> None:
    before = made.files()
    for given, message in (
        ("f" * 64, f"image '{'f' * 64}': {made.path} has no such image; its image_id stands in every row, and is the"),
        ("0b5", "image '0b5': its image_id is expected, or the first 8 digits or more"),
        ("../../../etc/passwd", "image '../../../etc/passwd': "),
    ):
        with pytest.raises(SettingsError) as caught:
            take(made, given)
        assert str(caught.value).startswith(message)
    known = ids(made)[0]
    write_takedowns(made.path, [Takedown(known[:60] + "zzzz", 1, "of another day", DAY)])
    with pytest.raises(
        SettingsError, match=rf"image '{known[:20]}': 2 images begin so; give more digits, such as {known}"
    ):
        take(made, known[:20])
    assert made.files() == before


def test_a_record_that_cannot_be_read_stops_everything(made: PublishedRun) -> None:
    """What is in it must not come back because a line of it is broken."""
    take(made, ids(made)[0])
    path = made.path / TAKEDOWNS_NAME
    path.write_text(path.read_text() + '{"image_id": 7}\n')
    for act in (lambda: take(made, ids(made)[0]), made.build):
        with pytest.raises(OstensiveError, match=rf"^{path}, line 2: is no takedown \(.*\); mend the line"):
            act()


def test_a_corpus_of_another_state_is_refused(made: PublishedRun) -> None:
    image_id = ids(made)[0]
    made.run.write_state(corpus="of other partitions")
    with pytest.raises(OstensiveError, match=r"corpus is not of this run as it is now; run `ostensive build`"):
        take(made, image_id)
    (made.corpus / "manifest.json").unlink()
    with pytest.raises(SettingsError, match=r"has no finished corpus; run `ostensive build`"):
        take(made, image_id)
    made.run.write_state(outcome="Interrupted")
    with pytest.raises(SettingsError, match=r"this run is not finished \(Interrupted\)"):
        take(made, image_id)
    assert read_takedowns(made.path) == ()


def test_figures_are_counted_again_as_they_were_counted(drawn: PublishedRun, tmp_path: Path) -> None:
    localized = written_corpus(tmp_path / "run", 5)
    for corpus, kind in ((read_corpus(drawn.run), caption_kind.KIND), (localized, LOCALIZED)):
        found = statistics_of(corpus.path, corpus.manifest, kind)
        assert replace(found, examples=()) == replace(corpus.manifest.statistics, examples=())
        assert len(found.examples) == 2


# ---- a kill at any step ---------------------------------------------------------------------------------------------


def killed_at(step: int, run: PublishedRun, image_id: str, name: str = "") -> bool:
    """Takes the image down in a process that is killed before its `step`-th renaming or removal; False if it ended.

    With `name` only renamings to a file of that name count.
    """
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in ("os.rename", "os.remove"):
                left -= not name or (event == "os.rename" and str(arguments[1]).endswith(name))
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            take(run, image_id)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_it_whole_before_or_after(drawn: PublishedRun, tmp_path: Path) -> None:
    image_id = ids(drawn)[2]
    whole = PublishedRun(drawn.images, tmp_path / "whole")
    shutil.copytree(drawn.path, whole.path)
    take(whole, image_id)
    ends = (drawn.files(), whole.files())
    seen = set()
    for step in range(1, 60):
        run = PublishedRun(drawn.images, tmp_path / f"run {step}")
        shutil.copytree(drawn.path, run.path)
        was_killed = killed_at(step, run, image_id)
        seen.add(tuple(run.files() == end for end in ends) if "manifest.json" in run.files() else "no manifest")
        assert "manifest.json" not in run.files() or run.files() in ends, f"step {step}"
        take(run, image_id)
        assert run.files() == ends[1], f"step {step}"
        assert len(read_takedowns(run.path)) == 1
        assert staged(run.path) == []
        shutil.rmtree(run.path)
        if not was_killed:
            break
    assert seen == {(True, False), (False, True), "no manifest"}
    assert step > 10


def test_kills_that_follow_each_other_before_the_last_step(drawn: PublishedRun, tmp_path: Path) -> None:
    """The corpus is whole each time, and the run does not know of it yet."""
    run = PublishedRun(drawn.images, tmp_path / "run")
    shutil.copytree(drawn.path, run.path)
    for image_id in ids(drawn)[:3]:
        assert killed_at(2, run, image_id, "run.json"), "it is written when a takedown begins and when it ends"
        assert image_id not in ids(run)
    take(run, ids(drawn)[3])
    after = run.files()
    run.build()
    assert run.files() == after
    assert manifest_of(run).taken_down_images == 4


def test_after_a_kill_a_build_or_another_takedown_goes_on_too(drawn: PublishedRun, tmp_path: Path) -> None:
    first, second = ids(drawn)[2:4]
    for step in (4, 9, 12):
        run = PublishedRun(drawn.images, tmp_path / f"run {step}")
        shutil.copytree(drawn.path, run.path)
        assert killed_at(step, run, first)
        if read_manifest(run.corpus) is not None or any((one / "manifest.json").exists() for one in staged(run.path)):
            take(run, second)
        run.build()
        assert staged(run.path) == []
        assert first not in images_of(run.corpus, manifest_of(run))
        assert manifest_of(run).taken_down_images == len(read_takedowns(run.path))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(MODULES))
def test_every_recipe(recipe: str, tmp_path: Path) -> None:
    """As the demo builds it: without an image it is, byte for byte, what a build makes that leaves it out."""
    corpus = demo(tmp_path / "demo", recipe)
    run = tmp_path / "demo" / "run"
    image_id = next(iter(corpus.rows()))["image_id"]
    before = list(corpus.rows())
    done = takedown(run, image_id, reason="asked")
    assert [row for row in before if row["image_id"] != image_id] == list(open_corpus(run).rows())
    assert done.rows == sum(row["image_id"] == image_id for row in before)
    taken = PublishedRun(tmp_path, run).files()
    (run / "corpus" / "manifest.json").unlink()
    demo(tmp_path / "demo", recipe)
    built = PublishedRun(tmp_path, run).files()
    assert {path for path in taken if taken[path] != built.get(path)} == set()


def test_a_report_shows_no_picture_that_was_taken_down(made: PublishedRun) -> None:
    image_id, other = ids(made)[2], ids(made)[3]
    rows = [row["row_id"] for row in read_corpus(made.run).rows() if row["image_id"] == image_id]
    take(made, image_id)
    recipe = made.recipe()
    explainer = Explainer(made.run, recipe, caption_kind.KIND)
    found = explainer.explain(rows[0])
    assert isinstance(found, Lineage)
    assert found.fate.words == "accepted, but not published: taken down"
    written = write_report(explainer)
    page = written.path.read_text("utf-8")
    assert (written.rows, written.total) == (12, 12)
    assert image_id not in page
    assert rows[0] not in page
    assert other in page
    assert "All 12 captions of the run are shown" in page
    assert "2 more are of images that were taken down" in page
