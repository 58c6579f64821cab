"""SelfSynthX's claims: that selected concepts teach to name and to explain, and that choosing answers carries on.

The model describes specimens by itself, the recipe selects concepts by its descriptions, and a script puts them into
sentences, which stands for the instruction-tuned model that the method begins with: a tiny one writes nothing from a
list. From the second round on the student answers from the picture alone and the recipe chooses of its answers. It
names and explains specimens that it never saw, and the oracle judges.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

import ostensive
from builders.explanations.answering import CANDIDATES
from builders.explanations.queries import draw_queries, shipped_pools
from builders.explanations.records import Explanation, Selected
from builders.explanations.settings import ExplanationsSettings
from critics.explanation_measures import concept_share, explains
from critics.label_names import names_label
from evidence.asking import files_of, replies, write_task
from evidence.records import Claim, Expectation, Figure, Method, mean, share
from evidence.stic import answered_rightly, questions
from evidence.trainings import BASE, TINY, train_on, written
from microworld.claims import It
from microworld.folder import (
    CONCEPTS_NAME,
    LABELS_NAME,
    TRUTH_NAME,
    read_specimens,
    read_truth,
    write_scenes,
    write_specimens,
)
from microworld.oracle import judge_explanation
from microworld.species import species_named
from microworld.species_words import SPECIES_WORDS, SpeciesClaim, write_species
from ostensive import arrow
from ostensive.records import Judged
from ostensive.run.folder import RunFolder, kept_records

SPECIMENS = {"trained": 150, "held-out": 300}
SCENES = {"general": 150, "general-held-out": 100}
FIRST_SEED = 40_000_000
QUERIES = 2
DRAWS = 10
MAX_TOKENS = 60
ROUNDS = 3
STEPS = 60  # a round
TRAINING: Mapping[str, object] = {**TINY, "learning_rate": 1e-3, "train": ["language", "projector"]}
QUESTION = shipped_pools()["explain"][0]
LABEL, GENERAL, SELECTED = "label only", "label and general explanation", "selected concepts, one round"
REPLAYED = "round 1 with general data"
BEST, ANY = "best answers", "any answers"
LABEL_ACCURACY, EXISTENCE, COGNITION = "label accuracy", "explanation existence (EE)", "cognition score (CS)"
VISIBLE, WHOLLY_TRUE, ANSWERS = "visible, of concepts named", "explained, and wholly true", "short answers right"
LATER = {way: tuple(f"round {number}, {way}" for number in range(2, ROUNDS + 1)) for way in (BEST, ANY)}
ARMS = {
    "selected concepts": ("base", LABEL, GENERAL, SELECTED, LATER[BEST][-1]),
    "rounds": (SELECTED, "round 1", *LATER[BEST], *LATER[ANY]),
}
_TOKEN = re.compile(r"[a-z]+|[0-9]|\S")  # as the tokenizer of the tiny models splits


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is asked of a specimen, and the answer that is to be learnt."""

    image_id: str
    question: str
    answer: str


def measure(work: Path, seed: int) -> Iterator[Figure]:
    write_pictures(work, seed)
    base = knowing_words(work / "base", seed)
    run = first_run(work, seed)
    selected = list(kept_records(run, Selected))
    lessons = {arm: [*first_lessons(selected, arm, seed)] for arm in (LABEL, GENERAL, SELECTED)}
    models = {"base": base}
    models |= {arm: taught(work, arm, own, base, ROUNDS * STEPS, seed) for arm, own in lessons.items()}
    models["round 1"] = taught(work, "round 1", lessons[SELECTED], base, STEPS, seed)
    lessons["round 1"] = lessons[SELECTED]
    for way, arms in LATER.items():
        model, before = models["round 1"], run
        for number, arm in enumerate(arms, 1):
            before = later_run(work, arm, model, before, seed)
            lessons[arm] = [*(best_answers(before, number) if way == BEST else any_answers(before, number, seed))]
            models[arm] = model = taught(work, arm, lessons[arm], model, STEPS, seed)
    for claim, arms in ARMS.items():
        for arm in arms:
            yield from learnt_from(claim, arm, lessons.get(arm, ()), work)
            yield from explained(claim, arm, models[arm], work)
    yield from forgotten(work, seed, models, lessons["round 1"])


def write_pictures(work: Path, seed: int) -> None:
    first_seed = FIRST_SEED + 1_000_000 * seed
    for place, (name, count) in enumerate((*SPECIMENS.items(), *SCENES.items())):
        if not (work / name / TRUTH_NAME).exists():
            write = write_specimens if name in SPECIMENS else write_scenes
            write(work / name, count, first_seed=first_seed + 100_000 * place)


def knowing_words(out: Path, seed: int) -> str:
    """The base with the words of species and of the recipe's questions besides, which mean nothing to it yet.

    Their embeddings are drawn about the mean of the old ones.
    """
    import torch

    from microworld.training.models import padded_size
    from microworld.training.visual_prompts import PATCH_PX
    from microworld.training.words import TEACHER_WORDS, make_processor
    from ostensive.models.generator_settings import GeneratorSettings
    from ostensive.models.loading import load_model

    if (out / "config.json").exists():
        return str(out)
    words = (*TEACHER_WORDS, *new_words(TEACHER_WORDS))
    model = load_model(GeneratorSettings(model=BASE, device="cpu", dtype="float32")).model
    model.resize_token_embeddings(padded_size(words), mean_resizing=False)
    weights = model.get_input_embeddings().weight  # of the output too
    with torch.no_grad():
        old, new = weights[: len(TEACHER_WORDS)], weights[len(TEACHER_WORDS) :]
        drawn = torch.randn(new.shape, generator=torch.Generator().manual_seed(seed))
        new.copy_(old.mean(0) + old.std(0) * drawn)
    make_processor(PATCH_PX, words).save_pretrained(out)
    model.save_pretrained(out)
    return str(out)


def new_words(known: Sequence[str]) -> list[str]:
    """The words of species and of questions about them that are not among `known`."""
    asked = " ".join(query for pool in shipped_pools().values() for query in pool)
    return sorted({*SPECIES_WORDS, *_TOKEN.findall(asked.lower())} - {*known})


def first_run(work: Path, seed: int) -> RunFolder:
    """The run in which the base describes specimens and concepts are selected; its answers are of no use."""
    own = (f"explanations.draws={DRAWS}", "explanations.queries=1", "explanations.answer_max_tokens=8")
    return built(work, "round 1", BASE, "{{ query }} {{ label }} {{ concepts }}", own, seed)


def later_run(work: Path, arm: str, student: str, before: RunFolder, seed: int) -> RunFolder:
    """The run in which `student` answers each question several times, from the picture alone."""
    own = (f"explanations.queries={QUERIES}", f"explanations.candidates.max_tokens={MAX_TOKENS}")
    return built(work, arm, student, "{{ query }}", own, seed, before)


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


def first_lessons(selected: Iterable[Selected], arm: str, seed: int) -> Iterator[Lesson]:
    """Questions as the recipe draws them; all arms have the same, and answer those for reasons each in its way."""
    for row in selected:
        rng = random.Random(f"{seed} {row.image_id}")
        for query in draw_queries(shipped_pools(), QUERIES, ExplanationsSettings().simple_share, rng):
            concepts = {LABEL: (), GENERAL: expert_concepts(row.label), SELECTED: row.concepts}[arm]
            answer = plain_answer(row.label) if query.kind == "simple" else sentence(row.label, concepts, rng)
            yield Lesson(row.image_id, query.text, answer)


def expert_concepts(label: str) -> tuple[str, ...]:
    return tuple(concept.words for concept in species_named(label).concepts)


def sentence(label: str, concepts: Sequence[str], rng: random.Random) -> str:
    """The label because of these concepts, in the words of the world; the label alone where there are none."""
    kinds = {concept.words: concept.what for concept in species_named(label).concepts}
    written = write_species(SpeciesClaim(It(), label, tuple(kinds[words] for words in concepts)), rng)
    assert written is not None, "of one specimen it can be said what it is"
    return written


def best_answers(run: RunFolder, number: int) -> Iterator[Lesson]:
    """What the recipe kept of its round: the best answer to each question, or the plain one where none has the label."""
    for row in kept_records(run, Judged[Explanation]):
        if row.candidate.round == number:
            yield lesson_of(row.candidate)


def any_answers(run: RunFolder, number: int, seed: int) -> Iterator[Lesson]:
    """To each question one of its answers, whichever: with the label or without."""
    by_question: dict[tuple[str, str], list[Explanation]] = defaultdict(list)
    for path in run.partition_paths(CANDIDATES):
        table = pq.read_table(path, filters=[("way", "==", "explained"), ("round", "==", number)])
        for row in arrow.from_table(table, Explanation):
            by_question[row.image_id, row.query].append(row)
    for key, rows in sorted(by_question.items()):
        yield lesson_of(random.Random(f"{seed} {key}").choice(rows))


def lesson_of(row: Explanation) -> Lesson:
    return Lesson(row.image_id, row.query, row.answer)


def taught(work: Path, arm: str, lessons: Sequence[Lesson], base: str, steps: int, seed: int) -> str:
    return train_on(
        written(placed(lessons, work)), work / f"student {arm}", steps=steps, seed=seed, base=base, settings=TRAINING
    )


def learnt_from(claim: str, arm: str, lessons: Sequence[Lesson], work: Path) -> Iterator[Figure]:
    """Of the answers to learn from, how many are true of their specimens, to the last word."""
    truth = read_truth(work / "trained")
    if lessons:
        found = (judge_explanation(one.answer, truth[one.image_id]).whole.is_true for one in lessons)
        yield share(claim, arm, "true, of what it learnt from", found)


def explained(claim: str, arm: str, model: str, work: Path) -> Iterator[Figure]:
    """What specimens that were held out are called, and what is said to show it."""
    images = work / "held-out"
    specimens, truth, files = read_specimens(images), read_truth(images), files_of(images)
    lines = [
        {"id": image_id, "image": files[image_id], "question": QUESTION, "label": one.species}
        for image_id, one in specimens.items()
    ]
    found = replies(model, write_task(work / "asked.jsonl", lines), images, work / f"explained by {arm}.jsonl")
    texts = [(found[image_id], one, truth[image_id]) for image_id, one in specimens.items()]
    yield share(claim, arm, LABEL_ACCURACY, (names_label(text, one.species) for text, one, _ in texts))
    visible = [[concept.words for concept in one.standing("visible")] for _, one, _ in texts]
    told = [(text, one.species, concepts) for (text, one, _), concepts in zip(texts, visible, strict=True)]
    yield share(claim, arm, EXISTENCE, (explains(*one) for one in told))
    yield mean(claim, arm, COGNITION, (concept_share(text, concepts) for text, _, concepts in told))
    judged = [judge_explanation(text, scene) for text, _, scene in texts]
    cited = [one for finding in judged for one in finding.cited]
    yield share(claim, arm, VISIBLE, (one.standing == "visible" for one in cited))
    reasoned = (one.is_there and one.whole.is_true for one in judged)
    yield share(claim, arm, WHOLLY_TRUE, reasoned)


def forgotten(work: Path, seed: int, models: Mapping[str, str], lessons: Sequence[Lesson]) -> Iterator[Figure]:
    """Short questions about ordinary scenes, and what becomes of them where as many of these are trained on beside."""
    scenes = work / "general"
    general = random.Random(seed).sample([*questions(scenes, seed)], len(lessons))
    mixed = [*placed(lessons, work), *((scenes / file, question, answer) for file, question, answer in general)]
    replayed = train_on(
        written(mixed), work / f"student {REPLAYED}", steps=2 * STEPS, seed=seed, base=models["base"], settings=TRAINING
    )
    for arm, model in {"base": models["base"], "round 1": models["round 1"], REPLAYED: replayed}.items():
        hits = answered_rightly(model, work / "general-held-out", work / f"answered by {arm}.jsonl", seed)
        yield share("forgetting", arm, ANSWERS, hits)
        yield from (one for one in explained("forgetting", arm, model, work) if one.measure == LABEL_ACCURACY)


def placed(lessons: Iterable[Lesson], work: Path) -> Iterator[tuple[Path, str, str]]:
    """The lessons with the files of their pictures."""
    files = files_of(work / "trained")
    return ((work / "trained" / files[one.image_id], one.question, one.answer) for one in lessons)


METHOD = Method(
    "selfsynthx",
    "SelfSynthX",
    (
        Claim(
            "selected concepts",
            "Selected concepts teach to name a thing and to say why",
            "section 5, in the words of others",
            "on birds 85.0 % are named, 82.2 % after training on labels alone and 73.1 % on labels with the general"
            " explanation; explanations are there in all answers, in none after labels alone",
            f"{SPECIMENS['held-out']} specimens of 15 species that no student saw; {SPECIMENS['trained']} to learn"
            f" from, {QUERIES} questions about each, {ROUNDS * STEPS} steps of 16 rows for every student (three rounds:"
            f" {STEPS} each). The tiny base describes specimens by itself, {DRAWS} times, and the recipe selects"
            " concepts by that; but the base can write nothing from a list, so that in the first round a script puts"
            " the selected concepts into a sentence, in the place of the instruction-tuned model of the paper. It knows"
            " no species: their names are added to its words. A concept is *visible* by the oracle, in that very"
            " specimen; *wholly true* is an explanation of which name and every concept are so and are the expert's.",
            (
                Expectation(SELECTED, LABEL, LABEL_ACCURACY),
                Expectation(LATER[BEST][-1], LABEL, LABEL_ACCURACY),
                Expectation(SELECTED, GENERAL, LABEL_ACCURACY),
                Expectation(GENERAL, LABEL, LABEL_ACCURACY, less=True),
                Expectation(SELECTED, LABEL, EXISTENCE),
                Expectation(SELECTED, GENERAL, VISIBLE),
                Expectation(SELECTED, GENERAL, WHOLLY_TRUE),
            ),
            "EE and CS are this project's rules, not GPT-4o's judgement. CS is the share of the specimen's visible concepts"
            " that an answer mentions: who says everything of a species has the most of it, whether it is there or not.",
        ),
        Claim(
            "rounds",
            "Rounds of the student's own answers, of which the best is kept, make it better",
            "section 5, in the words of others",
            "on birds 80.2, 83.8, 84.7 and 85.0 % in four rounds, with a CS from 0.77 to 0.82; 70.5 % and 0.71 without"
            " selecting answers",
            "From the second round on the student answers questions about the specimens that it learns from, by the"
            " picture alone, three times at temperature 0.7; the recipe keeps the answer with the label that fits the"
            f" selected concepts best, or the bare label. *{ANY}* takes one of the three as it comes, with the label or"
            f" without. Each round begins with the student of the one before, {STEPS} steps a round.",
            (
                Expectation(LATER[BEST][-1], "round 1", LABEL_ACCURACY),
                Expectation(LATER[BEST][-1], "round 1", COGNITION),
                Expectation(LATER[BEST][-1], LATER[ANY][-1], LABEL_ACCURACY),
                Expectation(LATER[BEST][-1], LATER[ANY][-1], WHOLLY_TRUE),
                Expectation(LATER[BEST][-1], SELECTED, LABEL_ACCURACY),
            ),
            f"*{SELECTED}* is trained on the answers of the first round for as many steps as the rounds together.",
        ),
        Claim(
            "forgetting",
            "General data beside the corpus keeps what a student could do",
            "section 4, in the words of others",
            "as many samples of LLaVA-Instruct as of the corpus; MMMU 35.6 before, 34.6 to 37.3 after",
            f"Short questions about {SCENES['general-held-out']} ordinary scenes that no student saw, after one round of"
            f" {STEPS} steps, and of {2 * STEPS} where every other row is such a question about other scenes.",
            (
                Expectation("round 1", "base", ANSWERS, less=True),
                Expectation(REPLAYED, "round 1", ANSWERS),
            ),
        ),
    ),
    measure,
)
