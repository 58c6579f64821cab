"""Rows that a student is trained on, in the forms that trainers read. All of it is pure.

A row has one image and one slot for it, in the first turn of the user; no other text holds anything that a processor
takes for a slot. Pictures are no part of these rows: TRL's have theirs in a column `images` beside them (a table
without that column is taken for one of text), LLaVA's and LSKD's name a file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final  # Any: JSON values

from ostensive.image_slots import SlotError, checked
from ostensive.recipe_kind import Preference, ShownText
from ostensive.records import IMAGE_SLOT, Region, Turn

Json = dict[str, Any]
_LLAVA: Final[Mapping[str, str]] = {"system": "system", "user": "human", "assistant": "gpt"}
_TOKENS: Final = re.compile(r"\[(\d+)\]|\w+(?:['’-]\w+)*|[^\w\s]")


def messages_row(turns: Sequence[Turn]) -> Json:
    """`messages`, for TRL's supervised trainer; raises `SlotError` as `checked_turns` does."""
    return {"messages": _messages(checked_turns(turns))}


def prompt_completion_rows(turns: Sequence[Turn]) -> Iterator[Json]:
    """`prompt` and `completion` for each turn of the assistant: TRL trains on the completion alone.

    Raises `SlotError` as `checked_turns` does.
    """
    messages = _messages(checked_turns(turns))
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            yield {"prompt": messages[:place], "completion": [message]}


def preference_row(preference: Preference) -> Json:
    """`prompt`, `chosen` and `rejected`, for TRL's DPO trainer; raises `SlotError` as `checked_turns` does.

    The slot stands in the prompt, which both sides share, so that the model is shown the picture with either.
    """
    sides = [
        _messages(checked_turns((Turn("user", preference.prompt), Turn("assistant", side))))
        for side in (preference.chosen, preference.rejected)
    ]
    (prompt, chosen), (_, rejected) = sides
    return {"prompt": [prompt], "chosen": [chosen], "rejected": [rejected]}


def llava_row(row_id: str, image: str, turns: Sequence[Turn]) -> Json:
    """A row of LLaVA's JSON; `image` is a path relative to the image root. Raises `SlotError` as `checked_turns` does.

    A turn of system is a turn as in ShareGPT's form; LLaVA's own training script knows none.
    """
    conversations = [{"from": _LLAVA[turn.role], "value": turn.text} for turn in checked_turns(turns)]
    first = next(one for one in conversations if one["from"] == "human")
    first["value"] = f"{IMAGE_SLOT}\n{first['value']}"
    return {"id": row_id, "image": image, "conversations": conversations}


def lskd_row(
    texts: Sequence[ShownText],
    regions: Sequence[Region],
    *,
    image: str,
    size: tuple[int, int],
    source: str,
    split: str,
    number: int,
    prediction: float,
) -> Json:
    """A record as LSKD released its corpus: texts as lists of tokens, a mention as a list of its number.

    `size` is width and height in pixels; `regions` are all that may be displayed; `prediction` is the critic's score,
    0-1. There are no masks, so that `segms` is empty.
    """
    mentioned = dict.fromkeys(number for text in texts for number in text.mentions)
    return {
        "image": image,
        "source": source,
        "split": split,
        "index": f"{source}-{number}",
        "region": [*mentioned],
        "region_all": [region.number for region in regions],
        "references": [_reference(region, size) for region in regions],
        **{text.name: tokens_of(text.text) for text in texts},
        "prediction": prediction,
    }


def tokens_of(text: str) -> list[str | list[int]]:
    """The words and marks of a text in order; `[k]` is the list of the number k."""
    return [[int(match[1])] if match[1] else match[0] for match in _TOKENS.finditer(text)]


def checked_turns(turns: Sequence[Turn]) -> Sequence[Turn]:
    """`turns` as they are; raises `SlotError` for what cannot be trained on with one image.

    They may begin with a turn of system; then user and assistant alternate, the user first and the assistant last.
    """
    roles = [turn.role for turn in turns]
    talk = roles[1:] if roles[:1] == ["system"] else roles
    if not talk or talk != ["user", "assistant"] * (len(talk) // 2):
        raise SlotError(f"turns of {', '.join(roles) or 'nobody'}; user and assistant by turns are expected")
    for place, turn in enumerate(turns, 1):
        checked(turn.text, f"turn {place}, of {turn.role}")
    return turns


def slots_in(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many images TRL will look for in messages."""
    return sum(part["type"] == "image" for message in messages for part in message["content"])


def _messages(turns: Sequence[Turn]) -> list[Json]:
    """Messages of parts, the slot before the first text of the user.

    No part has a key `image`: Arrow gives every part every key, and TRL counts those without one.
    """
    first = next(place for place, turn in enumerate(turns) if turn.role == "user")
    return [
        {
            "role": turn.role,
            "content": [*([{"type": "image"}] if place == first else []), {"type": "text", "text": turn.text}],
        }
        for place, turn in enumerate(turns)
    ]


def _reference(region: Region, size: tuple[int, int]) -> Json:
    return {
        "name": str(region.number),
        "boxes": [list(region.box.pixels(*size))],
        "segms": [],
        "obj_guess": region.label,
        "tag": region.number,
    }
