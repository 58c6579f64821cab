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
from typing import Any, Literal, TypeAlias, get_args

from microworld.training.cards import blip2_card, clip_card, eyes_card
from microworld.training.evaluate import measure_blip2, measure_clip, measure_eyes
from microworld.training.matching import Matches, make_matches, make_scale, matching_loss
from microworld.training.models import (
    WIDTH,
    OpenClipEncoder,
    begin_with,
    give_sight,
    give_vision,
    give_words,
    hasten,
    make_blip2,
    make_clip,
    make_eyes,
    make_seer,
    save_blip2,
    save_clip,
    save_eyes,
)
from microworld.training.pool import (
    FIRST_SEED,
    LEVELS,
    PER_FILE,
    Level,
    Pool,
    make_pool,
    read_pools,
    write_pool,
)
from microworld.training.querying import (
    Queries,
    answers_of,
    make_queries,
    queried_rightly,
    querying_loss,
)
from microworld.training.running import Course, Ran, matrices_of, run_course
from microworld.training.seeing import (
    Patches,
    make_heads,
    make_patches,
    seeing_loss,
    seen_rightly,
)
from microworld.training.telling import COMPARING, TELLING, Told, make_told, telling_loss, told_rightly
from ostensive.files import write_text

SCRIPT_VERSION = "3"
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
MAX_SCENES = 40_000
EASY_SCENES = 4_000
"""How many scenes the pools hold: that of everything, and each of the easier ones."""
LEVELS_BEGIN: Mapping[Level, float] = {"large": 0.0, "plain": 0.1, "all": 0.2}
"""The share of a course of seeing after which it goes on to scenes of each level."""
SNAPSHOTS = (0.03, 0.06, 0.11, 0.18, 0.29)
"""Shares of the course of `telling` after which the model is kept, to choose the base model from."""
BASE_AT = 0.06
MEASURED_SCENES = 400
_SEEING_RATE, _TELLING_RATE, _COMPARING_RATE, _MATCHING_RATE = 2e-3, 1.2e-3, 8e-4, 1e-3
_CHECK_EVERY = 400  # steps
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


def train(plan: Plan) -> dict[str, Any]:  # Any: JSON values
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


def _read_records(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    path = plan.work / "records.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}  # Any: JSON values
    return found


def _make_pools(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    """Pools of all levels, the easier ones first; those that are there already are kept."""
    before = float(_read_records(plan).get("pool", {}).get("minutes", 0.0))  # of earlier calls
    started_s = time.monotonic()
    scenes: dict[str, int] = {}
    first = FIRST_SEED + 10 * plan.max_scenes * plan.seed
    for level, options in LEVELS.items():
        most = plan.max_scenes if level == "all" else min(EASY_SCENES, plan.max_scenes)
        for start in range(0, most, PER_FILE):
            count = min(PER_FILE, most - start)
            path = plan.work / f"pool-{level}-{start:06}.npz"
            if not path.exists():
                if start and time.monotonic() - started_s > 60 * plan.minutes["pool"]:
                    break
                write_pool(make_pool(range(first + start, first + start + count), options), path)
            scenes[level] = scenes.get(level, 0) + count
        first += most
    _log.info("pool: %s", scenes)
    return {"scenes": scenes, "minutes": round(before + (time.monotonic() - started_s) / 60, 2)}


def _pool(plan: Plan, level: Level = "all") -> Pool:
    return read_pools(sorted(plan.work.glob(f"pool-{level}-*.npz")))


def _level_at(progress: float) -> Level:
    reached: list[Level] = [level for level, begin in LEVELS_BEGIN.items() if begin <= progress]
    return reached[-1]


def _see(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    from torch import nn

    pools = {level: _pool(plan, level) for level in LEVELS}
    seer, heads = make_seer(), make_heads(WIDTH)
    learner = nn.ModuleDict({"seer": seer, "heads": heads})
    check = make_patches(pools["all"], plan.seed + 1, 0, 256)

    def at(step: int, _progress: float) -> None:
        if step % _CHECK_EVERY == 0:
            _log.info("seeing: %s", _rounded(seen_rightly(seer, heads, check)))

    course: Course[Patches] = Course(
        "seeing",
        learner,
        lambda step, progress: make_patches(pools[_level_at(progress)], plan.seed, step),
        lambda batch: seeing_loss(seer, heads, batch),
        _SEEING_RATE,
        matrices_of(seer["tower"].encoder.layers),
        at,
    )
    ran = run_course(course, plan.minutes["seeing"], plan.work)
    return {**_record(ran), "patches": _rounded(seen_rightly(seer, heads, check))}


def _tell(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    pool, eyes = _pool(plan), make_eyes()
    explained = give_sight(_seer(plan), eyes, make_patches(pool, plan.seed + 1, 0, _FITTED_PICTURES).pixels)
    return {**_taught_to_tell(plan, "telling", pool, eyes, _TELLING_RATE), "projector_explains": round(explained, 4)}


def _compare(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    """Goes on from `telling` with a lower rate and another mixture of lessons, in which most is compared or numbered.

    The tower goes on learning too, gently: it has seen no numbers yet.
    """
    eyes = make_eyes()
    eyes.load_state_dict(_learned(plan, "telling", "eyes"))
    give_words(eyes)
    return _taught_to_tell(plan, "comparing", _pool(plan), eyes, _COMPARING_RATE)


def _taught_to_tell(
    plan: Plan, name: Literal["telling", "comparing"], pool: Pool, eyes: Any, rate: float
) -> dict[str, Any]:  # Any: a model of transformers, and JSON values
    from torch import nn

    check = make_told(pool, plan.seed + 1, 0, 1.0, 128, TELLING if name == "telling" else COMPARING)
    learner = nn.ModuleDict({"eyes": eyes, "whereabouts": nn.Linear(WIDTH, 2)})
    if name == "comparing":
        learner["whereabouts"].load_state_dict(_learned(plan, "telling", "whereabouts"))
    eyes.model.vision_tower.requires_grad_(name == "comparing")
    hasten(eyes, compiled=plan.compiled)

    def make(step: int, progress: float) -> Told:
        if name == "telling":
            return make_told(pool, plan.seed, step, progress)
        return make_told(pool, plan.seed + 2, step, 1.0, mixture=COMPARING)

    def at(step: int, progress: float) -> None:
        for share in SNAPSHOTS:
            if name == "telling" and progress >= share and not _snapshot(plan, share).exists():
                save_eyes(eyes, _snapshot(plan, share))
        if step % _CHECK_EVERY == 0:
            _log.info("%s: %s", name, _rounded(told_rightly(eyes, check)))

    course: Course[Told] = Course(
        name,
        learner,
        make,
        lambda batch: telling_loss(eyes, learner["whereabouts"], batch),
        rate,
        matrices_of(eyes.model.language_model.layers),
        at,
        gently=list(eyes.model.vision_tower.parameters()) if name == "comparing" else (),
    )
    ran = run_course(course, plan.minutes[name], plan.work)
    save_eyes(eyes, plan.work / "strong")
    return {**_record(ran), "answers": _rounded(told_rightly(eyes, check))}


def _snapshot(plan: Plan, share: float) -> Path:
    return plan.work / f"snapshot-{round(100 * share):02}"


def _match(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    from torch import nn

    pool, clip, scale = _pool(plan), make_clip(), make_scale()
    give_vision(_seer(plan)["tower"], clip)
    learner = nn.ModuleDict({"clip": clip, "scale": scale})
    course: Course[Matches] = Course(
        "matching",
        learner,
        lambda step, _: make_matches(pool, plan.seed, step),
        lambda batch: matching_loss(clip, scale, batch),
        _MATCHING_RATE,
        matrices_of(clip.visual.transformer, clip.transformer),
    )
    ran = run_course(course, plan.minutes["matching"], plan.work)
    save_clip(clip, plan.work / "clip")
    return _record(ran)


def _query(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    from torch import nn

    pool, blip2 = _pool(plan), make_blip2()
    begin_with(_seer(plan), blip2)
    blip2.vision_model.set_attn_implementation("eager")  # see `hasten`
    blip2.qformer.set_attn_implementation("eager")
    answers, scale = answers_of(pool), make_scale()
    learner = nn.ModuleDict({"blip2": blip2, "scale": scale})
    check = make_queries(pool, answers, plan.seed + 1, 0, count=256)

    def at(step: int, _progress: float) -> None:
        if step % _CHECK_EVERY == 0:
            _log.info("querying: %s", _rounded(queried_rightly(blip2, check)))

    course: Course[Queries] = Course(
        "querying",
        learner,
        lambda step, progress: make_queries(pool, answers, plan.seed, step, progress),
        lambda batch: querying_loss(blip2, scale, batch),
        _MATCHING_RATE,
        matrices_of(blip2.vision_model.encoder, blip2.qformer.encoder),
        at,
    )
    ran = run_course(course, plan.minutes["querying"], plan.work)
    save_blip2(blip2, plan.work / "blip2")
    return {**_record(ran), "texts": _rounded(queried_rightly(blip2, check))}


def _seer(plan: Plan) -> Any:  # Any: of `make_seer`
    """The vision transformer as the stage `seeing` left it."""
    seer = make_seer()
    seer.load_state_dict(_learned(plan, "seeing", "seer"))
    return seer


def _learned(plan: Plan, stage: Stage, part: str) -> Any:  # Any: tensors by name
    from safetensors.torch import load_file

    prefix = f"weights.{part}."
    saved = load_file(plan.work / f"{stage}.checkpoint.safetensors")
    return {name.removeprefix(prefix): tensor for name, tensor in saved.items() if name.startswith(prefix)}


def _save(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    """Copies the models to their places, measures them there, and writes what is known of them beside them."""
    import shutil

    records = _read_records(plan)
    seeds = range(_MEASURED_FROM, _MEASURED_FROM + plan.measured_scenes)
    base, found = _snapshot(plan, plan.base_at), {}
    sources = {
        "eyes": plan.work / "strong",
        "eyes-base": base,
        "clip": plan.work / "clip",
        "blip2": plan.work / "blip2",
    }
    for name, source in sources.items():
        folder = plan.out / name
        shutil.copytree(source, folder, dirs_exist_ok=True)
        stopped_at = plan.base_at if name == "eyes-base" else None
        figures, card = _measured(name, folder, seeds, stopped_at)
        found[name] = figures
        record = {
            "script_version": SCRIPT_VERSION,
            "seed": plan.seed,
            "compiled": plan.compiled,
            "stopped_at": stopped_at,
            "stages": {stage: records[stage] for stage in _STAGES_OF[name] if stage in records},
            "measured_seeds": [seeds.start, seeds.stop],
            "figures": figures,
            "versions": _versions(),
        }
        write_text(folder / "training.json", json.dumps(record, indent=2) + "\n")
        write_text(folder / "README.md", card)
    return found


def _measured(
    name: str, folder: Path, seeds: Sequence[int], stopped_at: float | None
) -> tuple[dict[str, Any], str]:  # Any: JSON values
    """The figures of a saved model, and its card."""
    if name == "clip":
        matched = measure_clip(OpenClipEncoder(folder), seeds)
        return asdict(matched), clip_card(matched)
    if name == "blip2":
        queried = measure_blip2(folder, seeds)
        return asdict(queried), blip2_card(queried)
    eyes = measure_eyes(folder, seeds)
    return {measure: asdict(figure) for measure, figure in eyes.items()}, eyes_card(eyes, stopped_at=stopped_at)


_STAGES_OF: Mapping[str, Sequence[Stage]] = {
    "eyes": ("pool", "seeing", "telling", "comparing"),
    "eyes-base": ("pool", "seeing", "telling"),
    "clip": ("pool", "seeing", "matching"),
    "blip2": ("pool", "seeing", "querying"),
}


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "open_clip_torch", "numpy", "pillow")}


def _record(ran: Ran) -> dict[str, Any]:  # Any: JSON values
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(ran).items()}


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, 3) for name, share in shares.items()}


_RUN = {
    "pool": _make_pools,
    "seeing": _see,
    "telling": _tell,
    "comparing": _compare,
    "matching": _match,
    "querying": _query,
    "saving": _save,
}
