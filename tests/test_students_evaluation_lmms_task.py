"""A benchmark of choices becomes a task folder of lmms-eval: its data load, its functions say what is right."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest
import yaml
from drawing import write_scenes
from hardship import call

from students.evaluation.lmms_task_utils import chosen


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lmms")
    write_scenes(folder / "images", 3)
    rows = [
        {"image": f"scene {n:04d}.jpg", "question": "Which?", "choices": ["red", "green", "blue"], "answer": n}
        for n in range(3)
    ]
    rows.append({**rows[0], "image": "none.jpg"})
    (folder / "q.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    options = ("--task", folder / "q.jsonl", "--format", "choices", "--images", folder / "images")
    done = call("student", "lmms-task", *options, "--name", "mine", "--out", folder / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"name": "mine", "items": 3, "lost": {"missing file": 1}}
    return folder / "out"


def utils_in(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("utils_of_the_task", folder / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_folder_stands_alone(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(path.name for path in written.iterdir()) == [".ostensive.json", "data", "mine.yaml", "utils.py"]
    text = (written / "mine.yaml").read_text()
    assert "process_results: !function 'utils.process_results'" in text
    described: dict[str, Any] = yaml.safe_load(text.replace("!function ", ""))
    assert described["task"] == "mine"
    monkeypatch.chdir(written)
    rows = datasets.load_dataset(
        described["dataset_path"], **described["dataset_kwargs"], split="test", cache_dir=str(tmp_path)
    )
    utils = utils_in(written)
    assert rows.num_rows == 3
    for place, row in enumerate(rows):
        assert utils.doc_to_visual(row)[0].size == (96, 72)
        wanted = "Which?\nA. red\nB. green\nC. blue\nAnswer with the letter of the right choice."
        assert utils.doc_to_text(row, described["lmms_eval_specific_kwargs"]["default"]) == wanted
        assert utils.doc_to_target(row) == "ABC"[place]
        found = [utils.process_results(row, [reply])["accuracy"] for reply in ("A", "B. green", "Blue.", "Z", "")]
        assert found == [float(place == 0), float(place == 1), float(place == 2), 0.0, 0.0]


def test_the_letter_of_a_reply_is_found() -> None:
    choices = ["a dog", "A cat", "none"]
    replies = {"(B)": 1, "b": None, "The answer is C.": 2, "a cat": 1, "A dog": 0, "An apple": None, "B": 1, "D": None}
    assert {reply: chosen(reply, choices) for reply in replies} == replies


def test_what_cannot_be_a_task_is_one_line(written: Path, tmp_path: Path) -> None:
    task, images = written.parent / "q.jsonl", written.parent / "images"
    options = ("student", "lmms-task", "--task", task, "--images", images)
    done = call(*options, "--format", "choices", "--name", "my task", "--out", tmp_path / "out")
    assert done.complaint == "--name 'my task': letters, digits and _ are expected"
    done = call(*options, "--format", "choices", "--name", "mine", "--out", written)
    assert "is there already; name a folder that is empty or not there" in done.complaint
    (tmp_path / "c.jsonl").write_text(json.dumps({"image": "scene 0000.jpg", "references": ["a dog"]}) + "\n")
    done = call(
        "student", "lmms-task", "--task", tmp_path / "c.jsonl", "--images", images, "--format", "captions",
        "--name", "mine", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.complaint == "--format captions: has no single right choices; lmms-eval gets those with them"
