"""Training a student on a corpus: its rows, the check that it sees, steps with checkpoints, and a folder that is whole.

The folder of a student holds `model/` (merged, with its processor: what teachers and other tools load), `adapter/`
where LoRA was used, and `student.json`, written last: a folder without it is a training that has not ended. The same
call goes on from the last checkpoint; a folder that was begun with another corpus, base or setting is refused.
"""

import dataclasses
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final  # Any: JSON values; TRL and transformers type their classes in part

from cards.reading import Corpus
from ostensive.errors import Interrupted, OstensiveError, SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.fingerprint import fingerprint
from ostensive.models.devices import is_out_of_memory
from ostensive.models.files import model_version
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.loading import LoadedModel, load_model
from ostensive.models.pretrained import without_bars
from ostensive.recipe_kind import RecipeKind, View
from ostensive.run.splits import DEFAULT_SPLIT
from ostensive.user_paths import shown_path, without_folder
from students.exporting import Exported, export
from students.tables import read_tables
from students.training.folder import MADE_FROM, MODEL, STUDENT, begin, check_same, corpus_digest
from students.training.image_check import ROWS, ImageCheck, check_sees
from students.training.parts import trained_share
from students.training.settings import StudentSettings
from students.training.trainers import make_trainer

ADAPTER = "adapter"
_ROWS, _CHECKPOINTS = "rows", "checkpoints"
_TOLD_EVERY: Final = 10  # steps
_FORMAT: Final = {"kind": "ostensive-student", "version": 1}
_VIEWS: Final[Mapping[str, View]] = {"sft": "prompt-completion", "dpo": "preference"}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainedStudent:
    """What `student.json` says of a training."""

    base: str  # as it was named, without the folder it lay in
    base_version: str
    recipe: str
    corpus: str  # a hash of the files of the corpus
    objective: str
    rows: int
    lost: Mapping[str, int]  # rows of the corpus that could not be used, by reason
    steps: int
    first_loss: float  # mean of the first ten steps
    last_loss: float  # and of the last ten
    image_check: ImageCheck
    trained_share: float  # of all weights
    made_from: str  # a hash of all that the student depends on


def train_student(
    corpus: Corpus,
    kind: RecipeKind,
    settings: StudentSettings,
    out: Path,
    *,
    stop: threading.Event | None = None,
    tell: Tell = lambda _line: None,
) -> TrainedStudent:
    """Trains `settings.base` on the split `train` of `corpus` in the folder `out`, or goes on with it.

    Raises `SettingsError` before any work for a corpus that has no such rows, a base that cannot be had or asked and a
    folder of another training; `BlindModelError` where the base does not see; `Interrupted` when asked to stop, after
    a checkpoint; `OstensiveError` when memory does not suffice.
    """
    view = _VIEWS[settings.objective]
    if view not in kind.views:
        fit = " or ".join(name for name, needed in _VIEWS.items() if needed in kind.views)
        raise SettingsError(
            f"objective: a corpus of {kind.name} cannot be trained on by {settings.objective}; {fit} is expected"
        )
    made_from = _made_from(corpus, kind, settings)
    if (done := finished_student(out)) is not None:
        check_same(out, done.made_from, made_from)
        return done
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    begin(out, made_from)
    exported = _rows(corpus, kind, view, out)
    loaded = _loaded(settings)
    rows = read_tables(sorted((out / _ROWS / "data").glob(f"{DEFAULT_SPLIT}-*.parquet")), out / _ROWS / "cache")
    try:
        check = check_sees(
            loaded.model, loaded.processor, rows.select(range(min(ROWS, len(rows)))), batch_size=settings.batch_size
        )
        trainer = _trained(loaded, rows, settings, out / _CHECKPOINTS, stop or threading.Event(), tell)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OstensiveError(
            f"out of memory with {settings.batch_size} rows at a time: set a smaller batch_size and a larger"
            " accumulate, or gradient_checkpointing=true"
        ) from error
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    student = TrainedStudent(
        base=without_folder(settings.base),
        base_version=model_version(settings.base, settings.revision),
        recipe=kind.name,
        corpus=corpus_digest(corpus),
        objective=settings.objective,
        rows=len(rows),
        lost=exported.lost,
        steps=trainer.state.global_step,
        first_loss=round(fmean(losses[:_TOLD_EVERY]), 4),
        last_loss=round(fmean(losses[-_TOLD_EVERY:]), 4),
        image_check=check,
        trained_share=round(trained_share(trainer.model), 6),
        made_from=made_from,
    )
    _save(trainer, loaded, settings, out)
    write_student(student, out)
    with storage_errors(out):
        for name in (_CHECKPOINTS, _ROWS):
            shutil.rmtree(out / name, ignore_errors=True)
        (out / MADE_FROM).unlink(missing_ok=True)
    return student


def write_student(student: TrainedStudent, folder: Path) -> None:
    """Writes the record of a training that has ended; raises `StorageError`."""
    write_text(folder / STUDENT, json.dumps({**_FORMAT, **dataclasses.asdict(student)}, indent=2) + "\n")


def read_student(folder: Path) -> TrainedStudent:
    """What is known of the student in `folder`; raises `SettingsError` where there is none."""
    found = finished_student(folder)
    if found is None:
        raise SettingsError(f"{shown_path(folder)}: holds no student; {STUDENT} is written when a training ends")
    return found


def finished_student(folder: Path) -> TrainedStudent | None:
    """The student in `folder`, None where no training has ended."""
    try:
        values = json.loads((folder / STUDENT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or {key: values.pop(key, None) for key in _FORMAT} != _FORMAT:
        return None
    return TrainedStudent(**{**values, "image_check": ImageCheck(**values["image_check"])})


def _made_from(corpus: Corpus, kind: RecipeKind, settings: StudentSettings) -> str:
    import peft
    import transformers
    import trl

    values = {name: value for name, value in settings.identity().items() if name not in ("base", "revision")}
    return fingerprint(
        {
            "corpus": corpus_digest(corpus),
            "recipe": kind.name,
            "settings": values,
            "base": model_version(settings.base, settings.revision),
            "libraries": [library.__version__ for library in (peft, transformers, trl)],
        }
    )[:16]


def _rows(corpus: Corpus, kind: RecipeKind, view: View, out: Path) -> Exported:
    """The rows to train on, in a folder of their own; the counts are kept with them."""
    counts = out / _ROWS / "exported.json"
    if counts.exists():
        return Exported(**json.loads(counts.read_text("utf-8")))
    with storage_errors(out):
        shutil.rmtree(out / _ROWS, ignore_errors=True)
    exported = export(corpus, kind, view, out / _ROWS)
    if not exported.rows.get(DEFAULT_SPLIT):
        raise SettingsError(
            f"{shown_path(corpus.path)}: has no row of the split {DEFAULT_SPLIT} that can be trained on; there are"
            f" {', '.join(exported.rows) or 'none at all'}"
        )
    write_text(counts, json.dumps(dataclasses.asdict(exported)))
    return exported


def _loaded(settings: StudentSettings) -> LoadedModel:
    loaded = load_model(
        GeneratorSettings(model=settings.base, revision=settings.revision, device=settings.device, dtype=settings.dtype)
    )
    if not getattr(loaded.processor, "chat_template", None):
        raise SettingsError(f"base: {settings.base} has no chat template, by which rows become text; take one that has")
    return loaded


def _trained(
    loaded: LoadedModel, rows: Any, settings: StudentSettings, folder: Path, stop: threading.Event, tell: Tell
) -> Any:
    """The trainer after its last step; raises `Interrupted` after a checkpoint when `stop` is set."""
    from transformers.trainer_callback import PrinterCallback, TrainerCallback

    class Watch(TrainerCallback):
        """Tells losses, and ends after a checkpoint when asked to."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
            if stop.is_set():
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - of a callback
            loss = (kwargs.get("logs") or {}).get("loss")
            step = state.global_step
            if loss is not None and (step == 1 or step % _TOLD_EVERY == 0 or step == state.max_steps):
                tell(f"step {step:,} of {state.max_steps:,}: loss {float(loss):.4f}")

    trainer = make_trainer(loaded.model, loaded.processor, rows, settings, folder)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Watch())
    is_begun = folder.is_dir() and any(folder.glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=is_begun or None)
    if stop.is_set() and trainer.state.global_step < trainer.state.max_steps:
        raise Interrupted
    return trainer


def _save(trainer: Any, loaded: LoadedModel, settings: StudentSettings, out: Path) -> None:
    """The model with the adapters merged into it, and the adapters beside it; nothing names a path of this machine."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    with storage_errors(out), without_bars(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not find a config file")  # of a base that is no path
        if settings.lora is not None:
            for config in model.peft_config.values():
                config.base_model_name_or_path = without_folder(settings.base)
            model.save_pretrained(out / ADAPTER)
            (out / ADAPTER / "README.md").unlink(missing_ok=True)  # peft's, which names a path of this machine
            model = model.merge_and_unload()
        model.config.name_or_path = without_folder(settings.base)
        model.save_pretrained(out / MODEL)
        loaded.processor.save_pretrained(out / MODEL)
