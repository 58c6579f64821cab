"""One process of a training at work: its trainer with checkpoints, what it tells and logs, and how it is stopped."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: parts of TRL, transformers and datasets, typed in part

from ostensive.errors import Interrupted
from ostensive.models.loading import LoadedModel
from students.training.checkpoints import CHECKPOINTS
from students.training.data import TrainingRows, WrittenRows
from students.training.logs import LOG, make_log
from students.training.processes import Processes
from students.training.settings import StudentSettings
from students.training.trainers import make_trainer

FIRST_STEPS: Final = 10
"""Steps between losses that are told, and those at either end whose mean loss is kept."""

Tell = Callable[[str], None]


def is_begun(out: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return any((out / CHECKPOINTS).glob("checkpoint-*"))


@dataclass(frozen=True, slots=True)
class Training:
    """A training in a folder, by one process of perhaps several."""

    settings: StudentSettings
    out: Path
    written: WrittenRows
    processes: Processes
    stop: threading.Event
    tell: Tell

    def trained(self, loaded: LoadedModel, rows: TrainingRows) -> Any:
        """The trainer after its last step; raises `Interrupted` after a checkpoint when asked to stop."""
        from transformers.trainer_callback import PrinterCallback

        folder = self.out / CHECKPOINTS
        weight = self.written.explanation_weight
        trainer = make_trainer(
            loaded.model, loaded.processor, rows.table, self.settings, folder, explanation_weight=weight
        )
        trainer.remove_callback(PrinterCallback)
        for callback in (self._watch(), *rows.callbacks):
            trainer.add_callback(callback)
        if self.processes.is_first:
            trainer.add_callback(make_log(self.out / LOG, trainer))
        trainer.train(resume_from_checkpoint=is_begun(self.out) or None)
        if trainer.state.global_step < trainer.state.max_steps:
            raise Interrupted
        return trainer

    def _watch(self) -> Any:
        """Tells losses, and ends after a checkpoint when asked to."""
        from transformers.trainer_callback import TrainerCallback

        training = self

        class Watch(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
                if training.processes.any_of_them(training.stop.is_set()):
                    control.should_save = control.should_training_stop = True

            def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
                loss = (kwargs.get("logs") or {}).get("loss")
                step = state.global_step
                is_told = step == 1 or step % FIRST_STEPS == 0 or step == state.max_steps
                if loss is not None and is_told and training.processes.is_first:
                    training.tell(f"step {step:,} of {state.max_steps:,}: loss {float(loss):.4f}")

        return Watch()
