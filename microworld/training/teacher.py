"""The stages of the model that teaches: scenes are put into words, and it learns to write triples from these."""

import logging
from pathlib import Path
from typing import Any  # Any: JSON values

from microworld.training.lessons import KINDS, lesson_files, make_lesson_files, read_lessons
from microworld.training.models import save_vlm
from microworld.training.options import SCRIPT_VERSION, StageClock, TrainOptions, trained
from microworld.training.stage import StageTraining, linear_weights, rounded
from microworld.training.teaching import LessonBatch, LessonBook, know_triple_words, reply_accuracy, reply_loss
from microworld.training.words import TRIPLE_WORDS
from ostensive.fingerprint import fingerprint
from ostensive.models.digests import files_digest
from ostensive.models.files import located
from ostensive.models.training import use_eager_attention

_RATE = 8e-4
_CHECKED = 64  # lessons of each kind that it is tried on, and does not learn from

_log = logging.getLogger(__name__)


def make_lessons_of(options: TrainOptions) -> dict[str, Any]:
    """Makes lessons until the minutes are used up; returns the record of the stage."""
    clock = StageClock(options, "lessons")
    scenes = make_lesson_files(options.work, seed=options.seed, is_time_left=clock.is_time_left)
    _log.info("lessons: %s scenes", scenes)
    return {"scenes": scenes, "minutes": round(clock.minutes, 2)}


def train_teacher(options: TrainOptions) -> dict[str, Any]:
    """Goes on from the image-text model: from what `regions` left, or else from the one that comes with the package.

    Returns the record of the stage.
    """
    from torch import nn

    lessons = read_lessons(lesson_files(options.work))
    checked, book = LessonBook(lessons[: len(KINDS) * _CHECKED]), LessonBook(lessons[len(KINDS) * _CHECKED :])
    begin = options.work / "strong"
    if not begin.exists():
        begin = Path(located("microworld:vlm"))
    vlm = _loaded(begin)
    know_triple_words(vlm)
    use_eager_attention(vlm)

    def accuracy() -> dict[str, float]:
        return reply_accuracy(vlm, checked, _CHECKED)

    files = [*lesson_files(options.work), *begin.glob("*.safetensors")]
    stage: StageTraining[LessonBatch] = StageTraining(
        name="teacher",
        model=nn.ModuleDict({"vlm": vlm}),
        make_batch=lambda step, _progress: book.batch(options.seed, step),
        loss=lambda batch: reply_loss(vlm, batch),
        learning_rate=_RATE,
        made_from=fingerprint([SCRIPT_VERSION, options.seed, files_digest(files, memory=options.work / "digests")]),
        muon=linear_weights(vlm.model.language_model.layers),
        low_rate=list(vlm.model.vision_tower.parameters()),
        accuracy=accuracy,
    )
    record = trained(options, "teacher", stage)
    save_vlm(vlm, options.work / "teacher", TRIPLE_WORDS)
    begun_with = "regions" if begin == options.work / "strong" else "microworld:vlm"
    return {**record, "begun_with": begun_with, "words": rounded(accuracy())}


def _loaded(folder: Path) -> Any:  # Any: a model of transformers
    import torch
    from transformers import LlavaForConditionalGeneration

    kind: Any = LlavaForConditionalGeneration
    return kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
