"""Pairs as rows that TRL trains on: prompt, chosen and rejected as messages, one image slot a row.

The slot stands in the prompt, which both sides share, so that the model is shown the picture with either. The row's
picture is the clean one, in a column `images` with one picture: TRL takes a table without that column for one of text.
"""

from builders.messages import Json, assistant_message, user_message
from builders.preferences.records import PreferencePair


def preference_row(pair: PreferencePair) -> dict[str, list[Json]]:
    """The row of a pair without its picture; raises `SlotError` for a text that holds a placeholder of an image."""
    return {
        "prompt": [user_message(pair.prompt)],
        "chosen": [assistant_message(pair.chosen)],
        "rejected": [assistant_message(pair.rejected)],
    }
