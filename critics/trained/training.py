"""`ostensive critic train`: from the labels of a run to a critic in a folder. Called again, it goes on or is done.

Everything that is drawn follows from the seed, the round and the step, so that a training that was killed and went on
ends with the very weights of one that was not. A step's loss is divided by the whole step's labels, whatever parts it
goes through the model in, so that `rows_at_once` changes the rounding and nothing else.
"""

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final  # Any: JSON values, and what a backbone prepares

from critics.labels import Label
from critics.threshold import threshold_to_keep
from critics.trained.card import TrainedFigures
from critics.trained.curve_training import curve_of_parts
from critics.trained.folder import critic_version, known_regions, make_file, write_critic
from critics.trained.inputs import (
    APPLIED,
    CriticInput,
    Example,
    InputFormat,
    LabelSplits,
    Pictures,
    criteria_of,
    image_loader,
    read_examples,
    split_examples,
    split_notes,
    steps_of,
)
from critics.trained.learned import images_of
from critics.trained.model import (
    FLOAT32,
    ClassWeights,
    CriticLoss,
    CriticModel,
    LossNormalizer,
    balanced_weights,
    load_backbone,
    loss_normalizer,
    make_heads,
    put_scores,
    resolve_precision,
)
from critics.trained.read_critics import ReadCritic, fit_scores, reading_critics
from critics.trained.record import finished_figures, write_record
from critics.trained.scoring import (
    KEPT_SHARE,
    Calibration,
    Prediction,
    Scorer,
    Unseen,
    average_precision,
    counts_of,
    cross_entropy,
    figures_of,
    fit_temperature,
)
from critics.trained.settings import TrainSettings
from ostensive.errors import SettingsError
from ostensive.files import storage_errors
from ostensive.fingerprint import fingerprint
from ostensive.images.refusals import ImageChangedError
from ostensive.models.batching import BatchSize
from ostensive.models.checkpoints import Evaluation, load_weights, put_weights, save_weights
from ostensive.models.devices import give_back_memory, resolve_device
from ostensive.models.files import model_version
from ostensive.models.training import (
    OptimizerSettings,
    ParameterGroup,
    StepSchedule,
    Training,
    train,
    use_eager_attention,
)
from ostensive.own_folders import CRITIC, claim_folder
from ostensive.recipe_kind import RecipeKind
from ostensive.run.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn

_UNFINISHED: Final = "unfinished"
_CHECKPOINT, _BEST = "checkpoint.safetensors", "best.safetensors"
_BETAS: Final = (0.9, 0.999)
_CODE_VERSION: Final = 3
"""Goes up when the same settings and labels would give another critic."""

_log = logging.getLogger(__name__)


def train_critic(
    run: RunFolder,
    labels: Sequence[Label],
    *,
    kind: RecipeKind,
    stage: str,
    settings: TrainSettings,
    out: Path,
    tell: Callable[[str], None] = lambda _line: None,
) -> TrainedFigures:
    """Trains a critic on the labels of candidates of `run` and writes it into the folder `out`.

    `kind` is of the run's recipe, and `stage` kept the candidates that were labelled. The same call goes on where a
    killed one was, and only tells the figures of one that was finished. Raises `SettingsError` for labels, settings or
    a model that cannot be trained on, before any training, and for a folder that holds something else.
    """
    examples = read_examples(run, labels, kind=kind, stage=stage, scores_of=settings.scores_of)
    criteria = criteria_of(examples[0].label)
    for name in sorted(settings.head_weights.criteria.keys() - set(criteria)):
        known = ", ".join(criteria) or "none"
        raise SettingsError(f"head_weights.criteria.{name}: the labels have no such criterion; theirs are {known}")
    splits = split_examples(
        examples, held_out_share=settings.held_out_share, test_share=settings.test_share, seed=settings.seed
    )
    read = tuple(ReadCritic(one.name, one.version) for one in reading_critics(settings.scores_of, kind))
    base = model_version(settings.model, settings.revision)
    inputs = InputFormat(settings.backbone, kind.judging_question, settings.show, settings.seed)
    made_from = fingerprint(
        {
            "version": _CODE_VERSION,
            "settings": settings.identity() | {"model": base, "revision": None},
            "question": inputs.question,
            "read": [asdict(one) for one in read],
            "examples": [example.identity for example in examples],
        }
    )
    done = finished_figures(out, made_from)
    if done is not None:
        tell(f"{out}: is trained already, with these settings and labels")
        return done
    claim_folder(out, CRITIC)
    for note in split_notes(examples, splits.test):
        tell(note)
    pictures = Pictures(image_loader(run).load, settings.show.image_side_px)
    training = _CriticTraining(settings, inputs, splits, pictures, tell)
    rounds = training.run(out / _UNFINISHED, made_from)
    splits, calibration = training.splits, training.calibration()
    tested = training.predict(splits.test)
    test = figures_of(tested, _labels(splits.test), calibration, training.model.criteria)
    held_out = [calibration.probability(one.accept_logit) for one in training.predict(splits.held_out)]
    file = make_file(
        inputs,
        kind,
        training.model.criteria,
        calibration=calibration,
        known=known_regions(splits.train, settings.show),
        read=read,
    )
    write_critic(out, training.model, file)
    del training  # its model makes room for those of the curve
    give_back_memory()

    def logits_of_part(part: Sequence[Example], folder: Path, identity: str) -> list[float]:
        smaller = _CriticTraining(settings, inputs, replace(splits, train=tuple(part)), pictures, tell)
        smaller.run(folder, identity)
        return [one.accept_logit for one in smaller.predict(splits.test)]

    curve = curve_of_parts(
        splits,
        settings.learning_curve,
        logits_of_part,
        whole=[one.accept_logit for one in tested],
        seed=settings.seed,
        folder=out / _UNFINISHED,
        made_from=made_from,
        tell=tell,
    )
    figures = TrainedFigures(
        version=critic_version(out),
        base_version=base,
        labels_hash=fingerprint([asdict(one.label) for one in examples]),
        train=counts_of(_labels(splits.train)),
        held_out=counts_of(_labels(splits.held_out)),
        test=test,
        best_fifth_from=threshold_to_keep(held_out, KEPT_SHARE),
        learning_curve=curve,
        rounds=rounds,
        best_epoch=rounds.index(best_round(rounds)),
        seconds=sum(one.seconds for one in rounds),
    )
    learned = images_of(*((one.image.image_id for one in split) for split in (splits.train, splits.held_out)))
    write_record(out, settings, figures, made_from=made_from, learned=learned)
    shutil.rmtree(out / _UNFINISHED, ignore_errors=True)
    give_back_memory()
    return figures


def best_round(rounds: Sequence[Evaluation]) -> Evaluation:
    """The round with the best order of the held-out rows; of several, the surest of it, and of those the first.

    A few held-out rows are soon in perfect order, and a critic that still learns would be taken too early.
    """
    return max(rounds, key=lambda one: (one.metrics["average_precision"], -one.metrics["cross_entropy"], -one.step))


def is_over(rounds: Sequence[Evaluation], patience: int) -> bool:
    """Whether none of the last `patience` rounds was better than the best before."""
    return bool(rounds) and len(rounds) - 1 - rounds.index(best_round(rounds)) >= patience


@dataclass(frozen=True, slots=True)
class _Microbatch:
    """Rows of a step that go through the model together."""

    rows: Sequence[Example]
    epoch: int
    normalizer: LossNormalizer  # of the whole step
    inputs: Any = None  # what the backbone prepared


class _CriticTraining:
    """A model on its way to be a critic, and the labels by which it is trained and measured."""

    def __init__(
        self,
        settings: TrainSettings,
        inputs: InputFormat,
        splits: LabelSplits,
        pictures: Pictures,
        tell: Callable[[str], None],
    ) -> None:
        self._settings, self._inputs, self._pictures, self._tell = settings, inputs, pictures, tell
        device = resolve_device(settings.device)
        backbone = load_backbone(settings.backbone, settings.model, settings.revision, dtype=FLOAT32, device=device)
        # A head without weight would be left as it began, and what it says would be nothing.
        criteria = tuple(name for name in criteria_of(splits.train[0].label) if settings.head_weights.of(name))
        heads = make_heads(
            backbone.width,
            len(criteria),
            settings.seed,
            backbone.first_accept_weights(),
            len(settings.scores_of),
        ).to(device)
        self.model = CriticModel(backbone, heads, criteria, device, resolve_precision(settings.precision, device))
        if device == "cpu":
            use_eager_attention(backbone.model)
        self.model.freeze(settings)
        self.model.set_training(settings, on=False)
        self._scorer = Scorer(self.model, pictures, BatchSize(settings.rows_at_once, settings.model))
        self.splits = LabelSplits(*map(self._fitting, (splits.train, splits.held_out, splits.test)))
        classes = balanced_weights(_labels(self.splits.train)) if settings.class_balance else ClassWeights()
        self._begin_with_scores(classes)
        self._loss = CriticLoss(criteria, settings.head_weights, classes)
        self._logit_offset = math.log(classes.accepted / classes.rejected)

    def _begin_with_scores(self, classes: ClassWeights) -> None:
        """What the scores that are read are worth by themselves is known at once; the model learns the rest."""
        if self._settings.scores_of:
            train = self.splits.train
            fitted = fit_scores(
                [example.scores for example in train],
                [example.label.accepted for example in train],
                [classes.of(example.label) for example in train],
            )
            put_scores(self.model.heads, fitted)

    def run(self, folder: Path, made_from: str) -> tuple[Evaluation, ...]:
        """Trains, and leaves the model with the weights of the best of the rounds that it returns."""
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        settings, model, splits = self._settings, self.model, self.splits
        trainable = model.trainable
        steps_a_round = -(-len(splits.train) // settings.batch_size)

        @lru_cache(maxsize=1)
        def steps(epoch: int) -> list[list[Example]]:
            return steps_of(splits.train, epoch, batch_size=settings.batch_size, seed=settings.seed)

        def microbatches_of(step: int, _progress: float, most: int) -> list[_Microbatch]:
            epoch, place = divmod(step, steps_a_round)
            rows = steps(epoch)[place]
            normalizer = loss_normalizer(_labels(rows), self._loss.classes)
            return [_Microbatch(rows[start : start + most], epoch, normalizer) for start in range(0, len(rows), most)]

        def after_round(rounds: Sequence[Evaluation]) -> None:
            one = rounds[-1]
            self._tell(
                f"round {len(rounds)} of at most {settings.max_epochs}: loss {one.train_loss:.4f}, average precision on"
                f" held-out labels {one.metrics['average_precision']:.3f}, {one.seconds:.0f} s"
            )
            if best_round(rounds) is one:
                save_weights(folder / _BEST, trainable)

        model.set_training(settings, on=True)
        state = train(
            Training(
                name=settings.model,
                weights=trainable,
                optimizer=self._optimizer(),
                schedule=StepSchedule(settings.max_epochs * steps_a_round, settings.warm_up_share),
                parts=microbatches_of,
                prepare=self._prepare,
                loss=lambda some: self._loss.of(model.forward(some.inputs), _labels(some.rows), some.normalizer),
                step_seed=lambda step: int(fingerprint([settings.seed, *divmod(step, steps_a_round)])[:15], 16),
                size=BatchSize(min(settings.rows_at_once, settings.batch_size), settings.model),
                checkpoint=folder / _CHECKPOINT,
                checkpoint_every_s=settings.checkpoint_every_s,
                made_from=made_from,
                device=model.device,
                evaluate=self._evaluate,
                evaluate_every=steps_a_round,
                after_evaluation=after_round,
                is_over=lambda rounds: is_over(rounds, settings.patience),
                tell=self._tell,
            )
        )
        put_weights(trainable, load_weights(folder / _BEST))
        model.set_training(settings, on=False)
        return state.evaluations

    def calibration(self) -> Calibration:
        """By the held-out split."""
        logits = [one.accept_logit for one in self.predict(self.splits.held_out)]
        return fit_temperature(logits, [label.accepted for label in _labels(self.splits.held_out)], self._logit_offset)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """What the model finds of each example; raises `ImageChangedError` for an image that is no longer there."""
        found = self._scorer.predict([self._input_of(example) for example in examples])
        if unseen := next((one for one in found if isinstance(one, Unseen)), None):
            raise ImageChangedError(unseen.detail)
        fitting = [one for one in found if isinstance(one, Prediction)]
        assert len(fitting) == len(examples), "texts that are too long were left out before"
        return fitting

    def _optimizer(self) -> OptimizerSettings:
        def named(prefix: str) -> "tuple[nn.Parameter, ...]":
            return tuple(one for name, one in self.model.trainable.items() if name.startswith(prefix))

        settings = self._settings
        groups = (
            ParameterGroup(named("model."), settings.learning_rate),
            ParameterGroup(named("heads."), settings.head_learning_rate),
        )
        return OptimizerSettings(groups, _BETAS, settings.weight_decay, settings.max_gradient)

    def _evaluate(self) -> dict[str, float]:
        self.model.set_training(self._settings, on=False)
        logits = [one.accept_logit for one in self.predict(self.splits.held_out)]
        self.model.set_training(self._settings, on=True)
        accepted = [label.accepted for label in _labels(self.splits.held_out)]
        return {
            "average_precision": average_precision(logits, accepted),
            # With the temperature that suits it best.
            "cross_entropy": cross_entropy(logits, accepted, fit_temperature(logits, accepted, self._logit_offset)),
        }

    def _prepare(self, microbatch: _Microbatch) -> _Microbatch:
        rows = [self._input_of(row, microbatch.epoch) for row in microbatch.rows]
        pictures = [self._pictures.drawn(row) for row in rows]
        return replace(microbatch, inputs=self.model.prepare(pictures, rows))

    def _input_of(self, example: Example, epoch: int = APPLIED) -> CriticInput:
        return self._inputs.input_of(
            example.label.row_id, example.texts, example.image, example.regions, scores=example.scores, epoch=epoch
        )

    def _fitting(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """The examples whose text the model can take; the others are counted in the log."""
        fitting = tuple(one for one in examples if self._scorer.too_long(self._input_of(one)) is None)
        if len(fitting) < len(examples):
            _log.warning(
                "%d of %d labelled rows have more than the %d tokens that %s takes, and are left out",
                len(examples) - len(fitting),
                len(examples),
                self.model.backbone.max_tokens,
                self._settings.model,
            )
        return fitting


def _labels(examples: Sequence[Example]) -> list[Label]:
    return [example.label for example in examples]
