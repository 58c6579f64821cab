"""`ostensive publish` and `ostensive takedown`."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any  # Any: JSON values

import typer

from ostensive.commands.options import AsJson, Quiet, RunFolderPath
from ostensive.commands.terminal import at_work, print_lines, say
from ostensive.errors import SettingsError

if TYPE_CHECKING:
    from cards.hub.plan import PublishPlan
    from cards.hub.publishing import Published
    from cards.takedown import TakenDown

app = typer.Typer()
_LISTED = 20  # files that the plan names one by one


@app.command()
def publish(  # noqa: PLR0913, PLR0917 - one parameter an option; they become one record at once
    run: RunFolderPath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set on the Hub: user/name, or name.")],
    public: Annotated[
        bool, typer.Option("--public", help="Where it is made now: for everybody to see, not for you alone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")] = False,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="The tag of this version; v1, v2, ... by itself.")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", metavar="TEXT", help="What the commit on the Hub says.")
    ] = None,
    squash: Annotated[
        bool, typer.Option("--squash", help="Remove all older revisions, and their tags v1, v2, ..., from the Hub.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Publish a corpus on the Hugging Face Hub; again, only what changed is sent.

    What will be sent is shown first. The login is your own (hf auth login, or HF_TOKEN).
    """
    from cards.hub.preparing import PublishOptions
    from ostensive.commands import api_publish
    from ostensive.commands.show import to_json

    options = PublishOptions(not public, dry_run, tag, message, squash)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise SettingsError("publish: nobody can be asked here; look at it with --dry-run, then give --yes")
    was_declined = False

    def confirm(plan: "PublishPlan") -> bool:
        nonlocal was_declined
        for line in () if as_json and yes else plan_lines(plan):
            say(line)
        was_declined = not (yes or typer.confirm("Publish this?", err=True))
        return not was_declined

    with at_work(quiet=True) as (_, stop):
        done = api_publish.publish(
            run, name, options=options, confirm=confirm, stop=stop, tell=(lambda _line: None) if quiet else say
        )
    print_lines([to_json(published_values(done))] if as_json else published_lines(done, dry_run=dry_run))
    if was_declined:
        raise typer.Exit(1)


@app.command()
def takedown(
    run: RunFolderPath,
    image_id: Annotated[str, typer.Argument(metavar="IMAGE_ID", help="The image, or the first digits of its id.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the run folder alone.")],
    as_json: AsJson = False,
) -> None:
    """Take an image and all of its rows out of a corpus, for good; only the files that hold it are written anew."""
    from ostensive.commands import api_publish
    from ostensive.commands.show import to_json

    done = api_publish.takedown(run, image_id, reason=reason)
    print_lines([to_json(asdict(done))] if as_json else takedown_lines(done))


def plan_lines(plan: "PublishPlan") -> Iterator[str]:
    """What a publication would do, for a person to say yes to."""
    from ostensive.commands.show import size_words

    visibility = "private" if plan.is_private else "public"
    yield f"data set    {plan.name}, {visibility}, {'made now' if plan.is_new else 'there already'}"
    yield f"corpus      {plan.rows:,} rows about {plan.images:,} images, licence {plan.license}"
    if plan.image_licenses:
        counts = sorted(plan.image_licenses.items(), key=lambda item: (-item[1], item[0]))
        yield f"images      {', '.join(f'{count:,} {licence}' for licence, count in counts[:5])}"
    if plan.withheld:
        by_licence = ", ".join(f"{count:,} {licence}" for licence, count in plan.withheld.items())
        yield (
            f"withheld    {_pictures(sum(plan.withheld.values()))} whose licence does not allow it ({by_licence});"
            f" {_rows(plan.withheld_rows)} of them sent with hash and source"
        )
    changed = plan.of("new", "changed", "deleted")
    for file in changed[:_LISTED]:
        held = ", held there already" if file.change != "deleted" and not file.sent_bytes and file.byte_count else ""
        yield f"{file.change:<12}{file.path} ({size_words(file.byte_count)}{held})"
    if changed[_LISTED:]:
        yield f"            and {len(changed) - _LISTED:,} more files"
    yield f"unchanged   {_files(len(plan.of('same')))}"
    yield f"to send     {size_words(plan.sent_bytes)}"
    for title, paths in (("stays", plan.kept), ("not sent", plan.left_out)):
        if paths:
            more = f" and {len(paths) - 5:,} more" if paths[5:] else ""
            yield f"{title:<12}{', '.join(paths[:5])}{more}: not of this corpus"
    for note in plan.notes:
        yield f"note        {note}"
    if plan.tag is not None:
        yield f"tag         {plan.tag}"
    if plan.squash:
        gone = f", with the tags {', '.join(plan.removed_tags)}" if plan.removed_tags else ""
        yield f"history     all older revisions are removed{gone}"


def published_lines(done: "Published", *, dry_run: bool) -> Iterator[str]:
    """What a publication came to."""
    if dry_run:
        yield from plan_lines(done.plan)
        yield "Nothing was sent."
    elif done.commit is not None:
        tag = "" if done.plan.tag is None else f" as {done.plan.tag}"
        yield f"published   {done.address}{tag}"
        yield f"commit      {done.commit}"
    elif done.plan.is_empty:
        yield f"unchanged   {done.address} has this corpus already"
    else:
        yield "Nothing was sent."


def published_values(done: "Published") -> dict[str, Any]:
    """The same for programs."""
    return {**asdict(done), "sent_bytes": done.plan.sent_bytes, "unchanged": done.plan.is_empty}


def takedown_lines(done: "TakenDown") -> Iterator[str]:
    """What a takedown came to."""
    yield f"taken down  {done.image_id}, with {_rows(done.rows)}"
    yield f"changed     {_files(len(done.changed))}"
    for path in done.changed:
        yield f"            {path}"
    yield f"left        {done.rows_left:,} rows about {done.images:,} images"
    yield "next        where this corpus is published: ostensive publish, with --squash for its older revisions"


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
