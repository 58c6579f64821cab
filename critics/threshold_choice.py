"""A threshold chosen for a critic of a finished run: what each one would keep, the choice, and the choice in force."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar  # Any: candidates of any recipe

from critics.annotation.export import run_labels
from critics.critic import ScoringSettings
from critics.kept_shares import ThresholdShares, shares_of
from critics.labels import Label, read_labels
from critics.stage import JUDGED, SCORED, Rebuild
from critics.table import critics_of, leaves, with_threshold
from critics.threshold import (
    MIN_LABELS,
    Curve,
    LabelledScore,
    check_labels,
    curve_of,
    kept_share,
    threshold_for_precision,
    threshold_to_keep,
)
from critics.threshold_picture import caption_of, picture
from critics.trained.learned import learned_images, unseen_labels
from critics.trained.settings import TrainedSettings
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import CriticScore, Scored
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.run.thresholds import ThresholdChoice, ThresholdFigures, TrainingUse, write_choice
from ostensive.settings import nearest_key

PICTURE: Final = "thresholds-{critic}.svg"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdTarget:
    """How a threshold is to be chosen: exactly one is not None."""

    keep: float | None = None  # share of all candidates, 0-1
    precision: float | None = None  # least share of the kept that people accept, 0-1
    threshold: float | None = None

    @property
    def given(self) -> dict[str, float]:
        """What is asked for, by its option."""
        options = {"--keep": self.keep, "--precision": self.precision, "--threshold": self.threshold}
        return {name: value for name, value in options.items() if value is not None}

    def __str__(self) -> str:
        return " ".join(f"{name} {value:g}" for name, value in self.given.items())


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """A choice, what it was chosen from, and where it is shown."""

    choice: ThresholdChoice
    curve: Curve | None  # None where nothing is labelled
    picture: Path | None
    training_use: TrainingUse | None  # of the labelled images; None where nothing is labelled
    gone: int  # labels of candidates that the run has no score of, or no longer
    learned_from: int  # labels left out because the critic learned from their images
    learned_images: int
    chosen_by_scores: int  # labels left out because they were not drawn fairly
    shares: ThresholdShares  # what this and other thresholds keep of all candidates


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels to measure by, and what is known of where they come from."""

    labels: Sequence[Label]
    origin: str
    training_use: TrainingUse
    gone: int  # labels of candidates without a score, left out
    chosen_by_scores: int  # labels, left out
    left_out: int = 0  # labels of images that the critic learned from
    left_out_images: int = 0


def choose_threshold(
    run: RunFolder,
    target: ThresholdTarget,
    *,
    recipe: Recipe,
    kind: RecipeKind,
    critic: str | None = None,
    labels: Path | None = None,
) -> ChosenThreshold:
    """Chooses the threshold of a critic of a finished run and draws why; `put_in_force` makes it hold.

    `critic` None takes the only one whose scores differ; `labels` None takes what people said in the run. Without
    labels a share or a threshold can still be chosen, and nothing is known of its quality. Raises `SettingsError` for
    labels that are too few, all alike or of other candidates, and for a precision that is not reached.
    """
    if len(target.given) != 1:
        raise SettingsError("--keep, --precision and --threshold: give one of them; it says which threshold you want")
    settings = _critic_named(run, recipe, critic)
    scores = _scores(run, kind, settings.title)
    known = _labels(run, labels, settings, scores, is_needed=target.precision is not None)
    curve = None if known is None else curve_of(_joined(scores, known), seed=recipe.seed)
    probabilities = [row.scores[0].accept_probability for row in scores.values()]
    if target.keep is not None:
        threshold = threshold_to_keep(probabilities, target.keep)
    elif target.precision is not None:
        assert curve is not None, "without labels a precision was refused"
        threshold = threshold_for_precision(curve, target.precision)
    else:
        assert target.threshold is not None, "exactly one is set"
        threshold = target.threshold
    choice = ThresholdChoice(
        critic=settings.title,
        critic_version=next(iter(scores.values())).scores[0].critic_version,
        min_accept_probability=threshold,
        chosen_by=str(target),
        candidates=len(probabilities),
        kept_share=kept_share(probabilities, threshold),
        figures=None if curve is None or known is None else _figures(curve, threshold, known),
    )
    drawn = None if curve is None else run.path / PICTURE.format(critic=choice.critic)
    if curve is not None and drawn is not None and known is not None:
        caption = caption_of(curve, known.training_use, known.left_out)
        write_text(drawn, picture(curve, critic=choice.critic, chosen=threshold, caption=caption))
    return ChosenThreshold(
        choice=choice,
        curve=curve,
        picture=drawn,
        training_use=None if known is None else known.training_use,
        gone=0 if known is None else known.gone,
        learned_from=0 if known is None else known.left_out,
        learned_images=0 if known is None else known.left_out_images,
        chosen_by_scores=0 if known is None else known.chosen_by_scores,
        shares=shares_of(settings.title, probabilities, threshold),
    )


def put_in_force(run: RunFolder, choice: ThresholdChoice, rebuild: Rebuild[T]) -> T:
    """Notes the choice in the run, and makes `judged` and what follows anew with it."""
    write_choice(run.path, choice)
    return rebuild(lambda recipe: with_threshold(recipe, choice.critic, choice.min_accept_probability), JUDGED)


def _critic_named(run: RunFolder, recipe: Recipe, name: str | None) -> ScoringSettings:
    """The settings of the critic that is meant: the one of that name, or the only one but rules."""
    by_name = {one.title: one for one in leaves(critics_of(recipe))}
    if name is None:
        graded = [one for one in by_name.values() if one.kind != "rules"] or list(by_name.values())
        if len(graded) == 1:
            return graded[0]
        names = ", ".join(one.title for one in graded)
        raise SettingsError(f"{run.path} has {len(graded)} critics ({names}); name one with --critic")
    if name not in by_name:
        near = nearest_key(name, by_name)
        hint = f"; did you mean {near}?" if near else ""
        raise SettingsError(
            f"--critic {name}: {run.path} has no critic of that name that scores; it has {', '.join(by_name)}{hint}"
        )
    return by_name[name]


def _scores(run: RunFolder, kind: RecipeKind, critic: str) -> dict[str, Scored[Any]]:
    """The candidates with the score of one critic alone, by row id."""
    found: dict[str, Scored[Any]] = {}
    for path in run.partition_paths(SCORED):
        for row in partitions.read_kept(path, Scored[kind.candidate]):  # type: ignore[name-defined]  # of the run
            found[row.record_id] = Scored(row.candidate, (_score_of(row.scores, critic),))
    if not found:
        raise SettingsError(f"{run.path}: no candidate of this run has scores; let `ostensive build` finish it first")
    return found


def _score_of(scores: Sequence[CriticScore], critic: str) -> CriticScore:
    return next(score for score in scores if score.critic == critic)


def _labels(
    run: RunFolder, path: Path | None, critic: ScoringSettings, scores: Container[str], *, is_needed: bool
) -> _Labels | None:
    """The labels of candidates that have scores: those of images that the critic did not learn from, if it tells."""
    try:
        labels = read_labels(path) if path is not None else run_labels(run)
    except SettingsError:
        if path is not None or is_needed:
            raise
        return None
    origin = str(path or run.path)
    there = [label for label in labels if label.row_id in scores]
    if labels and not there:
        raise SettingsError(
            f"{origin}: none of {len(labels)} labels is of a candidate that this run has (still); label its candidates"
            " with `ostensive annotate RUN`, or give the labels that belong to it with --labels"
        )
    gone = len(labels) - len(there)
    # What scores chose is doubtful, and says nothing of all candidates.
    fair = [label for label in there if label.is_fair]
    by_scores = len(there) - len(fair)
    if by_scores:
        origin += ", what was drawn fairly"
    if not isinstance(critic, TrainedSettings):
        return _Labels(fair, origin, "none", gone, by_scores)
    learned = learned_images(Path(critic.model))
    if learned is None:
        return _Labels(fair, origin, "unknown", gone, by_scores)
    unseen = unseen_labels(learned, fair, enough=MIN_LABELS)
    return _Labels(
        labels=unseen.labels,
        origin=f"{origin}, what the critic was not trained on",
        training_use="held out" if unseen.has_held_out else "none",
        gone=gone,
        chosen_by_scores=by_scores,
        left_out=unseen.left_out,
        left_out_images=unseen.left_out_images,
    )


def _joined(scores: dict[str, Scored[Any]], known: _Labels) -> list[LabelledScore]:
    check_labels([label.accepted for label in known.labels], known.origin)
    joined = []
    for label in known.labels:
        row = scores[label.row_id]
        joined.append(LabelledScore(row.scores[0].accept_probability, label.accepted, row.image_id))
    return joined


def _figures(curve: Curve, threshold: float, known: _Labels) -> ThresholdFigures | None:
    point = curve.at(threshold)
    if point is None:
        return None  # it keeps no labelled row, so nothing is known of it
    return ThresholdFigures(
        rows=curve.rows,
        images=curve.images,
        accepted_share=curve.accepted_share.value,
        kept=point.kept,
        kept_share=point.kept_share.value,
        precision=point.precision.value,
        precision_low=point.precision.low,
        precision_high=point.precision.high,
        recall=point.recall.value,
        f1=point.f1.value,
        training_use=known.training_use,
        left_out=known.left_out,
    )
