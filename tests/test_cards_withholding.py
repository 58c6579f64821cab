"""Pictures that may not be passed on are not published; their rows are, with the hash and the source of each."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import caption_kind
import pyarrow.parquet as pq
import pytest
from hub_server import Hub, serve
from published_run import PublishedRun, drawn_run, logged_in
from test_commands_publish import Machine

from cards.reading import CorpusManifest, open_corpus, read_manifest
from cards.takedown import take_down
from cards.withholding import PUBLIC_NAME
from ostensive.commands.publish import plan_lines, published_values

NAME = "me/noted"
RESERVED = "(c) A. Person, All Rights Reserved"
# The second shares a shard with the first, the fourth fills one by itself.
LICENSES = {"scene 0001.jpg": RESERVED, "scene 0003.jpg": "No redistribution", "scene 0004.jpg": RESERVED}
URLS = {"scene 0001.jpg": "https://example.org/1.jpg", "scene 0000.jpg": "https://example.org/0.jpg"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> PublishedRun:
    return drawn_run(tmp_path_factory.mktemp("drawn"), licenses=LICENSES, urls=URLS)


@pytest.fixture
def made(drawn: PublishedRun, tmp_path: Path) -> PublishedRun:
    shutil.copytree(drawn.path, tmp_path / "run")
    return replace(drawn, path=tmp_path / "run", said=[])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    with serve(Hub()) as found:
        logged_in(monkeypatch, found, tmp_path)
        yield found


def on_hub(hub: Hub, folder: Path) -> Path:
    """What is published, as files."""
    for path, data in hub.data_set(NAME).head.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def samples(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((folder / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def flat(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((folder / "rows").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def in_shards(folder: Path) -> dict[str, dict[str, Any]]:
    """By the id of the image, what its JSON says, with the name of the shard and the picture."""
    found = {}
    for path in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]  # files
        for (picture_name, picture), (json_name, text) in zip(members[::2], members[1::2], strict=True):
            assert Path(picture_name).stem == Path(json_name).stem
            row = json.loads(text)
            found[row["image_id"]] = {**row, "shard": path.name, "picture": picture}
    return found


def manifest_of(folder: Path) -> CorpusManifest:
    found = read_manifest(folder)
    assert found is not None
    return found


def take(run: PublishedRun, image_id: str) -> None:
    take_down(run.run, run.recipe(), caption_kind.KIND, image_id, reason="asked", day="2026-02-03")


def test_what_is_sent_has_every_row_and_none_of_these_pictures(made: PublishedRun, hub: Hub, tmp_path: Path) -> None:
    before = made.files()
    made.publish()
    assert made.files() == before, "the corpus stays whole"
    folder = on_hub(hub, tmp_path / "hub")
    whole, sent = samples(made.corpus), samples(folder)
    withheld = {row["image_id"]: row for row in whole if row["source"] in LICENSES}
    assert len(withheld) == 3
    assert sent == [{**row, "image": None} if row["image_id"] in withheld else row for row in whole]
    everything = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    for row in whole:
        assert (row["image"]["bytes"] in everything) == (row["image_id"] not in withheld), row["source"]

    shards = in_shards(folder)
    assert set(shards) == {row["image_id"] for row in whole} - set(withheld)
    rows, sent_rows = flat(made.corpus), flat(folder)
    assert [{**row, "shard": ""} for row in sent_rows] == [{**row, "shard": ""} for row in rows]
    for row in sent_rows:
        assert row["shard"] == (None if row["image_id"] in withheld else shards[row["image_id"]]["shard"])
        assert row["image_license"] == LICENSES.get(row["source"], "cc0-1.0")
        assert row["image_source"] == URLS.get(row["source"])
    assert {path.name for path in (folder / "shards").glob("*.tar")} == {
        f"noted-train-{place:06d}.tar" for place in range(len({row["shard"] for row in sent_rows} - {None}))
    }


def test_card_manifest_and_plan_say_how_many_and_why(made: PublishedRun, hub: Hub) -> None:
    done = made.publish(dry_run=True)
    assert not hub.repositories
    counts = {RESERVED: 2, "No redistribution": 1}
    assert (done.plan.withheld, done.plan.withheld_rows) == (counts, 6)
    line = next(line for line in plan_lines(done.plan) if line.startswith("withheld"))
    assert line == (
        "withheld    3 pictures whose licence does not allow it (2 (c) A. Person, All Rights Reserved,"
        " 1 No redistribution); 6 rows of them sent with hash and source"
    )
    assert published_values(done)["plan"]["withheld"] == counts
    folder = made.path / PUBLIC_NAME
    manifest, whole = manifest_of(folder), manifest_of(made.corpus)
    assert (manifest.withheld, manifest.withheld_rows) == (counts, 6)
    assert (whole.withheld, whole.withheld_rows) == ({}, 0)
    assert (manifest.rows, manifest.images, manifest.statistics) == (14, 7, whole.statistics)
    card = (folder / "README.md").read_text("utf-8")
    assert "3 of 7 pictures are not published, because their licence does not allow it (2 of " in card
    assert "Their 6 rows are here: `image_id` is the SHA-256" in card
    assert "pictures are not published" not in (made.corpus / "README.md").read_text("utf-8")
    croissant = json.loads((folder / "croissant.json").read_text())
    assert "3 are not published" in croissant["rai:dataCollectionRawData"]
    listed = {one["@id"]: one["sha256"] for one in croissant["distribution"] if "sha256" in one}
    assert listed == {file.path: file.sha256 for file in manifest.files if file.kind != "croissant"}
    assert {path for path in made.files() if path.startswith("plots/")} == {
        file.path for file in manifest.files_of("plot")
    }


@pytest.mark.slow
def test_it_loads(made: PublishedRun, hub: Hub, tmp_path: Path) -> None:
    """By the lines of its card, of which one leaves out what has no picture."""
    import datasets
    import webdataset

    made.publish()
    folder = on_hub(hub, tmp_path / "hub")
    images = datasets.load_dataset(str(folder), split="train")
    assert [image is None for image in images["image"]] == [row["source"] in LICENSES for row in samples(made.corpus)]
    pictured = images.filter(lambda image: image is not None, input_columns="image")
    assert [row["image"].size for row in pictured] == [(row["width"], row["height"]) for row in pictured]
    assert len(pictured) == 4
    assert list(datasets.load_dataset(str(folder), "rows", split="train")) == flat(folder)
    streamed = datasets.load_dataset(str(folder), split="train", streaming=True)
    assert [row["image"] is None for row in streamed] == [image is None for image in images["image"]]
    card = (folder / "README.md").read_text("utf-8")
    pattern = next(line for line in card.splitlines() if line.startswith("shards = ")).split('"')[1]
    tars = webdataset.WebDataset(pattern.replace("noted/", f"{folder}/", 1), shardshuffle=False).decode("pil")
    assert [one["json"]["image_id"] for one in tars] == list(pictured["image_id"])


def test_again_nothing_is_made_or_sent(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    folder = made.path / PUBLIC_NAME
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".tar", ".parquet")}
    hub.take_received()
    done = made.publish()
    assert done.plan.is_empty
    assert not hub.take_received()
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert any(path.stat().st_nlink > 1 for path in stamps), "files without such pictures are those of the corpus"


@pytest.mark.parametrize(
    ("path", "data"),
    [("README.md", b"---\n---\n"), ("data/train-00000-of-00003.parquet", b""), ("manifest.json", b"{}")],
)
def test_a_copy_that_was_touched_is_made_anew(made: PublishedRun, hub: Hub, path: str, data: bytes) -> None:
    made.publish()
    file = made.path / PUBLIC_NAME / path
    file.unlink()
    file.write_bytes(data)
    assert made.publish().plan.is_empty
    assert file.read_bytes() == hub.data_set(NAME).head[path]


def test_what_people_wrote_on_both_sides_is_on_both_cards(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    repository = hub.data_set(NAME)
    theirs = repository.head["README.md"].decode().replace("\npretty_name", "\nviewer: false\npretty_name")
    repository.push({**repository.head, "README.md": theirs.encode()})
    card = made.corpus / "README.md"
    card.write_text(card.read_text("utf-8").replace("(Nothing yet.)", "Mine."), "utf-8")
    made.publish()
    for text in (card.read_text("utf-8"), repository.head["README.md"].decode()):
        assert "<!-- yours -->\nMine.\n<!-- /yours -->" in text
        assert "viewer: false" in text
    assert "pictures are not published" in repository.head["README.md"].decode()
    assert "pictures are not published" not in card.read_text("utf-8")
    assert made.publish().plan.is_empty


@pytest.mark.parametrize("source", ["scene 0001.jpg", "scene 0002.jpg"])
def test_a_picture_that_is_taken_down_goes_from_the_copy_too(made: PublishedRun, hub: Hub, source: str) -> None:
    made.publish()
    image_id = next(row["image_id"] for row in flat(made.corpus) if row["source"] == source)
    take(made, image_id)
    assert not (made.path / PUBLIC_NAME).exists()
    made.publish()
    manifest = manifest_of(made.path / PUBLIC_NAME)
    assert (manifest.images, manifest.rows, manifest.taken_down_images) == (6, 12, 1)
    assert sum(manifest.withheld.values()) == 3 - (source in LICENSES)
    assert not any(image_id[:32].encode() in data for data in hub.data_set(NAME).head.values())


def test_all_pictures_withheld(tmp_path: Path, hub: Hub) -> None:
    import datasets

    names = [f"scene {number:04d}.jpg" for number in range(3)]
    run = drawn_run(tmp_path / "all", 3, licenses=dict.fromkeys(names, RESERVED))
    run.publish()
    folder = on_hub(hub, tmp_path / "hub")
    assert not list(folder.rglob("*.tar"))
    assert not list(folder.rglob("shardindex*"))
    card = (folder / "README.md").read_text("utf-8")
    assert "webdataset.WebDataset" not in card
    assert "{% " not in card
    images = datasets.load_dataset(str(folder), split="train")
    assert (len(images), set(images["image"])) == (3, {None})
    assert len(datasets.load_dataset(str(folder), "rows", split="train")) == 6
    files = json.loads((folder / "croissant.json").read_text())["distribution"]
    assert not any(one["@id"].startswith("shards") for one in files)


def test_a_licence_that_is_mended_publishes_the_picture(made: PublishedRun, hub: Hub) -> None:
    made.publish()
    mended = replace(made, licenses={})
    mended.build()
    done = mended.publish()
    assert not done.plan.withheld
    assert not (made.path / PUBLIC_NAME).exists()
    there = {path: data for path, data in hub.data_set(NAME).head.items() if path != ".gitattributes"}
    assert there == mended.files()


def test_a_licence_file_goes_along(made: PublishedRun, hub: Hub) -> None:
    corpus = {"license": "other", "license_name": "mine-1.0", "license_link": "LICENSE"}
    made.build(**corpus)
    (made.corpus / "LICENSE").write_text("Mine.")
    made.publish(corpus=corpus)
    assert hub.data_set(NAME).head["LICENSE"] == b"Mine."


@pytest.mark.slow
def test_read_back_by_name(made: PublishedRun, hub: Hub, tmp_path: Path) -> None:
    """Both configurations, streamed and not, in a process of its own."""
    made.publish()
    found = Machine(tmp_path, hub).read_by_name(NAME)
    folder = made.path / PUBLIC_NAME
    assert found["rows train False"] == found["rows train True"] == flat(folder)
    for mode in ("False", "True"):
        rows = found[f"default train {mode}"]
        assert [row["image"] is None for row in rows] == [row["source"] in LICENSES for row in rows]
        assert [{**row, "image": None} for row in rows] == [{**row, "image": None} for row in samples(folder)]
    assert open_corpus(made.path).row_count == 14
