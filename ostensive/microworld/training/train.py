"""Trains the tiny models of the microworld, stage by stage, each for as many minutes as it is given.

`pool` makes scenes, `seeing` teaches the vision tower, `telling` the language model, `matching` the contrastive model,
and `saving` writes all three with their cards and `training.json`. A stage that was stopped goes on where it was saved;
one that has had its minutes is passed over.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ostensive.files import write_text
from ostensive.microworld.training.cards import clip_card, eyes_card
from ostensive.microworld.training.evaluate import measure_clip, measure_eyes
from ostensive.microworld.training.matching import Matches, make_matches, make_scale, matching_loss
from ostensive.microworld.training.models import (
    WIDTH,
    OpenClipEncoder,
    give_vision,
    hasten,
    make_clip,
    make_eyes,
    save_clip,
    save_eyes,
)
from ostensive.microworld.training.pool import FIRST_SEED, PER_FILE, Pool, make_pool, read_pools, write_pool
from ostensive.microworld.training.running import Course, Ran, run_course
from ostensive.microworld.training.seeing import Patches, make_heads, make_patches, seeing_loss, seen_rightly
from ostensive.microworld.training.telling import Told, make_told, telling_loss, told_rightly

SCRIPT_VERSION = "1"
Stage: TypeAlias = Literal["pool", "seeing", "telling", "matching", "saving"]
STAGES: tuple[Stage, ...] = get_args(Stage)
MINUTES: Mapping[Stage, float] = {"pool": 4.0, "seeing": 11.0, "telling": 24.0, "matching": 5.0}
"""How long each stage takes by default, on two cores."""
MAX_SCENES = 24_000
SNAPSHOTS = (0.04, 0.08, 0.15, 0.25, 0.4)
"""Shares of the course of `telling` after which the model is kept, to choose the base model from."""
BASE_AT = 0.15
SEES_ANEW_AT = 0.45
"""The share of the course of `telling` after which it takes over the vision tower as `seeing` has it by then.

On two cores the two stages run side by side for a while: what the language model learns of the language does not
depend on how well the tower tells a diamond from a square yet."""
_SEES_ANEW = "sees-anew.txt"
MEASURED_SCENES = 400
_SEEING_RATE, _TELLING_RATE, _MATCHING_RATE = 1.5e-3, 1.5e-3, 1e-3
_CHECK_EVERY = 400  # steps
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

    @property
    def work(self) -> Path:
        """Where pools and checkpoints lie; may be deleted when all is saved."""
        return self.out / "work"


def train(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    """Runs the stages; returns what `training.json` holds of them, stage by stage."""
    import torch

    plan.work.mkdir(parents=True, exist_ok=True)
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
    before = float(_read_records(plan).get("pool", {}).get("minutes", 0.0))  # of earlier calls
    started_s = time.monotonic()
    files = 0
    for number in range(-(-plan.max_scenes // PER_FILE)):
        path = _pool_path(plan, number)
        if not path.exists():
            if files and time.monotonic() - started_s > 60 * plan.minutes["pool"]:
                break
            first = FIRST_SEED + plan.max_scenes * plan.seed + number * PER_FILE
            count = min(PER_FILE, plan.max_scenes - number * PER_FILE)
            write_pool(make_pool(range(first, first + count)), path)
        files += 1
    _log.info("pool: %d files", files)
    return {
        "scenes": min(files * PER_FILE, plan.max_scenes),
        "minutes": round(before + (time.monotonic() - started_s) / 60, 2),
    }


def _pool_path(plan: Plan, number: int) -> Path:
    return plan.work / f"pool-{number:04}.npz"


def _pool(plan: Plan) -> Pool:
    return read_pools(sorted(plan.work.glob("pool-*.npz")))


def _see(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    from torch import nn

    pool, eyes, heads = _pool(plan), make_eyes(), make_heads(WIDTH)
    hasten(eyes, compiled=plan.compiled)
    learner = nn.ModuleDict({"eyes": eyes, "heads": heads})
    eyes.model.language_model.layers.requires_grad_(False)
    check = make_patches(pool, plan.seed + 1, 0, 256)

    def at(step: int, _progress: float) -> None:
        if step % _CHECK_EVERY == 0:
            _log.info("seeing: %s", _rounded(seen_rightly(eyes, heads, check)))

    course: Course[Patches] = Course(
        "seeing",
        learner,
        lambda step, _: make_patches(pool, plan.seed, step),
        lambda batch: seeing_loss(eyes, heads, batch),
        _SEEING_RATE,
        at,
    )
    ran = run_course(course, plan.minutes["seeing"], plan.work)
    learner.eval()
    return {**_record(ran), "patches": _rounded(seen_rightly(eyes, heads, check))}


def _tell(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    pool, eyes = _pool(plan), _seeing_eyes(plan)
    check = make_told(pool, plan.seed + 1, 0, 1.0, 128)
    eyes.model.vision_tower.requires_grad_(False)
    hasten(eyes, compiled=plan.compiled)

    def at(step: int, progress: float) -> None:
        if progress >= SEES_ANEW_AT and not (plan.work / _SEES_ANEW).exists():
            _see_anew(plan, eyes)
        for share in SNAPSHOTS:
            if progress >= share and not _snapshot(plan, share).exists():
                save_eyes(eyes, _snapshot(plan, share))
        if step % _CHECK_EVERY == 0:
            _log.info("telling: %s", _rounded(told_rightly(eyes, check)))

    course: Course[Told] = Course(
        "telling",
        eyes,
        lambda step, progress: make_told(pool, plan.seed, step, progress),
        lambda batch: telling_loss(eyes, batch),
        _TELLING_RATE,
        at,
    )
    ran = run_course(course, plan.minutes["telling"], plan.work)
    save_eyes(eyes, plan.work / "strong")
    anew = plan.work / _SEES_ANEW
    step = int(anew.read_text("utf-8")) if anew.exists() else None
    return {**_record(ran), "sees_anew_by_step": step, "answers": _rounded(told_rightly(eyes, check))}


def _see_anew(plan: Plan, eyes: Any) -> None:  # Any: a model of transformers
    """Takes over what the stage `seeing` has learned since `telling` began, where it went on beside it."""
    import torch

    later = _seeing_eyes(plan)
    with torch.no_grad():
        for part in ("vision_tower", "multi_modal_projector"):
            getattr(eyes.model, part).load_state_dict(getattr(later.model, part).state_dict())
    steps = _steps_saved(plan.work / "seeing.checkpoint.safetensors")
    write_text(plan.work / _SEES_ANEW, f"{steps}\n")
    _log.info("telling: sees by what step %d of seeing had learned", steps)


def _steps_saved(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return int(json.loads(file.metadata()["state"])["steps"])


def _snapshot(plan: Plan, share: float) -> Path:
    return plan.work / f"snapshot-{round(100 * share):02}"


def _seeing_eyes(plan: Plan) -> Any:  # Any: a model of transformers
    """The image-text model as the stage `seeing` left it."""
    from safetensors.torch import load_file

    eyes = make_eyes()
    saved = load_file(plan.work / "seeing.checkpoint.safetensors")
    prefix = "weights.eyes."
    eyes.load_state_dict({name.removeprefix(prefix): t for name, t in saved.items() if name.startswith(prefix)})
    return eyes


def _match(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    from torch import nn

    pool, clip, scale = _pool(plan), make_clip(), make_scale()
    give_vision(_seeing_eyes(plan), clip)
    learner = nn.ModuleDict({"clip": clip, "scale": scale})
    course: Course[Matches] = Course(
        "matching",
        learner,
        lambda step, _: make_matches(pool, plan.seed, step),
        lambda batch: matching_loss(clip, scale, batch),
        _MATCHING_RATE,
    )
    ran = run_course(course, plan.minutes["matching"], plan.work)
    save_clip(clip, plan.work / "clip")
    return _record(ran)


def _save(plan: Plan) -> dict[str, Any]:  # Any: JSON values
    """Copies the models to their places, measures them there, and writes what is known of them beside them."""
    import shutil

    records = _read_records(plan)
    seeds = range(_MEASURED_FROM, _MEASURED_FROM + plan.measured_scenes)
    sources = {"eyes": plan.work / "strong", "eyes-base": _snapshot(plan, plan.base_at), "clip": plan.work / "clip"}
    figures: dict[str, Any] = {}  # Any: JSON values
    for name, source in sources.items():
        folder = plan.out / name
        shutil.copytree(source, folder, dirs_exist_ok=True)
        if name == "clip":
            matched = measure_clip(OpenClipEncoder(folder), seeds)
            figures[name] = asdict(matched)
            card = clip_card(matched)
        else:
            measured = measure_eyes(folder, seeds)
            figures[name] = {measure: asdict(figure) for measure, figure in measured.items()}
            card = eyes_card(measured, stopped_at=plan.base_at if name == "eyes-base" else None)
        record = {
            "script_version": SCRIPT_VERSION,
            "seed": plan.seed,
            "compiled": plan.compiled,
            "stopped_at": plan.base_at if name == "eyes-base" else None,
            "stages": {stage: records[stage] for stage in _STAGES_OF[name] if stage in records},
            "measured_seeds": [seeds.start, seeds.stop],
            "figures": figures[name],
            "versions": _versions(),
        }
        write_text(folder / "training.json", json.dumps(record, indent=2) + "\n")
        write_text(folder / "README.md", card)
    return figures


_STAGES_OF: Mapping[str, Sequence[Stage]] = {
    "eyes": ("pool", "seeing", "telling"),
    "eyes-base": ("pool", "seeing", "telling"),
    "clip": ("pool", "seeing", "matching"),
}


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "open_clip_torch", "numpy", "pillow")}


def _record(ran: Ran) -> dict[str, Any]:  # Any: JSON values
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(ran).items()}


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, 3) for name, share in shares.items()}


_RUN = {"pool": _make_pools, "seeing": _see, "telling": _tell, "matching": _match, "saving": _save}
