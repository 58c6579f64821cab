"""Exported corpora: every row is there once with its own picture, and the tools that they are for read them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Any: rows as datasets and JSON give them, and parts of transformers and TRL

import numpy as np
import PIL.Image
import pytest
from annotated_images import write_rows
from drawing import write_scenes
from hardship import call

import ostensive
from microworld.training.words import IMAGE, make_processor
from ostensive.images.drawing import region_colour
from students.rows import slots_in, tokens_of

RECIPES = ("localized", "preferences", "explanations")
CORPUS = (
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "corpus.splits={train: 0.5, test: 0.5}",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each recipe about four drawn scenes, with two splits."""
    folder = tmp_path_factory.mktemp("runs")
    write_scenes(folder / "images", 4)
    labels = write_rows(
        folder / "labels.jsonl", [{"file_name": f"scene {k:04d}.jpg", "label": "scene"} for k in range(4)]
    )
    (folder / "concepts.json").write_text('{"scene": ["mostly grey", "sharp edges", "a bright top"]}', "utf-8")
    own = {
        "localized": ["localized.turns=1"],
        "explanations": ["explanations.draws=1", f"explanations.concepts={folder / 'concepts.json'}"],
    }
    for recipe in RECIPES:
        options = ostensive.BuildOptions(
            settings=[*CORPUS, *own.get(recipe, [])], annotations=labels if recipe == "explanations" else None
        )
        ostensive.build(recipe, images=folder / "images", out=folder / recipe, options=options)
    return folder


def exported(runs: Path, recipe: str, view: str, out: Path, *more: object) -> str:
    done = call("student", "export", runs / recipe, "--view", view, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def corpus_rows(runs: Path, recipe: str) -> dict[str, Mapping[str, Any]]:
    return {row["row_id"]: row for row in ostensive.open_corpus(runs / recipe).rows()}


def loaded(folder: Path, cache: Path) -> Any:
    import datasets

    return datasets.load_dataset(str(folder), cache_dir=str(cache))


@pytest.mark.parametrize(
    ("recipe", "view"),
    [
        ("localized", "messages"),
        ("explanations", "messages"),
        ("explanations", "prompt-completion"),
        ("preferences", "preference"),
    ],
)
def test_trl_reads_every_row_with_its_picture(runs: Path, tmp_path: Path, recipe: str, view: str) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    said = exported(runs, recipe, view, tmp_path / "out")
    splits = loaded(tmp_path / "out", tmp_path / "cache")
    known = corpus_rows(runs, recipe)
    found = [(split, row) for split, rows in splits.items() for row in rows]
    assert {row["row_id"] for _, row in found} == known.keys()
    assert len(found) == len(known), "one each: their dialogues have one reply, or it is one conversation"
    assert f"{'train':<12}{len(splits['train']):,} rows for training" in said
    for split, row in found:
        assert row["image_id"] == known[row["row_id"]]["image_id"]
        assert split == known[row["row_id"]]["split"]
        assert json.loads(row["lineage"])["request_key"] == known[row["row_id"]]["request_key"]
        (picture,) = row["images"]
        assert picture.size == (known[row["row_id"]]["width"], known[row["row_id"]]["height"])
        assert slots_in(row["prompt"] if "prompt" in row else row["messages"]) == 1
    collator: Any = DataCollatorForVisionPreference if view == "preference" else DataCollatorForVisionLanguageModeling
    processor: Any = make_processor(8)
    batch = collator(processor)([row for _, row in found][:3])
    image = processor.tokenizer.convert_tokens_to_ids(IMAGE)
    assert len(batch["input_ids"]) == (6 if view == "preference" else 3)
    assert len({int(count) for count in (batch["input_ids"] == image).sum(dim=1)}) == 1, "one picture each"


def test_a_conversation_with_a_reason_gives_a_row_for_each_reply(runs: Path, tmp_path: Path) -> None:
    exported(runs, "localized", "prompt-completion", tmp_path / "out")
    rows = [row for split in loaded(tmp_path / "out", tmp_path / "cache").values() for row in split]
    known = corpus_rows(runs, "localized")
    assert len(rows) == 2 * len(known)
    replies = [(row["row_id"], row["completion"][0]["content"][0]["text"]) for row in rows]
    assert sorted(replies) == sorted(
        (row_id, row[part]) for row_id, row in known.items() for part in ("answer", "rationale")
    )
    assert all(slots_in(row["prompt"]) == 1 and not slots_in(row["completion"]) for row in rows)


def test_regions_that_a_row_mentions_are_drawn(runs: Path, tmp_path: Path) -> None:
    known = corpus_rows(runs, "localized")
    for shown in ("mentioned", "none"):
        exported(runs, "localized", "llava", tmp_path / shown, "--regions", shown)
    row_id, row = next((row_id, row) for row_id, row in known.items() if row["regions"])
    drawn, plain = (llava_rows(tmp_path / shown)[row_id]["image"] for shown in ("mentioned", "none"))
    region = row["regions"][0]
    colour = np.array(region_colour(region["number"]))
    off = {
        name: np.abs(np.asarray(PIL.Image.open(path).convert("RGB"), dtype=int) - colour).sum(axis=2)
        for name, path in (("drawn", tmp_path / "mentioned" / drawn), ("plain", tmp_path / "none" / plain))
    }
    assert (off["drawn"] < 60).sum() > (off["plain"] < 60).sum() + 20, "the outline has the colour of its number"
    stored = next(iter((runs / "localized" / "corpus").glob("data/*.parquet")))
    assert stored.is_file()
    assert row_id not in plain, "pictures without regions are shared by the rows of an image"


def llava_rows(folder: Path) -> dict[str, Any]:
    return {row["id"]: row for path in folder.glob("llava-*.json") for row in json.loads(path.read_text("utf-8"))}


def test_llava_has_one_slot_and_its_picture(runs: Path, tmp_path: Path) -> None:
    exported(runs, "explanations", "llava", tmp_path / "out")
    rows, known = llava_rows(tmp_path / "out"), corpus_rows(runs, "explanations")
    assert rows.keys() == known.keys()
    for row_id, row in rows.items():
        asked, answered = row["conversations"]
        assert asked == {"from": "human", "value": f"<image>\n{known[row_id]['query']}"}
        assert answered == {"from": "gpt", "value": known[row_id]["answer"]}
        assert PIL.Image.open(tmp_path / "out" / row["image"]).size == (known[row_id]["width"], known[row_id]["height"])


def test_the_release_of_lskd(runs: Path, tmp_path: Path) -> None:
    exported(runs, "localized", "lskd", tmp_path / "out")
    records = [
        json.loads(line)
        for path in sorted((tmp_path / "out").glob("lskd-*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    known = corpus_rows(runs, "localized")
    assert len(records) == len(known)
    assert {record["split"] for record in records} == {"train", "test"}
    by_text = {(row["question"], row["rationale"], row["source"]): row for row in known.values()}
    assert len(by_text) <= len(known)
    for record in records:
        size = PIL.Image.open(tmp_path / "out" / record["image"]).size
        assert set(record["region"]) <= set(record["region_all"])
        mentions = [
            token for part in ("question", "answer", "rationale") for token in record[part] if token != str(token)
        ]
        assert {number for one in mentions for number in one} == set(record["region"])
        for reference, number in zip(record["references"], record["region_all"], strict=True):
            assert reference["name"] == str(number)
            ((left, top, right, bottom),) = reference["boxes"]
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
        assert record["prediction"] == 1.0
    assert len({record["index"] + record["split"] for record in records}) == len(records)


def test_tokens() -> None:
    assert tokens_of("Is [0] the cat's, or [12]?") == ["Is", [0], "the", "cat's", ",", "or", [12], "?"]
    assert tokens_of("well-lit [x] 3.5") == ["well-lit", "[", "x", "]", "3", ".", "5"]


def test_what_cannot_be_exported_is_one_line(runs: Path, tmp_path: Path) -> None:
    def refused(recipe: str, view: str, out: Path, *more: object) -> str:
        done = call("student", "export", runs / recipe, "--view", view, "--out", out, *more)
        assert done.returncode == 2
        return done.complaint

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    assert refused("preferences", "messages", tmp_path / "out") == (
        "--view messages: rows of preferences have no such form; preference are there"
    )
    assert re.search("is there already; name a folder", refused("preferences", "preference", tmp_path / "full"))
    assert "leave it out" in refused("preferences", "preference", tmp_path / "out", "--regions", "all")
    assert "leave it out" in refused("localized", "lskd", tmp_path / "out", "--regions", "all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"], "nothing is left behind"


def test_twice_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        exported(runs, "localized", "messages", tmp_path / name)
    one, two = (
        {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*.parquet")
        }
        for name in ("one", "two")
    )
    assert one == two
    assert one
