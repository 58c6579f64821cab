"""`ostensive concepts`: what a teacher lists of each label is read, kept, and never asked for twice."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from annotated_images import write_rows
from drawing import write_scenes
from hardship import Done, call

from builders.explanations.asking_concepts import MAX_WORDS, read_concepts
from builders.explanations.concepts import load_concepts
from ostensive.chat.records import Message
from ostensive.chat.server import ServerThread

BULLETS = (
    """Sure! Here are the features:

- **Red breast** and face.
- thin dark bill;
* Thin dark bill
1. round   body
2) robin
- """
    + "very " * MAX_WORDS
    + "long tail"
)
LABELS = ("robin", "wren", "Robin", "l'oiseau: bleu")


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (BULLETS, ("Red breast and face", "thin dark bill", "round body")),
        ("red breast\nthin bill", ("red breast", "thin bill")),
        ("Features:\nred breast\nthin bill", ("red breast", "thin bill")),
        ("– long-tailed\n– 3.5 stripes", ("long-tailed", "3.5 stripes")),
        ("I'm sorry, I cannot help with that.", ()),
        ("", ()),
        ("\n- \n-\n", ()),
        ("- Robin", ()),
    ],
)
def test_what_counts_as_a_concept(reply: str, found: tuple[str, ...]) -> None:
    assert read_concepts(reply, "robin") == found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    write_scenes(folder / "images", len(LABELS))
    rows = [{"file_name": f"scene {place:04d}.jpg", "label": label} for place, label in enumerate(LABELS)]
    write_rows(folder / "labels.jsonl", rows)
    return folder


def ask(images: Path, out: Path, *more: object, recipe: str = "explanations") -> Done:
    return call(
        "concepts", recipe, "--images", images / "images", "--annotations", images / "labels.jsonl", "--out", out, *more
    )


def test_each_label_is_asked_for_once_and_what_is_there_stays(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "concepts.json"
    out.write_text('{"wren": ["short cocked tail"]}', "utf-8")
    done = ask(images, out)
    assert done.returncode == 0, done.stderr
    assert "few         wren: 1\nlabels      2 added, 1 there before, 0 got nothing\n" in done.stdout
    assert "\nteacher     2 requests" in done.stdout
    listed = json.loads(out.read_text("utf-8"))
    assert list(listed) == ["wren", "robin", "l'oiseau: bleu"]
    assert listed["wren"] == ["short cocked tail"]
    assert len(listed["robin"]) == 8
    assert load_concepts(str(out)).labels[2].label == "l'oiseau: bleu"
    again = ask(images, out)
    assert "labels      0 added, 3 there before, 0 got nothing\nteacher     0 requests" in again.stdout
    out.unlink()
    anew = json.loads(ask(images, out, "--json").stdout)
    assert anew["added"] == 3
    assert json.loads(out.read_text("utf-8"))["robin"] == listed["robin"], "the journal beside it has the answer"


def test_what_gets_nothing_is_told_and_the_rest_is_written(images: Path, tmp_path: Path) -> None:
    def script(messages: Sequence[Message], _seed: int) -> str:
        return "I cannot say." if '"wren"' in messages[-1].text else "- red breast\n- thin bill\n- round body"

    out = tmp_path / "concepts.json"
    with ServerThread(script) as server:
        teacher = ("teacher.kind=served", "teacher.model=scripted", f"teacher.base_url={server.base_url}")
        done = ask(images, out, *(word for one in teacher for word in ("--set", one)))
    assert done.returncode == 1
    assert "nothing     wren: no feature in the reply\nlabels      2 added, 1 got nothing\n" in done.stdout
    assert list(json.loads(out.read_text("utf-8"))) == ["robin", "l'oiseau: bleu"]


def test_what_cannot_be_asked_is_one_line(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "concepts.json"
    done = ask(images, out, recipe="localized")
    assert (done.returncode, done.stderr) == (
        2,
        "ostensive: localized reads no list of concepts; a recipe that does is expected, such as explanations\n",
    )
    out.write_text("[]", "utf-8")
    done = ask(images, out)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "concepts.json: an object with a list of concepts for each label is expected" in done.stderr
    nothing = call("concepts", "explanations", "--images", images / "images", "--out", tmp_path / "x.json")
    assert nothing.returncode == 2
    assert "label" in nothing.stderr


def test_the_doctor_says_that_the_list_is_missing(images: Path, tmp_path: Path) -> None:
    done = call("doctor", "explanations")
    assert done.returncode == 1
    assert "list of concepts" in done.stdout
    assert "explanations.concepts is not set; `ostensive concepts` asks a teacher for a list" in done.stdout
    (tmp_path / "c.json").write_text('{"wren": ["a tail"]}', "utf-8")
    assert call("doctor", "explanations", "--set", f"explanations.concepts={tmp_path / 'c.json'}").returncode == 0
