"""YAML that people write: recipes, price tables, the values of `--set`.

A plain word is text, whatever it looks like, and the setting that it is for decides what it means: `2026-01-02`, `NO`
and `1.10` are texts where text is expected, and `010` is ten where a number is. By YAML 1.1, which PyYAML follows,
they would be a date, a falsehood, 1.1 and eight before anybody could ask. Only `null`, `~` and nothing at all are null.
A key that stands twice is refused, as YAML 1.2 has it, where PyYAML takes the last.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: what YAML gives

import yaml

from ostensive.errors import SettingsError
from ostensive.text_lines import lines_of
from ostensive.user_paths import PlacedText

_TAG = "tag:yaml.org,2002:"
_MAX_DEPTH = 50
_MAX_NODES = 100_000
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BEGINS_VALUE = ("[", "{", '"', "'")  # of a value of `--set` that is YAML and not text as it stands


class _Loader(yaml.SafeLoader):
    """Scalars are texts; the keys of a mapping are distinct texts."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - none of the parent's

    def __init__(self, text: str, folder: Path | None) -> None:
        super().__init__(text)
        self.folder = folder

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        assert isinstance(node, yaml.MappingNode), "that is what it composes"
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is expected to be text", problem_mark=key.start_mark)
            if key.value in lines:
                first = lines[key.value]
                where = "twice in this line" if first == line else f"here and in line {first}"
                problem = f"the key {key.value!r:.60} stands {where}"
                raise _RepeatedKeyError(problem=problem, problem_mark=key.start_mark)
            lines[key.value] = line
            if key.tag != f"{_TAG}merge":
                key.tag = f"{_TAG}str"
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (AttributeError, LookupError, TypeError, ArithmeticError) as error:  # the library's, for `!!bool maybe`
            tag = node.tag.removeprefix(_TAG)
            raise yaml.MarkedYAMLError(problem=f"this is no {tag}", problem_mark=node.start_mark) from error

    def text(self, node: yaml.ScalarNode) -> str:
        value = str(self.construct_scalar(node))
        return value if self.folder is None else PlacedText.of(value, self.folder)


_Loader.add_implicit_resolver(f"{_TAG}null", _NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile(r"<<\Z"), ["<"])
_Loader.add_constructor(f"{_TAG}str", _Loader.text)


class _ExtentError(yaml.MarkedYAMLError):
    """More in depth or number than anybody writes."""


class _RepeatedKeyError(yaml.MarkedYAMLError):
    """A key stands twice in a mapping."""


def parse_yaml(text: str, origin: str, folder: Path | None = None) -> dict[str, Any]:
    """The mapping that `text` holds, scalars as texts; raises `SettingsError` with the line when it is not one.

    `folder` is where relative paths in it are meant from.
    """
    try:
        document = _first_document(text, folder)
    except _RepeatedKeyError as error:
        raise SettingsError(f"{_place(error, origin)}: {error.problem}; leave one of them") from error
    except _ExtentError as error:
        raise SettingsError(f"{_place(error, origin)}: not read: {error.problem}") from error
    except yaml.MarkedYAMLError as error:
        hint = "; a tab stands before it, and YAML is indented by spaces" if _follows_tab(error, text) else ""
        raise SettingsError(f"{_place(error, origin)}: not YAML ({error.problem}){hint}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{origin}: not YAML ({' '.join(str(error).split())})") from error
    except ValueError as error:  # of a tag such as !!int
        raise SettingsError(f"{origin}: not YAML ({error})") from error
    except RecursionError as error:
        raise SettingsError(f"{origin}: not read: nested too deeply") from error
    if document.next_line is not None:
        raise SettingsError(
            f"{origin}, line {document.next_line}: a second document begins here (---); one is expected"
        )
    values = document.value
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise SettingsError(f"{origin}: a mapping of settings is expected (`key: value` lines)")
    return values


def read_yaml(path: Path, origin: str | None = None) -> dict[str, Any]:
    """The mapping that a YAML file holds; raises `SettingsError` when it cannot be read.

    `origin` is what messages call the file; None takes its path.
    """
    name = str(path) if origin is None else origin
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise SettingsError(f"{name}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}: cannot be read as UTF-8 text (byte {error.start}); save it in UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read ({error.strerror or error})") from error
    return parse_yaml(text, name, path.absolute().parent)


def parse_value(text: str) -> Any:
    """A value of `--set`: the text as it is given, less white space around it.

    Nothing and `null` are null. Brackets, braces and quotes are YAML where they are whole: `[a, b]`, `{a: b}`, `"null"`
    for the text; where they are not, they are text like any other. Raises `ValueError` for a key that stands twice in
    braces, and for what YAML would take away (`&anchor`, `!tag`).
    """
    stripped = text.strip()
    if _NULL.match(stripped):
        return None
    if not stripped.startswith(_BEGINS_VALUE):
        return stripped
    try:
        document = _first_document(stripped, None)
    except _RepeatedKeyError as error:
        raise ValueError(f"{error.problem}; leave one of them") from error
    except (yaml.YAMLError, ValueError, RecursionError):
        return stripped
    if document.end != len(stripped):  # a comment follows, or more of whatever it is
        return stripped
    _refuse_properties(stripped)
    return document.value


def _refuse_properties(text: str) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        tagged = isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and event.tag is not None
        if getattr(event, "anchor", None) or tagged:
            raise ValueError("a word in it that begins with &, * or ! is more than text in YAML; put it in quotes")


@dataclass(frozen=True, slots=True)
class _Document:
    value: Any
    end: int  # the place behind its last character
    next_line: int | None  # where another document begins


def _first_document(text: str, folder: Path | None) -> _Document:
    """The first document in `text`, null where there is none; raises `yaml.YAMLError`, `ValueError`."""
    loader = _Loader(text, folder)
    try:
        if not loader.check_node():
            return _Document(None, 0, None)
        node = loader.get_node()
        assert node is not None, "there is a document"
        _check_extent(node)
        value = loader.construct_document(node)
        has_next = loader.check_node()
        next_line = loader.peek_event().start_mark.line + 1 if has_next else None  # type: ignore[no-untyped-call]  # PyYAML's
        return _Document(value, node.end_mark.index, next_line)
    finally:
        loader.dispose()


def _check_extent(node: yaml.Node) -> None:
    """Raises `_ExtentError` for what nests deeply, and for what is far more than was written once aliases count."""
    sizes: dict[int, int] = {}

    def size(part: yaml.Node, depth: int) -> int:
        known = sizes.get(id(part))
        if known is not None:
            return known
        if depth > _MAX_DEPTH:  # an alias within what it stands for, too
            raise _ExtentError(problem="nested too deeply", problem_mark=part.start_mark)
        total = 1
        if isinstance(part, yaml.CollectionNode):
            for inner in part.value:
                for one in inner if isinstance(inner, tuple) else (inner,):
                    total += size(one, depth + 1)
        if total > _MAX_NODES:
            raise _ExtentError(
                problem=f"holds more than {_MAX_NODES:,} values, by aliases (*) of what holds aliases",
                problem_mark=part.start_mark,
            )
        sizes[id(part)] = total
        return total

    size(node, 0)


def _place(error: yaml.MarkedYAMLError, origin: str) -> str:
    return f"{origin}, line {error.problem_mark.line + 1}" if error.problem_mark else origin


def _follows_tab(error: yaml.MarkedYAMLError, text: str) -> bool:
    mark = error.problem_mark
    if mark is None:
        return False
    lines = lines_of(text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    return "\t" in line[: len(line) - len(line.lstrip())]
