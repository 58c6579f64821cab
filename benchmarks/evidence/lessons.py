"""What SelfSynthX's students of the evidence learn from: questions about specimens with answers.

The model describes specimens by itself, and the recipe selects concepts by that. In the first round a script puts them
into a sentence, in the place of the instruction-tuned model of the paper: a tiny one can write nothing from a list.
From the second round on students answer by themselves, and the recipe chooses of their answers.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

import ostensive
from builders.explanations.answering import CANDIDATES
from builders.explanations.queries import draw_queries, shipped_pools
from builders.explanations.records import Explanation, Selected
from builders.explanations.settings import ExplanationsSettings
from evidence.asking import files_of
from evidence.trainings import BASE
from microworld.folder import CONCEPTS_NAME, LABELS_NAME
from microworld.nouns import article
from microworld.species import species_named
from microworld.species_words import SPECIES_WORDS
from ostensive import arrow
from ostensive.records import Judged
from ostensive.run.folder import RunFolder, kept_records

QUERIES = 2
DRAWS = 10
MAX_TOKENS = 60


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is asked of a specimen, and the answer that is to be learnt."""

    image_id: str
    question: str
    answer: str


def texts_to_know() -> list[str]:
    """The words of species, and the recipe's questions about them."""
    return [*SPECIES_WORDS, *(query for pool in shipped_pools().values() for query in pool)]


def first_run(work: Path, seed: int) -> RunFolder:
    """The run in which the base describes specimens and concepts are selected; its answers are of no use."""
    own = (f"explanations.draws={DRAWS}", "explanations.queries=1", "explanations.answer_max_tokens=8")
    return built(work, "round 1", BASE, "{{ query }} {{ label }} {{ concepts }}", own, seed)


def later_run(work: Path, name: str, student: str, before: RunFolder, seed: int) -> RunFolder:
    """The run in which `student` answers each question several times, from the picture alone."""
    own = (f"explanations.queries={QUERIES}", f"explanations.candidates.max_tokens={MAX_TOKENS}")
    return built(work, name, student, "{{ query }}", own, seed, before)


def built(
    work: Path,
    name: str,
    teacher: str,
    answer: str,
    own: Sequence[str],
    seed: int,
    before: RunFolder | None = None,
) -> RunFolder:
    prompts, images = work / f"{name} prompts", work / "trained"
    prompts.mkdir(exist_ok=True)
    for prompt, text in {"describe_1": "describe", "answer": answer, "label_only": plain_answer("{{ label }}")}.items():
        (prompts / f"{prompt}.j2").write_text(text, "utf-8")
    settings = (
        f"explanations.prompt_set={prompts}",
        f"explanations.concepts={images / CONCEPTS_NAME}",
        f"explanations.describe_max_tokens={MAX_TOKENS}",
        f"seed={seed}",
        "dedupe.max_distance=0",
        "teacher.kind=self",
        f"teacher.model={teacher}",
        "teacher.batch_size=64",
        "annotations.columns={image: file}",
        "corpus.license=cc0-1.0",
        "corpus.source=Rendered scenes of the microworld.",
        "corpus.intended_use=To measure.",
        *own,
    )
    options = ostensive.BuildOptions(
        profile="microworld",
        settings=settings,
        parent=None if before is None else before.path,
        annotations=images / LABELS_NAME,
    )
    ostensive.build("explanations", images=images, out=work / f"{name} run", options=options)
    return RunFolder(work / f"{name} run")


def plain_answer(label: str) -> str:
    """The label and nothing else, which is also what takes the place of an answer that does not name it."""
    return f"The species is {label}."


def first_lessons(
    selected: Iterable[Selected], concepts_of: Callable[[Selected], Sequence[str]], seed: int
) -> list[Lesson]:
    """Questions as the recipe draws them, the same whatever the concepts: those for reasons are answered with them."""
    lessons = []
    for row in selected:
        rng = random.Random(f"{seed} {row.image_id}")
        for query in draw_queries(shipped_pools(), QUERIES, ExplanationsSettings().simple_share, rng):
            concepts = () if query.kind == "simple" else concepts_of(row)
            lessons.append(Lesson(row.image_id, query.text, answer_of(row.label, concepts)))
    return lessons


def expert_concepts(label: str) -> tuple[str, ...]:
    return tuple(concept.words for concept in species_named(label).concepts)


def answer_of(label: str, concepts: Sequence[str]) -> str:
    """The label because of these concepts, in a form that the oracle reads; the label alone where there are none."""
    if not concepts:
        return plain_answer(label)
    marks = [words if words.startswith("holds ") else f"has {words}" for words in concepts]
    listed = " and ".join(filter(None, (", ".join(marks[:-1]), marks[-1])))
    return f"This is {article(label)} {label} because it {listed}."


def best_answers(run: RunFolder, number: int) -> list[Lesson]:
    """What the recipe kept of a round: the best answer to each question, or the plain one where none has the label."""
    rows = (judged.candidate for judged in kept_records(run, Judged[Explanation]))
    return [lesson_of(row) for row in rows if row.round == number]


def any_answers(run: RunFolder, number: int, seed: int) -> list[Lesson]:
    """To each question of a round one of its answers, whichever: with the label or without."""
    wanted = [("way", "==", "explained"), ("round", "==", number)]  # kept or dropped
    tables = (pq.read_table(path, filters=wanted) for path in run.partition_paths(CANDIDATES))
    return one_to_each_question([row for table in tables for row in arrow.from_table(table, Explanation)], seed)


def one_to_each_question(rows: Iterable[Explanation], seed: int) -> list[Lesson]:
    answers: dict[tuple[str, str], list[Explanation]] = defaultdict(list)
    for row in rows:
        answers[row.image_id, row.query].append(row)
    return [lesson_of(random.Random(f"{seed} {key}").choice(found)) for key, found in sorted(answers.items())]


def lesson_of(row: Explanation) -> Lesson:
    return Lesson(row.image_id, row.query, row.answer)


def placed(lessons: Iterable[Lesson], work: Path) -> Iterator[tuple[Path, str, str]]:
    """The lessons with the files of their pictures."""
    files = files_of(work / "trained")
    return ((work / "trained" / files[one.image_id], one.question, one.answer) for one in lessons)
