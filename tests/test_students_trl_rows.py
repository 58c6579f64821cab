"""Training rows, written as Parquet and read back with `datasets`, go through TRL's own data code as they are."""

from pathlib import Path
from typing import Any  # Any: rows as datasets gives them, and parts of transformers and TRL

import PIL.Image
import pytest

from builders.instructions.recipe import dialogue
from builders.instructions.records import InfusedInstruction
from builders.preferences.recipe import preference
from builders.preferences.records import PreferencePair
from microworld.training.words import IMAGE, WORDS, make_processor
from ostensive.records import Turn
from students.rows import messages_row, preference_row, slots_in

PATCH_PX = 8
NOUNS = [word for word in WORDS if word.isalpha()][:6]
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def processor() -> Any:
    return make_processor(PATCH_PX)


def stored(rows: list[dict[str, Any]], folder: Path) -> Any:
    """The rows with a picture each, as a reader of the Parquet file has them; columns in another order."""
    import datasets

    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in reversed(rows[0])}
    columns["images"] = [[PIL.Image.new("RGB", (40, 30), COLOURS[place])] for place in range(len(rows))]
    written = datasets.Dataset.from_dict(columns).cast_column("images", datasets.List(datasets.Image()))
    written.to_parquet(folder / "rows.parquet")
    return datasets.Dataset.from_parquet(str(folder / "rows.parquet"), cache_dir=str(folder / "cache"))


def pair(place: int) -> PreferencePair:
    return PreferencePair(
        f"p{place}", f"i{place}", NOUNS[0], NOUNS[1 + place], f"{NOUNS[3 + place]} {NOUNS[5]}", "imagined", "",
        "imagine_1", "t", "h", "k", "r", 0,
    )  # fmt: skip


def sft_rows() -> list[dict[str, Any]]:
    """A row of a plain question, one with a description infused, and one of several turns with one infused."""
    plain = Turn("user", NOUNS[0]), Turn("assistant", NOUNS[1])
    asked, answered = Turn("user", NOUNS[2]), Turn("assistant", NOUNS[3])
    rows = [
        InfusedInstruction("r", "i", "a", NOUNS[4], turns, "caption_1", "t", "h", "k")
        for turns in ((asked, answered), (asked, answered, Turn("user", NOUNS[5]), Turn("assistant", NOUNS[0])))
    ]
    return [messages_row(turns) for turns in (plain, *map(dialogue, rows))]


def slots(processor: Any, ids: Any) -> list[int]:
    """How many tokens of a picture each text holds."""
    image = processor.tokenizer.convert_tokens_to_ids(IMAGE)
    return [int(count) for count in (ids == image).sum(dim=1)]


def of_picture(processor: Any) -> int:
    """How many tokens one picture takes, by the processor itself."""
    made = processor(images=[PIL.Image.new("RGB", (40, 30))], text=IMAGE, return_tensors="pt")
    (count,) = slots(processor, made["input_ids"])
    return count


def assert_pictures(processor: Any, pixels: Any, colours: list[str]) -> None:
    """That each picture of the batch is the one of its row."""
    import torch

    expected = processor.image_processor(
        [PIL.Image.new("RGB", (40, 30), colour) for colour in colours], return_tensors="pt"
    )["pixel_values"]
    assert torch.allclose(pixels, expected)


def test_messages_go_through_the_collator_of_supervised_training(processor: Any, tmp_path: Path) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    rows = list(stored(sft_rows(), tmp_path))
    assert [slots_in(row["messages"]) for row in rows] == [1, 1, 1]
    kind: Any = DataCollatorForVisionLanguageModeling
    batch = kind(processor)(rows)
    assert slots(processor, batch["input_ids"]) == [of_picture(processor)] * 3
    assert_pictures(processor, batch["pixel_values"], ["red", "green", "blue"])
    texts = processor.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    assert [NOUNS[0] in texts[0], NOUNS[1] in texts[0], NOUNS[3] in texts[1], NOUNS[4] in texts[1]] == [True] * 4
    said = [word for word in texts[2].split() if word in NOUNS]
    assert said == [NOUNS[place] for place in (4, 2, 3, 5, 0)]
    assert not any("None" in text for text in texts)
    assert bool((batch["labels"][batch["attention_mask"] == 0] == -100).all())
    kept = batch["attention_mask"] == 1
    assert bool((batch["labels"][kept] == batch["input_ids"][kept]).all())


def test_pairs_go_through_the_collator_of_preference_training(processor: Any, tmp_path: Path) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    pairs = [pair(0), pair(1)]
    rows = list(stored([preference_row(preference(one)) for one in pairs], tmp_path))
    kind: Any = DataCollatorForVisionPreference
    batch = kind(processor)(rows)
    assert slots(processor, batch["input_ids"]) == [of_picture(processor)] * 4
    assert_pictures(processor, batch["pixel_values"], ["red", "green"] * 2)
    decode = processor.tokenizer.decode
    for side, ids, mask in zip(
        [one.chosen for one in pairs] + [one.rejected for one in pairs],
        batch["input_ids"],
        batch["completion_mask"],
        strict=True,
    ):
        assert decode(ids[mask == 1], skip_special_tokens=True).split() == side.split()
        assert NOUNS[0] in decode(ids[mask == 0], skip_special_tokens=True).split()


def test_a_row_with_two_slots_fails(processor: Any, tmp_path: Path) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    message, pairs = sft_rows()[0], preference_row(preference(pair(0)))
    kinds: list[tuple[Any, dict[str, Any], Any]] = [
        (DataCollatorForVisionLanguageModeling, message, message["messages"][0]),
        (DataCollatorForVisionPreference, pairs, pairs["prompt"][0]),
    ]
    for place, (kind, row, turn) in enumerate(kinds):
        turn["content"].insert(0, {"type": "image"})
        folder = tmp_path / str(place)
        folder.mkdir()
        with pytest.raises(ValueError, match="does not match number of image placeholders"):
            kind(processor)(list(stored([row], folder)))
