"""Training a student on a corpus: its rows, the check that it sees, steps with checkpoints, and a folder that is whole.

The folder of a student holds `model/` (merged, with its processor: what teachers and other tools load), `adapter/`
where LoRA was used, `log/` for TensorBoard, and `student.json`, written last: a folder without it is a training that
has not ended. The same call goes on from the last checkpoint; a folder that was begun with another corpus, base or
setting is refused. Several processes that `accelerate launch` starts train one student together.
"""

import shutil
import threading
import warnings
from pathlib import Path
from statistics import fmean
from typing import Any, Final  # Any: JSON values; TRL and transformers type their classes in part

from cards.reading import Corpus
from ostensive.errors import OstensiveError, SettingsError
from ostensive.files import storage_errors
from ostensive.fingerprint import fingerprint
from ostensive.models.devices import is_out_of_memory
from ostensive.models.files import model_version
from ostensive.models.loading import LoadedModel
from ostensive.models.pretrained import without_bars
from ostensive.recipe_kind import RecipeKind
from ostensive.user_paths import without_folder
from students.training.bases import check_base, load_base
from students.training.checkpoints import CHECKPOINTS, remove_unusable
from students.training.data import VIEWS, other_data_digests, read_rows, write_rows
from students.training.folder import MADE_FROM, MODEL, begin, check_same, cleared, corpus_digest, locked, unclaim
from students.training.image_check import ROWS, BlindModelError, check_sees
from students.training.logs import LOG
from students.training.other_rows import ReplayedCorpus
from students.training.parts import trained_share
from students.training.processes import Processes, is_first_process
from students.training.record import TrainedStudent, finished_student, write_student
from students.training.running import FIRST_STEPS, Tell, Training, is_begun
from students.training.settings import StudentSettings

ADAPTER: Final = "adapter"
_ROWS: Final = "rows"


def train_student(
    corpus: Corpus,
    kind: RecipeKind,
    settings: StudentSettings,
    out: Path,
    *,
    replayed: ReplayedCorpus | None = None,
    stop: threading.Event | None = None,
    tell: Tell = lambda _line: None,
) -> TrainedStudent:
    """Trains `settings.base` on the split `train` of `corpus` in the folder `out`, or goes on with it.

    `replayed` is the corpus of the run that `settings.replay.data` names, where it names one. Of several processes each
    calls this with the same arguments.

    Raises `SettingsError` before any work for a corpus that has no such rows, a base that cannot be had or asked and a
    folder of another training; `BlindModelError` where the base does not see; `Interrupted` when asked to stop, after
    a checkpoint; `RunLockedError` while another training is at work in the folder; `OstensiveError` when memory does
    not suffice.
    """
    _check_kind(kind, settings)
    check_base(settings)
    made_from = _made_from(corpus, kind, settings, replayed)
    with locked(out, is_first=is_first_process()):
        if (done := finished_student(out)) is not None:
            check_same(out, done.made_from, made_from)
            return done
        stop = stop or threading.Event()
        return _trained(corpus, kind, settings, out, made_from=made_from, replayed=replayed, stop=stop, tell=tell)


def _trained(
    corpus: Corpus,
    kind: RecipeKind,
    settings: StudentSettings,
    out: Path,
    *,
    made_from: str,
    replayed: ReplayedCorpus | None,
    stop: threading.Event,
    tell: Tell,
) -> TrainedStudent:
    """The training itself, in a folder that is held."""
    processes = Processes.started(settings.device)
    try:
        with processes.first_alone():
            begin(out, made_from, processes.count)
            remove_unusable(out)
            written = write_rows(corpus, kind, settings, out / _ROWS, replayed)
            rows = read_rows(corpus, kind, settings, out / _ROWS, written)
        loaded = load_base(settings)
        check = check_sees(
            loaded.model,
            loaded.processor,
            rows.table.select(range(min(ROWS, written.corpus))),
            batch_size=settings.batch_size,
        )
        training = Training(settings, out, written, processes, stop, tell)
        trainer = training.trained(loaded, rows)
    except (SettingsError, BlindModelError):
        _unclaim(out, made_from, processes)
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _unclaim(out, made_from, processes)
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
        rows=written.corpus,
        lost=written.lost,
        steps=trainer.state.global_step,
        first_loss=round(fmean(losses[:FIRST_STEPS]), 4),
        last_loss=round(fmean(losses[-FIRST_STEPS:]), 4),
        image_check=check,
        trained_share=round(trained_share(trainer.model), 6),
        made_from=made_from,
        replay=written.replay,
        items=written.items,
        explanation_weight=written.explanation_weight,
        processes=processes.count,
    )
    if processes.is_first:
        _save(trainer, loaded, settings, out)
        _finish(out, student)
    processes.wait()
    return student


def _check_kind(kind: RecipeKind, settings: StudentSettings) -> None:
    if settings.regions is not None and not kind.has_regions:
        raise SettingsError(f"regions: nothing is drawn on pictures of {kind.name}; leave it out")
    if VIEWS[settings.objective] not in kind.views:
        fit = " or ".join(name for name, needed in VIEWS.items() if needed in kind.views)
        raise SettingsError(
            f"objective: a corpus of {kind.name} cannot be trained on by {settings.objective}; {fit} is expected"
        )


def _made_from(corpus: Corpus, kind: RecipeKind, settings: StudentSettings, replayed: ReplayedCorpus | None) -> str:
    import peft
    import transformers
    import trl

    values = {name: value for name, value in settings.identity().items() if name not in ("base", "revision")}
    return fingerprint(
        {
            "corpus": corpus_digest(corpus),
            "recipe": kind.name,
            "settings": values,
            "others": other_data_digests(settings, replayed),
            "base": model_version(settings.base, settings.revision),
            "libraries": [library.__version__ for library in (peft, transformers, trl)],
        }
    )[:16]


def _unclaim(out: Path, made_from: str, processes: Processes) -> None:
    if processes.is_first and not is_begun(out):
        unclaim(out, made_from, (_ROWS, CHECKPOINTS, LOG), processes=processes.count)


def _finish(out: Path, student: TrainedStudent) -> None:
    """Writes what came of it, and clears away what it was made with."""
    write_student(student, out)
    with storage_errors(out):
        for name in (CHECKPOINTS, _ROWS):
            shutil.rmtree(out / name, ignore_errors=True)
        (out / MADE_FROM).unlink(missing_ok=True)


def _save(trainer: Any, loaded: LoadedModel, settings: StudentSettings, out: Path) -> None:
    """The model with the adapters merged into it, and the adapters beside it; nothing names a path of this machine."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    with storage_errors(out), without_bars(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not find a config file")  # of a base that is no path
        if settings.lora is not None:
            for config in model.peft_config.values():
                config.base_model_name_or_path = without_folder(settings.base)
            model.save_pretrained(cleared(out / ADAPTER))
            (out / ADAPTER / "README.md").unlink(missing_ok=True)  # peft's, which names a path of this machine
            model = model.merge_and_unload()
        model.config.name_or_path = without_folder(settings.base)
        model.save_pretrained(cleared(out / MODEL))
        loaded.processor.save_pretrained(out / MODEL)
