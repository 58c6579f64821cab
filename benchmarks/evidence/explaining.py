"""What ILLUME's evidence asks: why known answers about scenes are right, of models that are trained to say so.

A reason is known of each question, which the oracle gives; what a model says is held against it, and against the scene.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: datasets ships no types

from self_teaching import reason_finding

from builders.rationales.items import Item
from builders.rationales.records import Rationale
from builders.rationales.training_view import TrainingView, training_view
from critics.overlap import OverlapSettings, rouge_l
from evidence.asking import files_of, replies, write_task
from evidence.records import Figure, mean, share
from evidence.trainings import BASE, TINY, train_on
from microworld.folder import read_truth
from microworld.questions import Topic, reason
from microworld.scenes import Scene
from microworld.training.examples import plain_answer
from ostensive.records import Turn
from students.evaluation.texts import text_scores, words
from students.exporting import training_features
from students.rows import prompt_completion_rows
from students.training.token_loss import IS_RATIONALE

SAMPLED, HELD_OUT = "sampled", "held-out"  # folders of scenes
PROMPT = "{question} {answer} why ?"
TASKS: Mapping[str, tuple[Topic, ...]] = {
    "seeing": ("colour", "shape", "existence", "place", "size", "hat", "holds", "pose"),
    "counting": ("count", "nearest"),
}
HELD_OUT_TOPICS = 5  # of a scene, at most
STEPS = 60
RATIONALES_A_STEP = 4
LORA: Mapping[str, object] = {"rank": 16, "alpha": 32}
RATE = 3e-4
OVERLAP = OverlapSettings()
FITTING = OVERLAP.min_accept_probability


@dataclass(frozen=True, slots=True)
class Known:
    """A question about a scene with its right answer and a visible reason for it."""

    image_id: str
    file: str
    question: str
    answer: str
    reason: str

    @property
    def prompt(self) -> str:
        return PROMPT.format(question=self.question, answer=self.answer)

    @property
    def rationale(self) -> str:
        """The reason in the form that the tiny model was first taught, so that nothing else is learned from it."""
        return f"{self.answer.removesuffix('.')}. {self.reason}"

    @property
    def item(self) -> Item:
        return Item("", self.image_id, self.question, self.answer)

    def with_rationale(self, text: str) -> Rationale:
        """As a row of the recipe whose rationale is `text`."""
        texts = (self.question, self.answer, text)
        return Rationale("", self.image_id, "", *texts, "why", 0.0, 0, "", "", "", asked=self.prompt)


@dataclass(frozen=True, slots=True)
class World:
    """What is asked in one task: about scenes to sample from, and about scenes that are held out."""

    work: Path
    task: str
    seed: int
    truth: Mapping[str, Scene]
    items: tuple[Known, ...]
    held_out: tuple[Known, ...]


def opened(work: Path, task: str, seed: int) -> World:
    truth = {name: read_truth(work / name) for name in (SAMPLED, HELD_OUT)}
    items, held_out = (
        known_of(files_of(work / name), truth[name], TASKS[task], count, seed)
        for name, count in ((SAMPLED, len(TASKS[task])), (HELD_OUT, HELD_OUT_TOPICS))
    )
    return World(work, task, seed, {**truth[SAMPLED], **truth[HELD_OUT]}, items, held_out)


def known_of(
    files: Mapping[str, str], truth: Mapping[str, Scene], topics: Sequence[Topic], count: int, seed: int
) -> tuple[Known, ...]:
    """Questions on at most `count` of the topics about each scene, none twice."""
    rng = random.Random(seed)
    found: dict[tuple[str, str], Known] = {}
    for image_id, file in sorted(files.items()):
        for topic in rng.sample(topics, min(count, len(topics))):
            known = reason(truth[image_id], topic, rng)
            if known is not None:
                texts = (known.asked.question, plain_answer(known.asked), known.rationale.text)
                found.setdefault((image_id, texts[0]), Known(image_id, file, *texts))
    return tuple(found.values())


def fitting(world: World, rows: Iterable[Rationale], at: float = FITTING) -> list[bool]:
    """Of each row whether it is as like to the oracle's reason as the paper's simulated feedback asks."""
    reasons = {(one.image_id, one.question): one.reason for one in (*world.items, *world.held_out)}
    return [
        rouge_l(row.rationale, reasons[row.image_id, row.question], recall_weight=OVERLAP.recall_weight) >= at
        for row in rows
    ]


def view_of(world: World, explained: Sequence[Rationale], replay: float = 10.0) -> TrainingView:
    return training_view(explained, (one.item for one in world.items), replay=replay, seed=world.seed)


def taught(world: World, name: str, view: TrainingView, *, with_answers: bool = True) -> str:
    """The student of the base that is trained on `view` as the loop trains: as many rationales in each step."""
    rows = training_rows(world, view, with_answers=with_answers)
    kinds = rows[IS_RATIONALE][:]
    others = sum(row.rationale is None for row in view.rows)
    beside = (3 if others else 1) * RATIONALES_A_STEP if with_answers else 0
    settings = {**TINY, "lora": LORA, "learning_rate": RATE, "batch_size": RATIONALES_A_STEP + beside}
    if with_answers:
        settings["rationale_loss"] = {"rationales_a_step": RATIONALES_A_STEP}
    assert any(kinds), "something is explained"
    return train_on(
        rows,
        world.work / f"student {name}",
        steps=STEPS,
        seed=world.seed,
        settings=settings,
        explanation_weight=view.explanation_weight if with_answers else None,
    )


def training_rows(world: World, view: TrainingView, *, with_answers: bool) -> Any:
    """A `datasets.Dataset`: each question with its answer, and each prompt with its rationale."""
    import datasets

    files = {one.image_id: one.file for one in world.items}
    rows = []
    for row in view.rows:
        asked = PROMPT.format(question=row.question, answer=row.answer)
        told = [(row.question, row.answer, False)] if with_answers else []
        told += [] if row.rationale is None else [(asked, row.rationale, True)]
        picture = (world.work / SAMPLED / files[row.image_id]).read_bytes()
        for said, reply, is_rationale in told:
            (made,) = prompt_completion_rows((Turn("user", said), Turn("assistant", reply)))
            image = {"images": [{"bytes": picture, "path": None}], "image_id": row.image_id}
            rows.append({**made, **image, "row_id": "", "lineage": "", IS_RATIONALE: is_rationale})
    features = {**training_features(["prompt", "completion"]), IS_RATIONALE: datasets.Value("bool")}
    return datasets.Dataset.from_list(rows, features=datasets.Features(features))


def explaining(world: World, claim: str, arm: str, model: str) -> Iterator[Figure]:
    """How a model explains right answers about scenes that were held out, and how it answers by itself."""
    held_out = world.held_out
    texts = asked_of(model, "explained", [one.prompt for one in held_out], world)
    rows = [one.with_rationale(reason_in(text)) for one, text in zip(held_out, texts, strict=True)]
    scores = text_scores([row.rationale for row in rows], [[one.reason] for one in held_out])
    yield mean(claim, arm, "CIDEr", [score.cider for score in scores])
    yield share(claim, arm, "fitting", fitting(world, rows))
    yield share(claim, arm, "true", (reason_finding(row, world.truth[row.image_id]).is_true for row in rows))
    answers = asked_of(model, "answered", [one.question for one in held_out], world)
    hits = (same_answer(text, one.answer) for one, text in zip(held_out, answers, strict=True))
    yield share(claim, arm, "right answers", hits)


def asked_of(model: str, name: str, prompts: Sequence[str], world: World) -> list[str]:
    """What a model replies to each prompt about the scenes that were held out; kept beside the task."""
    lines = [
        {"id": str(place), "image": one.file, "question": prompt, "objects": []}
        for place, (one, prompt) in enumerate(zip(world.held_out, prompts, strict=True))
    ]
    task = write_task(world.work / f"{world.task}-{name}.jsonl", lines)
    who = Path(model).relative_to(world.work).as_posix().replace("/", " ") if model != BASE else "base"
    found = replies(model, task, world.work / HELD_OUT, world.work / f"{world.task} {name} by {who}.jsonl")
    return [found[str(place)] for place in range(len(lines))]


def reason_in(text: str) -> str:
    """What a reply says after its first sentence, which is an answer in the words of the tiny model, or all of it."""
    return text.partition(". ")[2] or text


def same_answer(one: str, other: str) -> bool:
    """Whether the words of either are in the other in their order: ILLUME's overlap, by words."""
    first, second = (f" {' '.join(words(text))} " for text in (one, other))
    return first in second or second in first
