"""Visual Commonsense Reasoning (Zellers et al. 2019) in its own files: `val.jsonl`, and metadata beside the images.

Texts are lists of tokens in which a list of numbers points at objects of the picture. A row gives two questions: of its
answer (Q->A), and, given the right answer, of its rationale (QA->R); both have to be right for Q->AR. What is compared
with the picture is the question, "Answer:" and the answer, as in LSKD; a rationale follows behind "Rationale:".
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final  # Any: JSON values

from ostensive.errors import SettingsError
from ostensive.records import Turn
from students.evaluation.items import WHY, BrokenRowError, ChoiceItem, Question, Read, ShownBox
from students.evaluation.json_files import Row, index_of, json_lines, numbers_of, only_file, read_json, text_of
from students.evaluation.pictures import below
from students.evaluation.reading import ReadOptions

ANSWER, RATIONALE = "Q->A", "QA->R"
NO_METADATA: Final = "no metadata beside the image"
_CHOICES: Final = 4
_CLOSING: Final = frozenset(".,?!;:)%") | {"'s", "'re", "'ll", "'ve", "'m", "'d", "n't", "'"}
_OPENING: Final = frozenset("(")
_IMAGE_FOLDERS: Final = ("", "vcr1images/")


def read_vcr(source: Path, images: Path, options: ReadOptions) -> Read[ChoiceItem]:
    """Two items of each row of `val.jsonl` (or of the folder that holds it).

    Raises `SettingsError` for a file that cannot be read.
    """
    path = only_file(source, ("val.jsonl", "test.jsonl", "train.jsonl"), "VCR's val.jsonl")
    read: Read[ChoiceItem] = Read()
    for row in json_lines(path):
        try:
            if isinstance(row, BrokenRowError):
                raise row
            read.add(_items(row, images, options))
        except BrokenRowError as error:
            read.lose(str(error))
    return read


def _items(row: Row, images: Path, options: ReadOptions) -> tuple[ChoiceItem, ChoiceItem]:
    name = text_of(row, "annot_id")
    objects = row.get("objects")
    if not isinstance(objects, list) or not all(isinstance(one, str) for one in objects):
        raise BrokenRowError("objects is no list of texts")
    question, choices, reasons = (
        row.get("question"),
        _choices(row, "answer_choices"),
        _choices(row, "rationale_choices"),
    )
    answer = index_of(row, "answer_label", _CHOICES, missing="no label")
    rationale = index_of(row, "rationale_label", _CHOICES, missing="no label")
    texts = _Texts(objects, is_numbered=options.regions != "none")
    asked, answers, rationales = texts.joined(question), texts.all(choices), texts.all(reasons)
    boxes = boxes_of(object_metadata(text_of(row, "metadata_fn"), images)) if options.regions != "none" else {}
    image = text_of(row, "img_fn")

    def item(
        part: str, turns: Sequence[Turn], lead: str, offered: tuple[str, ...], right: int, said: Any
    ) -> ChoiceItem:
        numbers = boxes if options.regions == "all" else mentioned(said, len(objects))
        shown = tuple(boxes[number] for number in sorted(numbers) if number in boxes)
        places = tuple(f"{folder}{image}" for folder in _IMAGE_FOLDERS)
        about = Question(f"{name} {part}", places, tuple(turns), shown)
        return ChoiceItem(about, offered, lead, (right,), part=part, group=name)

    first, said = Turn("user", asked), Turn("assistant", answers[answer])
    lead = f"{asked} Answer: {answers[answer]} Rationale:"
    return (
        item(ANSWER, (first,), f"{asked} Answer:", answers, answer, [question, choices]),
        item(
            RATIONALE,
            (first, said, Turn("user", WHY)),
            lead,
            rationales,
            rationale,
            [question, choices[answer], reasons],
        ),
    )


def _choices(row: Row, key: str) -> list[Any]:
    value = row.get(key)
    if not isinstance(value, list) or len(value) != _CHOICES:
        raise BrokenRowError(f"{key} is no list of {_CHOICES}")
    return value


class _Texts:
    """Lists of tokens as texts, objects by their number or by the name of their class."""

    def __init__(self, objects: Sequence[str], *, is_numbered: bool) -> None:
        self._names = [f"[{place}]" if is_numbered else name for place, name in enumerate(objects)]

    def all(self, choices: Sequence[Any]) -> tuple[str, ...]:
        return tuple(self.joined(choice) for choice in choices)

    def joined(self, tokens: Any) -> str:
        """Tokens as a sentence; raises `BrokenRowError` for what is none or points at no object."""
        if not isinstance(tokens, list) or not tokens:
            raise BrokenRowError("a text is no list of tokens")
        text = ""
        for token in tokens:
            word = self._named(token) if isinstance(token, list) else token
            if not isinstance(word, str):
                raise BrokenRowError("a token is neither a text nor a list of numbers")
            glued = word.lower() in _CLOSING or text.endswith(tuple(_OPENING)) or not text
            text += word if glued else f" {word}"
        return text.strip()

    def _named(self, numbers: Sequence[Any]) -> str:
        for number in numbers:
            if not isinstance(number, int) or not 0 <= number < len(self._names):
                raise BrokenRowError("a token points at no object")
        *others, last = [self._names[number] for number in numbers] or [""]
        return f"{', '.join(others)} and {last}" if others else last


def mentioned(tokens: Any, count: int) -> Iterable[int]:
    """The numbers below `count` in lists of tokens of any depth."""
    if isinstance(tokens, list):
        return {number for token in tokens for number in mentioned(token, count)}
    return {tokens} if isinstance(tokens, int) and 0 <= tokens < count else set()


def object_metadata(name: str, images: Path) -> Row:
    """What lies beside an image of VCR: `boxes`, `names`, `width`, `height`; raises `BrokenRowError`."""
    for folder in _IMAGE_FOLDERS:
        path = below(images, f"{folder}{name}")
        if path is not None and path.is_file():
            try:
                value = read_json(path)
            except SettingsError:
                break
            if isinstance(value, dict):
                return value
    raise BrokenRowError(NO_METADATA)


def boxes_of(metadata: Row) -> dict[int, ShownBox]:
    """The boxes of all objects by their number; raises `BrokenRowError`."""
    (width, height) = numbers_of([metadata.get("width"), metadata.get("height")], 2, "size in the metadata")
    boxes = metadata.get("boxes")
    if not isinstance(boxes, list) or min(width, height) <= 0:
        raise BrokenRowError(NO_METADATA)
    size = (int(width), int(height))
    found = {}
    for number, box in enumerate(boxes):
        x1, y1, x2, y2 = numbers_of(box, 4, "a box")  # the fifth is how sure the detector was
        found[number] = ShownBox(number, (x1, y1, x2, y2), size)
    return found
