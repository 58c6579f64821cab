"""Where the fields of a triple begin in free text: "Question:", "**Q1.**", "A:", "<rationale>", "| Answer |", ...

Teachers write the asked format in many dresses. One pattern for the start of a line and a stricter one for the middle
of a line cover them, where a grammar of the whole reply would fail as a whole at the first surprise.
Every repetition is bounded, so that the work is linear in the length of the reply.
"""

import re
from dataclasses import dataclass
from typing import Literal

Field = Literal["question", "answer", "rationale"]
FIELDS: tuple[Field, ...] = ("question", "answer", "rationale")

_FIELD_OF: dict[str, Field] = {
    "question": "question",
    "q": "question",
    "answer": "answer",
    "ans": "answer",
    "a": "answer",
    "rationale": "rationale",
    "reasoning": "rationale",
    "reason": "rationale",
    "explanation": "rationale",
    "justification": "rationale",
    "r": "rationale",
}
_WORDS = "question|answer|ans|rationale|reasoning|reason|explanation|justification"
_NUMBER = r"\s?(?P<number>[#№]?\d{1,3})?"

_LINE_LABEL = re.compile(
    rf"""
    [ \t>*_\#"'`|•·‣▪◦●+{{,\-–—]{{0,24}}                      # quotation, heading, bullet, bold, JSON
    (?:\(?\d{{1,3}}[.):]\)?[ \t]{{0,4}}[*_"'`]{{0,6}})?          # number of a list
    (?P<open>[<\[]?)
    (?P<label>{_WORDS}|[qar]){_NUMBER}
    (?:
        (?P<colon>[ \t*_"'`)\]]{{0,6}}(?:\([^()]{{0,40}}\)[ \t*_]{{0,4}})?[:：][*_]{{0,4}})
      | (?P<bold>[*_]{{2,3}}(?=\s))
      | (?P<tag>[>\]])
      | (?P<alone>[*_"'`\#]{{0,4}}[ \t]{{0,8}}$)
      | (?P<dot>[.)][*_]{{0,4}}(?:[ \t]{{1,8}}|$))
      | (?P<dash>[ \t]{{1,4}}[-–—][ \t]{{1,4}})
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TITLED = "|".join(f"{word.title()}|{word.upper()}" for word in _WORDS.split("|"))
_INLINE_LABEL = re.compile(
    rf"""
    (?<![^\s(\[{{|,;/*_])[*_\[<(]{{0,4}}(?P<label>{_TITLED}|[QAR]){_NUMBER}
    (?P<close>[*_\])>]{{0,4}}[ \t]?[:：][*_]{{0,4}})
  | ["'](?P<key>(?i:{_WORDS})){_NUMBER.replace("number", "key_number")}["'][ \t]{{0,4}}:
  | <(?P<tag>(?i:{_WORDS}))>
    """,
    re.VERBOSE,
)
_CELL = re.compile(rf"[ \t*_]{{0,8}}(?P<label>{_WORDS}|[qar])s?[ \t*_]{{0,8}}$", re.IGNORECASE)
_ENDS = frozenset(".?!)]}\"'*|;。？！」”…>,/")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a line: the field that a label in front of it opens, or None, and the text."""

    field: Field | None
    text: str


def segments(line: str, open_field: Field | None) -> list[Segment]:
    """The pieces of one line, split before its labels; `open_field` is the field that the line before left open.

    The first piece has no field when the line does not begin with a label.
    """
    found: list[Segment] = []
    start, current = 0, open_field
    first = _LINE_LABEL.match(line)
    label: Field | None = None
    if first and _is_label(first):
        label = current = _FIELD_OF[first["label"].lower()]
        start = first.end()
    for match in _INLINE_LABEL.finditer(line, start):
        field = _FIELD_OF[(match["label"] or match["key"] or match["tag"]).lower()]
        if match["label"] and not _ends_before(line, start, match.start()) and field != _after(current):
            continue
        found.append(Segment(label, line[start : match.start()]))
        start, label, current = match.end(), field, field
    found.append(Segment(label, line[start:]))
    return found if found[0].field or found[0].text.strip() else found[1:]


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def table_columns(line: str) -> list[Field | None] | None:
    """The field of each column when `line` is the head of a Markdown table of triples, else None."""
    if line.count("|") < 2 or line.count("|") > 12:
        return None
    matches = [_CELL.match(cell) for cell in cells(line)]
    columns = [_FIELD_OF[match["label"].lower()] if match else None for match in matches]
    return columns if {"question", "answer"} <= set(columns) else None


def field_of_key(key: str) -> Field | None:
    """The field that a JSON key such as `Question`, `question_2` or `q` names, else None."""
    return _FIELD_OF.get(key.strip().lower().rstrip("0123456789").rstrip("_- "))


def _is_label(match: re.Match[str]) -> bool:
    """Whether the pattern's weaker endings stand after something that can only be a label."""
    letter, numbered = len(match["label"]) == 1, match["number"] is not None
    if match["colon"] is not None or match["bold"] is not None:
        return True
    if match["tag"] is not None:
        return match["open"] == {">": "<", "]": "["}[match["tag"]] and not letter
    if match["dot"] is not None:
        return numbered or (letter and match["label"].isupper())
    # Alone on its line, or before a dash: a wrapped line may begin with "reason" too, but not with "Reason".
    return numbered or (not letter and match["label"][0].isupper())


def _after(field: Field | None) -> Field | None:
    return {"question": FIELDS[1], "answer": FIELDS[2]}.get(field or "")


def _ends_before(line: str, start: int, position: int) -> bool:
    """Whether the text before `position` ends like a sentence; a line's beginning counts as such."""
    index = position - 1
    while index >= start and line[index].isspace():
        index -= 1
    return index < start or line[index] in _ENDS
