"""`ostensive demo`, `build`, `preview`, `estimate`, `status`, `doctor`, `concepts` and `frequencies`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ostensive.commands.options import (
    REHEARSAL_STAND_INS,
    AllowKeys,
    AnnotationsFile,
    AsJson,
    Images,
    JournalPath,
    Limit,
    MaxCost,
    MaxRequests,
    Prices,
    Profile,
    Quiet,
    RecipeName,
    RetryFailed,
    RunFolderPath,
    Settings,
    path_given_as,
    rehearsal_options,
)
from ostensive.commands.terminal import at_work, corpus_shown, print_lines
from ostensive.errors import SettingsError

app = typer.Typer()

Against = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        metavar="PATH",
        parser=path_given_as("--against"),
        help="A benchmark's images or texts: what is in it stays out of the corpus; may be repeated.",
    ),
]
ParentRun = Annotated[
    Path | None,
    typer.Option(
        "--parent",
        metavar="RUN",
        parser=path_given_as("--parent"),
        help="The run of the round before: what fitted there is taken over.",
    ),
]


@app.command()
def demo(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe that is there by name.")] = "localized",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=path_given_as("--out"),
            help="Where to put it; ostensive-demo, or ostensive-demo-RECIPE for another recipe.",
        ),
    ] = None,
    settings: Settings = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Build a small corpus from photographs that ship with scikit-image and scikit-learn: no network, GPU or key."""
    from builders.demo import demo_folder
    from ostensive.commands import api
    from ostensive.run.options import BuildOptions

    out = demo_folder(recipe) if out is None else out
    with corpus_shown(out / "run", as_json), at_work(quiet) as (reporter, stop):
        api.demo(out, recipe, options=BuildOptions(settings=tuple(settings or ())), reporter=reporter, stop=stop)


@app.command()
def build(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    recipe: RecipeName,
    images: Images,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="RUN",
            parser=path_given_as("--out"),
            help="The run folder; run again to continue in it.",
        ),
    ],
    parent: ParentRun = None,
    annotations: AnnotationsFile = None,
    against: Against = None,
    profile: Profile = None,
    settings: Settings = None,
    allow_keys: AllowKeys = None,
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
    from ostensive.commands import api
    from ostensive.run.options import BuildOptions

    options = BuildOptions(
        profile=profile,
        settings=tuple(settings or ()),
        allow_keys=tuple(allow_keys or ()),
        parent=parent,
        annotations=annotations,
        against=tuple(against or ()),
        journal=journal,
        max_cost_usd=max_cost,
        max_requests=max_requests,
        limit=limit,
        prices=prices,
        retry_failed=retry_failed,
    )
    with corpus_shown(out, as_json), at_work(quiet) as (reporter, stop):
        api.build(recipe, images=images, out=out, options=options, reporter=reporter, stop=stop)


@app.command()
def preview(
    recipe: RecipeName,
    images: Images,
    annotations: AnnotationsFile = None,
    profile: Profile = None,
    settings: Settings = None,
    allow_keys: AllowKeys = None,
) -> None:
    """Take one image through every stage and print each text and prompt; nothing is sent, spent or written."""
    from ostensive.commands import api
    from ostensive.run.preview import as_text

    options = rehearsal_options(profile, settings, annotations=annotations, allow_keys=allow_keys)
    print_lines([as_text(api.preview(recipe, images=images, options=options))])


@app.command()
def estimate(  # noqa: PLR0913, PLR0917 - one parameter an option
    recipe: RecipeName,
    images: Images,
    annotations: AnnotationsFile = None,
    profile: Profile = None,
    settings: Settings = None,
    allow_keys: AllowKeys = None,
    prices: Prices = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Say how many requests and tokens a build would take and what it would cost, before spending any."""
    from ostensive.commands import api
    from ostensive.commands.show import estimate_lines, to_json

    options = rehearsal_options(
        profile, settings, annotations=annotations, prices=prices, limit=limit, allow_keys=allow_keys
    )
    found = api.estimate(recipe, images=images, options=options)
    print_lines([to_json(asdict(found))] if as_json else estimate_lines(found))


@app.command()
def status(
    run: RunFolderPath,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, with rates, until it has ended.")] = False,
    interval: Annotated[
        float | None, typer.Option("--interval", min=0.1, metavar="SECONDS", help="How often to look; 1.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is done, dropped and failed in a run, its cost, and how long it will take; of a loop, its rounds.

    With --watch the exit status is 0 when the run has ended well and 1 when it has not; Ctrl-C leaves the run alone.
    """
    if watch:
        from ostensive.commands.watching import INTERVAL_S
        from ostensive.commands.watching import watch as watch_it

        if not watch_it(run, interval_s=INTERVAL_S if interval is None else interval, as_json=as_json):
            raise typer.Exit(1)
        return
    if interval is not None:
        raise SettingsError(f"--interval {interval:g}: is how often --watch looks; give that too, or leave it out")
    from ostensive.commands.loop import show_loop
    from ostensive.commands.show import status_lines, status_values, to_json
    from ostensive.run.status import status as read_status
    from students.loop.folder import is_loop

    if is_loop(run):
        show_loop(run, as_json)
        return
    found = read_status(run)
    print_lines([to_json(status_values(found))] if as_json else status_lines(found))


@app.command()
def doctor(
    recipe: RecipeName,
    profile: Profile = None,
    settings: Settings = None,
    allow_keys: AllowKeys = None,
    as_json: AsJson = False,
) -> None:
    """Say which models, files, packages and keys a recipe needs, which are here, and on what device they would run.

    Nothing is loaded or downloaded. Exit status 1 when something is missing.
    """
    from ostensive.commands import api
    from ostensive.commands.show import doctor_lines, doctor_values, to_json

    found = api.doctor(recipe, options=rehearsal_options(profile, settings, allow_keys=allow_keys))
    print_lines([to_json(doctor_values(found))] if as_json else doctor_lines(found))
    if not found.is_complete:
        raise typer.Exit(1)


@app.command()
def concepts(  # noqa: PLR0913, PLR0917 - one parameter an option
    recipe: RecipeName,
    images: Images,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=path_given_as("--out"),
            help="The JSON file; labels that it has are not asked for again.",
        ),
    ],
    annotations: AnnotationsFile = None,
    profile: Profile = None,
    settings: Settings = None,
    allow_keys: AllowKeys = None,
    journal: JournalPath = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    limit: Limit = None,
    prices: Prices = None,
    as_json: AsJson = False,
) -> None:
    """Ask a teacher what a thing of each label looks like; read the list over before a build uses it.

    Exit status 1 when a label got nothing.
    """
    from ostensive.commands import api
    from ostensive.commands.show import concept_lines, to_json
    from ostensive.run.options import BuildOptions

    options = BuildOptions(
        profile=profile,
        settings=tuple(settings or ()),
        allow_keys=tuple(allow_keys or ()),
        stand_ins=REHEARSAL_STAND_INS,
        annotations=annotations,
        journal=journal,
        max_cost_usd=max_cost,
        max_requests=max_requests,
        limit=limit,
        prices=prices,
    )
    with at_work(quiet=True) as (_, stop):
        found = api.list_concepts(recipe, images=images, out=out, options=options, stop=stop)
    print_lines([to_json(asdict(found))] if as_json else concept_lines(found, out))
    if found.lost:
        raise typer.Exit(1)


@app.command()
def frequencies(
    run: RunFolderPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=path_given_as("--out"),
            help="Write them to this file instead of printing them.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count the labels of a run's regions, for verbalize.regions.choice.frequencies: label, tab, count."""
    from ostensive.commands.show import to_json
    from ostensive.user_paths import shown_path
    from verbalizers.frequencies import frequency_lines, run_frequencies

    found = run_frequencies(run, out=out)
    if as_json:
        print_lines([to_json(dict(found.counts))])
    elif out is None:
        print_lines(frequency_lines(found))
    else:
        labels = "1 label" if len(found.counts) == 1 else f"{len(found.counts):,} labels"
        print_lines([f"{labels} of {sum(found.counts.values()):,} regions in {shown_path(out)}"])
