"""Trains the tiny models of the microworld, stage by stage, each for as many minutes as it is given.

`pool` makes scenes, `vision` teaches a vision transformer, which is where all the others begin: `instructions` and then
`regions` teach the image-text model, `clip` the contrastive one and `blip2` BLIP-2. `lessons` puts scenes into words,
and `teacher` teaches the image-text model to write triples from these. `saving` writes all that was trained, with cards
and `training.json`. A stage that was stopped goes on where it was saved; one that has had its minutes is passed over.
Two processes can share the stages after `vision`, each with a core.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from microworld.training.blip2 import (
    MatchingBatch,
    answers_of,
    make_matching_batch,
    matching_accuracy,
    matching_loss,
)
from microworld.training.clip import (
    ContrastiveBatch,
    contrastive_loss,
    initialize_clip,
    make_clip,
    make_contrastive_batch,
    make_scale,
    save_clip,
)
from microworld.training.instructions import (
    INSTRUCTIONS,
    REGIONS,
    AnswerBatch,
    answer_accuracy,
    answer_loss,
    make_answer_batch,
)
from microworld.training.models import (
    WIDTH,
    compile_layers,
    initialize_blip2,
    initialize_vlm,
    make_blip2,
    make_vision,
    make_vlm,
    resize_vocabulary,
    save_blip2,
    save_vlm,
)
from microworld.training.options import (
    SCRIPT_VERSION,
    SNAPSHOTS,
    Stage,
    StageClock,
    TrainOptions,
    read_records,
    trained,
)
from microworld.training.pool import FIRST_SEED, LEVELS, Level, Pool, make_pools, pool_files, read_pools
from microworld.training.saving import ModelName, save_model
from microworld.training.stage import StageTraining, checkpoint_path, linear_weights, rounded
from microworld.training.teacher import make_lessons_of, train_teacher
from microworld.training.vision import (
    PatchBatch,
    make_heads,
    make_patch_batch,
    patch_accuracy,
    patch_loss,
)
from ostensive.files import write_text
from ostensive.fingerprint import fingerprint
from ostensive.models.checkpoints import checkpoint_weights
from ostensive.models.digests import files_digest
from ostensive.models.training import use_eager_attention

BatchT = TypeVar("BatchT")
LEVELS_BEGIN: Mapping[Level, float] = {"large": 0.0, "plain": 0.1, "all": 0.2}
"""The share of a course of `vision` after which it goes on to scenes of each level."""
_VISION_RATE, _INSTRUCTIONS_RATE, _REGIONS_RATE, _CONTRASTIVE_RATE = 2e-3, 1.2e-3, 8e-4, 1e-3
_FITTED_PICTURES = 400
_MEASURED_FROM = 0  # first seed of the scenes that are measured on

_log = logging.getLogger(__name__)


def train(options: TrainOptions) -> dict[str, Any]:  # Any: JSON values; below models of transformers too
    """Runs the stages; returns what `training.json` holds of them, stage by stage."""
    import torch

    options.work.mkdir(parents=True, exist_ok=True)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    records = read_records(options)
    for stage in options.stages:
        torch.manual_seed(options.seed)
        record = _RUN[stage](options)
        records = {**read_records(options), stage: record}  # read anew: another process may have run another stage
        write_text(options.work / "records.json", json.dumps(records, indent=2) + "\n")
    return records


def _make_pools(options: TrainOptions) -> dict[str, Any]:
    clock = StageClock(options, "pool")
    first = FIRST_SEED + 10 * options.max_scenes * options.seed
    scenes = make_pools(options.work, options.max_scenes, first_seed=first, is_time_left=clock.is_time_left)
    _log.info("pool: %s", scenes)
    return {"scenes": scenes, "minutes": round(clock.minutes, 2)}


def _pool(options: TrainOptions, level: Level = "all") -> Pool:
    return read_pools(pool_files(options.work, level))


def _level_at(progress: float) -> Level:
    reached: list[Level] = [level for level, begin in LEVELS_BEGIN.items() if begin <= progress]
    return reached[-1]


def _train_vision(options: TrainOptions) -> dict[str, Any]:
    from torch import nn

    pools = {level: _pool(options, level) for level in LEVELS}
    vision, heads = make_vision(), make_heads(WIDTH)
    check = make_patch_batch(pools["all"], options.seed + 1, 0, 256)

    def accuracy() -> dict[str, float]:
        return patch_accuracy(vision, heads, check)

    stage: StageTraining[PatchBatch] = StageTraining(
        name="vision",
        model=nn.ModuleDict({"vision": vision, "heads": heads}),
        make_batch=lambda step, progress: make_patch_batch(pools[_level_at(progress)], options.seed, step),
        loss=lambda batch: patch_loss(vision, heads, batch),
        learning_rate=_VISION_RATE,
        made_from=_made_from(options),
        muon=linear_weights(vision["tower"].encoder.layers),
        accuracy=accuracy,
    )
    return {**trained(options, "vision", stage), "patches": rounded(accuracy())}


def _train_instructions(options: TrainOptions) -> dict[str, Any]:
    pool, vlm = _pool(options), make_vlm()
    explained = initialize_vlm(
        _vision(options), vlm, make_patch_batch(pool, options.seed + 1, 0, _FITTED_PICTURES).pixels
    )
    return {
        **_train_vlm(options, "instructions", pool, vlm, _INSTRUCTIONS_RATE),
        "projector_explains": round(explained, 4),
    }


def _train_regions(options: TrainOptions) -> dict[str, Any]:
    """Goes on from `instructions` with a lower rate and another mixture, in which most is compared or numbered.

    The tower goes on learning too, at a lower rate still: it has seen no numbers yet.
    """
    vlm = make_vlm()
    vlm.load_state_dict(_weights_of(options, "instructions", "vlm"))
    resize_vocabulary(vlm)
    return _train_vlm(options, "regions", _pool(options), vlm, _REGIONS_RATE)


def _train_vlm(
    options: TrainOptions, name: Literal["instructions", "regions"], pool: Pool, vlm: Any, learning_rate: float
) -> dict[str, Any]:
    from torch import nn

    compares = name == "regions"
    check = make_answer_batch(pool, options.seed + 1, 0, 1.0, 128, REGIONS if compares else INSTRUCTIONS)
    model = nn.ModuleDict({"vlm": vlm, "position_head": nn.Linear(WIDTH, 2)})
    if compares:
        model["position_head"].load_state_dict(_weights_of(options, "instructions", "position_head"))
    vlm.model.vision_tower.requires_grad_(compares)
    use_eager_attention(vlm)
    if options.compiled:
        compile_layers(vlm)

    def make_batch(step: int, progress: float) -> AnswerBatch:
        if compares:
            return make_answer_batch(pool, options.seed + 2, step, 1.0, mixture=REGIONS)
        return make_answer_batch(pool, options.seed, step, progress)

    def accuracy() -> dict[str, float]:
        return answer_accuracy(vlm, check)

    def keep_snapshots(_steps: int, progress: float) -> None:
        for share in SNAPSHOTS:
            if progress >= share and not _snapshot(options, share).exists():
                save_vlm(vlm, _snapshot(options, share))

    stage: StageTraining[AnswerBatch] = StageTraining(
        name=name,
        model=model,
        make_batch=make_batch,
        loss=lambda batch: answer_loss(vlm, model["position_head"], batch),
        learning_rate=learning_rate,
        made_from=_made_from(options, "instructions" if compares else "vision"),
        muon=linear_weights(vlm.model.language_model.layers),
        low_rate=list(vlm.model.vision_tower.parameters()) if compares else (),
        accuracy=accuracy,
        after_step=(lambda _steps, _progress: None) if compares else keep_snapshots,
    )
    record = trained(options, name, stage)
    save_vlm(vlm, options.work / "strong")
    return {**record, "answers": rounded(accuracy())}


def _snapshot(options: TrainOptions, share: float) -> Path:
    return options.work / f"snapshot-{round(100 * share):02}"


def _train_clip(options: TrainOptions) -> dict[str, Any]:
    from torch import nn

    pool, clip, scale = _pool(options), make_clip(), make_scale()
    initialize_clip(_vision(options)["tower"], clip)
    stage: StageTraining[ContrastiveBatch] = StageTraining(
        name="clip",
        model=nn.ModuleDict({"clip": clip, "scale": scale}),
        make_batch=lambda step, _progress: make_contrastive_batch(pool, options.seed, step),
        loss=lambda batch: contrastive_loss(clip, scale, batch),
        learning_rate=_CONTRASTIVE_RATE,
        made_from=_made_from(options, "vision"),
        muon=linear_weights(clip.visual.transformer, clip.transformer),
    )
    record = trained(options, "clip", stage)
    save_clip(clip, options.work / "clip")
    return record


def _train_blip2(options: TrainOptions) -> dict[str, Any]:
    from torch import nn

    pool, blip2 = _pool(options), make_blip2()
    initialize_blip2(_vision(options), blip2)
    use_eager_attention(blip2.vision_model)
    use_eager_attention(blip2.qformer)
    answers, scale = answers_of(pool), make_scale()
    check = make_matching_batch(pool, answers, options.seed + 1, 0, count=256)

    def accuracy() -> dict[str, float]:
        return matching_accuracy(blip2, check)

    stage: StageTraining[MatchingBatch] = StageTraining(
        name="blip2",
        model=nn.ModuleDict({"blip2": blip2, "scale": scale}),
        make_batch=lambda step, progress: make_matching_batch(pool, answers, options.seed, step, progress),
        loss=lambda batch: matching_loss(blip2, scale, batch),
        learning_rate=_CONTRASTIVE_RATE,
        made_from=_made_from(options, "vision"),
        muon=linear_weights(blip2.vision_model.encoder, blip2.qformer.encoder),
        accuracy=accuracy,
    )
    record = trained(options, "blip2", stage)
    save_blip2(blip2, options.work / "blip2")
    return {**record, "texts": rounded(accuracy())}


def _made_from(options: TrainOptions, before: Stage | None = None) -> str:
    """The fingerprint of the pools and of the weights that the stage `before` left."""
    files = [*pool_files(options.work), *([checkpoint_path(before, options.work)] if before else [])]
    return fingerprint([SCRIPT_VERSION, options.seed, files_digest(files, memory=options.work / "digests")])


def _vision(options: TrainOptions) -> Any:
    """The vision transformer as the stage `vision` left it."""
    vision = make_vision()
    vision.load_state_dict(_weights_of(options, "vision", "vision"))
    return vision


def _weights_of(options: TrainOptions, stage: Stage, part: str) -> Any:
    return checkpoint_weights(checkpoint_path(stage, options.work), part)


def _save(options: TrainOptions) -> dict[str, Any]:
    records = read_records(options)
    seeds = range(_MEASURED_FROM, _MEASURED_FROM + options.measured_scenes)
    sources: dict[ModelName, Path] = {
        "vlm": options.work / "strong",
        "vlm-base": _snapshot(options, options.base_at),
        "clip": options.work / "clip",
        "blip2": options.work / "blip2",
        "teacher": options.work / "teacher",
    }
    found: dict[str, Any] = {}
    for name, source in sources.items():
        if not source.exists():  # its stages were left out
            continue
        record = {
            "script_version": SCRIPT_VERSION,
            "seed": options.seed,
            "compiled": options.compiled,
            "stages": {stage: records[stage] for stage in _STAGES_OF[name] if stage in records},
        }
        stopped_at = options.base_at if name == "vlm-base" else None
        found[name] = save_model(
            name,
            source,
            options.out / name,
            record=record,
            seeds=seeds,
            scenes=options.work / "measured",
            stopped_at=stopped_at,
        )
    return found


_STAGES_OF: Mapping[ModelName, Sequence[Stage]] = {
    "vlm": ("pool", "vision", "instructions", "regions"),
    "vlm-base": ("pool", "vision", "instructions"),
    "clip": ("pool", "vision", "clip"),
    "blip2": ("pool", "vision", "blip2"),
    "teacher": ("pool", "vision", "instructions", "regions", "lessons", "teacher"),
}


_RUN = {
    "pool": _make_pools,
    "vision": _train_vision,
    "instructions": _train_instructions,
    "regions": _train_regions,
    "clip": _train_clip,
    "blip2": _train_blip2,
    "lessons": make_lessons_of,
    "teacher": train_teacher,
    "saving": _save,
}
