"""`ostensive annotate`: people judge a run's candidates on a page or in Label Studio; what they said, how alike."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostensive.commands.options import AsJson, Choose, ChoosingCritics, HeldOut, RunFolderPath, path_given_as
from ostensive.commands.terminal import print_lines, say
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from critics.annotation.agreement import QuestionAgreement
    from critics.annotation.export import Exported
    from critics.annotation.stock import AnnotateOptions

app = typer.Typer()


@app.command()
def annotate(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    run: RunFolderPath,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="triple, accept, rating, pairwise or preference; by default the usual one of the recipe.",
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            "--items",
            metavar="FILE",
            parser=path_given_as("--items"),
            help="JSON Lines or Parquet with what is to be judged.",
        ),
    ] = None,
    choose: Choose = "differing",
    critics: ChoosingCritics = None,
    held_out: HeldOut = None,
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            min=1,
            metavar="N",
            help="Judge a sample of N images, 200 by default; of what scores choose, N images' worth, 50 by default.",
        ),
    ] = None,
    per_image: Annotated[int, typer.Option("--per-image", min=1, metavar="N", help="Candidates of each image.")] = 5,
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
        typer.Option(
            "--to-label-studio",
            metavar="FOLDER",
            parser=path_given_as("--to-label-studio"),
            help="Write tasks for Label Studio, and leave.",
        ),
    ] = None,
    from_studio: Annotated[
        Path | None,
        typer.Option(
            "--from-label-studio",
            metavar="FILE",
            parser=path_given_as("--from-label-studio"),
            help="Take its JSON export in, and leave.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a page on which people judge a run's candidates; stop it with Ctrl-C to export what they said."""
    from critics.annotation.stock import AnnotateOptions
    from ostensive.commands.show import to_json

    if sum((show_agreement, only_export, to_studio is not None, from_studio is not None)) > 1:
        raise SettingsError(
            "--agreement, --export, --to-label-studio and --from-label-studio: give one of them at a time"
        )
    options = AnnotateOptions(
        task=task,
        items=items,
        choose=choose,
        critics=tuple(critics or ()),
        held_out=held_out,
        images=images,
        per_image=per_image,
        annotators_per_item=annotators,
        host=host,
        port=port,
        token=token,
        also_hosts=tuple(allow_hosts or ()),
    )
    if show_agreement:
        from critics.annotation.export import agreement

        found = agreement(run)
        values = {name: [asdict(one) for one in questions] for name, questions in found.items()}
        print_lines([to_json(values)] if as_json else agreement_lines(found))
    elif to_studio is not None or from_studio is not None:
        print_lines([_label_studio(run, options, to_studio, from_studio, as_json=as_json)])
    else:
        exported = _exported(run, options, only_export=only_export)
        print_lines([to_json(_export_values(exported))] if as_json else _export_lines(exported))


def _exported(run: Path, options: "AnnotateOptions", *, only_export: bool) -> "Exported":
    from builders.representatives import annotated_run
    from critics.annotation.export import export
    from critics.annotation.serving import annotate as serve
    from critics.annotation.store import existing_store
    from ostensive.run.folder import existing_run

    if only_export:
        with existing_store(run) as store:
            return export(existing_run(run), store)

    def ready(address: str) -> None:
        # On standard output, and at once: a script waits for it.
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        say("Ctrl-C stops the page; every judgement is stored when it is given.")

    return serve(annotated_run(run), options, on_ready=ready, on_note=say)


def _label_studio(
    run: Path, options: "AnnotateOptions", to: Path | None, from_file: Path | None, *, as_json: bool
) -> str:
    from builders.representatives import annotated_run
    from critics.annotation.label_studio import from_label_studio, to_label_studio
    from ostensive.commands.show import to_json
    from ostensive.user_paths import shown_path

    annotated = annotated_run(run)
    if to is not None:
        count = to_label_studio(annotated, to, options, on_note=say)
        told = f"{count:,} tasks, their images and config.xml in {shown_path(to)}"
        return to_json({"tasks": count, "folder": str(to)}) if as_json else told
    assert from_file is not None, "one of the two is asked for"
    count = from_label_studio(annotated, from_file, options, on_note=say)
    return to_json({"judgements": count}) if as_json else f"{count:,} judgements taken in that were not here yet"


def agreement_lines(found: "Mapping[str, Sequence[QuestionAgreement]]") -> Iterator[str]:
    """A table for each task, and under each question the annotators two by two."""
    for task, questions in found.items():
        pairs = [f"  {pair.first}, {pair.second}" for one in questions for pair in one.pairs]
        width = max(24, *(len(names) + 1 for names in pairs)) if pairs else 24
        yield f"{task:<{width}}{'items':>9}{'the same':>10}{'nominal':>9}{'ordinal':>9}{'kappa':>8}"
        for one in questions:
            alphas = f"{_figure(one.alpha_nominal):>9}{_figure(one.alpha_ordinal):>9}"
            yield f"{one.question:<{width}}{one.items:>9,}{_share(one.same_share):>10}{alphas}"
            for pair in one.pairs:
                names = f"  {pair.first}, {pair.second}"
                yield f"{names:<{width}}{pair.items:>9,}{_share(pair.same_share):>10}{'':>18}{_figure(pair.kappa):>8}"
    yield "nominal, ordinal: Krippendorff's alpha; kappa: Cohen's. 1 is full agreement, 0 is chance, - is undefined."


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _export_lines(exported: "Exported") -> Iterator[str]:
    from ostensive.user_paths import shown_path

    judgements = "1 judgement" if exported.judgement_count == 1 else f"{exported.judgement_count:,} judgements"
    yield f"{judgements} in {shown_path(exported.judgements)}"
    if exported.labels is not None:
        labels = "1 label" if exported.label_count == 1 else f"{exported.label_count:,} labels"
        yield f"{labels} in {shown_path(exported.labels)}"


def _export_values(exported: "Exported") -> dict[str, object]:
    return {
        "judgements": str(exported.judgements),
        "labels": None if exported.labels is None else str(exported.labels),
        "judgement_count": exported.judgement_count,
        "label_count": exported.label_count,
    }
