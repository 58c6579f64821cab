"""`ostensive critic train`: from the labels of a run to a critic in a folder. Called again, it goes on or is done."""

import json
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import PIL.Image

from critics.annotation.export import run_labels
from critics.labels import read_labels
from critics.trained.backbone import Source, load_backbone
from critics.trained.calibration import cross_entropy, fit_temperature
from critics.trained.card import TrainedFigures, critic_card
from critics.trained.checkpoints import HeldOut
from critics.trained.examples import Example, Parts, read_examples, split
from critics.trained.figures import average_precision, figures_of, part_of
from critics.trained.folder import CRITIC, critic_version, known_regions, make_file, write_critic
from critics.trained.heads import Balance, balance_of, make_heads
from critics.trained.learner import FLOAT32, Learner, precision_on
from critics.trained.loop import Course, run_course
from critics.trained.scoring import Found, Scorer, TooLong
from critics.trained.settings import TrainSettings
from critics.trained.showing import Pictures, Showing, Shown
from critics.trained.unseen import IMAGES, RECORD, images_record
from ostensive.errors import SettingsError
from ostensive.files import storage_errors, write_text
from ostensive.fingerprint import fingerprint
from ostensive.images.loader import ImageLoader
from ostensive.models.batching import BatchSize
from ostensive.models.devices import give_back_memory, resolve_device
from ostensive.models.files import model_version
from ostensive.recipe import IntakeSettings
from ostensive.recipe_files import read_yaml
from ostensive.recipe_kind import RecipeKind
from ostensive.records import ImageRecord
from ostensive.run.folder import RunFolder
from ostensive.settings import validate

CARD: Final = "README.md"
_UNFINISHED: Final = "unfinished"
_CODE_VERSION: Final = 1
"""Goes up when the same settings and labels would give another critic."""

_log = logging.getLogger(__name__)


def train_critic(
    run: Path,
    *,
    settings: TrainSettings,
    out: Path,
    kind: RecipeKind,
    labels: Path | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> TrainedFigures:
    """Trains a critic on what people said of the triples of `run` and writes it into the folder `out`.

    `labels` is a file of labels to be taken instead, as `critics.labels.write_labels` writes it. The same call
    goes on where a killed one was, and only tells the figures of one that was finished. Raises `SettingsError` for
    labels, settings or a model that cannot be trained on, before any training, and for a folder that holds something
    else.
    """
    folder = RunFolder(run)
    known_labels = run_labels(folder) if labels is None else read_labels(labels)
    examples = read_examples(folder, known_labels, kind)
    parts = split(examples, held_out_share=settings.held_out_share, test_share=settings.test_share, seed=settings.seed)
    base = model_version(settings.model, settings.revision)
    made_from = fingerprint(
        {
            "version": _CODE_VERSION,
            "settings": settings.identity() | {"model": base, "revision": None},
            "examples": [_identity(example) for example in examples],
        }
    )
    done = _finished(out, made_from)
    if done is not None:
        tell(f"{out}: is trained already, with these settings and labels")
        return done
    training = _Training(settings, parts, Pictures(_loader(folder), settings.show.image_side_px), tell)
    figures = training.carry_out(out, made_from, base, fingerprint([asdict(one.label) for one in examples]))
    give_back_memory()
    return figures


class _Training:
    """What one training works with."""

    def __init__(self, settings: TrainSettings, parts: Parts, pictures: Pictures, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._pictures = pictures
        self._tell = tell
        self._showing = Showing(settings.backbone, settings.show, settings.seed)
        device = resolve_device(settings.device)
        backbone = load_backbone(settings.backbone, Source(settings.model, settings.revision, FLOAT32, device))
        heads = make_heads(backbone.width, settings.seed, backbone.first_accept_weights()).to(device)
        self._learner = Learner(backbone, heads, device, precision_on(settings.precision, device))
        if device == "cpu":
            self._learner.hasten_on_cpu()
        self._learner.freeze(settings)
        self._learner.set_training(settings, on=False)
        self._scorer = Scorer(self._learner, pictures, BatchSize(max(1, settings.rows_at_once), settings.model))
        self._parts = Parts(*(self._fitting(part) for part in (parts.train, parts.held_out, parts.test)))
        train_labels = [example.label for example in self._parts.train]
        self._balance = balance_of(train_labels) if settings.class_balance else Balance()
        self._logit_offset = math.log(self._balance.accepted / self._balance.rejected)

    def carry_out(self, out: Path, made_from: str, base: str, labels_hash: str) -> TrainedFigures:
        """Trains, calibrates, measures and writes; the record of it last but for `critic.json`."""
        settings, parts = self._settings, self._parts
        train_labels = [example.label for example in parts.train]
        unfinished = out / _UNFINISHED
        with storage_errors(out):
            unfinished.mkdir(parents=True, exist_ok=True)
        course = Course(
            learner=self._learner,
            settings=settings,
            examples=parts.train,
            showing=self._showing,
            pictures=self._pictures,
            balance=self._balance,
            folder=unfinished,
            made_from=made_from,
            measure=self._measure,
            tell=self._tell,
        )
        progress = run_course(course)
        held_out = self._found(parts.held_out)
        calibration = fit_temperature(
            [one.accept_logit for one in held_out],
            [example.label.accepted for example in parts.held_out],
            self._logit_offset,
        )
        known = known_regions(parts.train, settings.show)
        test_labels = [example.label for example in parts.test]
        test = figures_of(self._found(parts.test), test_labels, calibration)
        write_critic(out, self._learner, make_file(self._showing, calibration, known))
        best = progress.best
        assert best is not None, "a training has a round at least"
        figures = TrainedFigures(
            version=critic_version(out),
            base_version=base,
            labels_hash=labels_hash,
            known=known,
            train=part_of(train_labels),
            held_out=part_of([example.label for example in parts.held_out]),
            test=test,
            calibration=calibration,
            rounds=progress.rounds,
            best_epoch=best.epoch,
            seconds=sum(one.seconds for one in progress.rounds),
        )
        images = images_record(example.image.image_id for example in parts.train)
        _write_record(out, made_from, settings, figures, images)
        shutil.rmtree(unfinished, ignore_errors=True)
        return figures

    def _fitting(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """The examples whose text the model can take; the others are counted in the log."""
        over = [example for example in examples if self._scorer.too_long(self._shown(example)) is not None]
        if over:
            _log.warning(
                "%d of %d labelled triples have more than the %d tokens that %s takes, and are left out",
                len(over),
                len(examples),
                self._learner.backbone.max_tokens,
                self._settings.model,
            )
        ids = {example.label.row_id for example in over}
        return tuple(example for example in examples if example.label.row_id not in ids)

    def _shown(self, example: Example) -> Shown:
        return self._showing.show(example.candidate, example.image, example.regions)

    def _found(self, examples: Sequence[Example]) -> list[Found]:
        found = self._scorer.find([self._shown(example) for example in examples])
        fitting = [one for one in found if not isinstance(one, TooLong)]
        assert len(fitting) == len(examples), "texts that are too long were left out before"
        return fitting

    def _measure(self) -> HeldOut:
        logits = [one.accept_logit for one in self._found(self._parts.held_out)]
        accepted = [example.label.accepted for example in self._parts.held_out]
        entropy = cross_entropy(logits, accepted, fit_temperature(logits, accepted, self._logit_offset))
        return HeldOut(average_precision(logits, accepted), entropy)


def _identity(example: Example) -> Any:  # Any: JSON values
    candidate = example.candidate
    regions = [[region.number, *asdict(region.box).values()] for region in example.regions]
    texts = [candidate.question, candidate.answer, candidate.rationale, list(candidate.mentions)]
    return [asdict(example.label), texts, example.image.image_id, regions]


def _loader(run: RunFolder) -> Callable[[ImageRecord], PIL.Image.Image]:
    origin = str(run.recipe_path)
    return ImageLoader(validate(IntakeSettings, read_yaml(run.recipe_path).get("intake") or {}, origin)).load


def _finished(out: Path, made_from: str) -> TrainedFigures | None:
    """The figures of the critic in `out`, None where nothing is finished there.

    Raises `SettingsError` where `out` holds another critic, or other files.
    """
    from pydantic import TypeAdapter

    if (out / CRITIC).exists() and (out / RECORD).exists():
        record = json.loads((out / RECORD).read_text("utf-8"))
        if record["made_from"] != made_from:
            raise SettingsError(
                f"{out} holds a critic with other settings, labels or weights; choose another --out, or remove the"
                " folder"
            )
        figures: TrainedFigures = TypeAdapter(TrainedFigures).validate_python(record["figures"])
        return figures
    if out.exists() and not (out / _UNFINISHED).exists() and any(out.iterdir()):
        raise SettingsError(f"{out} holds other files; choose an empty folder for the critic")
    return None


def _write_record(
    out: Path, made_from: str, settings: TrainSettings, figures: TrainedFigures, images: Sequence[str]
) -> None:
    record = {
        "made_from": made_from,
        "settings": settings.model_dump(mode="json"),
        "figures": asdict(figures),
        "versions": _versions(),
        IMAGES: images,
    }
    write_text(out / CARD, critic_card(settings, figures))
    write_text(out / RECORD, json.dumps(record, indent=1) + "\n")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "numpy", "pillow")}
