"""The loop of a training by a model of four numbers: full memory, early stopping, and a loss that is no number."""

from pathlib import Path
from typing import Any

import pytest
from test_critics_trained_parts import example
from tiny_models import one_thread  # noqa: F401 - a fixture

from critics.trained.checkpoints import HeldOut, Progress, Round
from critics.trained.heads import Balance, make_heads
from critics.trained.learner import Learner
from critics.trained.loop import Course, TrainingDivergedError, is_over, run_course
from critics.trained.settings import TrainSettings
from critics.trained.showing import Pictures, Showing


class SmallBackbone:
    """A backbone whose states are the row's number in four digits, on a device that holds `most` rows."""

    max_tokens = None
    width = 4

    def __init__(self, most: int, factor: float = 1.0) -> None:
        import torch

        self.model = torch.nn.Linear(4, 4)
        self.image_tower = torch.nn.Linear(1, 1)
        torch.nn.init.eye_(self.model.weight)
        torch.nn.init.zeros_(self.model.bias)
        self.most = most
        self.factor = factor
        self.sizes: list[int] = []

    def prepare(self, pictures: Any, texts: Any) -> Any:  # Any: as the protocol has it
        return [[float(bit) for bit in f"{sum(map(ord, text)) % 16:04b}"] for text in texts]

    def states(self, inputs: Any) -> Any:  # Any: as above
        import torch

        self.sizes.append(len(inputs))
        found = self.model(torch.tensor(inputs)).unsqueeze(1) * self.factor
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("full")
        return found


class NoPictures(Pictures):
    """Pictures that nobody looks at."""

    def __init__(self) -> None:
        super().__init__(lambda _image: pytest.fail("no picture is wanted"), 32)

    def drawn(self, shown: Any) -> Any:  # Any: not looked at
        return None


def course(folder: Path, backbone: SmallBackbone, **values: Any) -> Course:  # Any: values of settings
    settings = TrainSettings.model_validate(
        {"backbone": "vlm", "model": "m", "batch_size": 8, "rows_at_once": 8, "max_epochs": 2, **values}
    )
    anything: Any = backbone  # Any: it has only what the loop uses
    return Course(
        learner=Learner(anything, make_heads(4, 0, None), "cpu", "float32"),
        settings=settings,
        examples=tuple(example(f"image {place}", place, place % 3 == 0) for place in range(20)),
        showing=Showing("vlm", settings.show, 0),
        pictures=NoPictures(),
        balance=Balance(),
        folder=folder,
        made_from="x",
        measure=lambda: HeldOut(0.5, 0.5),
        tell=lambda _line: None,
    )


def test_a_step_is_done_again_whole_in_smaller_parts_when_memory_is_full(tmp_path: Path) -> None:
    roomy, full = SmallBackbone(100), SmallBackbone(3)
    whole = course(tmp_path / "whole", roomy, learning_rate=0.01, head_learning_rate=0.01)
    parts = course(tmp_path / "parts", full, learning_rate=0.01, head_learning_rate=0.01)
    before = {name: tensor.detach().clone() for name, tensor in whole.learner.trained.items()}
    losses = []
    for one in (whole, parts):
        one.folder.mkdir()
        losses.append([round_.train_loss for round_ in run_course(one).rounds])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # weights alone do not tell: Adam divides a factor out
    assert full.sizes[:6] == [8, 4, 2, 2, 2, 2]
    assert max(full.sizes[3:]) == 2
    for name, tensor in whole.learner.trained.items():
        assert tensor.detach().allclose(parts.learner.trained[name], atol=1e-6), name
    assert any(not tensor.detach().allclose(before[name], atol=1e-4) for name, tensor in whole.learner.trained.items())


def test_memory_that_holds_no_row_ends_the_training(tmp_path: Path) -> None:
    import torch

    with pytest.raises(torch.OutOfMemoryError):
        run_course(course(tmp_path, SmallBackbone(0)))


def test_a_loss_that_is_no_number_ends_the_training_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError) as diverged:
        run_course(course(tmp_path, SmallBackbone(100, float("inf"))))
    assert str(diverged.value) == (
        "the loss of step 1 in round 1 is nan; set a lower learning_rate and head_learning_rate"
    )


def test_the_global_generator_is_left_as_it_was(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    one = course(tmp_path, SmallBackbone(100))
    torch.manual_seed(5)
    run_course(one)
    assert torch.rand(3).equal(expected)


@pytest.mark.parametrize(
    ("reached", "over"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.5], True),  # as good is not better
        ([0.5, 0.4, 0.6], False),
        ([0.1, 0.2, 0.3, 0.4, 0.5], True),  # all rounds
    ],
)
def test_it_ends_when_no_round_is_better(reached: list[float], over: bool) -> None:
    settings = TrainSettings(backbone="vlm", model="m", max_epochs=5, patience=2)
    rounds = tuple(Round(epoch, 1.0, HeldOut(value, 0.5), 1.0) for epoch, value in enumerate(reached))
    assert is_over(Progress(epoch=len(rounds), rounds=rounds), settings) is over
