"""A folder with scenes of the microworld, and what a loop of each recipe is told about them, for tests of loops."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microworld.folder import CONCEPTS_NAME, LABELS_NAME, read_truth, write_scenes, write_specimens
from microworld.questions import reason

BASE = "microworld:vlm-base"
FIRST_SEED = 600_000  # no model was trained on these scenes
_TOPICS = ("colour", "shape", "place")
_ANY_LENGTH = "{min_words: 1}"
TRAINING = ("max_steps=3", "batch_size=4", "device=cpu", "lora.rank=4", "lora.alpha=8", "learning_rate=0.003")


@dataclass(frozen=True)
class Asked:
    """A loop: its recipe, its images and what lies beside them, settings of the recipe."""

    recipe: str
    images: Path
    annotations: Path | None
    settings: tuple[str, ...]

    def words(self, out: Path, *more: object, training: Sequence[str] = TRAINING) -> list[str]:
        """The arguments of the command."""
        beside = [] if self.annotations is None else ["--annotations", self.annotations]
        sets = [word for one in self.settings for word in ("--set", one)]
        learning = [word for one in training for word in ("--train-set", one)]
        words = ["loop", self.recipe, "--images", self.images, "--base", BASE, "--out", out, "--profile", "microworld"]
        return [*map(str, words), *map(str, beside), *sets, *learning, *map(str, more)]

    def evaluation(self, path: Path) -> list[str]:
        """What asks for evaluations on the questions of the loop, each with a wrong answer beside the right one.

        The task is written to `path`.
        """
        assert self.annotations is not None, "of `rationales`"
        asked = [json.loads(line) for line in self.annotations.read_text("utf-8").splitlines()]
        answers = sorted({one["answer"] for one in asked})
        lines = [
            {
                "image": one["file_name"],
                "question": one["question"],
                "choices": [one["answer"], next(other for other in answers if other != one["answer"])],
                "answer": 0,
            }
            for one in asked
        ]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
        named = ["--eval-task", path, "--eval-format", "choices", "--eval-images", self.images]
        return [*map(str, named), "--eval-set", "device=cpu", "--eval-set", "batch_size=2"]


def _settings(*own: str) -> tuple[str, ...]:
    licence = (
        "corpus.license=cc0-1.0",
        "corpus.source=Rendered scenes of the microworld.",
        "corpus.intended_use=to test",
    )
    return (*licence, "teacher.max_tokens=24", "run.partition_size=2", *own)


def _prompts(folder: Path, **templates: str) -> Path:
    folder.mkdir()
    for name, text in templates.items():
        (folder / f"{name}.j2").write_text(text)
    return folder


def rationales(folder: Path, images: int) -> Asked:
    """Three questions about each scene, and two reasons asked for each."""
    write_scenes(folder / "scenes", images, first_seed=FIRST_SEED)
    truth, rng, lines = read_truth(folder / "scenes"), random.Random(0), []
    for line in (folder / "scenes" / "truth.jsonl").read_text("utf-8").splitlines():
        made = json.loads(line)
        for topic in _TOPICS:
            known = reason(truth[made["image_id"]], topic, rng)  # type: ignore[arg-type]  # one of the topics
            if known is not None:
                lines.append(
                    {"file_name": made["file"], "question": known.asked.question, "answer": known.asked.answer}
                )
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return Asked(
        "rationales",
        folder / "scenes",
        folder / "questions.jsonl",
        _settings(
            f"rationales.prompt_set={_prompts(folder / 'why', explain_why='{{ question }} why ?')}",
            "rationales.temperatures=[1.0]",
            "rationales.samples=2",
            f"critics=[{{kind: rules, limits: {{rationale: {_ANY_LENGTH}}}}}]",
        ),
    )


def preferences(folder: Path, images: int) -> Asked:
    """Two pairs about each scene; the tiny model knows one prompt, so that no side can be asked to imagine things."""
    write_scenes(folder / "scenes", images, first_seed=FIRST_SEED)
    prompts = _prompts(folder / "describe", describe="describe", caption_1="describe", imagine_1="describe")
    return Asked(
        "preferences",
        folder / "scenes",
        None,
        _settings(
            f"preferences.prompt_set={prompts}",
            "preferences.corruption_share=1",
            "preferences.corruptions=[swap]",
            "preferences.pairs=2",
            "teacher.temperature=1",
            f"critics=[{{kind: rules, limits: {{chosen: {_ANY_LENGTH}, rejected: {_ANY_LENGTH}}}}}]",
        ),
    )


def explanations(folder: Path, images: int) -> Asked:
    """Specimens of species with their concepts, and three questions about each."""
    write_specimens(folder / "specimens", images, first_seed=FIRST_SEED)
    prompts = _prompts(
        folder / "explain",
        describe_1="describe",
        answer="{{ query }} {{ label }} {{ concepts }}",
        label_only="this is {{ label }}",
    )
    return Asked(
        "explanations",
        folder / "specimens",
        folder / "specimens" / LABELS_NAME,
        _settings(
            f"explanations.prompt_set={prompts}",
            f"explanations.concepts={folder / 'specimens' / CONCEPTS_NAME}",
            "explanations.draws=1",
            "explanations.queries=3",
            "explanations.describe_max_tokens=24",
            "explanations.answer_max_tokens=8",
            "annotations.columns={image: file}",
        ),
    )
