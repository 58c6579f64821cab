"""`ostensive microworld`: scenes whose truth is known, grades and labels by it, and the tiny models of that world."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostensive.commands.options import AsJson, Choose, ChoosingCritics, HeldOut, RunFolderPath, path_given_as
from ostensive.commands.terminal import print_lines
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from microworld.training.options import TrainOptions

microworld_app = typer.Typer(
    help="Render scenes whose truth is known, grade what a run says of them, train models on them.",
    no_args_is_help=True,
)
Scenes = Annotated[
    Path,
    typer.Option("--images", metavar="FOLDER", parser=path_given_as("--images"), help="The folder that was rendered."),
]


@microworld_app.command()
def render(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", parser=path_given_as("folder"), help="Where the images and their truth go."),
    ],
    count: Annotated[int, typer.Option("--count", min=1, help="How many scenes.")] = 100,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="The seed of the first scene.")] = 0,
    side_px: Annotated[int, typer.Option("--side", min=32, max=1024, metavar="PIXELS", help="Side of an image.")] = 64,
    species: Annotated[
        bool, typer.Option("--species", help="Specimens of species, with labels.csv and concepts.json for them.")
    ] = False,
) -> None:
    """Render scenes as PNG files, with truth.jsonl beside them. The same seeds give the same bytes."""
    from microworld.folder import LABELS_NAME, TRUTH_NAME, write_scenes, write_specimens
    from ostensive.user_paths import shown_path

    write = write_specimens if species else write_scenes
    made = write(folder, count, first_seed=first_seed, side_px=side_px)
    place = shown_path(folder)
    labels = f", their labels in {shown_path(folder / LABELS_NAME)}" if species else ""
    print_lines([f"{len(made):,} scenes in {place}, their truth in {shown_path(folder / TRUTH_NAME)}{labels}"])


@microworld_app.command()
def grade(run: RunFolderPath, images: Scenes, as_json: AsJson = False) -> None:
    """Say how many of a run's triples are true of the scenes they are about, before and after its filters."""
    from microworld.grade import grade_lines, grade_run
    from ostensive.commands.show import to_json

    found = grade_run(run, images=images)
    print_lines([to_json(asdict(found))] if as_json else grade_lines(found))


@microworld_app.command()
def annotate(  # noqa: PLR0913, PLR0917 - one parameter an option
    run: RunFolderPath,
    images: Scenes,
    annotators: Annotated[int, typer.Option("--annotators", min=1, max=9, help="How many annotators it plays.")] = 2,
    noise: Annotated[
        float, typer.Option("--noise", min=0, max=1, metavar="SHARE", help="How often each errs on a question.")
    ] = 0.05,
    choose: Choose = "differing",
    critics: ChoosingCritics = None,
    held_out: HeldOut = None,
    image_count: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=1,
            metavar="IMAGES",
            help="Of how many images, 200 by default; of what scores choose, how many images' worth, 50 by default.",
        ),
    ] = None,
    per_image: Annotated[
        int | None,
        typer.Option("--per-image", min=1, help="Most triples of an image; by default all, and 5 where scores choose."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let the oracle judge a run's triples in the place of people, so that a critic can be rehearsed."""
    from critics.annotation.stock import AnnotateOptions
    from microworld.annotate import ALL_OF_200, TASK, annotate_run, annotation_lines
    from ostensive.commands.show import to_json

    if per_image is None:
        per_image = ALL_OF_200.per_image if choose == "differing" else AnnotateOptions().per_image
    options = AnnotateOptions(
        task=TASK,
        choose=choose,
        critics=tuple(critics or ()),
        held_out=held_out,
        images=image_count,
        per_image=per_image,
    )
    found = annotate_run(run, images=images, annotators=annotators, noise=noise, options=options)
    print_lines([to_json(asdict(found))] if as_json else annotation_lines(found))


@microworld_app.command()
def train(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", parser=path_given_as("folder"), help="Where the models go; run again to go on."),
    ],
    stages: Annotated[
        list[str] | None, typer.Option("--stage", metavar="NAME", help="Only this stage; may be repeated.")
    ] = None,
    minutes: Annotated[
        list[str] | None, typer.Option("--minutes", metavar="STAGE=MINUTES", help="How long; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights and batches.")] = 0,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of torch.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the tiny models of the microworld anew: the vision tower, the language model, CLIP, BLIP-2, the teacher."""
    from microworld.training.train import train as run_train
    from ostensive.commands.show import to_json

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    found = run_train(_plan(out, stages or (), minutes or (), seed=seed, threads=threads))
    print_lines([to_json(found)] if as_json else (f"{stage}: {to_json(record)}" for stage, record in found.items()))


def _plan(
    out: Path, stages: Sequence[str], minutes: Sequence[str], *, seed: int, threads: int | None
) -> "TrainOptions":
    """The plan of a training; raises `SettingsError` for a stage that is not known and for minutes that are none."""
    from microworld.training.options import MINUTES, STAGES, Stage, TrainOptions

    def known(name: str, option: str) -> Stage:
        for stage in STAGES:
            if stage == name:
                return stage
        raise SettingsError(f"{option}: there is no stage {name!r}; there are {', '.join(STAGES)}")

    times, told = dict(MINUTES), set[str]()
    for text in minutes:
        name, _, number = text.partition("=")
        stage = known(name.strip(), "--minutes")
        if stage in told:
            raise SettingsError(f"--minutes {text}: {stage} is given twice; give it once")
        told.add(stage)
        try:
            times[stage] = float(number)
        except ValueError:
            times[stage] = 0.0
        if not times[stage] > 0:
            raise SettingsError(f"--minutes {text}: STAGE=MINUTES is expected, such as vision=16")
    chosen = tuple(known(name, "--stage") for name in stages) or STAGES
    return TrainOptions(out, chosen, minutes=times, seed=seed, threads=threads)
