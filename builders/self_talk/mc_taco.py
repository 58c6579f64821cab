"""MC-TACO: tab-separated rows, one for each answer that is proposed to a question about time.

Several answers may be plausible. Each is a choice of yes or no, and a question counts as right where all of them are
judged right: the data set's own exact match (Zhou et al., 2019).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from builders.self_talk.fields import place_of, plain
from builders.self_talk.records import BROKEN_GROUP, COLUMNS, NO_FIELD, Question, RowError

YES_OR_NO = ("yes", "no")


def mc_taco_rows(lines: Iterable[str]) -> tuple[list[Question], Counter[str]]:
    """The questions of a file and how many rows are none, by reason.

    A question that lost a row is lost altogether: exact match without it would be an easier one.
    """
    questions: list[Question] = []
    lost: Counter[str] = Counter()
    broken: set[str] = set()
    for number, line in enumerate(lines, 1):
        cells = [plain(cell) for cell in line.rstrip("\r\n").split("\t")]
        if cells == [""]:
            continue
        try:
            questions.append(_question(cells, f"line {number}"))
        except RowError as error:
            lost[str(error)] += 1
            broken.add(_group(cells))
    whole = [question for question in questions if question.group not in broken]
    if len(whole) < len(questions):
        lost[BROKEN_GROUP] += len(questions) - len(whole)
    return whole, lost


def _group(cells: Sequence[str]) -> str:
    return "\t".join(cells[:2])


def _question(cells: Sequence[str], place: str) -> Question:
    if len(cells) != 5:
        raise RowError(COLUMNS)
    sentence, question, candidate, label, _ = cells
    if not sentence or not question or not candidate:
        raise RowError(NO_FIELD)
    return Question(
        task="mc_taco",
        place=place,
        group=_group(cells),
        about=sentence,
        context=sentence,
        question=question,
        candidate=candidate,
        choices=YES_OR_NO,
        right=place_of(label.lower(), YES_OR_NO),
    )
