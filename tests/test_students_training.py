"""Students are trained by TRL on tiny models that see: losses by hand, what changes and what does not, going on."""

import json
import platform
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Any: parts of transformers, TRL and datasets

import PIL.Image
import pytest
from hardship import call
from student_trainings import (
    BASE,
    NOUNS,
    base_model,
    build_run,
    digests,
    held_elsewhere,
    logged,
    pairs,
    settings_of,
    student_of,
    supervised,
    trained,
)
from tiny_models import one_thread  # noqa: F401 - a fixture

from cards.reading import open_corpus
from ostensive.errors import Interrupted, OstensiveError, RunLockedError, SettingsError
from ostensive.models.files import model_folder
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import load_model
from students.training.image_check import BlindModelError, check_sees, other_pictures
from students.training.parts import language_linears
from students.training.record import read_student
from students.training.settings import StudentSettings
from students.training.trainers import make_trainer

pytestmark = pytest.mark.usefixtures("one_thread")


def log_probability(model: Any, processor: Any, row: Mapping[str, Any], side: str) -> Any:
    """Of the text of one side of a pair, summed over its tokens, by plain transformers."""
    import torch

    prompt, whole = (
        processor.apply_chat_template(messages, add_generation_prompt=not said, tokenize=False)
        for messages, said in ((row["prompt"], False), ([*row["prompt"], *row[side]], True))
    )
    assert whole.startswith(prompt)
    ids, start = (
        processor(text=text, images=row["images"], return_tensors="pt", add_special_tokens=False)
        for text in (whole, prompt)
    )
    logits = model(**ids).logits[0]
    tokens = ids["input_ids"][0]
    first = start["input_ids"].shape[1]
    found = torch.log_softmax(logits[first - 1 : -1], dim=-1).gather(1, tokens[first:, None])
    return found.sum()


def test_the_loss_of_pairs_is_that_of_the_paper(tmp_path: Path) -> None:
    """Logistic loss of beta times the difference of log-ratios, less alpha times the chosen log-probability."""
    import torch

    rows = pairs(tmp_path / "rows")
    settings = settings_of(objective="dpo", beta=0.5, alpha=0.25, max_steps=3)
    trainer = trained(rows, settings, tmp_path / "out")
    model, processor = trainer.model.eval(), trainer.processing_class
    batch = trainer.data_collator([dict(row) for row in rows])
    with torch.no_grad():
        found = float(trainer.compute_loss(model, batch))
        sides = {
            side: torch.stack([log_probability(model, processor, row, side) for row in rows])
            for side in ("chosen", "rejected")
        }
        with model.disable_adapter():
            before = {
                side: torch.stack([log_probability(model, processor, row, side) for row in rows]) for side in sides
            }
    ratios = {side: sides[side] - before[side] for side in sides}
    assert float(ratios["chosen"].abs().max()) > 0.01, "three steps have moved it"
    by_hand = -torch.nn.functional.logsigmoid(0.5 * (ratios["chosen"] - ratios["rejected"])) - 0.25 * sides["chosen"]
    assert found == pytest.approx(float(by_hand.mean()), abs=1e-4, rel=1e-5)
    assert float(ratios["chosen"].mean()) > float(ratios["rejected"].mean())


def test_the_term_of_the_chosen_text_may_be_that_of_trl(tmp_path: Path) -> None:
    """A mean over the tokens of all chosen texts of a batch, where the paper sums over those of each."""
    import torch

    rows = pairs(tmp_path / "rows")
    losses = {}
    for alpha, kind in ((0.0, "mean"), (0.25, "mean"), (0.25, "sum")):
        loaded = base_model()
        settings = settings_of(objective="dpo", alpha=alpha, chosen_loss=kind)
        trainer = make_trainer(loaded.model, loaded.processor, rows, settings, tmp_path / f"{alpha}{kind}")
        batch = trainer.data_collator([dict(row) for row in rows])
        with torch.no_grad():
            losses[alpha, kind] = float(trainer.compute_loss(trainer.model.eval(), batch))
    chosen = float(batch["completion_mask"][:4, 1:].sum())
    with torch.no_grad():
        told = sum(log_probability(loaded.model, loaded.processor, row, "chosen") for row in rows)
    assert losses[0.25, "mean"] - losses[0.0, "mean"] == pytest.approx(-0.25 * float(told) / chosen, rel=1e-4)
    assert losses[0.25, "sum"] - losses[0.0, "mean"] == pytest.approx(-0.25 * float(told) / 4, rel=1e-4)


def test_a_step_pushes_the_rejected_text_down(tmp_path: Path) -> None:
    import torch

    rows = pairs(tmp_path / "rows")
    loaded = base_model()
    settings = settings_of(objective="dpo", alpha=0.0, beta=1.0, max_steps=4)
    with torch.no_grad():
        before = float(sum(log_probability(loaded.model, loaded.processor, row, "rejected") for row in rows))
    trainer = trained(rows, settings, tmp_path / "out")
    with torch.no_grad():
        after = float(
            sum(log_probability(trainer.model.eval(), trainer.processing_class, row, "rejected") for row in rows)
        )
    assert after < before - 0.1


def test_only_what_the_assistant_says_carries_loss(tmp_path: Path) -> None:
    rows = supervised(tmp_path / "rows")
    loaded = base_model()
    trainer = make_trainer(loaded.model, loaded.processor, rows, settings_of(), tmp_path / "out")
    batch = trainer.data_collator([dict(row) for row in rows])
    learned = batch["labels"] != -100
    assert not bool((learned & (batch["attention_mask"] == 0)).any())
    decode = loaded.processor.tokenizer.decode
    for row, labels, mask in zip(rows, batch["labels"], learned, strict=True):
        assert (
            decode(labels[mask], skip_special_tokens=True).split() == row["completion"][0]["content"][0]["text"].split()
        )


@pytest.mark.parametrize("is_adapted", [True, False])
def test_no_weight_changes_but_those_of_the_language_model(tmp_path: Path, is_adapted: bool) -> None:
    before = digests(base_model().model)
    own = {} if is_adapted else {"lora": None}
    trainer = trained(supervised(tmp_path / "rows"), settings_of(max_steps=2, warmup=0.0, **own), tmp_path / "out")
    model = trainer.model.merge_and_unload() if is_adapted else trainer.model
    after = digests(model)
    changed = {name for name in before if before[name] != after[name]}
    assert before.keys() == after.keys()
    assert changed
    if is_adapted:
        assert changed == {f"{name}.weight" for name in language_linears(base_model().model)}
    else:
        assert not [name for name in changed if "vision" in name or "projector" in name]


def test_a_batch_is_as_good_as_its_rows_one_by_one(tmp_path: Path) -> None:
    import torch

    rows = supervised(tmp_path / "rows", 8)
    whole, parts = (
        trained(rows, settings_of(batch_size=size, accumulate=8 // size, warmup=0.0), tmp_path / str(size))
        .model.merge_and_unload()
        .state_dict()
        for size in (8, 1)
    )
    start = base_model().model.state_dict()
    assert any(not torch.equal(whole[name], start[name]) for name in start)
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=2e-5), name


def test_a_model_that_does_not_see_is_found_out(tmp_path: Path) -> None:
    import torch

    rows = supervised(tmp_path / "rows")
    loaded = base_model()
    found = check_sees(loaded.model, loaded.processor, rows, batch_size=3)
    assert found.other_pictures is not None
    assert found.sees
    again = check_sees(loaded.model, loaded.processor, rows, batch_size=1)
    assert again.own_pictures == pytest.approx(found.own_pictures, rel=1e-5)
    with torch.no_grad():
        for parameter in loaded.model.model.multi_modal_projector.parameters():
            parameter.zero_()
    with pytest.raises(BlindModelError, match=r"^the model does not see: the loss of 4 rows is "):
        check_sees(loaded.model, loaded.processor, rows, batch_size=3)
    one = rows.select([0])
    assert check_sees(loaded.model, loaded.processor, one, batch_size=3).other_pictures is None


def test_other_pictures() -> None:
    assert other_pictures(["a", "a", "b"]) == [2, 2, 0]
    assert other_pictures(["a", "a"]) is None


# ---- a corpus and a student ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("corpus"), "localized", "localized.turns=1")


def test_a_student_that_was_stopped_goes_on_as_if_it_had_not_been(run: Path, tmp_path: Path) -> None:
    settings = settings_of(max_steps=6, batch_size=2)
    stop, told = threading.Event(), list[str]()

    def stop_at_once(line: str) -> None:
        told.append(line)
        stop.set()

    with pytest.raises(Interrupted):
        student_of(run, tmp_path / "stopped", settings, stop=stop, tell=stop_at_once)
    assert not (tmp_path / "stopped" / "student.json").exists()
    with pytest.raises(SettingsError, match="name another folder"):
        student_of(run, tmp_path / "stopped", settings_of(max_steps=7, batch_size=2))
    mark = tmp_path / "stopped" / "made_from.json"
    values = json.loads(mark.read_text())
    mark.write_text(json.dumps({**values, "processes": 2}))
    with pytest.raises(SettingsError, match=r"was begun by 2 processes, and there are 1 now, .*; start as many again"):
        student_of(run, tmp_path / "stopped", settings)
    mark.write_text(json.dumps(values))
    (log,) = (tmp_path / "stopped" / "log").iterdir()
    assert [step for step, _ in logged(log)["train/loss"]] == [1, 2], "the step that it was asked in is ended"
    leftovers = [tmp_path / "stopped" / folder / ".tmpNhNidN" for folder in ("model", "adapter")]
    for left in leftovers:  # of safetensors, killed while it wrote
        left.parent.mkdir()
        left.write_bytes(b"half")
    resumed = student_of(run, tmp_path / "stopped", settings, tell=told.append)
    assert not any(left.exists() for left in leftovers)
    straight = student_of(run, tmp_path / "straight", settings)
    assert resumed == straight
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("stopped", "straight")]
    assert weights[0] == weights[1]
    logs = [logged(tmp_path / name / "log" / log.name) for name in ("stopped", "straight")]
    assert [step for step, _ in logs[0]["train/loss"]] == [1, 2, 3, 4, 5, 6], "no step stands there twice"
    for name in ("train/loss", "train/learning_rate", "train/num_tokens"):
        assert logs[0][name] == logs[1][name]
    assert min(value for _, value in logs[0]["train/tokens_per_second"]) > 0
    assert platform.node() not in log.name
    assert platform.node().encode() not in (tmp_path / "straight" / "log" / log.name).read_bytes()
    assert told[0].startswith("step 1 of 6: loss ")
    assert told[-1].startswith("step 6 of 6: loss ")
    assert sum(line.startswith("step 1 of 6") for line in told) == 1, "it goes on, and does not begin again"
    again = student_of(run, tmp_path / "straight", settings, tell=lambda _line: pytest.fail("nothing is left to do"))
    assert again == straight == read_student(tmp_path / "straight")
    with pytest.raises(SettingsError, match="name another folder"):
        student_of(run, tmp_path / "straight", settings_of(max_steps=7, batch_size=2))


def test_the_command_gives_a_folder_that_names_no_place_and_loads(run: Path, tmp_path: Path) -> None:
    import torch

    words = ("max_steps=3", "batch_size=2", "device=cpu", "lora.rank=4", "lora.alpha=8", "learning_rate=0.001")
    done = call(
        "student", "train", run, "--base", BASE, "--out", tmp_path / "student", "--json",
        *(word for one in words for word in ("--set", one)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert (values["steps"], values["base"], values["recipe"]) == (3, BASE, "localized")
    assert values["rows"] == 2 * open_corpus(run).row_count, "answer and rationale"
    assert (tmp_path / "student" / ".lock").read_bytes() == b""
    there = [path for path in (tmp_path / "student").rglob("*") if path.is_file()]
    files = [path for path in there if path.parent.name != "log" and path.name != ".lock"]
    assert {path.suffix for path in files} <= {".json", ".jinja", ".safetensors"}, "nothing is pickled"
    for path in files:
        if path.suffix != ".safetensors":
            text = path.read_text("utf-8")
            assert str(tmp_path) not in text
            assert str(model_folder(BASE)) not in text
    student = load_model(GeneratorSettings(model=str(tmp_path / "student" / "model"), device="cpu", dtype="float32"))
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(base_model().model, str(tmp_path / "student" / "adapter")).eval()
    inputs = student.processor(
        text=student.processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": NOUNS[0]}]}], tokenize=False
        ),
        images=[PIL.Image.new("RGB", (40, 30), "red")],
        return_tensors="pt",
    )
    with torch.no_grad():
        assert torch.allclose(student.model(**inputs).logits, adapted(**inputs).logits, atol=1e-4)


def test_what_cannot_be_trained_is_one_line(run: Path, tmp_path: Path) -> None:
    def refused(settings: StudentSettings, out: Path = tmp_path / "out") -> str:
        with pytest.raises(SettingsError) as caught:
            student_of(run, out, settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert refused(settings_of(objective="dpo")) == (
        "objective: a corpus of localized cannot be trained on by dpo; sft is expected"
    )
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    assert "holds other files (" in refused(settings_of(), tmp_path / "mine")
    found = refused(settings_of(lora={"rank": 4, "alpha": 8, "also_train": ["projektor"]}), tmp_path / "parts")
    assert found.startswith("lora.also_train: the model has no module projektor; ")
    assert not (tmp_path / "parts").exists(), "whoever mends the setting finds the folder free"
    source = model_folder(BASE)
    assert source is not None
    shutil.copytree(source, tmp_path / "mute")
    (tmp_path / "mute" / "chat_template.jinja").unlink()
    assert "chat template" in refused(settings_of(base=str(tmp_path / "mute")), tmp_path / "of-mute")


def test_two_trainings_in_one_folder_are_one_too_many(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "student"
    with held_elsewhere(out):
        with pytest.raises(RunLockedError) as caught:
            student_of(run, out, settings_of())
        assert str(caught.value) == (
            f"{out}: another process trains the student of this folder; wait for it or stop it"
        )
        assert [path.name for path in out.iterdir()] == [".lock"], "what the other process does there is left alone"
    assert student_of(run, out, settings_of()).steps == 1, "a killed one is not waited for"


def test_what_is_no_model_is_said_to_be_what_it_is(run: Path, tmp_path: Path) -> None:
    def refused(base: Path) -> str:
        with pytest.raises(SettingsError) as caught:
            student_of(run, tmp_path / "out", settings_of(base=str(base)))
        return str(caught.value)

    student = tmp_path / "student"
    (student / "adapter").mkdir(parents=True)
    (student / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "microworld:vlm"}')
    (student / "student.json").touch()
    held = f"base: {student / 'adapter'} holds an adapter for microworld:vlm and no model; "
    assert refused(student / "adapter") == (
        f"{held}merge it into that model (merge_and_unload of peft), save the whole, and name its folder"
    )
    (student / "model").mkdir()
    (student / "model" / "config.json").touch()
    assert refused(student / "adapter") == f"{held}name {student / 'model'}, in which it is merged"
    assert refused(student) == f"base: {student} is the folder of a student; its model is in model/ there"
    (student / "adapter" / "adapter_config.json").write_text("[")
    assert " an adapter for a model that it does not name and no model; " in refused(student / "adapter")


def test_too_little_memory_is_one_line(run: Path, tmp_path: Path) -> None:
    """An adapter of some petabytes is more than any machine has."""
    with pytest.raises(OstensiveError) as caught:
        student_of(run, tmp_path / "out", settings_of(lora={"rank": 10**12, "alpha": 8}))
    assert str(caught.value) == (
        "out of memory with 4 rows at a time: set a smaller batch_size and a larger accumulate, or"
        " gradient_checkpointing=true"
    )
    assert not (tmp_path / "out").exists(), "a smaller batch may be tried in it"


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of pairs, of which the projector is trained too."""
    folder = tmp_path_factory.mktemp("stage1")
    build_run(folder, "preferences")
    settings = settings_of(objective="dpo", train=("projector",), max_steps=2, warmup=0.0)
    student_of(folder / "preferences", folder / "student", settings, "preferences")
    return folder / "student"


@pytest.mark.slow
def test_the_second_stage_begins_with_all_that_the_first_learned(first_stage: Path, run: Path, tmp_path: Path) -> None:
    """A step at no rate to speak of leaves the weights of stage 1, those of the projector among them."""
    settings = settings_of(base=str(first_stage / "model"), train=("projector",), learning_rate=1e-12)
    student_of(run, tmp_path / "student", settings)
    start, first, second = (
        load_model(GeneratorSettings(model=str(model), device="cpu", dtype="float32")).model.state_dict()
        for model in (model_folder(BASE), first_stage / "model", tmp_path / "student" / "model")
    )
    assert start.keys() == first.keys() == second.keys()
    moved = {name for name in start if float((start[name].float() - first[name]).abs().max()) > 1e-5}
    assert {name for name in start if "multi_modal_projector" in name and name.endswith("weight")} <= moved
    assert {f"{name}.weight" for name in language_linears(base_model().model)} <= moved
    assert not [name for name in moved if "vision" in name]
    for name, value in first.items():
        assert float((value - second[name]).abs().max()) < 1e-6, name


@pytest.mark.slow
def test_rewards_of_pairs_are_logged(first_stage: Path) -> None:
    (log,) = (first_stage / "log").iterdir()
    found = logged(log)
    assert {"train/loss", "train/tokens_per_second", "rewards/margins", "rewards/accuracies"} <= found.keys()
    assert [step for step, _ in found["rewards/margins"]] == [1, 2]


def test_the_rate_follows_the_objective() -> None:
    assert StudentSettings(base="m").learning_rate == 1e-5
    assert StudentSettings(base="m", objective="dpo").learning_rate == 1e-7
    assert StudentSettings(base="m", objective="dpo", learning_rate=1.0).learning_rate == 1.0
