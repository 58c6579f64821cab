"""`source` of what is published is the name of the file as it is, so that people can join their own tables by it."""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from drawing import draw_scene
from hardship import call

NAMES = (
    "Screenshot 2026-01-02 at 9.41.07\u202fAM.png",
    "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627.png",
    "\u5199\u771f\u3000\u6d77.png",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "v\u00a013.05.png",
    "\u200f\u05e9\u05dc\u05d5\u05dd\u200e.png",
    "a\u2028b\u2029c\x85d.png",
    "two\nlines\t\x1b[2J\x07\x7f.png",
    "e\u0301 \xad\ufeff\u2060.png",
    "back\\slash \\u202f \\n.png",
    "bytes:100%.png",
    "plain.png",
)
RAW = b"caf\xe9 50%.png"
STORED = "bytes:caf%E9 50%25.png"


def write_images(folder: Path) -> Path:
    folder.mkdir()
    for number, name in enumerate((*NAMES, os.fsdecode(RAW))):
        with (folder / name).open("wb") as file:
            draw_scene(number).save(file, "PNG")
    return folder


def write_tar(images: Path, tar: Path) -> Path:
    with tarfile.open(tar, "w") as file:
        for path in sorted(images.iterdir()):
            file.add(path, path.name)
    return tar


def sources_in_shards(corpus: Path) -> Iterator[str]:
    for shard in sorted((corpus / "shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    assert re.fullmatch(r"[0-9a-f]{32}\.json", member.name)
                    text = tar.extractfile(member)
                    assert text is not None
                    yield json.load(io.TextIOWrapper(text, "utf-8"))["source"]


@pytest.mark.parametrize("kind", ["folder", pytest.param("tar", marks=pytest.mark.slow)])
def test_sources_in_every_part_of_a_corpus_are_the_names_of_the_files(tmp_path: Path, kind: str) -> None:
    given = images = write_images(tmp_path / "in")
    prefix = ""
    if kind == "tar":
        given, prefix = write_tar(images, tmp_path / "no\u202fbreak.tar"), "no\u202fbreak.tar!"
    sets = ["corpus.license=cc0-1.0", "corpus.source=drawn", "corpus.intended_use=to test", "localized.turns=1"]
    done = call(
        *("build", "localized", "--images", given, "--out", tmp_path / "run", "--quiet"),
        *(part for value in sets for part in ("--set", value)),
    )
    assert done.returncode == 0, done.stderr
    corpus = tmp_path / "run" / "corpus"
    expected = {*(f"{prefix}{name}" for name in NAMES), f"bytes:{prefix}{STORED.removeprefix('bytes:')}"}
    assert {*pq.read_table(corpus / "data", columns=["source"])["source"].to_pylist()} == expected
    assert {*pq.read_table(corpus / "rows", columns=["source"])["source"].to_pylist()} == expected
    assert {*sources_in_shards(corpus)} == expected
    assert {*pq.read_table(tmp_path / "run" / "images", columns=["input_id"])["input_id"].to_pylist()} == expected
    card = (corpus / "README.md").read_text("utf-8")
    assert all(character.isprintable() or character == "\n" for character in card)


def test_a_duplicate_names_its_first_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a\u202fb.png", "c\nd.png"):
        draw_scene(1).save(folder / name)
    sets = ["corpus.license=cc0-1.0", "corpus.source=drawn", "corpus.intended_use=to test", "localized.turns=1"]
    done = call(
        *("build", "localized", "--images", folder, "--out", tmp_path / "run", "--quiet"),
        *(part for value in sets for part in ("--set", value)),
    )
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "run" / "images", columns=["input_id", "outcome_detail"]).to_pylist()
    assert {row["input_id"]: row["outcome_detail"] for row in table}["c\nd.png"] == "same bytes as a\u202fb.png"
