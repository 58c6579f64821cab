"""From the text of a reply to triples, whole or with holes, in whatever dress the teacher gave them.

A reply is read as JSON when it holds objects with a key for the question, else line by line: labels open fields, text
goes to the open field, headings and rules close it. Small local models are worse at JSON
than at three labelled lines, and servers differ in what they enforce. Nothing here raises, whatever the text.
"""

import json
import re
from dataclasses import dataclass
from itertools import pairwise

from builders.localized.labels import FIELDS, Field, Segment, cells, field_of_key, segments, table_columns
from ostensive.json_text import is_deep
from ostensive.text_lines import lines_of

_RULE = re.compile(r"[ \t]{0,8}(?:[-=*_~—–]{3,200}|```\w{0,10}|[\[\]{},][\[\]{}, \t]{0,40})[ \t]*$")
_NOUN = r"(?:triple|triplet|response|qar|set|example|item|entry|pair|number|no\.?)s?"
_HEADING = re.compile(
    rf"""
    (?:
        [ \t>_]{{0,4}}[\#*]{{1,6}}[ \t*]{{0,4}}{_NOUN}[ ]?[#№]?\d{{1,3}}\b.{{0,120}}      # ### Triple 2: the surfer
      | [ \t>*_\#\-]{{0,12}}(?:{_NOUN}[ ]?[#№]?\d{{1,3}}|(?:first|second|third|fourth|fifth|next|last)[ ]{_NOUN})
      | [ \t>*_\#\-]{{0,12}}\(?\d{{1,3}}
    )[.):]?[ \t*_:]{{0,8}}$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NUMBERED_QUESTION = re.compile(r"[ \t>*_#]{0,8}\(?\d{1,3}[.)][ \t*_]{1,8}(?P<text>\S.*[?？])[ \t*_\"”]{0,8}$")
_CLOSING = re.compile(
    r"[ \t*_(]{0,4}(?:i hope|hope (?:this|these|that)|let me know|feel free|would you like|please let"
    r"|these (?:\w{1,10} )?(?:triples|questions|responses|examples)|note that|note:|if you)\b",
    re.IGNORECASE,
)
_TAG_END = re.compile(r"</\w{1,20}>")
_EMPTY = frozenset({"n/a", "na", "tbd", "...", "…", "null", "(none)"})
_OBJECT = re.compile(r"\{\s{0,200}[\"}]")
_JSON_KEY = re.compile(r"\"(?:question|q)[ _-]?\d{0,3}\"\s{0,20}:", re.IGNORECASE)
# Each failed attempt may read to the end of the text, so that their number has to be bounded.
_MAX_BROKEN_OBJECTS = 8
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class RawTriple:
    """What a reply gave for one triple, white space and markup removed; an empty string where it gave nothing."""

    question: str = ""
    answer: str = ""
    rationale: str = ""


def parse_reply(text: str) -> list[RawTriple]:
    """The triples in a reply, in order; one with holes stands for itself and takes nothing from its neighbours.

    Text before the first label, headings, rules and closing remarks belong to no triple. Linear in the text's length.
    """
    triples = _from_json(text) if _JSON_KEY.search(text) else []
    return triples or _from_lines(text) or _from_numbered_questions(text)


class _Assembler:
    """Puts fields together into triples: a field that would come twice, or a question, begins the next one."""

    def __init__(self) -> None:
        self.done: list[RawTriple] = []
        self._parts: dict[Field, list[str]] = {}
        self.open: Field | None = None
        self.loose = ""  # the last line that belongs to no field: a question without a label, perhaps

    @property
    def waits(self) -> bool:
        """Whether a field is open that has no text yet: even a lone number is its text."""
        return self.open is not None and not any(self._parts[self.open])

    def begin(self, field: Field) -> None:
        begun = dict.fromkeys(self._parts)
        filled = any(any(lines) for lines in self._parts.values())
        if (field == "question" and filled) or (field == "answer" and field in begun):
            self.close()
        if field == "rationale" and list(self._parts) == ["question", "rationale", "answer"]:
            # An answer may stand after its rationale. But here another rationale follows: the answer is the next one's.
            answer = self._parts.pop("answer")
            self.close()
            self._parts["answer"] = answer
        if field == "answer" and not any(self._parts.get("question", ())) and self.loose.endswith(("?", "？")):
            self._parts["question"] = [self.loose]
        self._parts.setdefault(field, [])
        self.open, self.loose = field, ""

    def add(self, line: str) -> None:
        stripped = line.strip()
        if self.open is None:
            self.loose = stripped or self.loose
            return
        lines = self._parts[self.open]
        if self.open == "rationale" and any(lines) and (not stripped or _CLOSING.match(line)):
            # A rationale is a sentence or two: what follows a blank line is a closing remark.
            self.open = None
            return
        lines.append(stripped)

    def boundary(self, *, ends_triple: bool) -> None:
        self.open = None
        if ends_triple and self._parts.get("rationale"):
            self.close()

    def close(self) -> None:
        if any(any(lines) for lines in self._parts.values()) or len(self._parts) > 1:
            self.done.append(RawTriple(*(_clean(" ".join(self._parts.get(field, ()))) for field in FIELDS)))
        self._parts, self.open = {}, None


def _from_lines(text: str) -> list[RawTriple]:
    assembler = _Assembler()
    columns: list[Field | None] | None = None
    for line in lines_of(_TAG_END.sub(" ", text)):
        if "|" in line:
            head = table_columns(line)
            columns = head or columns
            if columns is not None and (head or line.lstrip().startswith("|")):
                _add_row(assembler, [] if head else cells(line), columns)
                continue
        _add_line(assembler, line)
    assembler.close()
    return assembler.done


def _add_line(assembler: _Assembler, line: str) -> None:
    if _RULE.match(line):
        assembler.boundary(ends_triple=False)
        return
    pieces = segments(line, assembler.open)
    if len(pieces) == 1 and pieces[0].field is None and assembler.open != "question":
        if _HEADING.match(line) and not assembler.waits:
            assembler.boundary(ends_triple=True)
            return
        numbered = _NUMBERED_QUESTION.match(line)
        if numbered:
            assembler.boundary(ends_triple=True)
            assembler.add(_clean(numbered["text"]))
            return
    for piece in pieces or [Segment(None, "")]:
        if piece.field is not None:
            assembler.begin(piece.field)
            if not piece.text.strip():
                continue
        assembler.add(piece.text)


def _add_row(assembler: _Assembler, row: list[str], columns: list[Field | None]) -> None:
    assembler.close()
    if not row or all(not cell.strip(":- ") for cell in row):
        return
    for field, cell in zip(columns, row, strict=False):
        if field is not None:
            assembler.begin(field)
            assembler.add(cell)
    assembler.close()


def _from_json(text: str) -> list[RawTriple]:
    values, end = _objects(text)
    assembler = _Assembler()
    for value in values:
        _walk(assembler, value, depth=0)
    assembler.close()
    if not assembler.done:
        return []
    # What follows the last whole object may be one that was cut off, and counts as a triple with holes.
    rest = text[end:]
    return assembler.done + (_from_lines(rest) if _JSON_KEY.search(rest) else [])


def _objects(text: str) -> tuple[list[object], int]:
    """The JSON objects in `text`, outermost first, and where the last ends; of a broken one the whole ones within."""
    decoder = json.JSONDecoder(strict=False)
    values: list[object] = []
    if is_deep(text):  # how deep `json` reads depends on the version of Python
        return values, 0
    position, end, broken = 0, 0, 0
    while broken < _MAX_BROKEN_OBJECTS and (match := _OBJECT.search(text, position)):
        try:
            value, position = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            broken, position = broken + 1, match.start() + 1
        else:
            values.append(value)
            end = position
    return values, end


def _walk(assembler: _Assembler, value: object, depth: int) -> None:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            _walk(assembler, item, depth + 1)
    elif isinstance(value, dict):
        assembler.close()
        for key, item in value.items():
            field = field_of_key(str(key))
            if field is not None and not _holds_objects(item):
                assembler.begin(field)
                assembler.add(_scalar_text(item))
            else:
                _walk(assembler, item, depth + 1)
        assembler.close()


def _holds_objects(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict | list) for item in value))


def _scalar_text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(_scalar_text(item) for item in value)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _from_numbered_questions(text: str) -> list[RawTriple]:
    """Triples without any label: a numbered question and, before the next one, exactly an answer and a rationale."""
    lines = [line for line in lines_of(text) if line.strip()]
    starts = [index for index, line in enumerate(lines) if _NUMBERED_QUESTION.match(line)]
    groups = [lines[first:after] for first, after in pairwise([*starts, len(lines)])]
    triples = []
    for group in groups:
        match = _NUMBERED_QUESTION.match(group[0])
        rest = [_clean(line) for line in group[1:] if not _CLOSING.match(line) and not _RULE.match(line)]
        if match and len(rest) == 2:
            triples.append(RawTriple(_clean(match["text"]), *rest))
    return triples


def _clean(text: str) -> str:
    """`text` on one line, without bold marks, quotation marks around it, bullets before it or a JSON comma after it."""
    line = " ".join(text.replace("**", "").replace("__", "").split())
    line = line.lstrip("-–—•·> ").rstrip("|> ").strip("*_` ")
    if line[:1] in {'"', "“"}:
        unquoted = line.rstrip(",}] ")
        if unquoted[-1:] in {'"', "”"} and len(unquoted) > 1 and not set(unquoted[1:-1]) & {'"', "“", "”"}:
            line = unquoted[1:-1].strip()
    return "" if line.lower() in _EMPTY or not any(c.isalnum() for c in line) else line
