"""What models of the evidence are asked, through the project's own evaluation; answers are kept beside the task."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from builders.instructions.infusing import infused_text
from students.evaluation.evaluate import Task, evaluate
from students.evaluation.formats import FORMATS, read_task
from students.evaluation.pictures import FolderPictures
from students.evaluation.replying import Describing
from students.evaluation.settings import EvaluationSettings

Line = Mapping[str, object]  # of the formats `choices` and `captions`


def write_task(path: Path, lines: Sequence[Line]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def chosen_rightly(model: str, task: Path, images: Path, out: Path) -> list[bool]:
    """Of each question whether the likeliest choice is the right one."""
    return [bool(result["right"]) for result in _results(model, "choices", task, images, out)]


def replies(model: str, task: Path, images: Path, out: Path, *, describe: str | None = None) -> dict[str, str]:
    """What the model replies to each question, by its id; with the prompt `describe` under a description of its own."""
    found = _results(model, "captions", task, images, out, describe=describe)
    return {str(result["id"]): str(result.get("reply", "")) for result in found}


def files_of(scenes: Path) -> dict[str, str]:
    """The file of each scene by the id that it is known by."""
    lines = map(json.loads, (scenes / "truth.jsonl").read_text("utf-8").splitlines())
    return {line["image_id"]: line["file"] for line in lines}


def _results(
    model: str, name: str, task: Path, images: Path, out: Path, *, describe: str | None = None
) -> list[dict[str, object]]:
    settings = EvaluationSettings(
        device="cpu", dtype="float32", batch_size=64, max_tokens=60, describe=describe is not None
    )
    describing = None if describe is None else Describing(describe, infused_text)
    read = read_task(name, task, images, settings.reading)
    made = Task(name, FORMATS[name].metric, read, FolderPictures(images))
    evaluate(model, made, settings, out, describing=describing)
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]
