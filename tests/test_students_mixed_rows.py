"""Rows of others between those of a corpus, and ILLUME's loss: what is drawn, what is lost, and what a step learns."""

import io
import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any  # Any: parts of transformers, TRL and datasets; JSON values

import PIL.Image
import pytest
from annotated_images import write_rows as write_annotations
from drawing import write_scenes
from hardship import call
from hypothesis import given
from hypothesis import strategies as st
from student_trainings import NOUNS, base_model, settings_of, stored, student_of
from tiny_models import one_thread  # noqa: F401 - a fixture

import ostensive
from builders.table import recipe_kind
from cards.reading import open_corpus
from ostensive.chat.journal import Journal
from ostensive.errors import Interrupted, SettingsError
from ostensive.images.rows import BadRow, Row
from ostensive.rationale_replay import explanation_weight
from ostensive.records import Turn
from students.rows import prompt_completion_rows
from students.training.data import read_rows, write_rows
from students.training.foreign_rows import ForeignRowLostError, foreign_files, training_row
from students.training.order import EpochOrder, StepOrder, rationales_a_step
from students.training.settings import StudentSettings
from students.training.student import train_student
from students.training.trainers import make_trainer

pytestmark = pytest.mark.usefixtures("one_thread")


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def message(role: str, text: str, *, with_image: bool = False) -> dict[str, Any]:
    # As Parquet gives it back: every part has every key.
    parts = [{"type": "image", "text": None}] if with_image else []
    return {"role": role, "content": [*parts, {"type": "text", "text": text}]}


def said(row: Mapping[str, Any]) -> tuple[list[str], str]:
    """The texts of the prompt, and of the completion."""
    texts = [
        [part["text"] for one in row[side] for part in one["content"] if part["type"] == "text"]
        for side in ("prompt", "completion")
    ]
    return texts[0], texts[1][0]


TALK = [message("user", "what ?", with_image=True), message("assistant", "red")]
LLAVA = [{"from": "human", "value": "<image>\nwhat ?"}, {"from": "gpt", "value": "red"}]


@pytest.mark.parametrize(
    "values",
    [
        {"messages": TALK, "images": [{"bytes": png(), "path": None}]},
        {"messages": TALK, "images": [png()]},
        {"prompt": TALK[:1], "completion": TALK[1:], "images": [{"bytes": None, "path": "red.png"}]},
        {"prompt": "what ?", "completion": "red", "images": ["red.png"]},
        {"conversations": LLAVA, "image": "red.png", "id": 7},
        {"conversations": json.dumps(LLAVA), "image": {"bytes": png(), "path": "x"}},
    ],
)
def test_each_form_gives_the_same_row(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "red.png").write_bytes(png())
    made, jpeg = training_row(Row("row 0", values), tmp_path, Random(0))
    assert said(made) == (["what ?"], "red")
    assert [part["type"] for part in made["prompt"][0]["content"]] == ["image", "text"]
    with PIL.Image.open(io.BytesIO(jpeg)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (40, 30))


def test_of_a_conversation_one_reply_is_learned_and_of_a_completion_itself() -> None:
    talk = [*TALK, message("user", "why ?"), message("assistant", "so"), message("user", "sure ?")]
    whole = [*talk, message("assistant", "yes")]
    pictures = {"images": [png()]}
    drawn = {
        said(training_row(Row("0", {"messages": whole, **pictures}), Path(), Random(seed))[0])[1] for seed in range(40)
    }
    assert drawn == {"red", "so", "yes"}
    ends = {"prompt": talk, "completion": whole[-1:], **pictures}
    for seed in range(10):
        prompt, completion = said(training_row(Row("0", ends), Path(), Random(seed))[0])
        assert (prompt, completion) == (["what ?", "red", "why ?", "so", "sure ?"], "yes")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (BadRow("line 3", "not JSON"), "unreadable row"),
        (Row("0", {"text": "red", "images": [png()]}), "row of another form"),
        (Row("0", {"prompt": "what ?", "images": [png()]}), "row of another form"),
        (Row("0", {"messages": TALK}), "not one picture"),
        (Row("0", {"messages": TALK, "images": [png(), png()]}), "not one picture"),
        (Row("0", {"messages": TALK, "image": "gone.png"}), "missing file"),
        (Row("0", {"messages": TALK, "image": "../outside.png"}), "leads out of the folder"),
        (Row("0", {"messages": TALK, "image": "a\0b"}), "unreadable"),
        (Row("0", {"messages": TALK, "images": [b"\xff\xd8\xff nothing"]}), "unreadable"),
        (Row("0", {"messages": [TALK[0]], "images": [png()]}), "row cannot be trained on"),
        (Row("0", {"messages": [TALK[0], TALK[0], TALK[1]], "images": [png()]}), "row cannot be trained on"),
        (Row("0", {"messages": [*TALK, *TALK], "images": [png()]}), "row cannot be trained on"),
        (Row("0", {"conversations": [{"from": "tool", "value": "x"}], "images": [png()]}), "not a conversation"),
        (Row("0", {"prompt": "what <img> ?", "completion": "red", "images": [png()]}), "row cannot be trained on"),
    ],
)
def test_a_broken_row_has_a_reason(tmp_path: Path, row: Row | BadRow, reason: str) -> None:
    (tmp_path / "outside.png").write_bytes(png())
    (tmp_path / "root").mkdir()
    with pytest.raises(ForeignRowLostError) as caught:
        training_row(row, tmp_path / "root", Random(0))
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_of_a_folder_the_split_for_training_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"):
        (tmp_path / "data" / name).touch()
    assert [path.name for path in foreign_files(tmp_path, "replay.data")] == ["train-00000-of-00001.parquet"]
    (tmp_path / "data" / "train-00000-of-00001.parquet").unlink()
    assert [path.name for path in foreign_files(tmp_path, "replay.data")] == ["test-00000-of-00001.parquet"]


# ---- replay between the rows of a corpus ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `rationales`: one question of an image has rationales, five longer ones have none; one is for tests."""
    folder = tmp_path_factory.mktemp("explained")
    write_scenes(folder / "images", 3)
    asked = [
        {
            "file_name": f"scene {k:04d}.jpg",
            "question": f"What is in {k} {'really ' * 9 * bool(number)}{number}?",
            "answer": f"colours {number}",
            **({"split": "test"} if k == 2 else {}),
        }
        for k in range(3)
        for number in range(6)
    ]
    write_annotations(folder / "questions.jsonl", asked)
    limits = "{min_words: 1, max_words: 9, max_sentences: 9}"
    options = ostensive.BuildOptions(
        settings=[
            "corpus.license=cc0-1.0",
            "corpus.source=drawn by a test",
            "corpus.intended_use=to test",
            "rationales.temperatures=[0.5]",
            "rationales.samples=2",
            f"critics=[{{kind: rules, limits: {{question: {limits}}}}}]",
        ],
        annotations=folder / "questions.jsonl",
    )
    ostensive.build("rationales", images=folder / "images", out=folder / "run", options=options)
    return folder / "run"


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LLaVA's JSON of 60 rows about 4 pictures, a third of them broken."""
    folder = tmp_path_factory.mktemp("general")
    for colour in ("red", "green", "blue", "white"):
        (folder / f"{colour}.png").write_bytes(png(colour))
    rows: list[dict[str, Any]] = []
    for place in range(60):
        colour = ("red", "green", "blue", "white")[place % 4]
        talk = [{"from": "human", "value": f"<image>\n{NOUNS[place % 12]}"}, {"from": "gpt", "value": f"n{place}"}]
        rows.append({"id": place, "image": f"{colour}.png", "conversations": talk})
    for place in range(0, 60, 3):
        rows[place]["image"] = "gone.png"
    (folder / "general.json").write_text(json.dumps(rows))
    return folder


def count_of(run: Path) -> int:
    return sum(1 for _ in open_corpus(run).rows("train"))


def rows_of(run: Path, settings: StudentSettings, folder: Path, kind: str = "rationales") -> tuple[Any, Any]:
    corpus, recipe = open_corpus(run), recipe_kind(kind)
    written = write_rows(corpus, recipe, settings, folder, None)
    return written, read_rows(corpus, recipe, settings, folder, written).table


def test_replayed_rows_stand_beside_the_corpus_at_the_set_ratio(run: Path, general: Path, tmp_path: Path) -> None:
    replay = {"data": str(general / "general.json"), "ratio": 0.25}
    written, rows = rows_of(run, settings_of(replay=replay), tmp_path / "rows")
    assert written.corpus == 2 * count_of(run)
    assert written.replay.wanted == written.replay.rows == round(0.25 * written.corpus)
    assert len(rows) == written.corpus + written.replay.rows
    drawn = rows.select(range(written.corpus, len(rows)))
    answers = [said(row)[1] for row in drawn]
    assert len(set(answers)) == len(answers), "none is drawn twice"
    assert not [answer for answer in answers if int(answer[1:]) % 3 == 0], "those without a picture"
    assert set(written.replay.lost) == {"missing file"}
    assert all(row["images"][0].size == (40, 30) for row in drawn)
    again = rows_of(run, settings_of(replay=replay), tmp_path / "again")
    assert again[0] == written
    assert [said(row) for row in again[1]] == [said(row) for row in rows]
    other = rows_of(run, settings_of(replay=replay, seed=1), tmp_path / "other")[1]
    assert [said(row) for row in other] != [said(row) for row in rows]
    # More than there are: all that can be used, and the rest is counted.
    every, _ = rows_of(run, settings_of(replay={**replay, "ratio": 9.0}), tmp_path / "every")
    assert every.replay.wanted == 9 * written.corpus
    assert (every.replay.rows, every.replay.lost) == (40, {"missing file": 20})


def test_parquet_is_replayed_as_json_is(run: Path, general: Path, tmp_path: Path) -> None:
    import datasets

    rows = json.loads((general / "general.json").read_text())
    table = datasets.Dataset.from_list([{"conversations": row["conversations"], "image": row["image"]} for row in rows])
    (tmp_path / "data").mkdir()
    for place in range(3):
        part = table.select(range(place * 20, place * 20 + 20))
        part.to_parquet(tmp_path / "data" / f"train-{place:05d}-of-00003.parquet", batch_size=7)
    asked = {"ratio": 0.25, "images": str(general)}
    found = [
        rows_of(run, settings_of(replay={**asked, "data": str(data)}), tmp_path / name)
        for name, data in (("json", general / "general.json"), ("parquet", tmp_path))
    ]
    (of_json, json_rows), (of_parquet, parquet_rows) = found
    assert (of_json.replay.rows, of_json.replay.lost) == (of_parquet.replay.rows, of_parquet.replay.lost)
    assert sorted(map(str, map(said, json_rows))) == sorted(map(str, map(said, parquet_rows)))


def test_a_student_counts_what_was_replayed_and_knows_it_again(run: Path, general: Path, tmp_path: Path) -> None:
    data = tmp_path / "general.json"
    data.write_bytes((general / "general.json").read_bytes())
    words = [f"replay.data={data}", f"replay.images={general}", "replay.ratio=0.5", "max_steps=1", "batch_size=2"]
    words += ["device=cpu", "lora.rank=4", "lora.alpha=8"]
    command = ["student", "train", run, "--base", "microworld:vlm-base", "--out", tmp_path / "student"]
    command += [word for one in words for word in ("--set", one)]
    done = call(*command)
    assert done.returncode == 0, done.stderr
    student = json.loads((tmp_path / "student" / "student.json").read_text())
    count = student["replay"]["rows"]
    assert count == round(0.5 * student["rows"])
    assert f"replayed    {count:,} rows of general.json, {count:,} were asked for\n" in done.stdout
    assert f"            lost {student['replay']['lost']['missing file']}: missing file\n" in done.stdout
    assert str(tmp_path) not in json.dumps(student)
    assert call(*command).returncode == 0
    data.write_text(json.dumps(json.loads(data.read_text())[1:]))
    assert call(*command).complaint.endswith("was begun here; name another folder")


@pytest.mark.slow
def test_the_corpus_of_another_run_is_replayed(run: Path, tmp_path: Path) -> None:
    words = [f"replay.data={run}", "replay.ratio=0.5", "max_steps=1", "batch_size=2", "device=cpu", "lora.rank=4"]
    done = call(
        "student", "train", run, "--base", "microworld:vlm-base", "--out", tmp_path / "student", "--json",
        *(word for one in words for word in ("--set", one)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["replay"] == {"data": "run", "wanted": values["rows"] // 2, "rows": values["rows"] // 2, "lost": {}}
    with pytest.raises(SettingsError, match=r"^replay\.data: is the folder of a run, whose corpus has to be given"):
        student_of(run, tmp_path / "other", settings_of(replay={"data": str(run)}), "rationales")


def test_what_cannot_be_replayed_is_one_line(run: Path, tmp_path: Path) -> None:
    def refused(**replay: Any) -> str:
        with pytest.raises(SettingsError) as caught:
            student_of(run, tmp_path / "out", settings_of(replay=replay), "rationales")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert refused(data=str(tmp_path / "gone.json")).endswith("is not there; a file or a folder of rows is expected")
    (tmp_path / "rows.csv").write_text("a,b\n")
    assert refused(data=str(tmp_path / "rows.csv")) == (
        "replay.data: rows.csv is of no format that rows are read from; .json, .jsonl or .parquet is expected"
    )
    (tmp_path / "folder").mkdir()
    assert "has no Parquet files in it" in refused(data=str(tmp_path / "folder"))
    (tmp_path / "rows.jsonl").write_text('{"question": "what ?", "answer": "red"}\n' * 3)
    assert refused(data=str(tmp_path / "rows.jsonl")) == (
        "replay.data: none of the 3 rows of rows.jsonl can be trained on; the first: row of another form: line 1: has"
        " answer, question; messages, conversations, or prompt and completion are expected"
    )
    assert refused(data=str(tmp_path / "rows.jsonl"), images=str(tmp_path / "gone")).startswith("replay.images: ")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nothing")
    assert "rows.parquet: cannot be read: " in refused(data=str(tmp_path / "rows.parquet"))
    with pytest.raises(ValueError, match="replay goes with objective=sft"):
        settings_of(objective="dpo", replay={"data": "rows.jsonl"})
    with pytest.raises(ValueError, match="rationale_loss goes with objective=sft"):
        settings_of(objective="dpo", rationale_loss={})


# ---- the loss of ILLUME ---------------------------------------------------------------------------------------------


def explained_rows(folder: Path) -> Any:
    """Four rows of answers and two of rationales, of several lengths."""
    rows: list[dict[str, Any]] = []
    for place in range(4):
        asked = (Turn("user", NOUNS[place]), Turn("assistant", " ".join(NOUNS[: place + 1])))
        why = (Turn("user", NOUNS[5]), Turn("assistant", " ".join(NOUNS[4 : 7 + place])))
        rows += list(prompt_completion_rows((*asked, *why) if place < 2 else asked))
    kinds = [len(row["prompt"]) > 1 for row in rows]
    return stored([{**row, "is_rationale": kind} for row, kind in zip(rows, kinds, strict=True)], folder)


def mean_loss(model: Any, processor: Any, rows: list[Any]) -> Any:
    """The mean over the tokens of the completions of `rows`, one by one, by plain transformers."""
    import torch

    total, count = 0.0, 0
    for row in rows:
        texts = [
            processor.apply_chat_template(messages, add_generation_prompt=not is_whole, tokenize=False)
            for messages, is_whole in ((row["prompt"], False), ([*row["prompt"], *row["completion"]], True))
        ]
        start, whole = (
            processor(text=text, images=row["images"], return_tensors="pt", add_special_tokens=False) for text in texts
        )
        first = start["input_ids"].shape[1]
        told = torch.log_softmax(model(**whole).logits[0, first - 1 : -1], dim=-1)
        total -= float(told.gather(1, whole["input_ids"][0, first:, None]).sum())
        count += whole["input_ids"].shape[1] - first
    return total / count


def explaining_trainer(rows: Any, settings: StudentSettings, folder: Path, weight: float) -> Any:
    loaded = base_model()
    return make_trainer(loaded.model, loaded.processor, rows, settings, folder, explanation_weight=weight)


def test_the_loss_is_that_of_answers_and_b_times_that_of_rationales(tmp_path: Path) -> None:
    import torch

    rows = explained_rows(tmp_path / "rows")
    settings = settings_of(max_steps=2, batch_size=6, rationale_loss={})
    trainer = explaining_trainer(rows, settings, tmp_path / "out", 3.0)
    trainer.train()
    model = trainer.model.eval()
    with torch.no_grad():
        found = float(trainer.compute_loss(model, trainer.data_collator([dict(row) for row in rows])))
        answers, rationales = (
            mean_loss(model, trainer.processing_class, [row for row in rows if row["is_rationale"] is kind])
            for kind in (False, True)
        )
    assert abs(answers - rationales) > 0.01, "they differ, so that mixing them up is seen"
    assert found == pytest.approx(answers + 3.0 * rationales, abs=1e-5, rel=1e-5)
    logged = trainer.state.log_history[0]
    assert logged["loss"] == pytest.approx(logged["answer_loss"] + 3.0 * logged["rationale_loss"], rel=1e-5)


@pytest.mark.slow
def test_a_step_of_explanations_does_not_depend_on_how_it_is_cut(tmp_path: Path) -> None:
    import torch

    rows = explained_rows(tmp_path / "rows")
    trainers = []
    for size in (6, 2):
        own = {"max_steps": 2, "batch_size": size, "accumulate": 6 // size, "warmup": 0.0}
        trainers.append(explaining_trainer(rows, settings_of(**own, rationale_loss={}), tmp_path / str(size), 3.0))
        trainers[-1].train()
    whole, *cut = (trainer.state.log_history for trainer in trainers)
    weights, *others = (trainer.model.merge_and_unload().state_dict() for trainer in trainers)
    for logs, other in zip(cut, others, strict=True):
        for name in ("loss", "answer_loss", "rationale_loss"):
            assert [one[name] for one in logs[:2]] == pytest.approx([one[name] for one in whole[:2]], rel=1e-4)
        for name, value in weights.items():
            assert torch.allclose(value, other[name], atol=2e-5), name


@given(
    st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda kinds: True in kinds and False in kinds),
    st.integers(2, 8),
    st.integers(0, 3),
)
def test_every_step_holds_both_kinds_in_fixed_numbers(kinds: list[bool], step_rows: int, epoch: int) -> None:
    count = rationales_a_step(sum(kinds), len(kinds) - sum(kinds), step_rows=step_rows, wanted=None)
    order = StepOrder(kinds, step_rows=step_rows, rationales_a_step=count, seed=3, epoch=lambda: epoch)
    rows = list(order)
    assert len(rows) == len(order) == order.steps * step_rows
    for start in range(0, len(rows), step_rows):
        assert sum(kinds[row] for row in rows[start : start + step_rows]) == count
    assert set(rows) == set(range(len(kinds))), "an epoch shows every row"
    seen = Counter(rows)
    for kind in (True, False):
        times = [seen[row] for row in range(len(kinds)) if kinds[row] is kind]
        assert max(times) - min(times) <= 1, "none of a kind more often than another but for a part of an order"
    assert list(order) == rows


def test_an_epoch_is_an_order_of_its_own() -> None:
    for make in (
        lambda seed, epoch: EpochOrder(20, seed=seed, epoch=lambda: epoch),
        lambda seed, epoch: StepOrder(
            [row < 10 for row in range(20)], step_rows=4, rationales_a_step=2, seed=seed, epoch=lambda: epoch
        ),
    ):
        orders = [tuple(make(seed, epoch)) for seed in range(3) for epoch in range(3)]
        assert all(sorted(order) == list(range(20)) for order in orders)
        assert len(set(orders)) == 9


def test_how_many_rationales_a_step_has() -> None:
    assert rationales_a_step(10, 110, step_rows=8, wanted=None) == 1
    assert rationales_a_step(10, 110, step_rows=24, wanted=None) == 2
    assert rationales_a_step(10, 1, step_rows=4, wanted=None) == 3
    assert rationales_a_step(10, 110, step_rows=8, wanted=4) == 4
    with pytest.raises(SettingsError, match=r"at least 2 rows; set batch_size or accumulate$"):
        rationales_a_step(1, 1, step_rows=1, wanted=None)
    with pytest.raises(SettingsError, match=r"^rationale_loss\.rationales_a_step: 8 of the 8 rows .* at most 7"):
        rationales_a_step(1, 1, step_rows=8, wanted=8)
    assert explanation_weight(20, 8) == 2.5
    assert explanation_weight(0, 8) == 1.0


def test_questions_without_a_rationale_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    settings = settings_of(rationale_loss={"replay": 6.0})
    written, rows = rows_of(run, settings, tmp_path / "rows")
    count = count_of(run)
    kinds = rows["is_rationale"][:]
    assert sum(kinds) == count > 0
    assert (written.corpus, written.items.wanted, written.items.rows) == (2 * count, 6 * count, 10)
    assert len(rows) == 2 * count + written.items.rows
    assert written.explanation_weight == written.items.rows / count
    plain = [said(row) for row in rows.select(range(written.corpus, len(rows)))]
    assert all("really" in prompt[0] and answer.startswith("colours ") for prompt, answer in plain)
    assert len({(prompt[0], answer) for prompt, answer in plain}) == len(plain)
    assert not any(kinds[written.corpus :])
    published = {row["image_id"] for row in open_corpus(run).rows("train")}
    assert published.isdisjoint(row["image_id"] for row in open_corpus(run).rows("test")), "which would be a leak"
    assert {row["image_id"] for row in rows.select(range(written.corpus, len(rows)))} <= published


def test_a_rationale_is_learned_in_reply_to_what_its_teacher_was_asked(run: Path, tmp_path: Path) -> None:
    _, rows = rows_of(run, settings_of(rationale_loss={"replay": 0.0}), tmp_path / "rows")
    known = {row["row_id"]: row for row in open_corpus(run).rows("train")}
    with Journal(run / "journal.sqlite", "test") as journal:
        for row in rows:
            prompt, learned = said(row)
            candidate = known[row["row_id"]]
            if not row["is_rationale"]:
                assert (prompt, learned) == ([candidate["question"]], candidate["answer"])
                continue
            request = json.loads(journal.request(candidate["request_key"]) or "")
            told = [part["text"] for part in request["messages"][0]["content"] if part["type"] == "text"]
            assert (prompt, learned) == (told, candidate["rationale"])


@pytest.mark.slow
def test_a_student_of_rationales_goes_on_as_if_it_had_not_been_stopped(
    run: Path, general: Path, tmp_path: Path
) -> None:
    loss = {"items": str(general / "general.json"), "replay": 2.0, "weight": 0.5, "rationales_a_step": 1}
    settings = settings_of(rationale_loss=loss, batch_size=2, accumulate=2, max_steps=None, epochs=3, save_every=1000)
    corpus, kind = open_corpus(run), recipe_kind("rationales")
    stop, told = threading.Event(), list[str]()

    def stop_in_the_third_epoch(line: str) -> None:
        told.append(line)
        if "step 10 " in line:
            stop.set()

    straight = train_student(corpus, kind, settings, tmp_path / "straight")
    with pytest.raises(Interrupted):
        train_student(corpus, kind, settings, tmp_path / "stopped", stop=stop, tell=stop_in_the_third_epoch)
    assert told[-1].startswith("step 10 of ")
    resumed = train_student(corpus, kind, settings, tmp_path / "stopped")
    assert resumed == straight
    assert (resumed.explanation_weight, resumed.items and resumed.items.data) == (0.5, "general.json")
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("stopped", "straight")]
    assert weights[0] == weights[1]


def test_where_nothing_is_without_a_rationale_or_nothing_has_one(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rationale_loss\.images goes with rationale_loss\.items"):
        settings_of(rationale_loss={"images": "x"})
    written, rows = rows_of(run, settings_of(rationale_loss={"replay": 0}), tmp_path / "rows")
    assert (written.items.rows, written.explanation_weight) == (0, 1.0)
    assert sum(rows["is_rationale"][:]) * 2 == len(rows)
    answering = replace(recipe_kind("rationales"), explanation=None)
    with pytest.raises(SettingsError, match=r"^rationale_loss: rows of rationales have no rationale; leave it out"):
        write_rows(open_corpus(run), answering, settings_of(rationale_loss={}), tmp_path / "none", None)
