"""Two processes on the CPU train one student: what one process learns from twice the rows, written once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from student_trainings import BASE, build_run, logged, settings_of, student_of
from tiny_models import one_thread  # noqa: F401 - a fixture

from students.training.logs import FILE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
# `accelerate launch` starts several processes on GPUs; on CPUs alone it leaves that to MPI, and torchrun does without.
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "ostensive"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("corpus"), "localized", "localized.turns=1")


@pytest.mark.parametrize("loss", [None, {"weight": 2.0}])
def test_two_processes_learn_what_one_does(run: Path, tmp_path: Path, loss: dict[str, float] | None) -> None:
    import torch
    from safetensors.torch import load_file

    values = {"max_steps": 4, "batch_size": 4, **({"rationale_loss": loss} if loss else {})}
    one = student_of(run, tmp_path / "one", settings_of(**values))
    words = ["device=cpu", "lora.rank=4", "lora.alpha=8", "lora.dropout=0", "learning_rate=0.001", "max_steps=4"]
    words += ["batch_size=2", *([f"rationale_loss={json.dumps(loss)}"] if loss else [])]
    done = subprocess.run(
        [*TWO, "student", "train", str(run), "--base", BASE, "--out", str(tmp_path / "two"), "--json",
         *(word for value in words for word in ("--set", value))],
        capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)
    assert done.stderr.count("step 1 of 4: loss ") == 1
    names = [".lock", "adapter", "log", "model", "student.json"]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == names
    assert (one.processes, two["processes"]) == (1, 2)
    for name in ("rows", "steps", "lost", "base_version", "corpus", "trained_share", "explanation_weight"):
        assert two[name] == getattr(one, name), name
    assert two["first_loss"] == pytest.approx(one.first_loss, abs=2e-4)
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-5), name
    logs = [logged(tmp_path / name / "log" / FILE)["train/loss"] for name in ("one", "two")]
    assert [value for _, value in logs[1]] == pytest.approx([value for _, value in logs[0]], rel=1e-5)
