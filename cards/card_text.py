"""The parts of the dataset card that are worked out from figures: pure functions that give Markdown."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from cards.funnel import waiting
from cards.markdown import inline, table
from cards.plots import plot_files
from cards.reading import CorpusManifest
from cards.statistics.figures import NOT_GIVEN, QUESTION_TYPES, SMALL_BOX_AREA, CorpusStatistics
from ostensive.images.intake import DISTINCT, IMAGES
from ostensive.records import NO_SPEND, Annotation, ImageSignature, ImageSplit, Judged, Scored, Verbalization, dollars
from ostensive.run.benchmark_images import CLEARED
from ostensive.run.benchmark_texts import CLEARED_ROWS
from ostensive.run.summary import PUBLISHING, RunFacts, StageSummary, requests_text
from ostensive.run.thresholds import USE_WORDS, ThresholdChoice

# What is known of a stage by its name, or by the class of its records.
_STEPS: Final = {
    IMAGES: "found and taken in",
    DISTINCT: "repeats in other partitions removed",
    CLEARED: "images of benchmarks removed",
    CLEARED_ROWS: "texts of benchmarks removed",
    PUBLISHING: "published",
}
_STEPS_BY_RECORD: Final = {
    Verbalization.__name__: "images put into words",
    Annotation.__name__: "items that came in beside images",
    Scored.__name__: "scores given by the critics",
    Judged.__name__: "accepted by the critics",
    ImageSignature.__name__: "images hashed, to find those that look alike",
    ImageSplit.__name__: "images put into splits",
}
_SHOWN_PLOTS: Final = ("words of ", QUESTION_TYPES, "first two words ", "area of ")
_LISTED: Final = 20  # most values of a field that the statistics list; the rest is one line


def funnel(facts: RunFacts) -> str:
    """What became of the rows at each stage, as a table."""
    if not facts.stages:
        return "No stage has run."
    steps = table(
        ("step", "came in", "counted", "kept", "dropped", "failed"),
        [
            (
                _step(stage.name, facts),
                stage.inputs,
                stage.rows,
                stage.kept,
                sum(stage.dropped.values()),
                sum(stage.failed.values()),
            )
            for stage in facts.stages
        ],
    )
    left = ", ".join(f"{count:,} before {inline(name)}" for name, count in waiting(facts).items())
    return f"{steps}\n\nThe run was stopped before its end. What waits: {left}." if left else steps


def _step(name: str, facts: RunFacts) -> str:
    known = step_words(name, facts.records.get(name, ""))
    return f"{inline(name)}: {known}" if known else inline(name)


def step_words(name: str, record: str) -> str:
    """What a stage of this name, or with records of this class, does; empty where its name says all that is known."""
    return _STEPS.get(name) or _STEPS_BY_RECORD.get(record, "")


def losses(stages: Sequence[StageSummary]) -> str:
    """Every reason for which a row was dropped or failed, as a table; the most frequent of each stage first."""
    lines: list[tuple[str, str, str, int]] = []
    for stage in stages:
        for fate, counts in (("dropped", stage.dropped), ("failed", stage.failed)):
            for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                lines.append((inline(stage.name), fate, inline(reason), count))
    return table(("step", "fate", "reason", "rows"), lines) if lines else "Nothing was dropped and nothing failed."


def cost(stages: Sequence[StageSummary]) -> str:
    """What the answers behind the corpus cost when they were bought."""
    spend = sum((stage.spend for stage in stages), NO_SPEND)
    if not spend.requests:
        return "No request was sent to a teacher."
    paid = "unknown: no price is known for the model" if spend.usd is None else f"{dollars(spend.usd)} US dollars"
    return (
        f"{requests_text(spend)}, {spend.prompt_tokens:,} prompt tokens, {spend.completion_tokens:,} completion "
        f"tokens. Cost: {paid}. Answers that came from a journal count with what they cost when they were bought."
    )


def models(facts: RunFacts) -> str:
    """Teachers, prompts and critics, as a list."""
    named = (("Teachers", facts.teachers), ("Prompt hashes", facts.prompt_hashes), ("Critics", facts.critics))
    return "\n".join(f"- {title}: {', '.join(map(inline, names)) or 'none'}" for title, names in named)


def thresholds(facts: RunFacts) -> str:
    """What is known of the thresholds that were chosen by figures, as sentences; empty where none was."""
    return "\n\n".join(threshold_words(choice, inline) for choice in facts.thresholds)


def threshold_words(choice: ThresholdChoice, written: Callable[[str], str]) -> str:
    """What is known of a threshold that was chosen by figures; names are put into it as `written` gives them."""
    setting = (
        f"The threshold of the critic {written(choice.critic)} was chosen by {written(choice.chosen_by)}: rows are kept"
        f" from {choice.min_accept_probability:.4g} on, {choice.kept_share:.1%} of {choice.candidates:,} candidates."
    )
    known = choice.figures
    if known is None:
        return f"{setting} No candidate was labelled, so it is not known how good these are."
    left_out = f" {known.left_out:,} labels of images that it learned from are left out." if known.left_out else ""
    return (
        f"{setting} It was measured on {known.rows:,} labelled candidates of {known.images:,} images"
        f"{USE_WORDS[known.training_use]}.{left_out} People accept {known.accepted_share:.1%} of them, and of the"
        f" {known.kept:,} that this threshold keeps {known.precision:.1%} (95 %, of resampled images:"
        f" {known.precision_low:.1%} to {known.precision_high:.1%}). Recall {known.recall:.1%}, F1 {known.f1:.3f}."
        " Filtering at random would leave the first share as it is."
    )


def statistics(figures: CorpusStatistics, *, has_regions: bool) -> str:
    """The figures of the corpus, as a table."""
    lines = statistic_lines(figures, has_regions=has_regions)
    return table(("figure", "value"), [(inline(title), value) for title, value in lines])


def statistic_lines(figures: CorpusStatistics, *, has_regions: bool) -> list[tuple[str, str]]:
    """The single figures of the corpus, each with its title; what its rows do not have is left out."""
    lines: list[tuple[str, str]] = [("images", f"{figures.images:,}"), ("rows", f"{figures.rows:,}")]
    if figures.rows_per_image is not None:
        lines.append(("rows an image, mean", f"{figures.rows_per_image:.2f}"))
    for name, counts in figures.rows_by_field.items():
        lines += [(f"rows of {name} {value}", count) for value, count in _most(counts)]
    lines += [(f"{name}, mean", f"{mean:.3f}") for name, mean in figures.mean_fields.items()]
    lines += [(f"words of the {name}, mean", f"{words:.1f}") for name, words in figures.mean_words.items()]
    if figures.mean_mentions is not None:
        lines.append(("regions mentioned in a row, mean", f"{figures.mean_mentions:.2f}"))
    if has_regions or figures.regions:
        lines.append(("regions", f"{figures.regions:,}"))
    if figures.small_box_share is not None:
        title = f"regions that cover at most {SMALL_BOX_AREA:.0%} of their image"
        lines.append((title, f"{figures.small_box_share:.1%}"))
    if figures.mean_box:
        sides = " x ".join(f"{figures.mean_box[side]:.3f}" for side in ("width", "height"))
        lines.append(("width x height of a region, mean, shares of the image", sides))
        lines.append(("area of a region, mean, share of the image", f"{figures.mean_box['area']:.3f}"))
    if figures.annotations:
        lines.append(("items that came in beside images", f"{figures.annotations:,}"))
    for name, counts in figures.images_by_field.items():
        lines += [(f"images of {name} {value}", count) for value, count in _most(counts)]
    for critic, probability in figures.mean_accept_probability.items():
        lines.append((f"acceptance probability by {critic}, mean", f"{probability:.3f}"))
    return lines


def plots(figures: CorpusStatistics) -> str:
    """A few of the plots as pictures: how long texts are, what is asked and how, how large regions are."""
    files = plot_files(figures)
    shown = [name for name in files if name.startswith(_SHOWN_PLOTS)]
    return "\n\n".join(f"![{inline(name)}](plots/{files[name]})" for name in shown)


def _most(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """The values that are met most, and all others together."""
    by_value = list(counts.items())
    if len(by_value) > _LISTED:
        by_value.sort(key=lambda item: (-item[1], item[0]))
    listed = [(value, f"{count:,}") for value, count in by_value[:_LISTED]]
    others = sum(count for _, count in by_value[_LISTED:])
    return [*listed, ("of any other value", f"{others:,}")] if others else listed


def limits(of_method: Sequence[str], facts: RunFacts, figures: CorpusStatistics) -> str:
    """What a user of the corpus has to know: of the method, of this corpus by its figures, and of every corpus."""
    of_pictures = (
        "Pictures may show people. Metadata such as place and camera were removed, faces were not.",
        "The rights in the pictures stay with their owners, see below.",
    )
    return "\n".join(f"- {line}" for line in (*of_method, *_measured_limits(facts, figures), *of_pictures))


def _measured_limits(facts: RunFacts, figures: CorpusStatistics) -> Iterator[str]:
    if figures.rows and not facts.thresholds:
        yield (
            "No threshold of a critic was chosen by labels, so that nothing is known of how many rows hold beyond what"
            " the critics above found."
        )
    if figures.ungraded_rows:
        yield (
            f"{figures.ungraded_rows:,} of {figures.rows:,} rows were judged by no critic that says more than yes or"
            " no. Rules, for one, look at the form of a text and not at its truth."
        )
    if figures.unnamed_region_share:
        yield f"Of {figures.unnamed_region_share:.1%} of the regions nothing says what they show."
    licences = figures.images_by_field.get("license", {})
    if unknown := licences.get(NOT_GIVEN, 0):
        yield f"{unknown:,} of {figures.images:,} images came with no licence of their own."


def taken_down(manifest: CorpusManifest) -> str:
    """How much somebody asked to be removed, as a sentence; empty where nothing was."""
    images, rows = manifest.taken_down_images, manifest.taken_down_rows
    if not images:
        return ""
    pictures = "1 picture was" if images == 1 else f"{images:,} pictures were"
    return f"{pictures} taken down so far, with {rows:,} {'row' if rows == 1 else 'rows'}."


def withheld(manifest: CorpusManifest, fields: Collection[str]) -> str:
    """Which pictures are not there and what their rows say instead, whose fields are `fields`; empty where all are."""
    if not manifest.withheld:
        return ""
    images, rows = sum(manifest.withheld.values()), manifest.withheld_rows
    counts = sorted(manifest.withheld.items(), key=lambda item: (-item[1], item[0]))
    by_licence = ", ".join(f"{count:,} of {inline(licence)}" for licence, count in counts)
    found = "`source` and `image_source` say" if "image_source" in fields else "`source` says"
    return (
        f"{images:,} of {manifest.images:,} pictures are not published, because their licence does not allow it"
        f" ({by_licence}). Their {'1 row is' if rows == 1 else f'{rows:,} rows are'} here: `image_id` is the SHA-256 of"
        f" the picture's file, and {found} where it was found. `image` and `shard` are null for them, and no tar holds"
        " them. To have only images with a picture: `images.filter(lambda image: image is not None,"
        ' input_columns="image")`.'
    )
