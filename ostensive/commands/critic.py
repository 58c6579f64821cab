"""`ostensive critic train`, `apply` and `threshold`.

What changes a run goes through the run's own recipe and the ordinary stages, as a build would, so that the corpus says
how it was made.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any  # Any: JSON values

import typer

from ostensive.commands.options import AllowKeys, AsJson, Labels, Quiet, RunFolderPath, path_given_as
from ostensive.commands.terminal import at_work, corpus_shown, print_lines, say

if TYPE_CHECKING:
    from cards.reading import Corpus
    from critics.stage import Rebuild
    from critics.threshold import Curve
    from critics.threshold_choice import ChosenThreshold
    from critics.trained.card import TrainedFigures
    from ostensive.intervals import Interval
    from ostensive.recipe import Recipe
    from ostensive.run.reporting import Reporter

critic_app = typer.Typer(
    help="Train a critic on people's labels, score a run with it, and choose a threshold.", no_args_is_help=True
)
_TABLE_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


@critic_app.command()
def train(
    run: RunFolderPath,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="MODEL",
            parser=path_given_as("--out"),
            help="The critic's folder; run again to go on.",
        ),
    ],
    backbone: Annotated[str, typer.Option("--backbone", metavar="KIND", help="blip2 or vlm.")],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The model to start from: on the Hub, or here.")
    ],
    labels: Labels = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a setting of the training.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a critic on what people said of a run's candidates; the same command goes on after a kill."""
    from builders.dedupe import UNIQUE
    from builders.table import load, recipe_kind
    from critics.annotation.export import run_labels
    from critics.labels import read_labels
    from critics.trained.settings import TrainSettings
    from critics.trained.training import train_critic
    from ostensive.commands.show import to_json
    from ostensive.recipe import parse_assignments
    from ostensive.run.folder import existing_run
    from ostensive.settings import validate

    asked = parse_assignments([f"backbone={backbone}", f"model={model}", *(settings or ())])
    wanted = validate(TrainSettings, asked, "critic train")
    folder = existing_run(run)
    kind = recipe_kind(load(str(folder.recipe_path)).recipe)
    known = run_labels(folder) if labels is None else read_labels(labels)
    found = train_critic(folder, known, kind=kind, stage=UNIQUE, settings=wanted, out=out, tell=say)
    print_lines([to_json(asdict(found))] if as_json else trained_lines(found, out, kind.noun))


@critic_app.command()
def apply(
    run: RunFolderPath,
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", parser=path_given_as("critic"), help="The folder that `critic train` wrote."),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What its scores are called; `trained` by default.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0, max=1, help="Accept from this probability on.")
    ] = None,
    allow_keys: AllowKeys = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score a finished run's candidates with a trained critic, beside its others, and write the corpus anew."""
    from critics.stage import apply_critic

    with corpus_shown(run, as_json), at_work(quiet) as (reporter, stop):
        apply_critic(
            model, name=name, min_accept_probability=threshold, rebuild=_rebuild(run, reporter, stop, allow_keys)
        )


@critic_app.command()
def threshold(  # noqa: PLR0913, PLR0917 - one parameter an option
    run: RunFolderPath,
    labels: Labels = None,
    critic: Annotated[str | None, typer.Option("--critic", metavar="NAME", help="Whose threshold.")] = None,
    keep: Annotated[
        float | None, typer.Option("--keep", min=0, max=1, metavar="SHARE", help="Keep this share of the candidates.")
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option("--precision", min=0, max=1, metavar="SHARE", help="Keep most of which people accept this share."),
    ] = None,
    threshold: Annotated[float | None, typer.Option("--threshold", min=0, max=1, help="Take this one.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Put it in force and write the corpus anew.")] = False,
    allow_keys: AllowKeys = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what each threshold of a critic keeps and how good that is, and choose one; no model is needed."""
    from builders.table import load, recipe_kind
    from critics.threshold_choice import ThresholdTarget, choose_threshold, put_in_force
    from ostensive.commands.api import run_notes
    from ostensive.commands.show import to_json
    from ostensive.run.build import finished_run

    target = ThresholdTarget(keep=keep, precision=precision, threshold=threshold)
    corpus, notes = None, list[str]()
    with at_work(quiet or not apply) as (reporter, stop):
        folder = finished_run(run)
        recipe = load(str(folder.recipe_path))
        kind = recipe_kind(recipe.recipe)
        found = choose_threshold(folder, target, recipe=recipe, kind=kind, critic=critic, labels=labels)
        if apply:
            corpus = put_in_force(folder, found.choice, _rebuild(run, reporter, stop, allow_keys))
            notes = run_notes(run)
    print_lines([to_json(threshold_values(found, corpus, notes))] if as_json else threshold_lines(found, corpus, notes))


def _rebuild(run: Path, reporter: "Reporter", stop: threading.Event, allow_keys: list[str] | None) -> "Rebuild[Corpus]":
    from ostensive.commands import api
    from ostensive.run.options import BuildOptions

    options = BuildOptions(allow_keys=tuple(allow_keys or ()))

    def rebuild(change: "Callable[[Recipe], Recipe]", start: str) -> "Corpus":
        return api.rebuild(run, change=change, start=start, options=options, reporter=reporter, stop=stop)

    return rebuild


def trained_lines(figures: "TrainedFigures", out: Path, noun: str) -> Iterator[str]:
    """What a training came to, measured on images that it did not learn from."""
    from critics.trained.learning_curve import curve_lines
    from ostensive.user_paths import shown_path

    test, known = figures.test, figures.test.intervals
    counts = test.counts
    base = counts.accepted / counts.rows

    def interval(found: "Interval") -> str:
        return f"(95 %: {found.low:.1%} to {found.high:.1%})"

    yield f"critic      {shown_path(out)} (version {figures.version[:12]})"
    yield (
        f"tested on   {counts.rows:,} {noun}s of {counts.images:,} images that it did not learn from, {base:.1%} of"
        f" them accepted {interval(known.accepted)}; intervals of resampled images"
    )
    yield f"best fifth  {test.accepted_in_best_fifth:.1%} accepted {interval(known.accepted_in_best_fifth)}"
    yield (
        f"at 0.5      precision {test.precision:.1%} {interval(known.precision)}, recall {test.recall:.1%}"
        f" {interval(known.recall)}"
    )
    yield f"threshold   {figures.best_fifth_from:.4g} keeps about the best fifth of its held-out labels"
    for number, line in enumerate(curve_lines(figures.learning_curve) if figures.learning_curve else ()):
        yield f"{'' if number else 'more labels':<12}{line}"
    yield f"card        {shown_path(out / 'README.md')}"


def threshold_lines(chosen: "ChosenThreshold", corpus: "Corpus | None", notes: Sequence[str] = ()) -> Iterator[str]:
    """The curve as a table, the choice marked, and what follows from it; `corpus` is None if it was not applied.

    `notes` are those of the run that was made anew.
    """
    from critics.kept_shares import share_words
    from critics.threshold import MIN_KEPT
    from ostensive.run.thresholds import USE_WORDS
    from ostensive.user_paths import shown_path

    choice, curve = chosen.choice, chosen.curve
    yield from _left_out_lines(chosen)
    if curve is not None:
        use = USE_WORDS[chosen.training_use or "none"]
        yield f"measured on {curve.rows:,} labels of {curve.images:,} images{use}; intervals of resampled images"
        yield from _table(curve, choice.min_accept_probability)
        yield ""
    yield (
        f"{choice.critic}: {choice.chosen_by} is the threshold {choice.min_accept_probability:.6g}; it keeps"
        f" {choice.kept_share:.1%} of {choice.candidates:,} candidates"
    )
    if chosen.shares.is_next_to_nothing and corpus is None:  # with a corpus it is told of the whole run
        yield share_words(chosen.shares)
    if curve is None:
        yield "Nothing is labelled, so it is not known how good these are: label with `ostensive annotate RUN`"
    elif choice.figures is None:
        yield "It keeps none of the labelled rows, so it is not known how good these are"
    else:
        found, base = choice.figures, choice.figures.accepted_share
        yield (
            f"people accept {found.precision:.1%} of the {found.kept:,} labelled rows among it (95 %:"
            f" {found.precision_low:.1%} to {found.precision_high:.1%}), and {base:.1%} of all {found.rows:,}, which is"
            " what filtering at random would keep"
        )
        if found.kept < MIN_KEPT:
            yield f"that is too few to believe: label more, or take a threshold that keeps {MIN_KEPT} of them or more"
    if chosen.picture is not None:
        yield f"picture     {shown_path(chosen.picture)}"
    if corpus is None:
        yield "Nothing was changed; --apply puts it in force"
    else:
        yield f"corpus      {corpus.row_count:,} rows about {corpus.image_count:,} images"
        for number, note in enumerate(notes):
            yield f"{'' if number else 'found':<12}{note}"
        yield f"in force    in recipe.yaml of the run; in a recipe of your own set it too: {choice.critic}"


def _left_out_lines(chosen: "ChosenThreshold") -> Iterator[str]:
    if chosen.gone:
        of = "1 label of a candidate" if chosen.gone == 1 else f"{chosen.gone:,} labels of candidates"
        yield f"left out: {of} that this run has no score of (any more)"
    if chosen.chosen_by_scores:
        what = f"{chosen.chosen_by_scores:,} labels that were chosen by scores"
        yield f"left out: {what}, which say nothing of all candidates"
    if chosen.learned_from:
        images = "1 image" if chosen.learned_images == 1 else f"{chosen.learned_images:,} images"
        yield f"left out: {chosen.learned_from:,} labels of {images} that the critic learned from"


def _table(curve: "Curve", threshold: float) -> Iterator[str]:
    yield f"{'threshold':>11}{'kept':>9}{'precision':>11}{'95 %':>17}{'recall':>9}{'F1':>8}"
    nearest = {
        min(curve.points, key=lambda point: abs(point.kept_share.value - share)).min_accept_probability
        for share in _TABLE_SHARES
    }
    at = curve.at(threshold)
    shown = nearest if at is None else nearest | {at.min_accept_probability}
    for point in curve.points:
        if point.min_accept_probability in shown:
            interval = f"{point.precision.low:.1%} to {point.precision.high:.1%}"
            mark = "  <" if point is at else ""
            yield (
                f"{point.min_accept_probability:>11.4f}{point.kept_share.value:>9.1%}{point.precision.value:>11.1%}"
                f"{interval:>17}{point.recall.value:>9.1%}{point.f1.value:>8.3f}{mark}"
            )
    yield f"{'at random':>11}{'any':>9}{curve.accepted_share.value:>11.1%}"


def threshold_values(chosen: "ChosenThreshold", corpus: "Corpus | None", notes: Sequence[str] = ()) -> dict[str, Any]:
    """The same for programs, with every point of the curve."""
    return {
        **asdict(chosen.choice),
        **({"notes": list(notes)} if notes else {}),
        "labels_left_out": chosen.gone,
        "labels_chosen_by_scores": chosen.chosen_by_scores,
        "labels_learned_from": chosen.learned_from,
        "images_learned_from": chosen.learned_images,
        "training_use": chosen.training_use,
        "shares": asdict(chosen.shares),
        "curve": None if chosen.curve is None else asdict(chosen.curve),
        "picture": None if chosen.picture is None else str(chosen.picture),
        "rows": None if corpus is None else corpus.row_count,
    }
