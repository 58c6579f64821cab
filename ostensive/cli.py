"""The command line: each command is a thin layer over the function of the same name in `ostensive.commands`.

Results go to standard output, progress and errors to standard error. Exit status: 0 done, 1 failed, 2 misused,
130 interrupted. Nothing heavy is imported before a command needs it, so that `--help` answers at once. It stays in one
module, though it is long, because it is a list: what a command may be told, and whom it asks.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ostensive.errors import BudgetReached, Interrupted, OstensiveError, SettingsError, TooManyFailedError

if TYPE_CHECKING:
    from ostensive.run.options import BuildOptions
    from ostensive.run.reporting import Reporter

app = typer.Typer(
    help="Turn a folder of images into vision-language corpora that point at things and say why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
recipes_app = typer.Typer(
    help="List, show and copy the built-in recipes; write their JSON Schema.", no_args_is_help=True
)
app.add_typer(recipes_app, name="recipes")
microworld_app = typer.Typer(
    help="Render scenes whose truth is known, grade what a run says of them, train models on them.",
    no_args_is_help=True,
)
app.add_typer(microworld_app, name="microworld")

critic_app = typer.Typer(
    help="Train a critic on people's labels, score a run with it, and choose a threshold.", no_args_is_help=True
)
app.add_typer(critic_app, name="critic")

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe (`localized`) or a YAML file.")]
Images = Annotated[
    str, typer.Option("--images", metavar="PATH", help="A folder, a list file, a tar, Parquet, or a `datasets` folder.")
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="What fills in the models: offline, open, open-small, paper, served, microworld.",
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a setting of the recipe; may be repeated.")
]
Prices = Annotated[
    Path | None, typer.Option("--prices", metavar="FILE", help="YAML price table that overrides the built-in one.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Take only the first N images.")]
JournalPath = Annotated[
    Path | None, typer.Option("--journal", metavar="PATH", help="Share the answers of this journal with other runs.")
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", min=0, metavar="USD", help="Stop before the run has cost more than this.")
]
MaxRequests = Annotated[
    int | None, typer.Option("--max-requests", min=0, metavar="N", help="Stop before the run has sent more than this.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try failed rows again; answers that are there are not paid again.")
]
RunFolderPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Labels as Parquet; by default those given in the run."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print results as one line of JSON.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to put it.")] = Path("ostensive-demo"),
    settings: Settings = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Build a small corpus from photographs that ship with scikit-image and scikit-learn: no network, GPU or key."""
    from builders.demo import demo as run_demo
    from ostensive.run.options import BuildOptions

    with _corpus_shown(out / "run", as_json), _at_work(quiet) as (reporter, stop):
        run_demo(out, options=BuildOptions(settings=tuple(settings or ())), reporter=reporter, stop=stop)


@app.command()
def build(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    recipe: RecipeName,
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder; run again to continue in it.")],
    profile: Profile = None,
    settings: Settings = None,
    journal: JournalPath = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    limit: Limit = None,
    prices: Prices = None,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Build a corpus; running the same command again continues where it stopped and pays for nothing twice."""
    from ostensive.run.build import build as run_build
    from ostensive.run.options import BuildOptions

    options = BuildOptions(
        profile=profile,
        settings=tuple(settings or ()),
        journal=journal,
        max_cost_usd=max_cost,
        max_requests=max_requests,
        limit=limit,
        prices=prices,
        retry_failed=retry_failed,
    )
    with _corpus_shown(out, as_json), _at_work(quiet) as (reporter, stop):
        run_build(recipe, images=images, out=out, options=options, reporter=reporter, stop=stop)


@app.command()
def preview(
    recipe: RecipeName,
    images: Images,
    profile: Profile = None,
    settings: Settings = None,
) -> None:
    """Take one image through every stage and print each text and prompt; nothing is sent, spent or written."""
    from ostensive.run.preview import as_text
    from ostensive.run.preview import preview as run_preview

    _print([as_text(run_preview(recipe, images=images, options=_rehearsal_options(profile, settings)))])


@app.command()
def estimate(
    recipe: RecipeName,
    images: Images,
    profile: Profile = None,
    settings: Settings = None,
    prices: Prices = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Say how many requests and tokens a build would take and what it would cost, before spending any."""
    from ostensive.commands.show import estimate_lines, to_json
    from ostensive.run.estimate import estimate as run_estimate

    options = _rehearsal_options(profile, settings, prices=prices, limit=limit)
    found = run_estimate(recipe, images=images, options=options)
    _print([to_json(asdict(found))] if as_json else estimate_lines(found))


@app.command()
def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")],
    as_json: AsJson = False,
) -> None:
    """Show what is done, dropped and failed in a run, what it cost, and how long it will take."""
    from ostensive.commands.show import status_lines, status_values, to_json
    from ostensive.run.status import status as read_status

    found = read_status(run)
    _print([to_json(status_values(found))] if as_json else status_lines(found))


@app.command()
def frequencies(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write them to this file instead of printing them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count the labels of a run's regions, for verbalize.regions.choice.frequencies: label, tab, count."""
    from ostensive.commands.frequencies import frequencies as count_frequencies
    from ostensive.commands.show import to_json
    from verbalizers.frequencies import frequency_lines

    found = count_frequencies(run, out=out)
    if as_json:
        _print([to_json(dict(found.counts))])
    elif out is None:
        _print(frequency_lines(found))
    else:
        labels = "1 label" if len(found.counts) == 1 else f"{len(found.counts):,} labels"
        _print([f"{labels} of {sum(found.counts.values()):,} regions in {out}"])


@app.command()
def doctor(
    recipe: RecipeName,
    profile: Profile = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say which models, files, packages and keys a recipe needs, which are here, and on what device they would run.

    Nothing is loaded or downloaded. Exit status 1 when something is missing.
    """
    from ostensive.commands.show import to_json
    from ostensive.models.doctor import doctor as run_doctor
    from ostensive.models.doctor import doctor_lines, doctor_values

    found = run_doctor(recipe, options=_rehearsal_options(profile, settings))
    _print([to_json(doctor_values(found))] if as_json else doctor_lines(found))
    if not found.is_complete:
        raise typer.Exit(1)


@app.command()
def annotate(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")],
    task: Annotated[
        str, typer.Option("--task", metavar="TASK", help="triple, rating, pairwise or preference.")
    ] = "triple",
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="JSON Lines or Parquet with what is to be judged.")
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, metavar="N", help="Judge a sample of N images.")] = 200,
    per_image: Annotated[int, typer.Option("--per-image", min=1, metavar="N", help="Triples of each image.")] = 5,
    annotators: Annotated[int, typer.Option("--annotators", min=1, metavar="N", help="People for each item.")] = 2,
    host: Annotated[str, typer.Option("--host", help="Address to bind; any but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None, typer.Option("--token", metavar="TEXT", help="What visitors need; made up where it is needed.")
    ] = None,
    allow_hosts: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="A name of this machine; may be repeated.")
    ] = None,
    show_agreement: Annotated[
        bool, typer.Option("--agreement", help="Print how far annotators agree, and leave.")
    ] = False,
    only_export: Annotated[bool, typer.Option("--export", help="Write judgements and labels, and leave.")] = False,
    to_studio: Annotated[
        Path | None,
        typer.Option("--to-label-studio", metavar="FOLDER", help="Write tasks for Label Studio, and leave."),
    ] = None,
    from_studio: Annotated[
        Path | None, typer.Option("--from-label-studio", metavar="FILE", help="Take its JSON export in, and leave.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a page on which people judge a run's candidates; stop it with Ctrl-C to export what they said."""
    from critics.annotation.serving import AnnotateOptions
    from ostensive.commands.annotate_lines import Wish, carry_out

    options = AnnotateOptions(
        task=task,
        items=items,
        images=images,
        per_image=per_image,
        annotators_per_item=annotators,
        host=host,
        port=port,
        token=token,
        also_hosts=tuple(allow_hosts or ()),
    )
    wish = Wish(show_agreement, only_export, to_studio, from_studio)
    _print(carry_out(run, wish, options=options, as_json=as_json, say=_say))


@critic_app.command("train")
def critic_train(
    run: RunFolderPath,
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="The critic's folder; run again to go on.")],
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
    from ostensive.commands.critic import train_critic
    from ostensive.commands.critic_lines import trained_lines
    from ostensive.commands.show import to_json

    asked = {"backbone": backbone, "model": model}
    found = train_critic(run, out=out, asked=asked, settings=settings or [], labels=labels, tell=_say)
    _print([to_json(asdict(found))] if as_json else trained_lines(found, out))


@critic_app.command("apply")
def critic_apply(
    run: RunFolderPath,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that `critic train` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What its scores are called; `trained` by default.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0, max=1, help="Accept from this probability on.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score a finished run's candidates with a trained critic, beside its others, and write the corpus anew."""
    from ostensive.commands.critic import apply_critic

    with _corpus_shown(run, as_json), _at_work(quiet) as (reporter, stop):
        apply_critic(run, model, name=name, min_accept_probability=threshold, reporter=reporter, stop=stop)


@critic_app.command("threshold")
def critic_threshold(  # noqa: PLR0913, PLR0917 - one parameter an option
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
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what each threshold of a critic keeps and how good that is, and choose one; no model is needed."""
    from critics.threshold_choice import Wish, choose_threshold
    from ostensive.commands.critic_lines import threshold_lines, threshold_values
    from ostensive.commands.show import to_json

    wish = Wish(keep=keep, precision=precision, threshold=threshold)
    with _at_work(quiet or not apply) as (reporter, stop):
        found = choose_threshold(run, wish, critic=critic, labels=labels, apply=apply, reporter=reporter, stop=stop)
    _print([to_json(threshold_values(found))] if as_json else threshold_lines(found))


@app.command("serve-scripted")
def serve_scripted(
    host: Annotated[
        str, typer.Option("--host", help="Address to bind; loopback unless you say otherwise.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    error_rate: Annotated[float, typer.Option("--error-rate", min=0, max=1, help="Share of faulty triples.")] = 0.0,
    latency: Annotated[float, typer.Option("--latency", min=0, metavar="SECONDS", help="Time to each answer.")] = 0.0,
    faults: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="KIND=SHARE", help="E.g. `server_error=0.1`; may be repeated."),
    ] = None,
    max_attempts: Annotated[int, typer.Option("--faulty-attempts", min=1, help="Faults per request, at most.")] = 1,
) -> None:
    """Serve the scripted teacher over HTTP in the OpenAI format, to rehearse a recipe against a server."""
    from ostensive.chat.serving import serve_scripted as run_server

    run_server(
        host=host,
        port=port,
        error_rate=error_rate,
        latency_s=latency,
        faults=faults or [],
        faulty_attempts=max_attempts,
    )


@microworld_app.command("render")
def microworld_render(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the images and their truth go.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many scenes.")] = 100,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="The seed of the first scene.")] = 0,
    side_px: Annotated[int, typer.Option("--side", min=32, max=1024, metavar="PIXELS", help="Side of an image.")] = 64,
    species: Annotated[
        bool, typer.Option("--species", help="Specimens of species, with labels.csv and concepts.json for them.")
    ] = False,
) -> None:
    """Render scenes as PNG files, with truth.jsonl beside them. The same seeds give the same bytes."""
    from microworld.folder import TRUTH_NAME, write_scenes
    from microworld.species_folder import LABELS_NAME, write_specimens

    write = write_specimens if species else write_scenes
    made = write(folder, count, first_seed=first_seed, side_px=side_px)
    labels = f", their labels in {folder / LABELS_NAME}" if species else ""
    _print([f"{len(made):,} scenes in {folder}, their truth in {folder / TRUTH_NAME}{labels}"])


@microworld_app.command("grade")
def microworld_grade(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")],
    images: Annotated[Path, typer.Option("--images", metavar="FOLDER", help="The folder that was rendered.")],
    as_json: AsJson = False,
) -> None:
    """Say how many of a run's triples are true of the scenes they are about, before and after its filters."""
    from microworld.runs import grade_lines, grade_run
    from ostensive.commands.show import to_json

    found = grade_run(run, images=images)
    _print([to_json(asdict(found))] if as_json else grade_lines(found))


@microworld_app.command("annotate")
def microworld_annotate(
    run: RunFolderPath,
    images: Annotated[Path, typer.Option("--images", metavar="FOLDER", help="The folder that was rendered.")],
    annotators: Annotated[int, typer.Option("--annotators", min=1, max=9, help="How many annotators it plays.")] = 2,
    noise: Annotated[
        float, typer.Option("--noise", min=0, max=1, metavar="SHARE", help="How often each errs on a question.")
    ] = 0.05,
    image_count: Annotated[int, typer.Option("--sample", min=1, metavar="IMAGES", help="Of how many images.")] = 200,
    per_image: Annotated[int, typer.Option("--per-image", min=1, help="Most triples of an image.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Let the oracle judge a run's triples in the place of people, so that a critic can be rehearsed."""
    from critics.annotation.serving import AnnotateOptions
    from microworld.runs import annotate_run, oracle_lines
    from ostensive.commands.show import to_json

    options = AnnotateOptions(images=image_count, per_image=per_image)
    said = annotate_run(run, images=images, annotators=annotators, noise=noise, options=options)
    _print([to_json(asdict(said))] if as_json else oracle_lines(said))


@microworld_app.command("train")
def microworld_train(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the models go; run again to go on.")],
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
    """Train the tiny models of the microworld anew: the vision tower, the language model, CLIP and BLIP-2."""
    from microworld.runs import train_models
    from ostensive.commands.show import to_json

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    found = train_models(out, stages=stages or (), minutes=minutes or (), seed=seed, threads=threads)
    _print([to_json(found)] if as_json else (f"{stage}: {to_json(record)}" for stage, record in found.items()))


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """List the built-in recipes."""
    from builders.listing import recipe_names
    from ostensive.commands.show import to_json

    names = recipe_names()
    _print([to_json(names)] if as_json else (f"{name:<14}{about}" for name, about in names.items()))


@recipes_app.command("show")
def recipes_show(
    name: RecipeName,
    full: Annotated[bool, typer.Option("--full", help="Write every setting out, defaults included.")] = False,
) -> None:
    """Print a recipe."""
    from builders.listing import show_recipe

    _print([show_recipe(name, full=full).rstrip()])


@recipes_app.command("copy")
def recipes_copy(name: RecipeName, path: Annotated[Path, typer.Argument(metavar="PATH")]) -> None:
    """Copy a built-in recipe to a file of your own."""
    from builders.listing import copy_recipe

    _print([str(copy_recipe(name, path))])


@recipes_app.command("schema")
def recipes_schema(name: RecipeName = "localized") -> None:
    """Print the JSON Schema of a recipe, for editors."""
    from builders.listing import recipe_schema

    _print([recipe_schema(name)])


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    """Turn a folder of images into vision-language corpora that point at things and say why."""
    if show:

        _print([f"ostensive {VERSION}"])
        raise typer.Exit


def main() -> None:
    """Runs the command line and leaves with its exit status; an expected error is one line on standard error."""
    # Pillow warns of odd metadata in photographs; what matters of it is said in `images/`.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        app(prog_name="ostensive")
    except Interrupted:
        _complain("interrupted; the same command continues")
        sys.exit(130)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(130)
    except SettingsError as error:
        _complain(str(error))
        sys.exit(2)
    except OstensiveError as error:
        _complain(str(error))
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain once more on closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _complain(message: str) -> None:
    sys.stderr.write(f"ostensive: {message}\n")


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        # A file name or a model's text may hold what the terminal's encoding does not.
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")


@contextlib.contextmanager
def _corpus_shown(out: Path, as_json: bool) -> Iterator[None]:
    """Shows the corpus that the block makes in `out`; also one that a budget or failed rows made smaller than meant."""
    from cards.reading import read_corpus
    from ostensive.commands.show import corpus_lines, corpus_values, to_json
    from ostensive.run.folder import RunFolder

    def show() -> None:
        corpus = read_corpus(RunFolder(out))
        _print([to_json(corpus_values(corpus))] if as_json else corpus_lines(corpus))

    try:
        yield
    except (TooManyFailedError, BudgetReached):
        with contextlib.suppress(SettingsError):  # nothing was whole yet
            show()
        raise
    show()


def _rehearsal_options(
    profile: str | None, settings: list[str] | None, *, prices: Path | None = None, limit: int | None = None
) -> "BuildOptions":
    """Options of a rehearsal, which publishes nothing and therefore needs neither licence nor source."""
    from ostensive.run.options import BuildOptions

    stand_ins = ("corpus.license=unknown", "corpus.source=unknown")
    return BuildOptions(profile=profile, settings=(*stand_ins, *(settings or ())), prices=prices, limit=limit)


@contextlib.contextmanager
def _at_work(quiet: bool) -> Iterator["tuple[Reporter, threading.Event]"]:
    """Progress, and an event that the first Ctrl-C (or SIGTERM) sets; the second one ends the process at once."""
    from ostensive.run.progress import for_standard_error
    from ostensive.run.reporting import Silence

    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        reporter: Reporter = Silence()
        if not quiet:
            reporter = shown = for_standard_error()
            stack.enter_context(shown)

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            if stop.is_set():
                os._exit(130)
            stop.set()
            reporter.note("stopping: what is in flight is finished first; press Ctrl-C again to stop at once")

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield reporter, stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
