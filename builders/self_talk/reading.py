"""Files of multiple-choice questions, as the makers of six data sets publish them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from builders.self_talk.copa_xml import copa_items
from builders.self_talk.json_formats import Reader, reader_of
from builders.self_talk.mc_taco import mc_taco_rows
from builders.self_talk.records import NO_JSON, Question, QuestionFile, RowError
from ostensive.errors import SettingsError
from ostensive.images.json_rows import json_lines_table
from ostensive.images.rows import BadRow, Row
from ostensive.images.text_files import read_lines
from ostensive.user_paths import shown_path

_ENCODING = "utf-8"
_EXPECTED = "expected are .jsonl (CSQA, COPA, PIQA, Social-IQA, WinoGrande), .xml (COPA) or .tsv (MC-TACO)"
_FIELDS = (
    "its rows have the fields of none of CSQA (question.stem), COPA (premise), PIQA (goal), Social-IQA (answerA) and"
    " WinoGrande (option1)"
)


def read_questions(path: Path, *, labels: Path | None = None, limit: int | None = None) -> QuestionFile:
    """The first `limit` questions (None: all) of `path`, whose format is told by its ending and its fields.

    `labels` is the file of its labels; None takes the one beside it, `NAME-labels.lst`, where there is one. Raises
    `SettingsError` where a file cannot be read, is of no format that is known, or holds nothing that can be asked.
    """
    shown = shown_path(path)
    if not path.is_file():
        raise SettingsError(f"{shown}: there is no such file; {_EXPECTED}")
    if labels is not None and path.suffix != ".jsonl":
        raise SettingsError(f"--labels {shown_path(labels)}: is for JSON Lines; {shown} has its labels in itself")
    lost: Counter[str] = Counter()
    try:
        match path.suffix.lower():
            case ".jsonl":
                questions = _json_questions(path, shown, labels or _labels_beside(path), lost)
            case ".xml":
                questions = _kept(copa_items(path, shown), lost)
            case ".tsv":
                questions, lost = mc_taco_rows(read_lines(str(path), shown, _ENCODING))
            case _:
                raise SettingsError(f"{shown}: a file of another kind; {_EXPECTED}")
    except OSError as error:
        raise SettingsError(f"{shown}: cannot be read ({error.strerror or error})") from error
    if not questions:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in lost.most_common()) or "it has no rows"
        raise SettingsError(f"{shown}: holds no question that can be asked ({reasons})")
    return QuestionFile(shown, questions[0].task, _first(questions, limit), dict(lost))


def _first(questions: Sequence[Question], limit: int | None) -> tuple[Question, ...]:
    """The first `limit` groups of questions, whole."""
    groups = list(dict.fromkeys(question.group for question in questions))[:limit]
    wanted = set(groups)
    return tuple(question for question in questions if question.group in wanted)


def _kept(rows: Iterator[Question | RowError], lost: Counter[str]) -> list[Question]:
    kept = []
    for row in rows:
        if isinstance(row, Question):
            kept.append(row)
        else:
            lost[str(row)] += 1
    return kept


def _labels_beside(path: Path) -> Path | None:
    names = (f"{path.stem}-labels.lst", f"{path.stem}_labels.lst")
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def _json_questions(path: Path, shown: str, labels: Path | None, lost: Counter[str]) -> list[Question]:
    rows = list(json_lines_table(str(path), shown, _ENCODING, lambda _: True).rows)
    readers = (reader_of(row.values) for row in rows if isinstance(row, Row))
    reader = next((found for found in readers if found is not None), None)
    if reader is None:
        raise SettingsError(f"{shown}: {_FIELDS if rows else 'it has no rows'}; {_EXPECTED}")
    given: list[str] = [] if labels is None else _labels(labels, rows, shown)
    return _kept(
        (_question(row, label, reader) for row, label in zip_longest(rows, given) if row is not None),
        lost,
    )


def _labels(path: Path, rows: Sequence[Row | BadRow], shown: str) -> list[str]:
    """One label for each row; raises `SettingsError` where their number is another, for then they may be shifted."""
    place = shown_path(path)
    if not path.is_file():
        raise SettingsError(f"{place}: there is no such file; the labels of {shown} are expected, one a line")
    text = "".join(read_lines(str(path), place, _ENCODING))
    labels = [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []
    if len(labels) != len(rows):
        raise SettingsError(
            f"{place}: {len(labels):,} labels for the {len(rows):,} rows of {shown}; one label a line is expected for"
            " each of them"
        )
    return labels


def _question(row: Row | BadRow, label: str | None, reader: Reader) -> Question | RowError:
    if isinstance(row, BadRow):
        return RowError(NO_JSON)
    try:
        return reader(row.values, label, row.place)
    except RowError as error:
        return error
