"""What the card says of splits and of benchmarks that were kept out: pure functions that give Markdown."""

from collections.abc import Sequence
from pathlib import PurePath

from cards.markdown import inline, table
from cards.reading import CorpusSplit
from ostensive.run.benchmark_images import CLEARED
from ostensive.run.benchmark_texts import CLEARED_ROWS
from ostensive.run.summary import RunFacts, SplitFigures


def split_table(splits: Sequence[CorpusSplit], figures: SplitFigures | None = None) -> str:
    """Images and rows of each split; with `figures` also how many were put into it, whether they have a row or not,
    beside the share that was asked for, and what is known of images that look alike."""
    head = ["split", "images", "rows"]
    lines: list[tuple[str | int, ...]] = [(inline(one.name), one.images, one.rows) for one in splits]
    if figures is not None:
        head += ["put into it", "share", "asked for"]
        lines = [(*line, *_shares(one.name, figures)) for line, one in zip(lines, splits, strict=True)]
    parts = [table(head, lines)]
    if empty := ", ".join(inline(split.name) for split in splits if not split.rows):
        parts.append(f"Without a row, and so without files: {empty}.")
    if figures is not None and len(splits) > 1:
        parts.append(_alike(figures))
    return "\n\n".join(parts)


def _shares(split: str, figures: SplitFigures) -> tuple[int, str, str]:
    """The images put into a split, their share of all, and the share that was asked for."""
    count, total, asked = figures.images.get(split, 0), sum(figures.images.values()), sum(figures.asked.values())
    wanted = f"{figures.asked[split] / asked:.1%}" if split in figures.asked else "-"
    return count, f"{count / total:.1%}" if total else "-", wanted


def _alike(figures: SplitFigures) -> str:
    if not figures.is_compared:
        return "Images were compared by their bytes alone: whether some of different splits look alike is not known."
    grouped = (
        f"{figures.grouped:,} of the images look like others of their split, in {_counted(figures.groups, 'group')}."
        if figures.groups
        else "No image was found that looks like another of its split."
    )
    across = (
        f"{_counted(figures.leaking, 'image')} {_verb(figures.leaking, 'look')} like one of another split all the same:"
        " splits that came in beside images were kept as they are, or more images look alike than may be in a group."
        if figures.leaking
        else "None was found that looks like one of another split."
    )
    left_out = (
        f"{_counted(figures.left_out, 'image')} {_verb(figures.left_out, 'look')} like images of several splits and"
        f" {'is' if figures.left_out == 1 else 'are'} in none."
        if figures.left_out
        else ""
    )
    return " ".join(filter(None, (grouped, across, left_out)))


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def kept_out(facts: RunFacts) -> str:
    """Which benchmarks the corpus was held against, and what it lost to them; empty where there were none."""
    corpus = facts.recipe.get("corpus")
    named = corpus.get("against", ()) if isinstance(corpus, dict) else ()
    if not named:
        return ""
    counts = {stage.name: sum(stage.dropped.values()) for stage in facts.stages}
    lost = [
        _counted(counts[name], noun) for name, noun in ((CLEARED, "image"), (CLEARED_ROWS, "row")) if name in counts
    ]
    listed = ", ".join(inline(PurePath(str(path)).name) for path in named)
    lost_to_them = f"The corpus lost {' and '.join(lost)} to them"
    return f"What was found to be in these benchmarks too was dropped: {listed}. {lost_to_them}."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
