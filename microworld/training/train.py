"""Trains the tiny models of the microworld, stage by stage, each for as many minutes as it is given.

`pool` makes scenes, `seeing` teaches a vision transformer, which is where all the others begin: `telling` and then
`comparing` teach the image-text model, `matching` the contrastive one and `querying` BLIP-2; `saving` writes them all
with their cards and `training.json`. A stage that was stopped goes on where it was saved; one that has had its minutes
is passed over. Two processes can share the stages after `seeing`, each with a core.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from microworld.training.matching import (
    ContrastiveBatch,
    contrastive_loss,
    initialize_clip,
    make_clip,
    make_contrastive_batch,
    make_scale,
    save_clip,
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
from microworld.training.pool import FIRST_SEED, LEVELS, MAX_SCENES, Level, Pool, make_pools, pool_files, read_pools
from microworld.training.querying import (
    MatchingBatch,
    answers_of,
    make_matching_batch,
    matching_accuracy,
    matching_loss,
)
from microworld.training.saving import ModelName, save_model
from microworld.training.seeing import (
    PatchBatch,
    make_heads,
    make_patch_batch,
    patch_accuracy,
    patch_loss,
)
from microworld.training.stage import StageTraining, checkpoint_path, linear_weights, rounded, train_stage
from microworld.training.telling import COMPARING, TELLING, AnswerBatch, answer_accuracy, answer_loss, make_answer_batch
from ostensive.files import write_text
from ostensive.fingerprint import fingerprint
from ostensive.models.checkpoints import checkpoint_weights
from ostensive.models.digests import files_digest
from ostensive.models.training import use_eager_attention

BatchT = TypeVar("BatchT")
SCRIPT_VERSION = "4"
Stage: TypeAlias = Literal["pool", "seeing", "telling", "comparing", "matching", "querying", "saving"]
STAGES: tuple[Stage, ...] = get_args(Stage)
MINUTES: Mapping[Stage, float] = {
    "pool": 8.0,
    "seeing": 22.0,
    "telling": 72.0,
    "comparing": 50.0,
    "matching": 15.0,
    "querying": 20.0,
}
"""How long each stage takes by default, on one core."""
LEVELS_BEGIN: Mapping[Level, float] = {"large": 0.0, "plain": 0.1, "all": 0.2}
"""The share of a course of seeing after which it goes on to scenes of each level."""
SNAPSHOTS = (0.03, 0.06, 0.11, 0.18, 0.29)
"""Shares of the course of `telling` after which the model is kept, to choose the base model from."""
BASE_AT = 0.06
MEASURED_SCENES = 400
_SEEING_RATE, _TELLING_RATE, _COMPARING_RATE, _MATCHING_RATE = 2e-3, 1.2e-3, 8e-4, 1e-3
_FITTED_PICTURES = 400
_MEASURED_FROM = 0  # first seed of the scenes that are measured on

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train, where and for how long. `base_at` is one of `SNAPSHOTS`."""

    out: Path
    stages: tuple[Stage, ...] = STAGES
    minutes: Mapping[Stage, float] = field(default_factory=lambda: dict(MINUTES))
    seed: int = 0
    max_scenes: int = MAX_SCENES
    base_at: float = BASE_AT
    measured_scenes: int = MEASURED_SCENES
    compiled: bool = False  # needs a C++ compiler
    threads: int | None = None  # None leaves it to torch

    @property
    def work(self) -> Path:
        """Where pools and checkpoints lie; may be deleted when all is saved."""
        return self.out / "work"


def train(plan: Plan) -> dict[str, Any]:  # Any: JSON values; below models of transformers too
    """Runs the stages; returns what `training.json` holds of them, stage by stage."""
    import torch

    plan.work.mkdir(parents=True, exist_ok=True)
    if plan.threads is not None:
        torch.set_num_threads(plan.threads)
    records = _read_records(plan)
    for stage in plan.stages:
        torch.manual_seed(plan.seed)
        record = _RUN[stage](plan)
        records = {**_read_records(plan), stage: record}  # read anew: another process may have run another stage
        write_text(plan.work / "records.json", json.dumps(records, indent=2) + "\n")
    return records


def _read_records(plan: Plan) -> dict[str, Any]:
    path = plan.work / "records.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _make_pools(plan: Plan) -> dict[str, Any]:
    before_s = 60 * float(_read_records(plan).get("pool", {}).get("minutes", 0.0))  # of earlier calls
    started_s = time.monotonic()

    def is_time_left() -> bool:
        # Earlier calls counted: what later stages began with must not grow under them.
        return before_s + time.monotonic() - started_s <= 60 * plan.minutes["pool"]

    first = FIRST_SEED + 10 * plan.max_scenes * plan.seed
    scenes = make_pools(plan.work, plan.max_scenes, first_seed=first, is_time_left=is_time_left)
    _log.info("pool: %s", scenes)
    return {"scenes": scenes, "minutes": round((before_s + time.monotonic() - started_s) / 60, 2)}


def _pool(plan: Plan, level: Level = "all") -> Pool:
    return read_pools(pool_files(plan.work, level))


def _level_at(progress: float) -> Level:
    reached: list[Level] = [level for level, begin in LEVELS_BEGIN.items() if begin <= progress]
    return reached[-1]


def _see(plan: Plan) -> dict[str, Any]:
    from torch import nn

    pools = {level: _pool(plan, level) for level in LEVELS}
    vision, heads = make_vision(), make_heads(WIDTH)
    check = make_patch_batch(pools["all"], plan.seed + 1, 0, 256)

    def accuracy() -> dict[str, float]:
        return patch_accuracy(vision, heads, check)

    stage: StageTraining[PatchBatch] = StageTraining(
        name="seeing",
        model=nn.ModuleDict({"vision": vision, "heads": heads}),
        make_batch=lambda step, progress: make_patch_batch(pools[_level_at(progress)], plan.seed, step),
        loss=lambda batch: patch_loss(vision, heads, batch),
        learning_rate=_SEEING_RATE,
        made_from=_made_from(plan),
        muon=linear_weights(vision["tower"].encoder.layers),
        accuracy=accuracy,
    )
    return {**_trained(plan, "seeing", stage), "patches": rounded(accuracy())}


def _tell(plan: Plan) -> dict[str, Any]:
    pool, vlm = _pool(plan), make_vlm()
    explained = initialize_vlm(_vision(plan), vlm, make_patch_batch(pool, plan.seed + 1, 0, _FITTED_PICTURES).pixels)
    return {**_taught_to_tell(plan, "telling", pool, vlm, _TELLING_RATE), "projector_explains": round(explained, 4)}


def _compare(plan: Plan) -> dict[str, Any]:
    """Goes on from `telling` with a lower rate and another mixture of lessons, in which most is compared or numbered.

    The tower goes on learning too, gently: it has seen no numbers yet.
    """
    vlm = make_vlm()
    vlm.load_state_dict(_learned(plan, "telling", "vlm"))
    resize_vocabulary(vlm)
    return _taught_to_tell(plan, "comparing", _pool(plan), vlm, _COMPARING_RATE)


def _taught_to_tell(
    plan: Plan, name: Literal["telling", "comparing"], pool: Pool, vlm: Any, learning_rate: float
) -> dict[str, Any]:
    from torch import nn

    compares = name == "comparing"
    check = make_answer_batch(pool, plan.seed + 1, 0, 1.0, 128, COMPARING if compares else TELLING)
    model = nn.ModuleDict({"vlm": vlm, "position_head": nn.Linear(WIDTH, 2)})
    if compares:
        model["position_head"].load_state_dict(_learned(plan, "telling", "position_head"))
    vlm.model.vision_tower.requires_grad_(compares)
    use_eager_attention(vlm)
    if plan.compiled:
        compile_layers(vlm)

    def make_batch(step: int, progress: float) -> AnswerBatch:
        if compares:
            return make_answer_batch(pool, plan.seed + 2, step, 1.0, mixture=COMPARING)
        return make_answer_batch(pool, plan.seed, step, progress)

    def accuracy() -> dict[str, float]:
        return answer_accuracy(vlm, check)

    def keep_snapshots(_steps: int, progress: float) -> None:
        for share in SNAPSHOTS:
            if progress >= share and not _snapshot(plan, share).exists():
                save_vlm(vlm, _snapshot(plan, share))

    stage: StageTraining[AnswerBatch] = StageTraining(
        name=name,
        model=model,
        make_batch=make_batch,
        loss=lambda batch: answer_loss(vlm, model["position_head"], batch),
        learning_rate=learning_rate,
        made_from=_made_from(plan, "telling" if compares else "seeing"),
        muon=linear_weights(vlm.model.language_model.layers),
        gentle=list(vlm.model.vision_tower.parameters()) if compares else (),
        accuracy=accuracy,
        after_step=(lambda _steps, _progress: None) if compares else keep_snapshots,
    )
    record = _trained(plan, name, stage)
    save_vlm(vlm, plan.work / "strong")
    return {**record, "answers": rounded(accuracy())}


def _snapshot(plan: Plan, share: float) -> Path:
    return plan.work / f"snapshot-{round(100 * share):02}"


def _match(plan: Plan) -> dict[str, Any]:
    from torch import nn

    pool, clip, scale = _pool(plan), make_clip(), make_scale()
    initialize_clip(_vision(plan)["tower"], clip)
    stage: StageTraining[ContrastiveBatch] = StageTraining(
        name="matching",
        model=nn.ModuleDict({"clip": clip, "scale": scale}),
        make_batch=lambda step, _progress: make_contrastive_batch(pool, plan.seed, step),
        loss=lambda batch: contrastive_loss(clip, scale, batch),
        learning_rate=_MATCHING_RATE,
        made_from=_made_from(plan, "seeing"),
        muon=linear_weights(clip.visual.transformer, clip.transformer),
    )
    record = _trained(plan, "matching", stage)
    save_clip(clip, plan.work / "clip")
    return record


def _query(plan: Plan) -> dict[str, Any]:
    from torch import nn

    pool, blip2 = _pool(plan), make_blip2()
    initialize_blip2(_vision(plan), blip2)
    use_eager_attention(blip2.vision_model)
    use_eager_attention(blip2.qformer)
    answers, scale = answers_of(pool), make_scale()
    check = make_matching_batch(pool, answers, plan.seed + 1, 0, count=256)

    def accuracy() -> dict[str, float]:
        return matching_accuracy(blip2, check)

    stage: StageTraining[MatchingBatch] = StageTraining(
        name="querying",
        model=nn.ModuleDict({"blip2": blip2, "scale": scale}),
        make_batch=lambda step, progress: make_matching_batch(pool, answers, plan.seed, step, progress),
        loss=lambda batch: matching_loss(blip2, scale, batch),
        learning_rate=_MATCHING_RATE,
        made_from=_made_from(plan, "seeing"),
        muon=linear_weights(blip2.vision_model.encoder, blip2.qformer.encoder),
        accuracy=accuracy,
    )
    record = _trained(plan, "querying", stage)
    save_blip2(blip2, plan.work / "blip2")
    return {**record, "texts": rounded(accuracy())}


def _trained(plan: Plan, name: Stage, stage: StageTraining[BatchT]) -> dict[str, Any]:
    summary = asdict(train_stage(stage, plan.minutes[name], plan.work))
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in summary.items()}


def _made_from(plan: Plan, before: Stage | None = None) -> str:
    """The fingerprint of the pools and of the weights that the stage `before` left."""
    files = [*pool_files(plan.work), *([checkpoint_path(before, plan.work)] if before else [])]
    return fingerprint([SCRIPT_VERSION, plan.seed, files_digest(files, memory=plan.work / "digests")])


def _vision(plan: Plan) -> Any:
    """The vision transformer as the stage `seeing` left it."""
    vision = make_vision()
    vision.load_state_dict(_learned(plan, "seeing", "vision"))
    return vision


def _learned(plan: Plan, stage: Stage, part: str) -> Any:
    return checkpoint_weights(checkpoint_path(stage, plan.work), part)


def _save(plan: Plan) -> dict[str, Any]:
    records = _read_records(plan)
    seeds = range(_MEASURED_FROM, _MEASURED_FROM + plan.measured_scenes)
    sources: dict[ModelName, Path] = {
        "vlm": plan.work / "strong",
        "vlm-base": _snapshot(plan, plan.base_at),
        "clip": plan.work / "clip",
        "blip2": plan.work / "blip2",
    }
    found: dict[str, Any] = {}
    for name, source in sources.items():
        record = {
            "script_version": SCRIPT_VERSION,
            "seed": plan.seed,
            "compiled": plan.compiled,
            "stages": {stage: records[stage] for stage in _STAGES_OF[name] if stage in records},
        }
        stopped_at = plan.base_at if name == "vlm-base" else None
        found[name] = save_model(name, source, plan.out / name, record=record, seeds=seeds, stopped_at=stopped_at)
    return found


_STAGES_OF: Mapping[ModelName, Sequence[Stage]] = {
    "vlm": ("pool", "seeing", "telling", "comparing"),
    "vlm-base": ("pool", "seeing", "telling"),
    "clip": ("pool", "seeing", "matching"),
    "blip2": ("pool", "seeing", "querying"),
}


_RUN = {
    "pool": _make_pools,
    "seeing": _see,
    "telling": _tell,
    "comparing": _compare,
    "matching": _match,
    "querying": _query,
    "saving": _save,
}
