"""The values of rows as texts, and labels as places among the choices."""

from collections.abc import Mapping, Sequence
from typing import Any  # Any: JSON values

from builders.self_talk.records import NO_FIELD, NO_LABEL, REPEATED, WRONG_LABEL, RowError


def plain(text: str) -> str:
    """`text` on one line, with single blanks."""
    return " ".join(text.split())


def text_in(values: Mapping[str, Any], name: str) -> str:
    """The text under `name`; raises `RowError` where there is none."""
    value = values.get(name)
    text = plain(value) if isinstance(value, str) else ""
    if not text:
        raise RowError(NO_FIELD)
    return text


def label_in(values: Mapping[str, Any], *names: str) -> str | None:
    """What stands under the first of `names` that the row has; None where it has none."""
    found = next((values[name] for name in names if values.get(name) is not None), None)
    return found.strip() if isinstance(found, str) else None


def place_of(label: str | None, labels: Sequence[str]) -> int:
    """Where `label` is among `labels`, which are those of the choices; raises `RowError`."""
    if not label or label == "-1":  # what exports of the Hub have for a test set, whose labels are kept back
        raise RowError(NO_LABEL)
    if label not in labels:
        raise RowError(WRONG_LABEL)
    return list(labels).index(label)


def distinct(choices: Sequence[str]) -> tuple[str, ...]:
    """`choices`; raises `RowError` where two are the same, of which neither could be the right one alone."""
    if len({choice.casefold() for choice in choices}) != len(choices):
        raise RowError(REPEATED)
    return tuple(choices)
