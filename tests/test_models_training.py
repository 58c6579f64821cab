"""The loop of a training by a model of a few numbers: its arithmetic, full memory, kills, and what it refuses."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any  # Any: modules and tensors, for torch is imported by each test

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import one_thread  # noqa: F401 - a fixture

from ostensive.errors import Interrupted, SettingsError
from ostensive.models.batching import BatchSize
from ostensive.models.checkpoints import (
    Evaluation,
    checkpoint_weights,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from ostensive.models.training import (
    ClockSchedule,
    OptimizerSettings,
    ParameterGroup,
    StepSchedule,
    Training,
    TrainingDivergedError,
    train,
)

ROWS = 8  # in a step
STEPS = 6
Part = tuple[int, Sequence[int]]  # (step, numbers of rows)


class KilledError(Exception):
    pass


def model() -> Any:
    import torch

    torch.manual_seed(0)
    made = torch.nn.ModuleDict({"first": torch.nn.Linear(4, 4), "second": torch.nn.Linear(4, 1)})
    return made.train()


def rows_of(step: int) -> Any:
    import torch

    return torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(step))


def loss_of(made: Any, part: Part, *, drops: bool = False) -> Any:
    """The share of a step's rows in its mean squared error; with `drops` half of the inputs are drawn away."""
    import torch

    step, numbers = part
    rows = rows_of(step)[list(numbers)]
    given = torch.nn.functional.dropout(rows, 0.5) if drops else rows
    found = made["second"](made["first"](given).relu()).squeeze(-1)
    return (found - rows.sum(1)).square().sum() / ROWS


def training(folder: Path, made: Any, *, drops: bool = False, most: int = ROWS) -> Training[Part, Part]:
    """AdamW and Muon, `STEPS` steps in two rounds."""
    matrices = (made["first"].weight,)
    others = tuple(one for one in made.parameters() if one is not matrices[0])
    return Training(
        name="tiny",
        weights=made.state_dict(),
        optimizer=OptimizerSettings(
            (ParameterGroup(others, 0.02), ParameterGroup(matrices, 0.05, "muon")), (0.9, 0.99), 0.01
        ),
        schedule=StepSchedule(STEPS, 0.2),
        parts=lambda step, _progress, size: [
            (step, range(start, min(start + size, ROWS))) for start in range(0, ROWS, size)
        ],
        prepare=lambda part: part,
        loss=lambda part: loss_of(made, part, drops=drops),
        step_seed=lambda step: 100 + step,
        size=BatchSize(most, "tiny"),
        checkpoint=folder / "checkpoint.safetensors",
        checkpoint_every_s=1e9,
        made_from="x",
        evaluate=lambda: {"weight": made["second"].weight.sum().item()},
        evaluate_every=STEPS // 2,
        tell=lambda _line: None,
    )


def same(one: Any, other: Any) -> bool:
    return all(tensor.equal(other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_its_arithmetic_is_that_of_a_loop_written_out(tmp_path: Path) -> None:
    import torch

    ours, plain = model(), model()
    task = training(tmp_path, ours)
    task = replace(task, optimizer=replace(task.optimizer, max_gradient_norm=0.3))
    found = train(task)
    matrix, others = plain["first"].weight, [plain["first"].bias, *list(plain["second"].parameters())]
    adamw = torch.optim.AdamW(others, lr=0.02, betas=(0.9, 0.99), weight_decay=0.01)
    muon = torch.optim.Muon([matrix], lr=0.05, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    losses = []
    for step in range(STEPS):
        loss = loss_of(plain, (step, range(ROWS)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*others, matrix], 0.3)
        for optimizer, highest in ((adamw, 0.02), (muon, 0.05)):
            optimizer.param_groups[0]["lr"] = highest * StepSchedule(STEPS, 0.2).rate(step, 0)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    assert found.losses == tuple(losses)
    assert same(ours, plain)


def test_batch_1_by_8_is_batch_8(tmp_path: Path) -> None:
    whole, parts = model(), model()
    losses = train(training(tmp_path / "whole", whole)).losses
    assert train(training(tmp_path / "parts", parts, most=1)).losses == pytest.approx(losses, rel=1e-5)
    for name, tensor in whole.state_dict().items():
        assert tensor.allclose(parts.state_dict()[name], atol=1e-5), name


@pytest.mark.parametrize("killed_at", range(1, STEPS))
def test_a_training_that_was_killed_ends_with_the_very_weights_of_a_straight_one(
    tmp_path: Path, killed_at: int
) -> None:
    straight, killed = model(), model()
    expected = train(training(tmp_path / "straight", straight, drops=True))

    def kill(steps: int, _progress: float) -> None:
        if steps == killed_at + 1:
            raise KilledError

    task = replace(training(tmp_path / "killed", killed, drops=True), checkpoint_every_s=0.0)
    with pytest.raises(KilledError):
        train(replace(task, after_step=kill))
    again, told = model(), []  # type: ignore[var-annotated]  # of lines
    found = train(replace(training(tmp_path / "killed", again, drops=True), tell=told.append))
    assert told == [f"goes on at step {killed_at + 1}"]
    assert found.losses == expected.losses
    assert [one.metrics for one in found.evaluations] == [one.metrics for one in expected.evaluations]
    assert same(straight, again)
    assert not same(straight, model())


def test_a_training_that_is_asked_to_stop_writes_a_checkpoint_and_goes_on_from_there(tmp_path: Path) -> None:
    """Also where an evaluation is due, and not when there is nothing left to do."""
    straight = model()
    expected = train(training(tmp_path / "straight", straight, drops=True))
    taken: list[int] = []
    for asked_at in range(1, STEPS):
        task = replace(
            training(tmp_path / "stopped", model(), drops=True),
            after_step=lambda steps, _progress: taken.append(steps),
            should_stop=lambda: True,
        )
        with pytest.raises(Interrupted):
            train(task)
        assert taken == list(range(1, asked_at + 1))
    last = model()
    found = train(replace(training(tmp_path / "stopped", last, drops=True), should_stop=lambda: True))
    assert found.losses == expected.losses
    assert [one.metrics for one in found.evaluations] == [one.metrics for one in expected.evaluations]
    assert same(straight, last)


def test_a_finished_training_takes_no_further_step(tmp_path: Path) -> None:
    found = train(training(tmp_path, model()))
    task = training(tmp_path, model())
    again = train(replace(task, loss=lambda _part: pytest.fail("no step is wanted")))
    assert again == found


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    train(training(tmp_path, model()))
    with pytest.raises(SettingsError) as refused:
        train(replace(training(tmp_path, model()), made_from="another rate"))
    assert str(refused.value) == (
        f"{tmp_path / 'checkpoint.safetensors'} is of a training with other settings, data or weights; go on with"
        " those, choose another folder, or remove the file to begin anew"
    )


def test_a_step_is_done_again_whole_in_smaller_parts_when_memory_is_full(tmp_path: Path) -> None:
    import torch

    roomy, full = model(), model()
    losses = train(training(tmp_path / "roomy", roomy, drops=False)).losses
    sizes: list[int] = []

    def loss(part: Part) -> Any:
        sizes.append(len(part[1]))
        found = loss_of(full, part)
        if len(part[1]) > 3:
            found.backward()  # what a step that failed has added up is forgotten
            raise torch.OutOfMemoryError("full")
        return found

    task = replace(training(tmp_path / "full", full), loss=loss)
    assert train(task).losses == pytest.approx(losses, rel=1e-5)
    assert sizes[:6] == [8, 4, 2, 2, 2, 2]
    assert max(sizes[3:]) == 2
    for name, tensor in roomy.state_dict().items():
        assert tensor.allclose(full.state_dict()[name], atol=1e-5), name


def test_memory_that_holds_no_row_ends_the_training(tmp_path: Path) -> None:
    import torch

    def loss(_part: Part) -> Any:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        train(replace(training(tmp_path, model()), loss=loss))


def test_a_loss_that_is_no_number_ends_the_training_with_what_to_do(tmp_path: Path) -> None:
    made = model()
    task = replace(training(tmp_path, made), loss=lambda part: loss_of(made, part) * float("inf"))
    with pytest.raises(TrainingDivergedError) as diverged:
        train(task)
    assert str(diverged.value) == "tiny: the loss of step 1 is inf; set a lower learning rate"
    assert same(made, model())


def test_the_global_generator_is_left_as_it_was(tmp_path: Path) -> None:
    import torch

    task = training(tmp_path, model(), drops=True)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(task)
    assert torch.rand(3).equal(expected)


def test_it_is_measured_after_each_round_and_ends_when_it_is_told(tmp_path: Path) -> None:
    seen: list[list[Evaluation]] = []
    task = training(tmp_path, model())
    task = replace(task, after_evaluation=lambda all_: seen.append(list(all_)), is_over=lambda all_: len(all_) == 1)
    found = train(task)
    assert found.step == STEPS // 2
    assert [[one.step for one in all_] for all_ in seen] == [[3]]
    assert found.evaluations[0].train_loss == pytest.approx(sum(found.losses) / 3)
    later = train(replace(task, is_over=lambda _all: False))
    assert [one.step for one in later.evaluations] == [3, 6]
    assert later.evaluations[1].train_loss == pytest.approx(sum(later.losses[3:]) / 3)
    assert later.seconds >= sum(one.seconds for one in later.evaluations) > 0


def test_a_training_by_the_clock_uses_up_its_time_and_no_more(tmp_path: Path) -> None:
    progress: list[float] = []
    task = replace(
        training(tmp_path, model()), schedule=ClockSchedule(0.3), after_step=lambda _steps, at: progress.append(at)
    )
    found = train(task)
    assert found.step == len(progress) > STEPS
    assert progress == sorted(progress)
    assert 0 <= progress[0] < 0.5 < progress[-1] < 1
    assert found.seconds >= 0.3
    again = train(task)
    assert (again.step, again.seconds) == (found.step, found.seconds)
    longer = train(replace(task, schedule=ClockSchedule(0.5)))
    assert longer.step > found.step


class EndsBetweenLooks:
    """A schedule by which time ends after five steps: the batches are told so first, the loop one look later."""

    def __init__(self) -> None:
        self.looks = iter([1.0, 0.9])

    def progress(self, step: int, seconds: float) -> float:
        return step / 10 if step < 5 else next(self.looks, 1.0)

    def rate(self, step: int, seconds: float) -> float:
        return 1.0


def test_time_that_ends_while_a_batch_is_waited_for_ends_the_training(tmp_path: Path) -> None:
    found = train(replace(training(tmp_path, model()), schedule=EndsBetweenLooks(), evaluate_every=None))
    assert found.step == 5


@given(st.integers(1, 300), st.floats(0, 0.9))
def test_the_rate_by_steps_rises_and_falls_to_nothing(steps: int, warmup_share: float) -> None:
    rates = [StepSchedule(steps, warmup_share).rate(step, 0) for step in range(steps)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 <= rate <= 1 for rate in rates)


def test_rates_by_hand() -> None:
    by_steps = [StepSchedule(100, 0.1).rate(step, 0) for step in range(100)]
    assert by_steps[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert max(by_steps) == by_steps[10] == 1.0
    assert 0 < by_steps[-1] < 0.001
    assert StepSchedule(1, 0.0).rate(0, 0) == 1.0
    by_clock = [ClockSchedule(100).rate(0, seconds) for seconds in range(101)]
    assert by_clock[2] == pytest.approx(1.0)
    assert by_clock[0] == pytest.approx(by_clock[100]) == pytest.approx(0.02)
    assert all(a > b for a, b in itertools.pairwise(by_clock[2:]))


@settings(max_examples=20, deadline=None)
@given(st.booleans(), st.booleans())
def test_weights_come_back_whatever_their_place_in_memory(tied: bool, last: bool) -> None:
    import tempfile

    import torch

    one = torch.arange(24.0).reshape(1, 2, 3, 4)
    tensor = one.to(memory_format=torch.channels_last) if last else one
    other = tensor if tied else tensor + 1
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder) / "weights.safetensors", {"a.x": tensor, "a.y": other})
        found = load_weights(Path(folder) / "weights.safetensors")
        assert found["a.x"].equal(one)
        assert found["a.y"].equal(other)
        path = Path(folder) / "checkpoint.safetensors"
        state = load_checkpoint(path, "x", {}, ())
        save_checkpoint(path, "x", state, {"a.x": tensor, "b.y": other}, ())
        assert {name: value.equal(one) for name, value in checkpoint_weights(path, "a").items()} == {"x": True}
        empty = {"a.x": torch.zeros_like(tensor), "b.y": torch.zeros_like(other)}
        assert load_checkpoint(path, "x", empty, ()) == state
        assert empty["a.x"].equal(tensor)
        assert empty["b.y"].equal(other)
