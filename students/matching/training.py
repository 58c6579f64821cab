"""Training an image-text student on a corpus: its rows, the check that it sees, steps with checkpoints, its folder.

The folder is that of every student (`students.training.folder`): `model/`, which `Blip2ForImageTextRetrieval` loads,
and `student.json`, written last. The loop is the one that critics are trained by: all that is drawn follows from the
seed and the step, so that a training that was stopped ends with the very weights of one that was not.
"""

import math
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from cards.reading import Corpus
from ostensive.errors import OstensiveError, SettingsError
from ostensive.files import storage_errors
from ostensive.fingerprint import fingerprint
from ostensive.models.batching import BatchSize
from ostensive.models.devices import give_back_memory, is_out_of_memory
from ostensive.models.files import model_version
from ostensive.models.training import (
    OptimizerSettings,
    ParameterGroup,
    StepSchedule,
    Training,
    train,
)
from ostensive.recipe_kind import RecipeKind
from ostensive.user_paths import without_folder
from students.matching.losses import generation_loss, matching_loss
from students.matching.model import ImageTextBatch, ImageTextModel, Losses, load_image_text_model
from students.matching.rows import CorpusPictures, ImageTextRow, Order, fits, read_rows
from students.matching.settings import IMAGE_TEXT, ImageTextSettings
from students.training.folder import MADE_FROM, MODEL, begin, check_same, cleared, corpus_digest, locked, unclaim
from students.training.image_check import ROWS, BlindModelError, ImageCheck, other_pictures
from students.training.parts import trained_share
from students.training.record import TrainedStudent, finished_student, write_student

if TYPE_CHECKING:
    import torch

_CHECKPOINT, _CACHE = "checkpoint.safetensors", "cache"
_BETAS: Final = (0.9, 0.98)  # of AdamW; BLIP-2, section 3.4
_TOLD_EVERY: Final = 10  # steps
_CODE_VERSION: Final = 1
"""Goes up when the same settings and rows would give another student."""


def train_image_text_student(
    corpus: Corpus,
    kind: RecipeKind,
    settings: ImageTextSettings,
    out: Path,
    *,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> TrainedStudent:
    """Trains the Q-Former of `settings.base` on the split `train` of `corpus` in the folder `out`, or goes on with it.

    Raises `SettingsError` before any work for a corpus without such rows, a base that cannot be had and a folder of
    another training; `BlindModelError` where the base does not see; `Interrupted` when asked to stop, after a
    checkpoint; `TrainingDivergedError`; `RunLockedError` while another training is at work in the folder;
    `OstensiveError` when memory does not suffice.
    """
    if not fits(kind):
        raise SettingsError(
            f"objective: a corpus of {kind.name} cannot be trained on by {IMAGE_TEXT}, which needs questions with their"
            f" answers; {' or '.join(_OTHERS[view] for view in kind.views if view in _OTHERS)} is expected"
        )
    made_from = _made_from(corpus, kind, settings)
    with locked(out):
        if (done := finished_student(out)) is not None:
            check_same(out, done.made_from, made_from)
            return done
        return _trained(corpus, kind, settings, out, made_from=made_from, stop=stop or threading.Event(), tell=tell)


def _trained(
    corpus: Corpus,
    kind: RecipeKind,
    settings: ImageTextSettings,
    out: Path,
    *,
    made_from: str,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> TrainedStudent:
    """The training itself, in a folder that is held."""
    begin(out, made_from)
    try:
        model = load_image_text_model(settings)
        read = read_rows(corpus, kind, token_count=model.token_count, max_tokens=_max_tokens(model, settings))
        pictures = CorpusPictures(corpus, out / _CACHE, settings.image_side_px)
        work = _ImageTextTraining(model, settings, read.rows, pictures)
        check, losses = _carried_out(work, settings, out / _CHECKPOINT, made_from, stop, tell)
    except (SettingsError, BlindModelError):
        if not (out / _CHECKPOINT).exists():
            unclaim(out, made_from, (_CACHE,))
        raise
    student = TrainedStudent(
        base=without_folder(settings.base),
        base_version=model_version(settings.base, settings.revision),
        recipe=kind.name,
        corpus=corpus_digest(corpus),
        objective=settings.objective,
        rows=len(read.rows),
        lost=read.lost,
        steps=len(losses),
        first_loss=round(fmean(losses[:_TOLD_EVERY]), 4),
        last_loss=round(fmean(losses[-_TOLD_EVERY:]), 4),
        image_check=check,
        trained_share=round(trained_share(model.model), 6),
        made_from=made_from,
    )
    _finish(model, student, out)
    return student


_OTHERS: Final = {"prompt-completion": "sft", "preference": "dpo"}
"""The objectives that other corpora are trained by."""


def _max_tokens(model: ImageTextModel, settings: ImageTextSettings) -> int:
    return min(settings.max_text_tokens, int(model.model.config.qformer_config.max_position_embeddings))


def _made_from(corpus: Corpus, kind: RecipeKind, settings: ImageTextSettings) -> str:
    import torch
    import transformers

    values = {name: value for name, value in settings.identity().items() if name not in ("base", "revision")}
    return fingerprint(
        {
            "version": _CODE_VERSION,
            "corpus": corpus_digest(corpus),
            "recipe": kind.name,
            "settings": values,
            "base": model_version(settings.base, settings.revision),
            "libraries": [torch.__version__, transformers.__version__],
        }
    )[:16]


def _carried_out(
    work: "_ImageTextTraining",
    settings: ImageTextSettings,
    checkpoint: Path,
    made_from: str,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> tuple[ImageCheck, tuple[float, ...]]:
    """What the check of the base found, and the loss of each step."""
    try:
        return work.check_sees(), work.run(checkpoint, made_from, stop, tell)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OstensiveError(
            f"out of memory with {settings.batch_size} rows at a time: set a smaller batch_size, which gives each row"
            " fewer negatives, or precision=bfloat16"
        ) from error


def _finish(model: ImageTextModel, student: TrainedStudent, out: Path) -> None:
    """Writes the model, then the record, and removes what only an unfinished training needs."""
    with storage_errors(out):
        model.model.config.name_or_path = student.base
        model.save(cleared(out / MODEL))
    write_student(student, out)
    with storage_errors(out):
        shutil.rmtree(out / _CACHE, ignore_errors=True)
        for name in (_CHECKPOINT, MADE_FROM):
            (out / name).unlink(missing_ok=True)
    give_back_memory()


class _ImageTextTraining:
    """A model on its way to be a student, and the rows by which it is trained."""

    def __init__(
        self,
        model: ImageTextModel,
        settings: ImageTextSettings,
        rows: Sequence[ImageTextRow],
        pictures: CorpusPictures,
    ) -> None:
        self._model, self._settings, self._rows, self._pictures = model, settings, rows, pictures
        self._order = Order(rows, batch_size=settings.batch_size, seed=settings.seed)
        self._steps = settings.max_steps or max(1, math.ceil(settings.epochs * len(rows) / settings.batch_size))
        self._last: Losses | None = None

    def check_sees(self) -> ImageCheck:
        """What a picture changes in the losses of matching and of generation, of which each is of one pair.

        The contrastive loss compares rows with each other, so that it says nothing of a single one.
        """
        rows = [row for row, _epoch in self._order.of_step(0)][:ROWS]
        others = other_pictures([row.image_id for row in rows])
        own = self._pair_loss(rows, rows)
        if others is None:
            return ImageCheck(own, None)
        found = ImageCheck(own, self._pair_loss([rows[place] for place in others], rows))
        if not found.sees:
            raise BlindModelError(
                f"the model does not see: the loss of {len(rows)} texts is {own:.6f} with their pictures and with those"
                " of others; take a model that reads images, and look at its image processor"
            )
        return found

    def run(
        self, checkpoint: Path, made_from: str, stop: threading.Event, tell: Callable[[str], None]
    ) -> tuple[float, ...]:
        """Trains, and returns the loss of each step."""
        model, settings = self._model, self._settings

        def after_step(step: int, _progress: float) -> None:
            if self._last is not None and (step in (1, self._steps) or step % _TOLD_EVERY == 0):
                contrastive, matching, generation = (float(one.detach()) for one in self._last)
                tell(
                    f"step {step:,} of {self._steps:,}: loss {contrastive + matching + generation:.4f} (contrastive"
                    f" {contrastive:.4f}, matching {matching:.4f}, generation {generation:.4f})"
                )

        model.set_training(on=True)
        state = train(
            Training(
                name=settings.base,
                weights=model.trainable,
                optimizer=self._optimizer(),
                schedule=StepSchedule(self._steps, settings.warmup),
                parts=lambda step, _progress, _most: [self._order.of_step(step)],
                prepare=self._batch,
                loss=self._loss,
                step_seed=lambda step: int(fingerprint([settings.seed, step])[:15], 16),
                # Rows of a step are each other's negatives: in parts the loss would be another.
                size=BatchSize(1, settings.base),
                checkpoint=checkpoint,
                checkpoint_every_s=settings.checkpoint_every_s,
                made_from=made_from,
                device=model.device,
                after_step=after_step,
                should_stop=stop.is_set,
                tell=tell,
            )
        )
        model.set_training(on=False)
        return state.losses

    def _optimizer(self) -> OptimizerSettings:
        settings, trainable = self._settings, self._model.trainable
        language = {name for name in trainable if name.startswith("heads.language.")}
        groups = (
            ParameterGroup(
                tuple(one for name, one in trainable.items() if name not in language), settings.learning_rate
            ),
            ParameterGroup(
                tuple(trainable[name] for name in trainable if name in language), settings.head_learning_rate
            ),
        )
        return OptimizerSettings(groups, _BETAS, settings.weight_decay)

    def _batch(self, rows: Sequence[tuple[ImageTextRow, int]]) -> ImageTextBatch:
        settings = self._settings
        return self._model.batch(
            [self._pictures.drawn(row) for row, _epoch in rows],
            [row.text(settings.seed, epoch, settings.rationale_share) for row, epoch in rows],
            [row.image_id for row, _epoch in rows],
        )

    def _loss(self, batch: ImageTextBatch) -> "torch.Tensor":
        self._last = self._model.losses(batch, label_smoothing=self._settings.label_smoothing)
        return self._last.contrastive + self._last.matching + self._last.generation

    def _pair_loss(self, pictured: Sequence[ImageTextRow], rows: Sequence[ImageTextRow]) -> float:
        """The mean loss of calling the texts of `rows` matches of the pictures of `pictured`, and of writing them."""
        import torch

        model, total = self._model, 0.0
        with torch.no_grad():
            for part in _parts(len(rows), self._settings.batch_size):
                batch = model.batch(
                    [self._pictures.drawn(row) for row in pictured[part]],
                    [row.full for row in rows[part]],
                    [row.image_id for row in rows[part]],
                )
                states = model.image_states(batch.pixels)
                ids, mask = batch.ids.to(model.device), batch.mask.to(model.device)
                decoded = model.decode(states, ids, mask)
                written = generation_loss(decoded.word_logits, decoded.ids, decoded.mask)
                matched = matching_loss(model.match(states, ids, mask), ids.new_ones(len(ids)))
                total += float(written + matched) * len(ids)
        return total / len(rows)


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
