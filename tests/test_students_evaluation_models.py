"""Tiny models are evaluated: scores are those of their libraries, batches change nothing, what was killed goes on."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_critics
import tiny_models
from drawing import draw_scene, write_scenes
from hardship import call
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.commands.evaluation import compare, evaluate
from ostensive.errors import Interrupted, SettingsError
from ostensive.records import Turn
from students.evaluation.items import ChoiceItem, Question
from students.evaluation.models import Scoring, find_model
from students.evaluation.results import ResultFile, read_lines, read_summary
from students.evaluation.scoring import AskedChoice, Per, Scores, open_scorer

pytestmark = pytest.mark.usefixtures("one_thread")
CPU: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
CHOICES = ("a red square", "two green balls are left of it", "blue")


def asked(number: int, choices: Sequence[str] = CHOICES) -> AskedChoice:
    question = Question(str(number), ("a.jpg",), (Turn("user", f"what is it {number} ?"),))
    return AskedChoice(ChoiceItem(question, tuple(choices), f"what is it {number} ? answer", (0,)), draw_scene(number))


ASKED = [asked(number) for number in range(3)]


def scores(name: str, scoring: Scoring, *, batch_size: int = 8, per: Per = "token", lead: bool | None = None) -> Any:
    model = find_model(name, {**CPU, "batch_size": batch_size})
    with open_scorer(model, scoring, per=per, lead=lead) as scorer:
        found = scorer.score(ASKED)
    assert all(isinstance(one, Scores) for one in found), found
    return [one.values for one in found if isinstance(one, Scores)]


def flat(rows: Sequence[Sequence[float]]) -> list[float]:
    return [value for row in rows for value in row]


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_critics.save_matching(tmp_path_factory.mktemp("blip2"))


@pytest.mark.parametrize("scoring", ["itm", "itc"])
def test_matching_is_that_of_transformers(blip2: Path, scoring: Scoring) -> None:
    import torch
    import transformers

    library: Any = transformers
    model = library.Blip2ForImageTextRetrieval.from_pretrained(blip2).eval()
    processor = library.AutoProcessor.from_pretrained(blip2)
    wanted = []
    with torch.no_grad():
        for one in ASKED:
            pixels = processor.image_processor(images=[one.picture], return_tensors="pt")
            for choice in CHOICES:
                tokens = processor.tokenizer([f"{one.item.lead} {choice}"], return_tensors="pt")
                found = model(
                    pixel_values=pixels["pixel_values"],
                    input_ids=tokens["input_ids"],
                    attention_mask=tokens["attention_mask"],
                    use_image_text_matching_head=scoring == "itm",
                ).logits_per_image[0]
                wanted.append(float(found[1] - found[0]) if scoring == "itm" else float(found[0]))
    for batch_size in (1, 8):
        assert flat(scores(str(blip2), scoring, batch_size=batch_size)) == pytest.approx(wanted, abs=1e-5)
    assert len({round(value, 6) for value in wanted}) == len(wanted)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP of transformers with random weights."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    folder = tmp_path_factory.mktemp("clip")
    library: Any = CLIPModel
    tokenizer = tiny_models._tokenizer()
    sides: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config: Any = CLIPConfig(
        text_config={
            **sides,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        },
        vision_config={**sides, "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
        projection_dim=16,
    )
    processor: Any = CLIPProcessor
    model = library(config)
    tiny_models._widen(model, 7)
    model.save_pretrained(folder)
    processor(tiny_models._clip_processor(), tokenizer).save_pretrained(folder)
    return folder


def test_contrast_is_that_of_transformers(clip: Path) -> None:
    import torch
    import transformers

    library: Any = transformers
    model = library.CLIPModel.from_pretrained(clip).eval()
    processor = library.AutoProcessor.from_pretrained(clip)
    wanted = []
    with torch.no_grad():
        for one in ASKED:
            inputs = processor(text=list(CHOICES), images=one.picture, return_tensors="pt", padding=True)
            wanted += (model(**inputs).logits_per_image[0] / model.logit_scale.exp()).tolist()
    for batch_size in (1, 8):
        assert flat(scores(str(clip), "contrastive", batch_size=batch_size)) == pytest.approx(wanted, abs=1e-5)


def test_open_clip_drops_the_question_unless_it_is_kept() -> None:
    plain, kept = scores("microworld:clip", "contrastive"), scores("microworld:clip", "contrastive", lead=True)
    assert flat(scores("microworld:clip", "contrastive", batch_size=1)) == pytest.approx(flat(plain), abs=1e-5)
    assert flat(plain) != pytest.approx(flat(kept), abs=1e-3)
    assert all(-1 <= value <= 1 for value in flat(plain))


def test_likelihoods_are_means_or_sums() -> None:
    model = find_model("microworld:vlm", CPU)
    with open_scorer(model, "likelihood") as scorer:
        (mean,) = scorer.score(ASKED[:1])
    with open_scorer(model, "likelihood", per="text") as scorer:
        (total,) = scorer.score(ASKED[:1])
    assert isinstance(mean, Scores)
    assert isinstance(total, Scores)
    assert total.values == total.log_likelihoods == pytest.approx(mean.log_likelihoods)
    assert mean.values == pytest.approx([s / n for s, n in zip(total.values, total.tokens, strict=True)])


def test_models_are_told_apart(tmp_path: Path, blip2: Path, clip: Path) -> None:
    kinds = {name: find_model(name, CPU).scorings for name in ("microworld:vlm", "microworld:clip", "ViT-B-32")}
    assert kinds == {
        "microworld:vlm": ("likelihood",),
        "microworld:clip": ("contrastive",),
        "ViT-B-32": ("contrastive",),
    }
    assert find_model(str(blip2), CPU).scorings == ("itm", "itc")
    assert find_model(str(clip), CPU).scorings == ("contrastive",)
    student = tmp_path / "street"
    (student / "model").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"holds no student.json: its training has not ended; run the same command"):
        find_model(str(student), CPU)
    (student / "student.json").write_text("{}")
    for file in Path("microworld/weights/vlm").iterdir():
        (student / "model" / file.name).write_bytes(file.read_bytes())
    found = find_model(str(student), CPU)
    assert (found.name, found.shown, found.scorings) == (str(student / "model"), "street", ("likelihood",))


# From the command to the file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and tasks of choices and of replies on them."""
    folder = tmp_path_factory.mktemp("task")
    write_scenes(folder / "images", 6)
    rows = [
        {"image": f"scene {n:04d}.jpg", "question": "which colour is it ?", "choices": ["red", "green", "blue"]}
        | {"answer": n % 3, "kind": "even" if n % 2 == 0 else "odd"}
        for n in range(6)
    ]
    rows += [{**rows[0], "image": "none.jpg"}, {**rows[0], "answer": 7}]
    (folder / "choices.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    replies = [
        {
            "image": f"scene {n:04d}.jpg",
            "references": ["a red square is there.", "the ball is green."],
            "label": "square",
        }
        | {"question": "what is there ?", "concepts": ["a red side"], "objects": ["square"]}
        for n in range(4)
    ]
    (folder / "replies.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in replies))
    (folder / "things.txt").write_text("square\nball\ncircle, round thing\n")
    return folder


def run(folder: Path, out: Path, model: str = "microworld:vlm", **more: Any) -> Any:
    options: dict[str, Any] = {"task_format": "choices", "images": folder / "images"}
    task = folder / ("replies.jsonl" if more.get("task_format") == "captions" else "choices.jsonl")
    known = ("task_format", "images", "stop", "tell")
    settings = {**CPU, "batch_size": 3, **{name: value for name, value in more.items() if name not in known}}
    given = {name: value for name, value in more.items() if name in known}
    return evaluate(model, task, out, **{**options, **given}, settings=settings)


def test_results_add_up_and_carry_no_place(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "before.jsonl"
    summary = run(folder, out)
    lines = read_lines(out)
    assert (summary["rows"], summary["rows_lost"]) == (8, {"answer is no place among the choices": 1})
    assert (summary["items"], summary["items_lost"]) == (7, {"missing file": 1})
    assert [line["id"] for line in lines] == [str(n) for n in range(7)], "in the order of the file"
    (figure,) = summary["figures"]
    assert figure["items"] == 6
    assert figure["value"] == pytest.approx(sum(line.get("right", 0) for line in lines) / 6)
    assert figure["chance"] == pytest.approx(1 / 3)
    assert {one["name"]: one["items"] for one in summary["by_kind"]} == {"even": 3, "odd": 3}
    assert dict(read_summary(out)) == json.loads(ResultFile(out).summary_path.read_text())
    for text in (out.read_text(), ResultFile(out).summary_path.read_text()):
        assert str(folder) not in text
        assert str(tmp_path) not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.jsonl", "before.summary.json"]


def test_what_was_stopped_goes_on_and_ends_alike(folder: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    run(folder, whole)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        run(folder, stopped, stop=stop)
    parts = tmp_path / "stopped.jsonl.parts"
    first = parts / "000000.jsonl"
    assert sorted(path.name for path in parts.iterdir()) == ["000000.jsonl", "made_from.json"]
    kept = first.read_text().replace('"id": "0"', '"id": "0", "mark": 1')
    first.write_text(kept)
    told: list[str] = []
    run(folder, stopped, tell=told.append)
    lines = read_lines(stopped)
    assert lines[0].pop("mark") == 1, "what was done is not done again"
    assert lines == read_lines(whole)
    assert told[-1] == "7 of 7 items"
    told.clear()
    run(folder, stopped, tell=told.append)
    assert told == [], "it is done"
    with pytest.raises(SettingsError, match=r"holds results of another model, task or setting; name another file$"):
        run(folder, stopped, per="text")
    (tmp_path / "other.jsonl").write_text("{}")
    with pytest.raises(SettingsError, match=r"is there already and no finished evaluation; name another file$"):
        run(folder, tmp_path / "other.jsonl")


def test_a_smaller_batch_goes_on_with_what_a_larger_one_began(folder: Path, tmp_path: Path) -> None:
    """As one would where memory did not suffice."""
    whole, stopped, stop = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl", threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        run(folder, stopped, stop=stop)
    run(folder, stopped, batch_size=1)
    run(folder, whole)
    found, straight = ([(one["id"], one.get("chosen")) for one in read_lines(file)] for file in (stopped, whole))
    assert found == straight


def test_replies_are_measured_in_every_way_that_items_allow(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "replies.jsonl"
    more: dict[str, Any] = {
        "task_format": "captions",
        "max_tokens": 12,
        "meteor": False,
        "fluency_model": "microworld:vlm",
    }
    summary = run(folder, out, objects=str(folder / "things.txt"), **more)
    names = [figure["name"] for figure in summary["figures"]]
    assert names == [
        *("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr", "cognition score (CS)", "distinct trigrams"),
        *("label accuracy", "explanation existence (EE)", "CHAIRi", "CHAIRs", "perplexity (FS)"),
    ]
    assert {figure["items"] for figure in summary["figures"]} == {4}
    assert (summary["has_meteor"], summary["fluency_model"]) == (False, "microworld:vlm")
    line = read_lines(out)[0]
    assert line["reply"]
    described = run(folder, tmp_path / "described.jsonl", describe=True, **more)
    assert described["describe_and_respond"] is True
    assert all(line["description"] for line in read_lines(tmp_path / "described.jsonl"))
    found = compare([out, tmp_path / "described.jsonl"])
    assert {one.name for one in found.compared} == set(names) - {"CHAIRi", "CHAIRs"}


def test_two_models_side_by_side(folder: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    run(folder, before)
    run(folder, after, "microworld:clip")
    done = call("student", "compare", before, after, "--json")
    assert done.returncode == 0, done.stderr
    (figure,) = json.loads(done.stdout)["compared"]
    lines = [read_lines(path) for path in (before, after)]
    shares = [sum(line.get("right", False) for line in some) / 6 for some in lines]
    assert (figure["before"], figure["after"]) == pytest.approx(shares)
    assert figure["difference"] == pytest.approx(shares[1] - shares[0])
    assert (figure["items"], figure["test"]) == (6, "McNemar, exact")
    assert "accuracy" in call("student", "compare", before, after).stdout
    same = compare([before, before])
    assert (same.compared[0].difference.value, same.compared[0].difference.p_value) == (0, 1)


def test_results_over_other_items_are_refused(folder: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    run(folder, whole)
    run(folder, part, limit=4)
    with pytest.raises(SettingsError, match=r"2 items were scored in one of them alone, 4 in both; --shared compares"):
        compare([whole, part])
    shared = compare([whole, part], shared=True)
    assert (shared.left_out, shared.compared[0].items) == (2, 4)
    text = part.read_text().replace('"answer": [0]', '"answer": [2]')
    part.write_text(text)
    with pytest.raises(SettingsError, match=r"have other right answers for 2 items; one file and one seed "):
        compare([whole, part], shared=True)
    with pytest.raises(SettingsError, match=r"^compare: two files of results at least are expected"):
        compare([whole])
    (tmp_path / "none.jsonl").write_text("{}")
    with pytest.raises(SettingsError, match=r"has no none.summary.json beside it; evaluate once more$"):
        compare([whole, tmp_path / "none.jsonl"])


BAD: dict[str, tuple[list[str], str]] = {
    "no images": (["--images", "nowhere"], "there is no such folder; that"),
    "no model": (["--images", "{images}"], "nowhere/at/all: there is no such folder"),
    "a scoring of another kind": (
        ["microworld:vlm", "--images", "{images}", "--scoring", "itm"],
        "--scoring itm: not by microworld:vlm; likelihood is expected",
    ),
    "no text to be had": (
        ["microworld:clip", "--images", "{images}", "--format", "captions", "--task", "{replies}"],
        "microworld:clip: writes no text; an image-text-to-text model is expected",
    ),
    "no vocabulary": (
        [
            "microworld:vlm",
            "--images",
            "{images}",
            "--format",
            "captions",
            "--task",
            "{replies}",
            "--objects",
            "none.txt",
        ],
        "none.txt: cannot be read; UTF-8, a thing a line, is expected",
    ),
    "description of choices": (
        ["microworld:vlm", "--images", "{images}", "--describe"],
        "--describe: is for replies; choices has choices",
    ),
    "another form": (
        ["microworld:vlm", "--images", "{images}", "--format", "vcr"],
        "none of its 8 rows can be used",
    ),
    "images left out": (["microworld:vlm"], "--images: is missing; the folder with the images of choices is expected"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_misuse_is_one_line(name: str, folder: Path, tmp_path: Path) -> None:
    places = {"images": str(folder / "images"), "replies": str(folder / "replies.jsonl")}
    arguments = [argument.format(**places) for argument in BAD[name][0]]
    model = [] if arguments[0].startswith("microworld") else ["nowhere/at/all"]
    given = [*model, *arguments]
    if "--format" not in given:
        given += ["--format", "choices"]
    if "--task" not in given:
        given += ["--task", str(folder / "choices.jsonl")]
    done = call("student", "eval", *given, "--out", tmp_path / "out.jsonl", "--device", "cpu", "--quiet")
    assert done.returncode == 2
    assert BAD[name][1] in done.complaint
    assert not (tmp_path / "out.jsonl").exists()


def test_a_model_without_a_chat_template_is_told(folder: Path, tmp_path: Path) -> None:
    model = tiny_models.save_llava(tmp_path / "llava", template=None)
    with pytest.raises(SettingsError, match=r"its processor has no chat template"):
        run(folder, tmp_path / "out.jsonl", str(model))


def test_a_model_of_one_prompt_is_asked_in_its_own_form(folder: Path, tmp_path: Path) -> None:
    model = tiny_models.save_blip2(tmp_path / "blip2")
    assert run(folder, tmp_path / "out.jsonl", str(model))["figures"][0]["items"] == 6
