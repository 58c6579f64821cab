"""`ostensive diff`: two corpora side by side, for people and for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final  # Any: JSON values

import typer

from ostensive.commands.options import AsJson, path_given_as
from ostensive.commands.terminal import print_lines
from ostensive.images.paths import shown_name

if TYPE_CHECKING:
    from cards.compared import ComparedCorpus
    from cards.compared_figures import Figure, Number
    from cards.difference_examples import Example
    from cards.differences import CorpusDifferences, ImageDifferences, RowDifferences

app = typer.Typer()

_MOST_CHARS: Final = 160  # of a text in an example


@app.command()
def diff(
    first: Annotated[
        Path, typer.Argument(metavar="RUN_A", parser=path_given_as("RUN_A"), help="A run folder, or a corpus folder.")
    ],
    second: Annotated[
        Path, typer.Argument(metavar="RUN_B", parser=path_given_as("RUN_B"), help="The one to compare it with.")
    ],
    rows: Annotated[int, typer.Option("--rows", min=0, metavar="N", help="Show so many examples of each.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two corpora: settings, images, splits, rows and figures, of B against A.

    Exit status 0 whether they differ or not.
    """
    from ostensive.commands.api import diff as compare
    from ostensive.commands.show import to_json

    found = compare(first, second, examples=rows)
    print_lines([to_json(difference_values(found))] if as_json else difference_lines(found))


def difference_lines(found: "CorpusDifferences") -> Iterator[str]:
    """What differs, then examples, then the figures that are not the same."""
    for name, corpus in (("A", found.first), ("B", found.second)):
        yield f"{name:<12}{_corpus_line(corpus)}"
    yield from _setting_lines(found)
    if found.images is not None:
        yield from _image_lines(found.images)
    if found.rows is not None:
        yield from _row_lines(found.rows)
    if found.note:
        yield f"{'note':<12}{shown_name(found.note)}"
    for example in found.examples:
        yield ""
        yield from _example_lines(example)
    yield ""
    yield from _figure_lines(found.figures)


def _corpus_line(corpus: "ComparedCorpus") -> str:
    from ostensive.user_paths import shown_path

    manifest, made = corpus.manifest, corpus.recipe or "a recipe that its card does not name"
    return shown_name(
        f"{shown_path(corpus.path)}: {manifest.rows:,} rows about {manifest.images:,} images, by {made}"
        f" {manifest.recipe_hash[:16]}"
    )


def _setting_lines(found: "CorpusDifferences") -> Iterator[str]:
    is_same = found.first.manifest.recipe_hash == found.second.manifest.recipe_hash
    if found.settings is None:
        yield f"settings    {'the same' if is_same else 'differ; a card does not say in what'}"
    elif found.settings:
        yield f"settings    {len(found.settings):,} differ"
        for one in found.settings:
            values = (_value(one.values[side]) if side in one.values else "not there" for side in ("a", "b"))
            yield f"{'':<12}{shown_name(one.path)}: {' -> '.join(values)}"
    else:
        yield f"settings    {'the same' if is_same else 'the same but for what cards leave out: addresses of servers'}"


def _fates(of: "ImageDifferences | RowDifferences") -> str:
    return f"{of.added:,} added, {of.removed:,} removed, {of.changed:,} changed, {of.same:,} the same"


def _image_lines(images: "ImageDifferences") -> Iterator[str]:
    yield f"images      {_fates(images)}"
    if images.changed_fields:
        yield f"{'':<12}changed: {_counted(images.changed_fields)}"
    if images.moved:
        moves = ", ".join(f"{before} -> {after} {count:,}" for (before, after), count in images.moved.items())
        yield f"splits      {sum(images.moved.values()):,} images moved: {shown_name(moves)}"
        yield f"{'':<12}warning: a student that one of them trained has seen what the other tests it on"


def _row_lines(rows: "RowDifferences") -> Iterator[str]:
    yield f"rows        {_fates(rows)}"
    if rows.changed_fields:
        yield f"{'':<12}changed: {_counted(rows.changed_fields)}"
    if rows.renamed:
        unlike = f"; they differ in {_counted(rows.renamed_fields)}" if rows.renamed_fields else ""
        yield f"{'':<12}{rows.renamed:,} more: the same texts about the same image under another id{unlike}"
    if rows.added or rows.removed:
        yield (
            f"{'':<12}about images that both have: {rows.added_to_shared_images:,} of those added,"
            f" {rows.removed_from_shared_images:,} of those removed"
        )


def _example_lines(example: "Example") -> Iterator[str]:
    ids = " -> ".join(dict.fromkeys(example.ids.values()))
    yield f"{example.fate:<14}{shown_name(ids)}  {shown_name(example.source)}"
    for name, sides in example.values.items():
        yield f"{'':<14}{shown_name(name)}: {' -> '.join(map(_value, sides.values()))}"


def _figure_lines(figures: Sequence["Figure"]) -> Iterator[str]:
    shown = [one for one in figures if one.first != one.second]
    same = len(figures) - len(shown)
    if shown:
        names = [shown_name(one.name) for one in shown]
        width = max(map(len, names)) + 2
        cells = [[_number(value) for value in (one.first, one.second, _change(one))] for one in shown]
        yield f"{'figure':<{width}}{'A':>16}{'B':>16}{'B - A':>16}"
        for name, (first, second, change) in zip(names, cells, strict=True):
            yield f"{name:<{width}}{first:>16}{second:>16}{change:>16}"
    yield f"{same:,} figures are the same" if shown else f"figures     all {same:,} are the same"


def _change(figure: "Figure") -> "Number | None":
    if figure.first is None or figure.second is None:
        return None
    return figure.second - figure.first


def _number(value: "Number | None") -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"


def _counted(counts: Mapping[str, int]) -> str:
    return shown_name(", ".join(f"{name} {count:,}" for name, count in counts.items()))


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = shown_name(text if text.strip() else json.dumps(text))
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}..."


def difference_values(found: "CorpusDifferences") -> dict[str, Any]:
    """The same for programs, with all figures."""
    rows = None if found.rows is None else asdict(found.rows)
    images = None if found.images is None else asdict(found.images)
    if found.images is not None and images is not None:
        images["moved"] = [{"a": a, "b": b, "images": count} for (a, b), count in found.images.moved.items()]
    sides = (("a", found.first), ("b", found.second))
    return {
        **{
            side: {
                "path": str(corpus.path),
                "recipe": corpus.recipe,
                "recipe_hash": corpus.manifest.recipe_hash,
                "rows": corpus.manifest.rows,
                "images": corpus.manifest.images,
            }
            for side, corpus in sides
        },
        "settings": None if found.settings is None else [asdict(one) for one in found.settings],
        "images": images,
        "rows": rows,
        "note": found.note,
        "figures": [{"group": one.group, "name": one.name, "a": one.first, "b": one.second} for one in found.figures],
        "examples": [asdict(one) for one in found.examples],
    }
