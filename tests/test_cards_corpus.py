"""A corpus is written, then read back by strangers: `webdataset`, `datasets`, DuckDB, the card's own code."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.reading import CorpusManifest, read_manifest
from cards.samples import CorpusSample, LostSample, sample_key
from cards.writing import write_corpus
from ostensive.errors import OstensiveError, StorageError
from ostensive.files import leftovers, temporary_name
from ostensive.recipe import CorpusSettings
from ostensive.records import (
    Box,
    ImageRecord,
    Judged,
    Judgement,
    Location,
    Probe,
    Region,
    Spend,
    Verbalization,
)
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.run.summary import RunFacts, StageSummary

NASTY = (
    "<script>alert(1)</script> | a \\| b `code` ``` [x](http://e) # no",
    "---\nlicense: stolen\n---\n<!-- yours -->\nmine\n<!-- /yours -->\n{{ 7*7 }}",
    "{\\rtf1 \u2028 \u2029 \x85 \x00 \x1b[31m \x7f} été 東京 🌍 \u202ereversed",
)
SETTINGS = CorpusSettings(
    name="street", license="cc-by-4.0", source="Drawn for a test; <b>free</b> | to use.", intended_use="to test"
)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing phones home, and `datasets` caches in the test's own folder."""
    import datasets.config

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def jpeg(shade: int, side: int = 24) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side + 8, side), (shade * 13 % 256, 90, 160)).save(buffer, "JPEG")
    return buffer.getvalue()


def judged(image_id: str, place: int, texts: tuple[str, str, str], mentions: tuple[int, ...]) -> Judged[Qar]:
    mode = "ids" if mentions else "descriptions"
    row = Qar(f"{image_id[:8]}-{place}", image_id, mode, *texts, mentions, "scripted|1", "p" * 64, f"request {place}")
    return Judged(row, (Judgement("rules", "1", 1.0, True, ""), Judgement("trained", "2", 0.25 * place, True, "")))


def make_sample(place: int, rows: int = 2, *, sure: float | None = None) -> CorpusSample:
    """Sample `place`: regions with a confidence only where `sure` is given, mentions only then."""
    image_id = hashlib.sha256(f"image {place}".encode()).hexdigest()
    picture = jpeg(place)
    regions = (
        Region(0, Box(0.0, 0.0, 0.2, 0.2), "area", None, "a corner"),
        Region(1, Box(0.1, 0.1, 0.9, 0.9), "face", sure, NASTY[0]),
    )
    said = Verbalization(image_id, ("It is flat.",), (), regions, (Probe("What?", "A square."),) if sure else ())
    image = ImageRecord(image_id, 32, 24, "JPEG", "RGB", 1, f"dir é.x/{place}.jpg", Location("/x"))
    texts = (f"{NASTY[0]} [1]", f"{NASTY[1]} [0]", f"{NASTY[2]} [1]") if sure else NASTY
    made = tuple(judged(image_id, each, texts, (1, 0) if sure else ()) for each in range(rows))
    return CorpusSample(image, picture, said, made)


def facts_for(rows: int, splits: tuple[str, ...] = ()) -> RunFacts:
    return RunFacts(
        recipe={"recipe": "localized", "profile": "offline", "seed": 0, "note": "```\n---\nx"},
        recipe_hash="r" * 64,
        stages=(
            StageSummary("images", 12, 9, {"repeats another file": 1}, {"truncated | file": 2}),
            StageSummary("candidates", 9, rows + 5, {"no <region>": 4}, {"timeout": 1}, Spend(3, 100, 20, 0.5)),
            StageSummary("judged", rows + 5, rows, {"hedges": 5}),
        ),
        records={"images": "ImageRecord", "verbalized": "Verbalization", "candidates": "Qar", "judged": "Judged"},
        accepted=rows,
        teachers=("scripted|1",),
        prompt_hashes=("p" * 64,),
        critics=("rules 1",),
        ostensive_version="0.1.0",
        splits=splits,
    )


@dataclass(frozen=True)
class Written:
    folder: Path
    samples: list[CorpusSample]
    manifest: CorpusManifest


def write(
    folder: Path, samples: list[CorpusSample], settings: CorpusSettings = SETTINGS, splits: tuple[str, ...] = ()
) -> Written:
    facts = facts_for(sum(len(sample.rows) for sample in samples), splits)
    return Written(folder, samples, write_corpus(iter(samples), folder, kind=KIND, settings=settings, facts=facts))


def mixed_samples() -> list[CorpusSample]:
    """Seven samples whose lists and probabilities are empty in the first six, which misleads whoever guesses types."""
    return [make_sample(place, rows=1 + place % 3, sure=0.5 if place > 5 else None) for place in range(7)]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write(tmp_path / "street", mixed_samples(), SETTINGS.model_copy(update={"max_shard_samples": 3}))


def expected(sample: CorpusSample) -> dict[str, Any]:
    """The public form, spelt out by hand."""
    assert sample.verbalization is not None
    return {
        "image_id": sample.image.image_id,
        "width": 32,
        "height": 24,
        "source": sample.image.source,
        "concepts": ["It is flat."],
        "narratives": [],
        "regions": [
            {
                "number": region.number,
                "box": {"x1": region.box.x1, "y1": region.box.y1, "x2": region.box.x2, "y2": region.box.y2},
                "label": region.label,
                "label_probability": region.label_probability,
                "caption": region.caption,
            }
            for region in sample.verbalization.regions
        ],
        "probes": [{"question": probe.question, "answer": probe.answer} for probe in sample.verbalization.probes],
        "rows": [expected_row(row) for row in sample.rows],
    }


def expected_row(row: Judged[Qar]) -> dict[str, Any]:
    found = row.candidate
    return {
        "row_id": found.row_id,
        "image_id": found.image_id,
        "mode": found.mode,
        "question": found.question,
        "answer": found.answer,
        "rationale": found.rationale,
        "mentions": list(found.mentions),
        "teacher": "scripted|1",
        "prompt_hash": "p" * 64,
        "request_key": found.request_key,
        "unanswerable": "",
        "judgements": [
            {
                "critic": each.critic,
                "critic_version": each.critic_version,
                "accept_probability": each.accept_probability,
                "accepted": True,
                "reason": "",
            }
            for each in row.judgements
        ],
        "recipe_hash": "r" * 64,
    }


def pixels(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


def original(sample: CorpusSample) -> bytes:
    return pixels(Image.open(io.BytesIO(sample.jpeg)))


def shard_paths(folder: Path) -> list[str]:
    return [str(path) for path in sorted((folder / "shards").glob("*.tar"))]


def test_webdataset_reads_every_sample(written: Written) -> None:
    import webdataset

    found = list(webdataset.WebDataset(shard_paths(written.folder), shardshuffle=False).decode("pil"))
    assert [each["__key__"] for each in found] == [sample_key(s.image.image_id) for s in written.samples]
    for each, sample in zip(found, written.samples, strict=True):
        assert each["json"] == expected(sample)
        assert pixels(each["jpg"]) == original(sample)


def test_datasets_reads_both_configs(written: Written) -> None:
    import datasets

    images = datasets.load_dataset(str(written.folder), split="train")
    assert isinstance(images.features["image"], datasets.Image)
    assert len(images) == len(written.samples)
    for row, sample in zip(images, written.samples, strict=True):
        assert pixels(row.pop("image")) == original(sample)
        assert row == expected(sample)
    raw = images.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert raw == {"bytes": written.samples[0].jpeg, "path": f"{sample_key(written.samples[0].image.image_id)}.jpg"}

    rows = datasets.load_dataset(str(written.folder), "rows", split="train")
    assert rows.column_names[-5:] == ["source", "width", "height", "shard", "regions"]
    wanted = [
        {
            **expected_row(row),
            "source": sample.image.source,
            "width": 32,
            "height": 24,
            "shard": f"street-train-{place // 3:06d}.tar",
            "regions": [expected(sample)["regions"][number] for number in row.candidate.mentions],
        }
        for place, sample in enumerate(written.samples)
        for row in sample.rows
    ]
    assert list(rows) == wanted


def test_datasets_reads_the_tars_as_a_stranger_would(tmp_path: Path) -> None:
    import datasets

    written = write(tmp_path / "street", [make_sample(place, sure=0.5) for place in range(3)])
    tars = datasets.load_dataset("webdataset", data_files={"train": shard_paths(written.folder)}, split="train")
    for row, sample in zip(tars, written.samples, strict=True):
        assert row["json"] == expected(sample)
        assert pixels(row["jpg"]) == original(sample)


SAME_ROWS = (
    "import json; told = [json.dumps(row, sort_keys=True) for row in rows]\n"
    "assert [json.dumps(row, sort_keys=True) for row in json.loads(table.to_json(orient='records'))] == told",
    "assert [json.dumps(row, sort_keys=True) for row in frame.to_dicts()] == told",
)
"""What follows the lines of pandas and Polars: each row is the one that `datasets` has."""


@pytest.mark.slow
def test_the_code_on_the_card_runs(written: Written) -> None:
    card = (written.folder / "README.md").read_text(encoding="utf-8")
    checks = (
        "assert len(images) == 7 and len(rows) == 13, (images, rows)",
        "assert row['rows'] and picture.size == (32, 24), row",
        "assert [each['json']['image_id'] for each in tars] == list(load_dataset('street')['train']['image_id'])",
        *SAME_ROWS,
    )
    run_code_of(card, checks, written.folder.parent)


def run_code_of(card: str, checks: tuple[str, ...], folder: Path) -> None:
    """Runs the Python on the card, a check after each block, in `folder`."""
    blocks = re.findall(r"^```python\n(.*?)^```", card, re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    code = "\n".join(f"{block}{check}" for block, check in zip(blocks, checks, strict=True))
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_duckdb_reads_the_rows(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    card = (written.folder / "README.md").read_text(encoding="utf-8")
    query = re.findall(r"^```sql\n(.*?)^```", card, re.DOTALL | re.MULTILINE)[0]
    monkeypatch.chdir(written.folder)
    database = duckdb.connect()
    assert database.execute(query).fetchall() == sorted((s.image.source, len(s.rows)) for s in written.samples)
    boxes = database.execute("SELECT regions[1].box.x2, answer FROM 'rows/*.parquet' WHERE mode = 'ids'").fetchall()
    assert boxes == [(0.9, f"{NASTY[1]} [0]")]


def test_shards_are_plain_and_uniform(written: Written) -> None:
    keys = []
    for path in shard_paths(written.folder):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert all((m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) == (0, 0, 0, 0o644, "", "") for m in members)
        assert all(m.isfile() and not m.pax_headers for m in members)
        names = [m.name for m in members]
        assert names == [f"{name.partition('.')[0]}.{s}" for name in names[::2] for s in ("jpg", "json")]
        keys += [name.partition(".")[0] for name in names[::2]]
    assert len(set(keys)) == len(keys) == 7


def test_the_manifest_lists_what_is_there(written: Written) -> None:
    manifest = json.loads((written.folder / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["kind"], manifest["version"]) == ("ostensive-corpus", 3)
    assert (manifest["name"], manifest["images"], manifest["rows"]) == ("street", 7, 13)
    listed = {file["path"]: file for file in manifest["files"]}
    there = {str(path.relative_to(written.folder)) for path in written.folder.rglob("*") if path.is_file()}
    assert there == {*listed, "README.md", "manifest.json"}
    for path, file in listed.items():
        data = (written.folder / path).read_bytes()
        assert (file["byte_count"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert [file["items"] for file in listed.values() if file["kind"] == "shard"] == [3, 3, 1]
    index = json.loads((written.folder / "shards" / "shardindex-train.json").read_text(encoding="utf-8"))
    assert index["__kind__"] == "wids-shard-index-v1"
    for shard in index["shardlist"]:
        data = (written.folder / "shards" / shard["url"]).read_bytes()
        assert shard["filesize"] == len(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert shard["nsamples"] == len(tar.getnames()) // 2


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name / "corpus", mixed_samples()) for name in ("a", "b"))
    assert contents(first.folder) == contents(second.folder)
    write(first.folder, mixed_samples())
    assert contents(first.folder) == contents(second.folder), "written again over itself"


def test_shards_are_bounded_and_a_large_sample_has_its_own(tmp_path: Path) -> None:
    samples = [make_sample(place, rows=1) for place in range(6)]
    big = CorpusSample(samples[2].image, jpeg(2, 900) + bytes(40_000), samples[2].verbalization, samples[2].rows)
    samples[2] = big
    written = write(tmp_path / "c", samples, SETTINGS.model_copy(update={"max_shard_bytes": 12_000}))
    shards = [file for file in written.manifest.files if file.kind == "shard"]
    sizes = [file.byte_count for file in shards]
    assert [file.items for file in shards] == [2, 1, 3]
    assert [size <= 12_000 for size in sizes] == [True, False, True]
    data = [file.items for file in written.manifest.files if file.kind == "samples"]
    assert sum(data) == 6
    assert len(data) > 2


def test_what_a_kill_left_behind_goes_and_what_others_put_there_stays(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    write(folder, mixed_samples(), SETTINGS.model_copy(update={"max_shard_samples": 1}))
    work = folder / temporary_name("corpus")
    (work / "shards").mkdir(parents=True)
    (work / "shards" / "street-train-000000.tar").write_bytes(b"half")
    (folder / "shards" / "notes.txt").write_text("mine")
    (folder / "plots" / "mine.svg").write_text("<svg/>")
    (folder / "plots" / "of-an-earlier-one.svg").write_bytes(sorted((folder / "plots").glob("*.svg"))[-1].read_bytes())
    (folder / "manifest.json").unlink()
    write(folder, mixed_samples())
    fresh = write(tmp_path / "fresh", mixed_samples())
    assert contents(folder) == {
        **contents(fresh.folder),
        "shards/notes.txt": b"mine",
        "plots/mine.svg": b"<svg/>",
    }
    assert leftovers(folder) == []


def test_an_earlier_corpus_stays_whole_when_writing_fails(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", mixed_samples()).folder
    before = contents(folder)

    def broken() -> Iterator[CorpusSample]:
        yield make_sample(50)
        raise RuntimeError("the partition is gone")

    with pytest.raises(RuntimeError, match="partition is gone"):
        write_corpus(broken(), folder, kind=KIND, settings=SETTINGS, facts=facts_for(2))
    assert contents(folder) == before


def test_rows_that_have_no_public_form_are_counted_and_cost_no_others(tmp_path: Path) -> None:
    good, bad = make_sample(1), make_sample(2, rows=3)
    spoilt = replace(bad.rows[1], judgements=(Judgement("trained", "2", float("nan"), True, ""),))
    bad = replace(bad, rows=(bad.rows[0], spoilt, bad.rows[2]))
    gone = LostSample(make_sample(3).image, 4, "image cannot be read", "gone")
    told: list[LostSample] = []
    manifest = write_corpus(
        [gone, bad, good], tmp_path, kind=KIND, settings=SETTINGS, facts=facts_for(9), tell=told.append
    )
    assert (manifest.images, manifest.rows) == (1, 2)
    assert manifest.lost == {"image cannot be read": 4, "rows cannot be written": 3}
    assert read_manifest(tmp_path) == replace(manifest, statistics=replace(manifest.statistics, examples=()))
    assert [(lost.image, lost.row_count, lost.reason) for lost in told] == [
        (gone.image, 4, "image cannot be read"),
        (bad.image, 3, "rows cannot be written"),
    ]
    assert told[1].detail.startswith("ValueError: Out of range float values are not JSON compliant")
    (summary,) = manifest.publishing
    assert (summary.inputs, summary.rows, summary.kept) == (9, 9, 2)
    assert "| corpus | failed | rows cannot be written | 3 |" in (tmp_path / "README.md").read_text("utf-8")


def test_no_row_at_all(tmp_path: Path) -> None:
    write(tmp_path / "c", mixed_samples())
    written = write(tmp_path / "c", [make_sample(1, rows=0)])
    assert (written.manifest.images, written.manifest.rows, written.manifest.files) == (0, 0, ())
    assert set(contents(written.folder)) == {"README.md", "manifest.json"}
    card = (written.folder / "README.md").read_text(encoding="utf-8")
    assert "This corpus is empty: no row was accepted." in card
    header = yaml.safe_load(card.split("---\n")[1])
    assert "configs" not in header
    assert "dataset_info" not in header


def test_an_image_without_verbalization(tmp_path: Path) -> None:
    import datasets

    bare = replace(make_sample(1, sure=0.5), verbalization=None)
    written = write(tmp_path / "c", [bare])
    row = datasets.load_dataset(str(written.folder), "rows", split="train")[0]
    assert (row["mentions"], row["regions"]) == ([1, 0], [])


def test_one_image_twice_is_refused(tmp_path: Path) -> None:
    other_split = replace(make_sample(1), split="test")
    for twice in ([make_sample(1), make_sample(1)], [make_sample(1), other_split]):
        with pytest.raises(ValueError, match=r"^two samples of the corpus have the key [0-9a-f]{32}$"):
            write(tmp_path / "c", twice, splits=(DEFAULT_SPLIT, "test"))


def test_rows_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OstensiveError) as caught:
        write_corpus([make_sample(1)], tmp_path, kind=KIND, settings=SETTINGS, facts=facts_for(3))
    assert str(caught.value) == (
        "the corpus would hold 2 rows, but the critics accepted 3: files of the run were changed; run the same command"
        " again"
    )
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        write(tmp_path / "file" / "corpus", [make_sample(1)])
    assert str(caught.value) == (
        f"cannot write {tmp_path / 'file' / 'corpus'}: part of the path is a file, not a folder; choose another folder"
    )


def test_a_full_disk_is_one_line_and_leaves_no_rubbish(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses the write in the same place."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2]); import test_cards_corpus as t\n"
        "samples = [t.make_sample(n) for n in range(600)]\n"
        "import datasets, pyarrow.parquet\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: t.write(Path(sys.argv[1]), samples)\n"
        "except t.StorageError as error: print(error)\n"
    )
    folder = tmp_path / "c"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(Path(__file__).parent)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.stdout == (
        f"cannot write {folder}: the file would pass the size limit set for this process; "
        "raise it and run the same command again\n"
    ), done.stderr
    assert "Traceback" not in done.stderr
    assert contents(folder) == {}


# ---- splits ---------------------------------------------------------------------------------------------------------

SPLITS = ("train", "test", "validation")  # in this order, whatever comes first; the last has no row


@pytest.fixture
def split_up(tmp_path: Path) -> Written:
    """Every third sample is of the test split, the first among them."""
    samples = [replace(sample, split=SPLITS[place % 3 == 0]) for place, sample in enumerate(mixed_samples())]
    return write(tmp_path / "street", samples, SETTINGS.model_copy(update={"max_shard_samples": 2}), SPLITS)


def of_split(written: Written, split: str) -> list[CorpusSample]:
    return [sample for sample in written.samples if sample.split == split]


def test_each_split_has_its_files_and_one_without_rows_has_none(split_up: Written) -> None:
    files = [(file.split, file.path, file.items) for file in split_up.manifest.files if file.kind != "plot"]
    assert files == [
        ("train", "shards/street-train-000000.tar", 2),
        ("train", "shards/street-train-000001.tar", 2),
        ("train", "shards/shardindex-train.json", 2),
        ("train", "data/train-00000-of-00001.parquet", 4),
        ("train", "rows/train-00000-of-00001.parquet", 10),
        ("test", "shards/street-test-000000.tar", 2),
        ("test", "shards/street-test-000001.tar", 1),
        ("test", "shards/shardindex-test.json", 2),
        ("test", "data/test-00000-of-00001.parquet", 3),
        ("test", "rows/test-00000-of-00001.parquet", 3),
        ("", "croissant.json", 13),
    ]
    counts = [(split.name, split.images, split.rows) for split in split_up.manifest.splits]
    assert counts == [("train", 4, 10), ("test", 3, 3), ("validation", 0, 0)]
    assert {str(path.relative_to(split_up.folder)) for path in split_up.folder.rglob("*") if path.is_file()} == {
        *(file.path for file in split_up.manifest.files), "README.md", "manifest.json",
    }  # fmt: skip
    index = json.loads((split_up.folder / "shards" / "shardindex-test.json").read_text(encoding="utf-8"))
    assert index["name"] == "street-test"
    assert [(shard["url"], shard["nsamples"]) for shard in index["shardlist"]] == [
        ("street-test-000000.tar", 2), ("street-test-000001.tar", 1),
    ]  # fmt: skip


def test_datasets_reads_every_split_of_both_configs(split_up: Written) -> None:
    import datasets

    images = datasets.load_dataset(str(split_up.folder))
    rows = datasets.load_dataset(str(split_up.folder), "rows")
    assert list(images) == list(rows) == ["train", "test"]
    for split in images:
        samples = of_split(split_up, split)
        assert [list(image.items())[1:] for image in images[split]] == [
            [item for key, value in expected(sample).items()
             for item in ((key, value), *([("split", split)] if key == "source" else []))]
            for sample in samples
        ]  # fmt: skip
        assert [row["row_id"] for row in rows[split]] == [r.record_id for sample in samples for r in sample.rows]
        assert set(rows[split]["split"]) == {split}
        assert {row["shard"].rsplit("-", 1)[0] for row in rows[split]} == {f"street-{split}"}


def test_webdataset_and_duckdb_read_one_split(split_up: Written) -> None:
    import duckdb
    import webdataset

    for split in ("train", "test"):
        tars = sorted(str(path) for path in (split_up.folder / "shards").glob(f"street-{split}-*.tar"))
        found = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
        assert [each["json"]["image_id"] for each in found] == [s.image.image_id for s in of_split(split_up, split)]
        assert {each["json"]["split"] for each in found} == {split}
    query = f"SELECT split, count(*) FROM '{split_up.folder}/rows/*.parquet' GROUP BY split ORDER BY split"
    assert duckdb.connect().execute(query).fetchall() == [("test", 3), ("train", 10)]


def test_the_card_tells_of_splits(split_up: Written) -> None:
    card = (split_up.folder / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])
    assert [config["data_files"] for config in header["configs"]] == [
        [{"split": split, "path": f"{folder}/{split}-*.parquet"} for split in ("train", "test")]
        for folder in ("data", "rows")
    ]
    for info, kind in zip(header["dataset_info"], ("samples", "rows"), strict=True):
        assert [split["num_examples"] for split in info["splits"]] == ([4, 3] if kind == "samples" else [10, 3])
        assert info["dataset_size"] == sum(split["num_bytes"] for split in info["splits"])
        files = [file for file in split_up.manifest.files if file.kind == kind]
        assert info["download_size"] == sum(file.byte_count for file in files)
    assert "| train | 4 | 10 |\n| test | 3 | 3 |\n| validation | 0 | 0 |" in card
    assert "Without a row, and so without files: validation." in card
    assert "Without `split` it is a `DatasetDict` of all splits: train, test." in card
    assert 'shards = "street/shards/street-train-{000000..000001}.tar"' in card


@pytest.mark.slow
def test_the_code_on_the_card_of_splits_runs(split_up: Written) -> None:
    card = (split_up.folder / "README.md").read_text(encoding="utf-8")
    checks = (
        "assert (len(images), len(rows)) == (4, 10)",
        "assert row['split'] == 'train', row",
        "assert len(tars) == 4 and {each['json']['split'] for each in tars} == {'train'}",
        "assert table['split'].value_counts().to_dict() == {'train': 10, 'test': 3}",
        "assert frame['split'].to_list() == table['split'].to_list()",
    )
    run_code_of(card, checks, split_up.folder.parent)


def test_files_of_splits_that_are_no_more_go(split_up: Written) -> None:
    (split_up.folder / "data" / "mine.parquet").write_bytes(b"mine")
    write(split_up.folder, mixed_samples())
    fresh = write(split_up.folder.parent / "fresh", mixed_samples())
    assert contents(split_up.folder) == {**contents(fresh.folder), "data/mine.parquet": b"mine"}


def test_a_split_whose_name_begins_like_another(tmp_path: Path) -> None:
    import datasets

    names = ("test", "test_2")
    samples = [replace(make_sample(place), split=names[place % 2]) for place in range(3)]
    written = write(tmp_path / "c", samples, splits=names)
    found = datasets.load_dataset(str(written.folder))
    assert {name: len(found[name]) for name in found} == {"test": 2, "test_2": 1}


@pytest.mark.parametrize("name", ["all", "a b", "a-b", "../x", "é", "a" * 65, ""])
def test_names_that_are_no_split(name: str) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match=r"`datasets` means all splits together by `all`|should match pattern"):
        CorpusSettings(license="mit", source="x", intended_use="to test", splits={name: 1})
