"""COPA as its makers have it: one XML file of items, each with a premise and two alternatives."""

from collections.abc import Iterator
from pathlib import Path

from builders.self_talk.fields import plain
from builders.self_talk.json_formats import copa
from builders.self_talk.records import Question, RowError
from ostensive.errors import SettingsError, one_line

_PLACES = {"1": "0", "2": "1"}  # alternatives are numbered from 1 there, and from 0 in SuperGLUE


def copa_items(path: Path, shown: str) -> Iterator[Question | RowError]:
    """A question, or why it is none, for each item of the file; raises `SettingsError` for what is no such XML."""
    # expat resolves nothing outside the file and stops where entities grow out of hand.
    from xml.etree import ElementTree as Tree

    try:
        root = Tree.parse(path).getroot()  # noqa: S314 - see above
    except Tree.ParseError as error:
        raise SettingsError(f"{shown}: not XML ({one_line(error)}); COPA's own XML is expected") from error
    except (LookupError, ValueError) as error:  # of an encoding that the declaration names
        raise SettingsError(f"{shown}: its encoding cannot be read ({one_line(error)}); save it as UTF-8") from error
    items = list(root.iter("item"))
    if not items:
        raise SettingsError(f"{shown}: holds no <item>; COPA's own XML is expected")
    for number, item in enumerate(items, 1):
        given = plain(item.get("most-plausible-alternative", ""))
        values = {
            "premise": item.findtext("p"),
            "question": item.get("asks-for"),
            "choice1": item.findtext("a1"),
            "choice2": item.findtext("a2"),
            "label": _PLACES.get(given, given and f"alternative {given}"),
        }
        try:
            yield copa(values, None, f"item {item.get('id', number)}")
        except RowError as error:
            yield error
