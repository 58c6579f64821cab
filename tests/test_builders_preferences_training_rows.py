"""Pairs as rows for training: one image slot, in the prompt, and every text as it was."""

import pytest

from builders.preferences.recipe import preference
from builders.preferences.records import PreferencePair
from ostensive.image_slots import SlotError
from students.rows import preference_row, slots_in


def pair(**changes: str) -> PreferencePair:
    texts = {"prompt": "What is it?", "chosen": "A cat's tail: long.", "rejected": "Rain.", **changes}
    lineage = dict.fromkeys(("row_id", "image_id", "way", "corruption", "hallucination_prompt", "teacher"), "x")
    keys = dict.fromkeys(("prompt_hash", "request_key", "rejected_request_key"), "k")
    return PreferencePair(**texts, **lineage, **keys, round=0)


def test_a_pair_as_it_is_trained_on() -> None:
    row = preference_row(preference(pair()))
    assert row == {
        "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
        "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "A cat's tail: long."}]}],
        "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "Rain."}]}],
    }
    assert [slots_in(row[side]) for side in ("prompt", "chosen", "rejected")] == [1, 0, 0]
    with pytest.raises(SlotError, match=r"^turn 2, of assistant holds the image placeholder <image>; take it out$"):
        preference_row(preference(pair(rejected="An <image>.")))


def test_arrow_adds_no_image_to_a_part() -> None:
    """TRL counts the parts of type image that have no key `image`; Arrow gives every part every key that one has."""
    import pyarrow as pa

    (row,) = pa.Table.from_pylist([preference_row(preference(pair()))]).to_pylist()
    parts = [part for messages in row.values() for message in messages for part in message["content"]]
    assert [part["type"] for part in parts] == ["image", "text", "text", "text"]
    assert not any("image" in part for part in parts)
