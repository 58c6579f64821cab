"""Files of one's own, JSON Lines: questions with choices, questions of yes and no, and pictures with reference texts.

Each line has `image`, a path below the folder of images, and may have `id`, `kind` and `boxes`, a list of
`{"number": 0, "box": [x1, y1, x2, y2]}` with corners normalised to 0-1, which are drawn.
"""

from pathlib import Path
from typing import Final

from ostensive.records import Turn
from students.evaluation.items import BrokenRowError, ChoiceItem, Question, Read, ReplyItem, ShownBox
from students.evaluation.json_files import Row, id_of, index_of, json_lines, numbers_of, only_file, text_of, texts_of
from students.evaluation.reading import ReadOptions

YES_NO: Final = ("yes", "no")
DESCRIBE: Final = "Describe what the picture shows."
"""What is asked where a line asks nothing."""
_UNIT: Final = (1, 1)  # the size of a picture whose corners are normalised


def read_choices(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:  # noqa: ARG001 - of all formats
    """Lines of `image`, `question`, `choices` and `answer`, the right choice itself or its place from 0.

    Raises `SettingsError` for a file that cannot be read.
    """
    read: Read[ChoiceItem] = Read()
    for number, row in _rows(source):
        try:
            checked = _checked(row)
            question, choices = _question(number, checked), texts_of(checked, "choices", least=2)
            read.add([ChoiceItem(question, choices, _lead(question), (_answer(checked, choices),))])
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def read_yes_no(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:  # noqa: ARG001 - of all formats
    """Lines of `image`, `question` and `answer`, which is yes or no. Raises `SettingsError` as `read_choices`."""
    read: Read[ChoiceItem] = Read()
    for number, row in _rows(source):
        try:
            checked = _checked(row)
            question, answer = _question(number, checked), text_of(checked, "answer").lower().rstrip(".")
            if answer not in YES_NO:
                raise BrokenRowError("answer is neither yes nor no")
            read.add([ChoiceItem(question, YES_NO, _lead(question), (YES_NO.index(answer),))])
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def read_replies(source: Path, images: Path, options: ReadOptions) -> Read[ReplyItem]:  # noqa: ARG001 - of all formats
    """Lines of `image` and what its description, or the answer to `question`, is held against, one at least.

    `references` are texts that people wrote; `label`, with `aliases`, what the picture shows; `concepts` what is to be
    seen of it; `objects` all things in the picture. Raises `SettingsError` as `read_choices`.
    """
    read: Read[ReplyItem] = Read()
    for number, row in _rows(source):
        try:
            read.add([_reply_item(number, _checked(row))])
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def _reply_item(number: int, row: Row) -> ReplyItem:
    item = ReplyItem(
        _question(number, row, default=DESCRIBE),
        references=texts_of(row, "references"),
        label=text_of(row, "label") if "label" in row else None,
        aliases=texts_of(row, "aliases"),
        concepts=texts_of(row, "concepts"),
        objects=texts_of(row, "objects") if "objects" in row else None,
    )
    if not item.references and item.label is None and not item.concepts and item.objects is None:
        raise BrokenRowError("nothing to hold a reply against")
    return item


def _rows(source: Path) -> "enumerate[Row | BrokenRowError]":
    return enumerate(json_lines(only_file(source, (), "a JSON Lines file")))


def _checked(row: Row | BrokenRowError) -> Row:
    if isinstance(row, BrokenRowError):
        raise row
    return row


def _question(number: int, row: Row, *, default: str = "") -> Question:
    name = id_of(row, "id") if "id" in row else str(number)
    kind = text_of(row, "kind") if "kind" in row else ""
    asked = default if default and "question" not in row else text_of(row, "question")
    return Question(name, (text_of(row, "image"),), (Turn("user", asked),), _boxes(row), kind=kind)


def _boxes(row: Row) -> tuple[ShownBox, ...]:
    boxes = row.get("boxes") or []
    if not isinstance(boxes, list) or not all(isinstance(one, dict) for one in boxes):
        raise BrokenRowError("boxes is no list of objects")
    found = []
    for one in boxes:
        number = one.get("number")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise BrokenRowError("number of a box is no number from 0 on")
        x1, y1, x2, y2 = numbers_of(one.get("box"), 4, "box")
        found.append(ShownBox(number, (x1, y1, x2, y2), _UNIT))
    if len({box.number for box in found}) < len(found):
        raise BrokenRowError("two boxes have one number")
    return tuple(found)


def _answer(row: Row, choices: tuple[str, ...]) -> int:
    value = row.get("answer")
    if isinstance(value, str) and value.strip():
        if choices.count(value.strip()) != 1:
            raise BrokenRowError("answer is not one of the choices")
        return choices.index(value.strip())
    return index_of(row, "answer", len(choices), missing="no label")


def _lead(question: Question) -> str:
    return f"{question.turns[-1].text} Answer:"
