"""A whole run of the recipe, from a file in LLaVA's form: what is lost is counted, and what comes out has one slot."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from drawing import write_scenes
from hardship import call

import ostensive
from builders.instructions.recipe import KIND, RULES, InstructionsRecipe, dialogue
from builders.instructions.records import InfusedInstruction
from builders.table import load
from cards.samples import PublicForm
from critics.rules import CheckedTexts, first_broken_rule
from ostensive.image_slots import has_slot
from ostensive.records import IMAGE_SLOT
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from students.rows import llava_row, messages_row, slots_in

SETTINGS = [
    "corpus.license=cc0-1.0",
    "corpus.source=drawn by a test",
    "corpus.intended_use=to test",
    "run.partition_size=2",
]
QUESTION = 'What\'s in the café: a sign, or "art"?'


def conversation(image: str | None, *said: str, slot: str = "<image>\n") -> dict[str, object]:
    """A row as LLaVA's data has it; all have the same id."""
    turns = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(said)]
    turns[0]["value"] = f"{slot}{said[0]}"
    return {"id": "000000001", **({} if image is None else {"image": image}), "conversations": turns}


ROWS = [
    conversation("scene 0000.jpg", QUESTION, "It's both: a sign and art."),
    conversation("scene 0000.jpg", "Where?", "In the middle.", "Why?", "It's round."),
    conversation("scene 0001.jpg", "Where?", "On the left.", slot=""),
    conversation("scene 0001.jpg", "Which of the two?", "Neither.", slot="<image><image>"),
    conversation("scene 0001.jpg", "Where?", "Here: <image>"),
    conversation("scene 0001.jpg", "Where?", "", slot=""),
    conversation("scene 0002.jpg", "Where?", slot=""),
    conversation("gone.jpg", "Where?", "Here."),
    conversation(None, "1 + 1?", "2", slot=""),
    {"image": "scene 0002.jpg", "conversations": [["Where?", "Here."]]},
    {"image": "scene 0002.jpg", "instruction": "Name the colour.", "answers": ["red", "green", "red"]},
]


@dataclass(frozen=True)
class Built:
    images: Path
    file: Path
    run: Path

    def rows(self) -> list[InfusedInstruction]:
        paths = RunFolder(self.run).paths_of(InfusedInstruction)
        return [row for path in paths for row in partitions.read_kept(path, InfusedInstruction)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("instructions")
    write_scenes(folder / "images", 4)
    file = folder / "instructions.json"
    file.write_text(json.dumps(ROWS, ensure_ascii=False), "utf-16")
    options = ostensive.BuildOptions(settings=SETTINGS, annotations=file)
    ostensive.build("instructions", images=folder / "images", out=folder / "run", options=options)
    return Built(folder / "images", file, folder / "run")


def test_every_row_of_the_file_is_accounted_for(built: Built) -> None:
    stages = {stage["name"]: stage for stage in json.loads(call("status", built.run, "--json").stdout)["stages"]}
    assert list(stages) == ["images", "distinct", "annotations", "candidates", "unique", "scored", "judged"]
    joined, candidates = stages["annotations"], stages["candidates"]
    assert joined["dropped"] == {"names no image": 1, "no such image": 1, "not a conversation": 1}
    assert candidates["dropped"] == {
        "several image slots": 1,
        "image slot in an answer": 1,
        "empty answer": 1,
        "no answer": 1,
        "no instruction": 1,  # the image that has none
    }
    assert (candidates["kept"], stages["judged"]["kept"]) == (4, 4)
    assert joined["kept"] + sum(joined["dropped"].values()) == len(ROWS)


def test_turns_come_through_as_they_are_with_one_slot(built: Built) -> None:
    rows = built.rows()
    assert sorted(tuple(turn.text for turn in row.turns) for row in rows) == [
        ("Name the colour.", "red"),
        (QUESTION, "It's both: a sign and art."),
        ("Where?", "In the middle.", "Why?", "It's round."),
        ("Where?", "On the left."),
    ]
    for row in rows:
        (first, *others) = messages_row(dialogue(row))["messages"]
        assert slots_in([first, *others]) == slots_in([first]) == 1
        assert first["content"][1]["text"] == f"Image description: {row.description}\n\n{row.turns[0].text}"
        values = [turn["value"] for turn in llava_row(row.row_id, "a.jpg", dialogue(row))["conversations"]]
        assert [value.count(IMAGE_SLOT) for value in values] == [1, *[0] * len(others)]
        assert not has_slot(row.description)


def test_a_description_is_of_the_picture_and_knows_no_question(built: Built) -> None:
    with closing(sqlite3.connect(built.run / "journal.sqlite")) as db:
        asked = [json.loads(request) for (request,) in db.execute("SELECT request FROM answers")]
    for request in asked:
        (message,) = request["messages"]
        assert [part["type"] for part in message["content"]] == ["image_url", "text"]
        assert "Where?" not in message["content"][1]["text"]
    assert len(asked) <= 4
    by_image = {row.image_id: row.description for row in built.rows()}
    assert len(set(by_image.values())) == len(by_image) == 3


def test_rows_open_and_the_card_says_what_they_are(built: Built) -> None:
    corpus = ostensive.open_corpus(built.run)
    rows = list(corpus.rows())
    assert {*rows[0]} >= set(PublicForm(KIND, "").flat_schema.names)
    assert {turn["role"] for row in rows for turn in row["turns"]} == {"user", "assistant"}
    card = (built.run / "corpus" / "README.md").read_text("utf-8")
    assert "the second stage of STIC (Self-Training on Image Comprehension)" in card
    assert "| `rows[].turns[].text` | string | what is said, as it came in, without an image slot |" in card


def test_people_see_description_and_conversation(built: Built) -> None:
    folder = built.run / "studio"
    done = call("annotate", built.run, "--to-label-studio", folder)
    assert done.returncode == 0, done.stderr
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert {task["data"]["task"] for task in tasks} == {"accept"}
    assert any(task["data"]["turns"].startswith(f"user: {QUESTION}\nassistant: It's both") for task in tasks)
    shown = call("preview", "instructions", "--images", built.images, "--annotations", built.file).stdout
    assert "In the middle." in shown


def test_nothing_but_instructions_is_asked_about(built: Built) -> None:
    arguments = ["--images", built.images, "--annotations", built.file, "--json"]
    found = json.loads(call("estimate", "instructions", *arguments).stdout)
    assert (found["images"], found["requests"] <= 4) == (4, True)


def test_the_rules_look_at_the_description_alone() -> None:
    recipe = load("instructions", assignments=SETTINGS[:3])
    assert isinstance(recipe, InstructionsRecipe)
    assert (recipe.critics, recipe.dedupe.max_distance) == ((RULES,), 0)

    def rejected(description: str) -> str:
        texts = {"description": description, "turns": "user: Perhaps a photo?\nassistant: It's unclear."}
        return first_broken_rule(CheckedTexts(texts, ("description",)), RULES)

    assert rejected("The picture may show a red wall by the sea.") == ""
    assert rejected("A wall.") == "description too short"
    assert rejected("It goes on. " * 61) == "description too long"


@pytest.mark.slow
def test_the_demo_keeps_rows_and_drops_some_with_reasons(tmp_path: Path) -> None:
    done = call("demo", "instructions", "--out", tmp_path / "demo", "--quiet")
    assert done.returncode == 0, done.stderr
    stages = {one["name"]: one for one in json.loads(call("status", tmp_path / "demo/run", "--json").stdout)["stages"]}
    assert stages["annotations"]["dropped"] == {"no such image": 1}
    assert stages["candidates"]["dropped"].keys() >= {"several image slots", "empty answer", "no answer"}
    for stage in stages.values():
        assert stage["rows"] == stage["kept"] + sum(stage["dropped"].values()) + sum(stage["failed"].values())
    assert stages["judged"]["kept"] > 8
    rows = list(ostensive.open_corpus(tmp_path / "demo/run").rows())
    assert {len(row["turns"]) for row in rows} == {2, 3, 4}
