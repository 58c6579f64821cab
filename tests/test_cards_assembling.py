"""From images to a corpus by a recipe that no room knows: a caption a row, items beside images, no verbalization."""

import ast
import json
import os
import shutil
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import caption_kind
import pytest
import yaml
from drawing import write_scenes
from PIL import Image

import cards
from builders.localized.records import Qar
from cards.assembling import publish
from cards.reading import Corpus, open_corpus
from cards.samples import sample_key
from ostensive.commands.show import status_lines, status_values
from ostensive.errors import EmptyCorpusError, OstensiveError, SettingsError, TooManyFailedError
from ostensive.recipe import Recipe
from ostensive.records import ImageRecord, ImageSplit, Judged, Scored, Verbalization
from ostensive.run.agreements import AnnotatorAgreement, write_agreements
from ostensive.run.build import Build, FinishedStages
from ostensive.run.folder import RunFolder, kept_records
from ostensive.run.pipeline import stages_of
from ostensive.run.services import ServiceSettings, open_services
from ostensive.run.signatures import SIGNATURES
from ostensive.run.splits import SPLITS, SplitStage
from ostensive.run.status import status
from ostensive.run.summary import IN_NO_SPLIT
from ostensive.run.thresholds import ThresholdChoice, write_choice

IMAGES = 7
NOTED = {f"scene {place:04d}.jpg": f"a note on {place}" for place in range(IMAGES - 1)}  # the last image has none
KEPT = IMAGES - 1


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("captions") / "images", IMAGES)


def built(images: Path, out: Path, **settings: Any) -> Corpus:
    corpus = {
        "name": "noted",
        "license": "cc0-1.0",
        "source": "drawn",
        "intended_use": "to test",
        "splits": settings.pop("splits", {}),
        "leaking_splits": settings.pop("leaking_splits", "refuse"),
    }
    values = {"recipe": "captions", "notes": NOTED, "corpus": corpus, "run": {"partition_size": 3}, **settings}
    recipe = caption_kind.CaptionRecipe.model_validate(values)
    return Build(recipe, caption_kind.KIND, publish, notes=lengths_asked).from_images(images, out)


def lengths_asked(run: RunFolder, recipe: Recipe) -> list[str]:
    """A note, as critics have them, on a run whose stages are done."""
    assert isinstance(recipe, caption_kind.CaptionRecipe)
    assert run.partition_paths("judged")
    return [f"length asks for {one.min_accept_probability:g}" for one in recipe.critics]


def card_of(corpus: Corpus) -> str:
    return (corpus.path / "README.md").read_text("utf-8")


def header_of(corpus: Corpus) -> dict[str, Any]:
    header: dict[str, Any] = yaml.safe_load(card_of(corpus).split("---\n")[1])
    return header


def sources(corpus: Corpus) -> dict[str, str]:
    """The images of the run by their source."""
    return {image.source: image.image_id for image in kept_records(corpus.run, ImageRecord)}


def test_a_corpus_of_captions_reads_back(images: Path, tmp_path: Path) -> None:
    import duckdb
    import webdataset

    corpus = built(images, tmp_path / "run")
    assert (corpus.image_count, corpus.row_count, corpus.splits) == (KEPT, 2 * KEPT, ("train",))
    rows = list(corpus.rows())
    assert list(rows[0]) == [
        "row_id", "image_id", "caption", "tone", "teacher", "prompt_hash", "request_key", "judgements", "recipe_hash",
        "source", "width", "height", "shard", "image_source", "image_license",
    ]  # fmt: skip
    assert {(row["image_source"], row["image_license"]) for row in rows} == {(None, "cc0-1.0")}
    assert [row["caption"] for row in rows[:2]] == ["a note on 0 (plain)", "a note on 0 (None)"]
    assert [row["source"] for row in rows[::2]] == list(NOTED)
    data = corpus.to_datasets()
    names = ["image", "image_id", "width", "height", "source", "annotations", "rows"]
    assert data.column_names == names
    for row, (source, note) in zip(data, NOTED.items(), strict=True):
        (item,) = row["annotations"]
        assert (row["source"], item["instruction"], item["license"], item["answers"]) == (source, note, "cc0-1.0", [])
        assert row["image"].size == (96, 72)
        assert [caption["tone"] for caption in row["rows"]] == ["plain", None]
    tars = [str(path) for path in (corpus.path / "shards").glob("*.tar")]
    found = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert [one["__key__"] for one in found] == [sample_key(row["image_id"]) for row in data]
    assert [one["json"] for one in found] == [{k: v for k, v in row.items() if k != "image"} for row in data]
    query = f"SELECT count(*), count(tone) FROM '{corpus.path}/rows/*.parquet'"
    assert duckdb.connect().execute(query).fetchall() == [(2 * KEPT, KEPT)]


def test_the_card_of_captions(images: Path, tmp_path: Path) -> None:
    corpus = built(images, tmp_path / "run")
    card, header = card_of(corpus), header_of(corpus)
    assert header["task_categories"] == ["image-to-text"]
    assert header["tags"] == ["captions", "ostensive", "synthetic", "vision", "webdataset"]
    assert f"{2 * KEPT} rows about {KEPT} images: captions made from notes. One row is a caption." in card
    assert "\n\nEach note that came in beside a picture is taken for its caption.\n\n" in card
    assert "\n- Notes may be wrong.\n" in card
    assert "\n- Pictures may show people." in card
    for line in (
        "| items: items that came in beside images | 7 | 7 | 7 | 0 | 0 |",
        "| captions | 7 | 14 | 14 | 0 | 0 |",
        "| judged: accepted by the critics | 14 | 14 | 12 | 2 | 0 |",
        "| judged | dropped | too short | 2 |",
        "| rows of tone plain | 6 |",
        "| rows of tone \\(not given\\) | 6 |",
        "| words of the caption, mean | 5.0 |",
        "| items that came in beside images | 6 |",
        "| images of license cc0\\-1.0 | 6 |".replace("\\-", "-"),
        "| `rows[].caption` | string | what the picture shows |",
        "| `annotations[].instruction` | string | what is asked for |",
    ):
        assert line in card
    assert not any(word in card for word in ("regions", "Splits", "Citation", "images of source", "triple"))


def test_images_are_put_into_splits_and_a_given_one_wins(images: Path, tmp_path: Path) -> None:
    shares = {"train": 0.5, "test": 0.5, "rare": 1e-9}
    given = {"scene 0001.jpg": "held_out", "scene 0002.jpg": "aside", "scene 0006.jpg": "lost"}
    corpus = built(images, tmp_path / "run", splits=shares, given_splits=given)
    by_hash = SplitStage(shares, 0)
    wanted = {source: given.get(source) or by_hash.split_of(key) for source, key in sources(corpus).items()}
    assert {"train", "test"} < set(wanted.values()), "the images of the test fall into both"
    assert corpus.splits == ("train", "test", "aside", "held_out"), "as asked, then others by name"
    found = {(row["source"], row["split"]) for row in corpus.rows()}
    assert found == {(source, split) for source, split in wanted.items() if split != "lost"}
    order = [row["split"] for row in corpus.rows()]
    assert order == sorted(order, key=corpus.splits.index)
    assert {row["source"] for row in corpus.rows("held_out")} == {"scene 0001.jpg"}
    whole = corpus.to_datasets()
    assert list(whole) == list(corpus.splits)
    assert {(row["source"], split) for split in whole for row in whole[split]} == found
    assert corpus.to_datasets("aside")["source"] == ["scene 0002.jpg"]
    assert "Without a row, and so without files: rare, lost." in card_of(corpus)
    configs = header_of(corpus)["configs"]
    assert [file["split"] for file in configs[1]["data_files"]] == list(corpus.splits)


def test_splits_come_as_asked_then_the_usual_one_then_by_name(images: Path, tmp_path: Path) -> None:
    given = dict(zip(NOTED, ("b", "a_long_one", "train", "c", "test", "b"), strict=True))
    corpus = built(images, tmp_path / "run", splits={"test": 1}, given_splits=given)
    assert corpus.splits == ("test", "train", "a_long_one", "b", "c")


def test_rows_are_those_of_the_last_stage_that_judges(images: Path, tmp_path: Path) -> None:
    corpus = built(images, tmp_path / "run", plain_only=True, splits={"train": 1})
    assert {row["tone"] for row in corpus.rows()} == {"plain"}
    assert (corpus.row_count, corpus.stages[-2].kept, corpus.stages[-1].name) == (KEPT, KEPT, SPLITS)
    assert "| plain: accepted by the critics | 12 | 12 | 6 | 6 | 0 |" in card_of(corpus)


def test_a_partition_that_is_not_in_splits_yet_waits(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    whole = built(images, out, splits={"train": 1})
    RunFolder(out).partition_paths(SPLITS)[1].unlink()
    recipe = caption_kind.CaptionRecipe.model_validate(yaml.safe_load((out / "recipe.yaml").read_text("utf-8")))
    settings = ServiceSettings(intake=recipe.intake, threads=1, journal=out / "journal.sqlite", run_id="run")
    stop = threading.Event()
    with open_services(settings, stop) as services:
        stages = stages_of(recipe, caption_kind.KIND)
        corpus = publish(
            FinishedStages(RunFolder(out), recipe, caption_kind.KIND, ("images", "distinct"), stages, services, stop)
        )
    assert [row["source"] for row in corpus.rows()][::2] == [*NOTED][:3]
    assert built(images, out, splits={"train": 1}).manifest == whole.manifest


def test_a_split_that_is_not_there_is_named(images: Path, tmp_path: Path) -> None:
    corpus = built(images, tmp_path / "run")
    for read in (lambda: list(corpus.rows("test")), lambda: corpus.to_datasets("test")):
        with pytest.raises(SettingsError) as caught:
            read()
        assert str(caught.value) == f"{corpus.path} has no rows of a split called 'test'; there are train"


def test_notes_on_a_run_are_told_by_its_status_until_it_is_built_again(images: Path, tmp_path: Path) -> None:
    built(images, tmp_path / "run")
    assert "found       length asks for 0.5" in list(status_lines(status(tmp_path / "run")))
    assert status_values(status(tmp_path / "run"))["notes"] == ["length asks for 0.5"]
    built(images, tmp_path / "run", critics=[{"min_accept_probability": 0.0}])
    assert status(tmp_path / "run").notes == ("length asks for 0",)


def test_an_empty_corpus_says_so(images: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError, match=r"^the corpus is empty: judged kept none of 14 rows, 14 of them with"):
        built(images, tmp_path / "run", critics=[{"min_accept_probability": 1.1}])
    ended = status(tmp_path / "run")
    assert ended.notes == ("length asks for 1.1",)
    assert "; length asks for 1.1; mend the cause and run the same command again" in ended.message
    assert not any(line.startswith("found") for line in status_lines(ended)), "the message has it"
    corpus = open_corpus(tmp_path / "run")
    assert (corpus.row_count, corpus.splits, list(corpus.rows())) == (0, (), [])
    with pytest.raises(SettingsError, match=r"corpus holds no row, so there is nothing to load; its card says why$"):
        corpus.to_datasets()
    assert "This corpus is empty" in card_of(corpus)


def events(run: Path) -> list[tuple[str, int]]:
    return [(event["stage"], event["index"]) for event in RunFolder(run).read_log() if event["event"] == "partition"]


def test_other_splits_redo_splits_and_corpus_alone(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    before = built(images, out)
    first = events(out)
    built(images, out, splits={"train": 1, "test": 1})
    assert set(events(out)[len(first) :]) == {(stage, index) for stage in (SIGNATURES, SPLITS) for index in range(3)}
    second = events(out)
    corpus = built(images, out, splits={"train": 1, "test": 2})
    assert set(events(out)[len(second) :]) == {(SPLITS, index) for index in range(3)}
    assert corpus.splits == ("train", "test")
    after = built(images, out)
    assert (after.splits, after.manifest) == (("train",), before.manifest), "as if no split had ever been asked for"
    assert {path.name for path in (after.path / "shards").iterdir()} == {
        "noted-train-000000.tar",
        "shardindex-train.json",
    }


def test_a_corpus_that_is_whole_is_left_alone(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    manifest = built(images, out).path / "manifest.json"
    written = manifest.stat().st_mtime_ns
    built(images, out)
    assert manifest.stat().st_mtime_ns == written
    text = manifest.read_text("utf-8")
    for damaged in ("{", "[]", text.replace('"version": 3', '"version": 1'), text.replace('"sha256"', '"md5"')):
        manifest.write_text(damaged)
        with pytest.raises(SettingsError, match=r"run has no corpus yet; run `ostensive build` with this folder as"):
            open_corpus(out)
        assert built(images, out).row_count == 2 * KEPT
        assert manifest.read_text("utf-8") == text


def test_the_manifest_comes_back_as_it_was_written(images: Path, tmp_path: Path) -> None:
    corpus = built(images, tmp_path / "run", splits={"train": 1, "test": 1})
    again = open_corpus(tmp_path / "run")
    assert again.manifest.to_json() == (corpus.path / "manifest.json").read_text("utf-8")
    assert (again.stages, again.splits) == (corpus.stages, corpus.splits)
    values = json.loads(again.manifest.to_json())
    assert sum(split["rows"] for split in values["splits"]) == values["rows"] == 2 * KEPT


def spoilt(path: Path) -> None:
    """Other bytes of the same length and time, so that nothing but reading them tells."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def files_of(corpus: Corpus) -> dict[str, bytes]:
    return {str(path.relative_to(corpus.path)): path.read_bytes() for path in corpus.path.rglob("*") if path.is_file()}


def test_an_image_that_cannot_be_read_any_more_costs_its_own_rows(images: Path, tmp_path: Path) -> None:
    folder, out = Path(shutil.copytree(images, tmp_path / "images")), tmp_path / "run"
    built(folder, out)
    lost = folder / "scene 0002.jpg"
    sound = lost.read_bytes()
    spoilt(lost)
    critics = [{"min_accept_probability": 0.0}]  # other rows, so that the corpus is written anew
    corpus = built(folder, out, critics=critics)
    assert (corpus.image_count, corpus.row_count) == (IMAGES - 1, 2 * (IMAGES - 1))
    assert "scene 0002.jpg" not in {row["source"] for row in corpus.rows()}
    assert len(corpus.to_datasets()) == IMAGES - 1
    last = corpus.stages[-1]
    assert (last.name, last.inputs, last.rows, last.kept) == ("corpus", 2 * IMAGES, 2 * IMAGES, 2 * (IMAGES - 1))
    assert last.failed == corpus.manifest.lost == {"image cannot be read": 2}
    assert "| corpus: published | 14 | 14 | 12 | 0 | 2 |" in card_of(corpus)
    assert "| corpus | failed | image cannot be read | 2 |" in card_of(corpus)
    assert status(out).outcome == "done"
    assert status(out).stages[-1].summary == last
    assert open_corpus(out).stages == corpus.stages
    (event,) = [event for event in RunFolder(out).read_log() if event["event"] == "not published"]
    assert (event["source"], event["rows"], event["reason"]) == ("scene 0002.jpg", 2, "image cannot be read")
    assert event["detail"].startswith("scene 0002.jpg: changed since it was taken in as ")
    again = built(folder, out, critics=critics)
    assert files_of(again) == files_of(corpus), "it is tried again, and nothing else has changed"
    times = lost.stat()
    lost.write_bytes(sound)
    os.utime(lost, ns=(times.st_atime_ns, times.st_mtime_ns))
    whole = built(folder, out, critics=critics)
    assert (whole.row_count, whole.manifest.lost, status(out).stages[-1].summary.name) == (2 * IMAGES, {}, "judged")
    assert files_of(whole) == files_of(built(folder, tmp_path / "fresh", critics=critics))


def test_more_lost_images_than_the_share_end_the_run_after_the_corpus_is_written(images: Path, tmp_path: Path) -> None:
    folder, out = Path(shutil.copytree(images, tmp_path / "images")), tmp_path / "run"
    before = built(folder, out)
    for path in sorted(folder.iterdir())[:4]:
        spoilt(path)
    with pytest.raises(TooManyFailedError) as caught:
        built(folder, out, splits={"train": 1})
    assert str(caught.value).startswith("corpus: 8 of 12 rows failed, 8 of them with 'image cannot be read'; ")
    left = open_corpus(out)
    assert (left.image_count, left.row_count) == (2, 4)
    for path in sorted(folder.iterdir()):
        path.with_suffix(".mkdir").mkdir()
        path.unlink()
        path.with_suffix(".mkdir").rename(path)  # what is read is no file any more
    rest = files_of(left)
    recipe = caption_kind.CaptionRecipe.model_validate(yaml.safe_load((out / "recipe.yaml").read_text("utf-8")))
    with pytest.raises(OstensiveError) as none:
        Build(recipe, caption_kind.KIND, publish).from_stage(out, "judged")
    assert str(none.value) == (
        "none of the 12 accepted rows can be published, 12 of them with 'image cannot be read': are the images still"
        " where they were? log.jsonl of the run names each; mend the cause and run the same command again"
    )
    assert files_of(left) == rest, "an earlier corpus stays"
    assert before.row_count == 12


def test_a_threshold_that_was_chosen_is_told_while_the_critic_is_the_same(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    built(images, out)
    for version, is_told in (("1", True), ("another", False)):
        write_choice(out, ThresholdChoice("length", version, 0.5, "--keep 0.9", 14, 0.9, None))
        assert ("The threshold of the critic length was chosen by --keep 0.9" in card_of(built(images, out))) == is_told


def test_what_people_agreed_on_is_told_by_the_next_build(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "people were asked" not in card_of(built(images, out))
    write_agreements(out, [AnnotatorAgreement("accept", "acceptable", 12, 2, 0.75, 0.5, None)])
    assert "| accept: acceptable | 2 | 12 | 75.0% | 0.500 | - |" in card_of(built(images, out))


def test_kept_records_are_those_of_the_last_stage(images: Path, tmp_path: Path) -> None:
    run = built(images, tmp_path / "run", splits={"train": 1, "test": 1}).run
    assert run.stage_of(ImageRecord) == "distinct"
    assert run.stage_of(Scored[caption_kind.Caption]) == "scored"
    assert run.stage_of(Verbalization) is None
    assert [image.source for image in kept_records(run, ImageRecord)] == sorted(sources(open_corpus(run.path)))
    assert len(list(kept_records(run, ImageSplit))) == IMAGES
    rows = list(kept_records(run, Judged[caption_kind.Caption]))
    assert (len(rows), type(rows[0].candidate)) == (2 * KEPT, caption_kind.Caption)
    assert list(kept_records(run, Verbalization)) == []


def test_the_room_spells_no_field_of_a_recipe() -> None:
    """No module names the recipe `localized` or its record, or has a field of that record as a string."""
    lineage = {"row_id", "image_id", "teacher", "prompt_hash", "request_key"}
    words = {field.name for field in fields(Qar)} - lineage
    room = Path(cards.__file__).parent
    for path in [*room.rglob("*.py"), *room.rglob("*.jinja")]:
        text = path.read_text("utf-8")
        assert "localized" not in text, path.name
        assert "Qar" not in text, path.name
        if path.suffix == ".py":
            literals = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
            assert not words & literals, path.name


def test_an_image_that_is_in_no_split_takes_its_rows_along_and_the_counts_add_up(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    for name, side in (("copy a.png", 200), ("copy b.png", 60)):
        with Image.open(folder / "scene 0001.jpg") as picture:
            picture.resize((side, side)).save(folder / name)
    settings: dict[str, Any] = {
        "notes": {**NOTED, "copy a.png": "a note", "copy b.png": "a note"},
        "given_splits": {"scene 0001.jpg": "train", "copy a.png": "test"},
        "splits": {"train": 1, "test": 1},
        "leaking_splits": "keep",
    }
    corpus = built(folder, tmp_path / "run", **settings)
    rows = {row["source"]: row["split"] for row in corpus.rows()}
    assert "copy b.png" not in rows
    assert (rows["scene 0001.jpg"], rows["copy a.png"]) == ("train", "test")
    publishing = corpus.stages[-1]
    lost = {IN_NO_SPLIT: 2}
    assert (publishing.name, publishing.rows, publishing.dropped, publishing.failed) == ("corpus", 16, lost, {})
    assert f"| corpus | dropped | {IN_NO_SPLIT} | 2 |" in card_of(corpus)
    assert " 1 image looks like images of several splits and is in none.\n" in card_of(corpus)
    assert " 2 images look like one of another split all the same: " in card_of(corpus)
    assert status(tmp_path / "run").stages[-1].summary.dropped == lost
    written = (corpus.path / "manifest.json").stat().st_mtime_ns
    built(folder, tmp_path / "run", **settings)
    assert (corpus.path / "manifest.json").stat().st_mtime_ns == written, "nothing is to be had by trying again"
