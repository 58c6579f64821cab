"""Two processes on the CPU train one student: what one process learns from twice the rows, written once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from student_trainings import BASE, build_run
from tiny_models import one_thread  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
ONE = [sys.executable, "-m", "ostensive"]
# `accelerate launch` starts several processes on GPUs; on CPUs alone it leaves that to MPI, and torchrun does without.
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "ostensive"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("corpus"), "localized", "localized.turns=1")


@pytest.mark.parametrize("loss", [None, {"weight": 2.0}])
def test_two_processes_learn_what_one_does(run: Path, tmp_path: Path, loss: dict[str, float] | None) -> None:
    import torch
    from safetensors.torch import load_file

    words = ["device=cpu", "lora.rank=4", "lora.alpha=8", "lora.dropout=0", "learning_rate=0.001", "max_steps=4"]
    words += [f"rationale_loss={json.dumps(loss)}"] if loss else []
    told = []
    for count, command in ((1, ONE), (2, TWO)):
        own = [*words, f"batch_size={4 // count}"]
        done = subprocess.run(
            [*command, "student", "train", str(run), "--base", BASE, "--out", str(tmp_path / str(count)), "--json",
             *(word for one in own for word in ("--set", one))],
            capture_output=True, text=True, timeout=200, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
        assert done.stderr.count("step 1 of 4: loss ") == 1
        assert sorted(path.name for path in (tmp_path / str(count)).iterdir()) == [
            "adapter", "log", "model", "student.json",
        ]  # fmt: skip
    one, two = told
    assert (one.pop("processes"), two.pop("processes")) == (1, 2)
    assert {name for name in one if one[name] != two[name]} <= {"made_from"}, "batch_size is another"
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("1", "2")]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-5), name
