"""What the model that teaches is given, and what it is to reply, made ready in files.

A scene is put into words by the tiny models as the recipe `localized` does it, so that its errors are theirs, and the
prompts are those of the recipe too, over the prompt set of this package. Each scene has a lesson in each mode, one that
asks for a description, and one that asks for a description of what is not there.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

import ostensive
from builders.localized.settings import MODES, LocalizedSettings, Mode
from builders.localized.stage import CandidatesStage, seen_as
from microworld.folder import TRUTH_NAME, read_truth, write_scenes
from microworld.grammar import narrative
from microworld.render import render
from microworld.training.triples import imagined, triples_text
from microworld.training.words import DESCRIBE, IMAGINE, TRIPLE_WORDS, make_tokenizer
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.records import Message
from ostensive.files import replacing
from ostensive.records import Verbalization
from ostensive.run.folder import RunFolder, kept_records

LessonKind: TypeAlias = Literal["ids", "descriptions", "describe", "imagine"]
KINDS: tuple[LessonKind, ...] = get_args(LessonKind)
FIRST_SEED, SEEDS_APART = 500_000_000, 1_000_000
"""Of the first scene, and how far those of two trainings are apart. No other stage learned from these scenes, because
the image-text model captions those that it knows better than others."""
PER_FILE, MAX_SCENES = 1000, 20_000
_FILE = "lessons.npz"
_REPLIES = 3  # true ones to each prompt, of which one is drawn
_COUNTS = (1, 2, 3, 3, 3, 3)  # of triples, each as often
_SENTENCES = 3
_BUILD = (
    "corpus.license=cc0-1.0",
    "corpus.source=Rendered scenes of the microworld.",
    "corpus.intended_use=To train the models of the microworld.",
    # Of a verbalization the prompts hold regions, captions and probes alone: the rest need not be the models'.
    "verbalize.narratives={kind: pixels}",
    "verbalize.concepts={kind: pixels}",
    "localized.modes=[ids]",
    "localized.turns=1",
    "localized.qars_per_turn=1",
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt with the picture that goes with it, and replies that are right, as word ids without marks."""

    kind: LessonKind
    seed: int  # of the scene
    pixels: npt.NDArray[np.uint8]  # (side, side, 3), with numbered boxes on it in the kind `ids`
    prompt: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]


def prompt_set(recipe: Literal["localized", "preferences"]) -> Path:
    """The folder of prompts in words that the tiny model which teaches knows."""
    return Path(str(files("microworld"))) / "prompts" / recipe


def make_lesson_files(folder: Path, *, seed: int, is_time_left: Callable[[], bool]) -> int:
    """Writes files of lessons on `PER_FILE` scenes each into `folder`, as many as there is time for, and at least one.

    Returns on how many scenes there are lessons; files that are there already are kept.
    """
    first = FIRST_SEED + SEEDS_APART * seed
    for start in range(0, MAX_SCENES, PER_FILE):
        place = folder / f"lessons-{start:06}"
        if not (place / _FILE).exists():
            if start and not is_time_left():
                break
            verbalize_scenes(place, range(first + start, first + start + PER_FILE))
            write_lessons(list(make_lessons(place)), place / _FILE)
    return PER_FILE * len(lesson_files(folder))


def lesson_files(folder: Path) -> list[Path]:
    """The files of lessons in `folder`."""
    return sorted(folder.glob(f"lessons-*/{_FILE}"))


def verbalize_scenes(folder: Path, seeds: range) -> None:
    """Renders the scenes of `seeds` into `folder` and puts them into words there; goes on where it was stopped."""
    if not (folder / "scenes" / TRUTH_NAME).exists():
        write_scenes(folder / "scenes", len(seeds), first_seed=seeds.start)
    options = ostensive.BuildOptions(profile="microworld", settings=_BUILD)
    ostensive.build("localized", images=folder / "scenes", out=folder / "run", options=options)


def make_lessons(folder: Path) -> Iterator[Lesson]:
    """The lessons on the scenes in `folder`, once they are put into words."""
    truth = read_truth(folder / "scenes")
    tokenizer = make_tokenizer(TRIPLE_WORDS)

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text).input_ids)

    for row in kept_records(RunFolder(folder / "run"), Verbalization):
        scene = truth[row.image_id]
        rng = random.Random(f"triples {scene.seed}")  # noqa: S311 - no secret
        picture = render(scene)
        for mode in MODES:
            count = rng.choice(_COUNTS)
            drawn = [triples_text(scene, row.regions, mode, count, rng) for _ in range(_REPLIES)]
            replies = tuple(ids(text) for text in drawn if text is not None)
            if replies:
                shown = np.asarray(seen_as(picture, row, mode))
                yield Lesson(mode, scene.seed, shown, ids(triples_prompt(row, mode, count)), replies)
        told = [" ".join(one.text for one in narrative(scene, rng, sentences=_SENTENCES)) for _ in range(_REPLIES)]
        yield Lesson("describe", scene.seed, np.asarray(picture), ids(DESCRIBE), tuple(map(ids, told)))
        made_up = [imagined(scene, rng) for _ in range(_REPLIES)]
        yield Lesson("imagine", scene.seed, np.asarray(picture), ids(IMAGINE), tuple(map(ids, made_up)))


def triples_prompt(row: Verbalization, mode: Mode, count: int) -> str:
    """What the recipe asks a teacher for with the prompts of this package."""
    return _stage(mode, count).conversation(row, mode).messages[0].text


@lru_cache(maxsize=16)
def _stage(mode: Mode, count: int) -> CandidatesStage:
    settings = LocalizedSettings(modes=(mode,), turns=1, qars_per_turn=count, prompt_set=str(prompt_set("localized")))
    return CandidatesStage(settings, teacher=SelfTeacherSettings(model="microworld:vlm"), script=_silent, seed=0)


def _silent(_messages: Sequence[Message], _seed: int) -> str:
    raise AssertionError("a stage that only writes prompts asks nobody")


def write_lessons(lessons: Sequence[Lesson], path: Path) -> None:
    """Saves lessons as arrays."""
    texts = [text for one in lessons for text in (one.prompt, *one.replies)]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            kinds=np.array([KINDS.index(one.kind) for one in lessons], np.int8),
            seeds=np.array([one.seed for one in lessons]),
            pixels=np.stack([one.pixels for one in lessons]),
            texts=np.array([1 + len(one.replies) for one in lessons]),
            lengths=np.array([len(text) for text in texts]),
            ids=np.array([word for text in texts for word in text], np.int16),
        )


def read_lessons(paths: Sequence[Path]) -> list[Lesson]:
    """The lessons of these files, one file after the other."""
    found: list[Lesson] = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            pixels = arrays["pixels"]
            words = np.split(arrays["ids"].astype(int), np.cumsum(arrays["lengths"])[:-1])
            texts = iter([tuple(text.tolist()) for text in words])
            for place, (kind, seed, count) in enumerate(
                zip(arrays["kinds"].tolist(), arrays["seeds"].tolist(), arrays["texts"].tolist(), strict=True)
            ):
                prompt, *replies = islice(texts, count)
                found.append(Lesson(KINDS[kind], seed, pixels[place], prompt, tuple(replies)))
    return found
