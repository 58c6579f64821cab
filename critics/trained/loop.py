"""The loop of a training: steps, rounds, early stopping, and going on after a kill as if there had been none.

Everything that is drawn follows from the seed, the round and the step, so that a training that was killed and went on
ends with the very weights of one that was not. A step's loss is divided by the whole step's labels, whatever parts it
goes through the model in, so that `rows_at_once` changes the rounding and nothing else.
"""

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from critics.trained.checkpoints import HeldOut, Progress, Round, load_best, load_checkpoint, save_best, save_checkpoint
from critics.trained.examples import Example
from critics.trained.heads import Balance, loss_of, whole_of
from critics.trained.learner import Learner
from critics.trained.settings import TrainSettings
from critics.trained.showing import Pictures, Showing
from ostensive.errors import OstensiveError
from ostensive.fingerprint import fingerprint
from ostensive.models.batching import BatchSize
from ostensive.models.devices import give_back_memory, is_out_of_memory

_AHEAD: Final = 2  # batches prepared beside the one that is worked on
_BETAS: Final = (0.9, 0.999)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Course:
    """What is trained, on what, and where its state is kept."""

    learner: Learner
    settings: TrainSettings
    examples: tuple[Example, ...]
    showing: Showing
    pictures: Pictures
    balance: Balance
    folder: Path
    made_from: str  # the fingerprint of all that the outcome depends on
    measure: Callable[[], HeldOut]  # by the weights as they are
    tell: Callable[[str], None]


class TrainingDivergedError(OstensiveError):
    """The loss of a training is no number any more."""


def run_course(course: Course) -> Progress:
    """Trains until the last round or until no round is better, and leaves the learner with the best round's weights.

    Raises `TrainingDivergedError`.
    """
    import torch

    on_gpu = course.learner.device.startswith("cuda")
    with torch.random.fork_rng(devices=[torch.device(course.learner.device)] if on_gpu else []):
        trainer = _Trainer(course)
        progress = trainer.restore()
        while not is_over(progress, course.settings):
            progress = trainer.round(progress)
    course.learner.restore(load_best(course.folder))
    course.learner.set_training(course.settings, on=False)
    return progress


def is_over(progress: Progress, settings: TrainSettings) -> bool:
    """Whether all rounds were made, or none of the last `patience` was better than the best before."""
    best = progress.best
    stale = 0 if best is None else len(progress.rounds) - 1 - best.epoch
    return len(progress.rounds) >= settings.max_epochs or stale >= settings.patience


def rate_at(step: int, steps: int, warm_up_share: float) -> float:
    """The learning rate at a step as a share of the highest: a straight rise, then half a cosine down to nothing."""
    warm_up = warm_up_share * steps
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1.0, steps - warm_up)))


def steps_of(examples: Sequence[Example], epoch: int, *, batch_size: int, seed: int) -> list[list[Example]]:
    """The steps of a round: all examples once, in an order drawn from the seed and the round."""
    order = list(examples)
    random.Random(fingerprint([seed, epoch])).shuffle(order)  # noqa: S311 - no secret
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class _Trainer:
    def __init__(self, course: Course) -> None:
        import torch

        settings = course.settings
        self._course = course
        self._trained = course.learner.trained
        groups = [
            {
                "params": [p for name, p in self._trained.items() if name.startswith("model.")],
                "top": settings.learning_rate,
            },
            {
                "params": [p for name, p in self._trained.items() if name.startswith("heads.")],
                "top": settings.head_learning_rate,
            },
        ]
        groups = [group for group in groups if group["params"]]
        self._optimizer = torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, weight_decay=settings.weight_decay)
        self._size = BatchSize(min(settings.rows_at_once, settings.batch_size), settings.model)
        self._steps_a_round = -(-len(course.examples) // settings.batch_size)
        self._saved_s = time.monotonic()

    def restore(self) -> Progress:
        """Where an earlier call on the same folder was, weights and moments with it."""
        found = load_checkpoint(self._course.folder, self._course.made_from, self._optimizer)
        if found is None:
            return Progress()
        progress, weights = found
        self._course.learner.restore(weights)
        self._course.tell(f"goes on at step {progress.step} of round {progress.epoch + 1}")
        return progress

    def round(self, progress: Progress) -> Progress:
        """One round, or what is left of it, and its measure on the held-out part."""
        course = self._course
        steps = steps_of(
            course.examples, progress.epoch, batch_size=course.settings.batch_size, seed=course.settings.seed
        )
        course.learner.set_training(course.settings, on=True)
        started_s = time.monotonic()
        losses = list(progress.losses)
        before_s = progress.seconds
        for step, loss in self._losses(steps, progress.step, progress.epoch):
            losses.append(loss)
            if time.monotonic() - self._saved_s >= course.settings.checkpoint_every_s and step + 1 < len(steps):
                seconds = before_s + time.monotonic() - started_s
                self._save(replace(progress, step=step + 1, losses=tuple(losses), seconds=seconds))
        course.learner.set_training(course.settings, on=False)
        reached = course.measure()
        seconds = before_s + time.monotonic() - started_s
        one = Round(progress.epoch, sum(losses) / len(losses), reached, seconds)
        course.tell(
            f"round {one.epoch + 1} of at most {course.settings.max_epochs}: loss {one.train_loss:.4f}, average"
            f" precision on held-out labels {reached.average_precision:.3f}, {seconds:.0f} s"
        )
        done = Progress(epoch=progress.epoch + 1, rounds=(*progress.rounds, one))
        if done.best is one:
            save_best(course.folder, self._trained)
        self._save(done)
        return done

    def _losses(self, steps: Sequence[Sequence[Example]], first: int, epoch: int) -> Iterator[tuple[int, float]]:
        """Each step from `first` on and its loss, after the weights have taken it."""
        step = first
        while step < len(steps):
            # Until memory runs out: then from the same step on in smaller parts.
            batches = self._prepared(steps[step:], epoch)
            try:
                while step < len(steps):
                    yield step, self._take(steps[step], epoch, step, batches)
                    step += 1
            except Exception as error:
                if not is_out_of_memory(error) or self._size.rows == 1:
                    raise
                self._size.halve(self._size.rows)
            finally:
                batches.close()
            self._optimizer.zero_grad(set_to_none=True)
            give_back_memory()

    def _take(self, rows: Sequence[Example], epoch: int, step: int, batches: "Iterator[_Batch]") -> float:
        """The loss of a step, whose gradient is added up over its parts and then taken."""
        import torch

        course, settings = self._course, self._course.settings
        whole = whole_of([row.label for row in rows], course.balance)
        # Dropout is drawn anew for each step, so that it does not matter what was drawn before a kill.
        torch.manual_seed(int(fingerprint([settings.seed, epoch, step])[:15], 16))
        total, taken = 0.0, 0
        while taken < len(rows):
            batch = next(batches)
            said = course.learner.say(batch.inputs)
            labels = [row.label for row in batch.rows]
            loss = loss_of(said, labels, weights=settings.head_weights, balance=course.balance, whole=whole)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += float(loss.detach())
            taken += len(batch.rows)
        if not math.isfinite(total):
            raise TrainingDivergedError(
                f"the loss of step {step + 1} in round {epoch + 1} is {total}; set a lower learning_rate and"
                " head_learning_rate"
            )
        torch.nn.utils.clip_grad_norm_(list(self._trained.values()), settings.max_gradient)
        share = rate_at(
            epoch * self._steps_a_round + step, settings.max_epochs * self._steps_a_round, settings.warm_up_share
        )
        for group in self._optimizer.param_groups:
            group["lr"] = share * group["top"]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _prepared(self, steps: Sequence[Sequence[Example]], epoch: int) -> "Generator[_Batch, None, None]":
        """The parts of the steps in order, some prepared ahead in a thread of their own."""
        size = self._size.rows
        parts = iter([step[start : start + size] for step in steps for start in range(0, len(step), size)])
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as pool:
            waiting: deque[tuple[Sequence[Example], Future[Any]]] = deque()
            try:
                while True:
                    for rows in parts:
                        waiting.append((rows, pool.submit(self._prepare, rows, epoch)))
                        if len(waiting) > _AHEAD:
                            break
                    if not waiting:
                        return
                    rows, future = waiting.popleft()
                    yield _Batch(rows, future.result())
            finally:
                for _, future in waiting:
                    future.cancel()

    def _prepare(self, rows: Sequence[Example], epoch: int) -> Any:  # Any: what the backbone prepares
        course = self._course
        shown = [course.showing.show(row.candidate, row.image, row.regions, epoch) for row in rows]
        return course.learner.backbone.prepare(
            [course.pictures.drawn(one) for one in shown], [one.text for one in shown]
        )

    def _save(self, progress: Progress) -> None:
        save_checkpoint(self._course.folder, self._course.made_from, progress, self._trained, self._optimizer)
        self._saved_s = time.monotonic()


@dataclass(frozen=True, slots=True)
class _Batch:
    """A part of a step, ready for the model."""

    rows: Sequence[Example]
    inputs: Any  # what the backbone prepared
