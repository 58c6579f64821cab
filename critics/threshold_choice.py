"""`ostensive critic threshold`: what each threshold of a critic would keep, a choice, and the choice put in force."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cards.reading import Corpus
from ostensive.commands.critic import SCORED, recipe_critics
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.recipe import Recipe
from ostensive.records import CriticScore, Qar, Scored
from ostensive.run import partitions
from ostensive.run.build import finished_run, rebuild
from ostensive.run.folder import RunFolder
from ostensive.run.reporting import Reporter
from ostensive.run.thresholds import ThresholdChoice, ThresholdFigures, write_choice
from ostensive.settings import nearest_key

if TYPE_CHECKING:
    from critics.labels import Label
    from critics.scoring_settings import ScoringSettings
    from critics.threshold import Curve

JUDGED = "judged"
PICTURE = "thresholds-{critic}.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a threshold is to be chosen: exactly one is not None."""

    keep: float | None = None  # share of all candidates, 0-1
    precision: float | None = None  # least share of the kept that people accept, 0-1
    threshold: float | None = None

    def __str__(self) -> str:
        given = (("--keep", self.keep), ("--precision", self.precision), ("--threshold", self.threshold))
        return " ".join(f"{name} {value:g}" for name, value in given if value is not None)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice, what it was chosen from, and where it is shown."""

    choice: ThresholdChoice
    curve: "Curve | None"  # None where nothing is labelled
    picture: Path | None
    gone: int  # labels of candidates that the run has no score of, or no longer
    learned_from: int  # labels left out because the critic was trained on them
    corpus: Corpus | None  # None where the choice was not applied


def choose_threshold(
    out: Path | str,
    wish: Wish,
    *,
    critic: str | None = None,
    labels: Path | None = None,
    apply: bool = False,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
) -> Chosen:
    """Chooses the threshold of a critic of the finished run `out`, draws why, and with `apply` puts it in force.

    `critic` None takes the only one whose scores differ; `labels` None takes what people said in the run. Without
    labels a share or a threshold can still be chosen, and nothing is known of its quality. Raises `SettingsError` for
    labels that are too few, all alike or of other candidates, and for a precision that is not reached.
    """
    from critics.threshold import curve_of, kept_share, threshold_for_precision, threshold_to_keep

    given = [value for value in (wish.keep, wish.precision, wish.threshold) if value is not None]
    if len(given) != 1:
        raise SettingsError("--keep, --precision and --threshold: give one of them; it says which threshold you want")
    run = finished_run(out)
    recipe = _recipe_of(run)
    settings = _critic_named(run, recipe, critic)
    scores = _scores(run, settings.title)
    known = _labels(run, labels, wish, settings)
    curve = None if known is None else curve_of(_joined(scores, known.labels, known.origin), seed=recipe.seed)
    all_scores = [score.accept_probability for score in scores.by_row.values()]
    if wish.keep is not None:
        threshold = threshold_to_keep(all_scores, wish.keep)
    elif wish.precision is not None:
        assert curve is not None, "without labels a precision was refused"
        threshold = threshold_for_precision(curve, wish.precision)
    else:
        assert wish.threshold is not None, "exactly one wish is set"
        threshold = wish.threshold
    choice = ThresholdChoice(
        critic=scores.critic,
        critic_version=scores.version,
        min_accept_probability=threshold,
        chosen_by=str(wish),
        candidates=len(all_scores),
        kept_share=kept_share(all_scores, threshold),
        figures=None if curve is None or known is None else _figures(curve, threshold, known.are_unseen),
    )
    picture = None if curve is None else _draw(run, curve, choice)
    gone = 0 if known is None or curve is None else len(known.labels) - curve.rows
    learned_from = 0 if known is None else known.learned_from
    corpus = None
    if apply:
        write_choice(run.path, choice)
        corpus = rebuild(
            out, change=lambda old: _with_threshold(old, choice), start=JUDGED, reporter=reporter, stop=stop
        )
    return Chosen(choice, curve, picture, gone, learned_from, corpus)


@dataclass(frozen=True, slots=True)
class _Scores:
    critic: str
    version: str
    by_row: dict[str, CriticScore]
    image_of: dict[str, str]


def _recipe_of(run: RunFolder) -> Recipe:
    from builders.table import load

    return load(str(run.recipe_path))


def _critic_named(run: RunFolder, recipe: Recipe, name: str | None) -> "ScoringSettings":
    """The settings of the critic that is meant: the one of that name, or the only one but rules."""
    from critics.settings import leaves

    by_name = {one.title: one for one in leaves(recipe_critics(recipe))}
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


def _scores(run: RunFolder, critic: str) -> _Scores:
    by_row: dict[str, CriticScore] = {}
    image_of: dict[str, str] = {}
    for path in run.partition_paths(SCORED):
        rows: list[Scored[Qar]] = partitions.read_kept(path, Scored[Qar])
        for row in rows:
            by_row[row.record_id] = next(score for score in row.scores if score.critic == critic)
            image_of[row.record_id] = row.image_id
    if not by_row:
        raise SettingsError(f"{run.path}: no candidate of this run has scores; let `ostensive build` finish it first")
    return _Scores(critic, next(iter(by_row.values())).critic_version, by_row, image_of)


@dataclass(frozen=True, slots=True)
class _Known:
    """Labels to measure by, and what is known of where they come from."""

    labels: "Sequence[Label]"
    origin: str
    are_unseen: bool
    learned_from: int


def _labels(run: RunFolder, path: Path | None, wish: Wish, critic: "ScoringSettings") -> _Known | None:
    from critics.annotation.export import run_labels
    from critics.labels import read_labels
    from critics.trained.settings import TrainedSettings
    from critics.trained.unseen import unseen_labels

    try:
        labels = read_labels(path) if path is not None else run_labels(run)
    except SettingsError:
        if path is not None or wish.precision is not None:
            raise
        return None
    origin = str(path or run.path)
    if not isinstance(critic, TrainedSettings):
        return _Known(labels, origin, True, 0)
    unseen = unseen_labels(Path(critic.model), labels)
    if unseen is None:
        return _Known(labels, origin, False, 0)
    return _Known(unseen, f"{origin}, what the critic was not trained on", True, len(labels) - len(unseen))


def _joined(scores: _Scores, labels: "Sequence[Label]", origin: str) -> list[Any]:  # Any: of another room
    """The labelled scores; labels of candidates that have none are left out."""
    from critics.threshold import LabelledScore, check_labels

    there = [label for label in labels if label.row_id in scores.by_row]
    if labels and not there:
        raise SettingsError(
            f"{origin}: none of {len(labels)} labels is of a candidate that this run has (still); label its candidates"
            " with `ostensive annotate RUN`, or give the labels that belong to it with --labels"
        )
    check_labels([label.accepted for label in there], origin)
    return [
        LabelledScore(scores.by_row[label.row_id].accept_probability, label.accepted, scores.image_of[label.row_id])
        for label in there
    ]


def _figures(curve: "Curve", threshold: float, are_unseen: bool) -> ThresholdFigures | None:
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
        are_unseen=are_unseen,
    )


def _draw(run: RunFolder, curve: "Curve", choice: ThresholdChoice) -> Path:
    from critics.threshold_picture import picture

    path = run.path / PICTURE.format(critic=choice.critic)
    write_text(path, picture(curve, critic=choice.critic, chosen=choice.min_accept_probability))
    return path


def _with_threshold(recipe: Recipe, choice: ThresholdChoice) -> Recipe:
    return recipe.model_copy(update={"critics": tuple(_moved(one, choice) for one in recipe_critics(recipe))})


def _moved(critic: Any, choice: ThresholdChoice) -> Any:  # Any: settings of critics of any kind
    members = getattr(critic, "critics", None)
    if members is not None:
        return critic.model_copy(update={"critics": tuple(_moved(one, choice) for one in members)})
    if critic.title != choice.critic:
        return critic
    return critic.model_copy(update={"min_accept_probability": choice.min_accept_probability})
