"""The parts of the dataset card that are worked out from figures: pure functions that give Markdown."""

from collections.abc import Sequence

from cards.markdown import inline, table
from cards.statistics import SMALL_BOX_AREA, CorpusStatistics
from ostensive.records import NO_SPEND
from ostensive.run.summary import RunFacts, StageSummary
from ostensive.run.thresholds import ThresholdChoice

_STEPS = {
    "images": "images found and taken in",
    "verbalized": "images put into words",
    "candidates": "candidates asked of the teacher",
    "unique": "repeats removed",
    "scored": "scored by the critics",
    "judged": "accepted by the critics",
}


def funnel(stages: Sequence[StageSummary]) -> str:
    """What became of the rows at each stage, as a table."""
    if not stages:
        return "No stage has run."
    return table(
        ("step", "came in", "counted", "kept", "dropped", "failed"),
        [
            (
                _step(stage),
                stage.inputs,
                stage.rows,
                stage.kept,
                sum(stage.dropped.values()),
                sum(stage.failed.values()),
            )
            for stage in stages
        ],
    )


def losses(stages: Sequence[StageSummary]) -> str:
    """Every reason for which a row was dropped or failed, as a table; the most frequent of each stage first."""
    lines: list[tuple[str, str, str, int]] = []
    for stage in stages:
        for fate, counts in (("dropped", stage.dropped), ("failed", stage.failed)):
            for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                lines.append((_step(stage), fate, inline(reason), count))
    return table(("step", "fate", "reason", "rows"), lines) if lines else "Nothing was dropped and nothing failed."


def cost(stages: Sequence[StageSummary]) -> str:
    """What the answers behind the corpus cost when they were bought."""
    spend = sum((stage.spend for stage in stages), NO_SPEND)
    if not spend.requests:
        return "No request was sent to a teacher."
    dollars = "unknown: no price is known for the model" if spend.usd is None else f"{spend.usd:,.4f} US dollars"
    return (
        f"{spend.requests:,} requests, {spend.prompt_tokens:,} prompt tokens, {spend.completion_tokens:,} completion "
        f"tokens. Cost: {dollars}. Answers that came from a journal count with what they cost when they were bought."
    )


def models(facts: RunFacts) -> str:
    """Teachers, prompts and critics, as a list."""
    named = (("Teachers", facts.teachers), ("Prompt hashes", facts.prompt_hashes), ("Critics", facts.critics))
    return "\n".join(f"- {title}: {', '.join(map(inline, names)) or 'none'}" for title, names in named)


def thresholds(facts: RunFacts) -> str:
    """What is known of the thresholds that were chosen by figures, as sentences; empty where none was."""
    return "\n\n".join(map(_threshold, facts.thresholds))


def _threshold(choice: ThresholdChoice) -> str:
    told = (
        f"The threshold of the critic {inline(choice.critic)} was chosen by {inline(choice.chosen_by)}: rows are kept"
        f" from {choice.min_accept_probability:.4g} on, {choice.kept_share:.1%} of {choice.candidates:,} candidates."
    )
    known = choice.figures
    if known is None:
        return f"{told} No candidate was labelled, so it is not known how good these are."
    doubt = "" if known.are_unseen else " The critic may have learned from some of them, so this may be too good."
    return (
        f"{told} Of {known.rows:,} candidates of {known.images:,} images that people labelled, they accepted"
        f" {known.accepted_share:.1%}; of the {known.kept:,} among them that this threshold keeps,"
        f" {known.precision:.1%} (95 %: {known.precision_low:.1%} to {known.precision_high:.1%}). Recall"
        f" {known.recall:.1%}, F1 {known.f1:.3f}. Filtering at random would leave the first share as it is.{doubt}"
    )


def statistics(figures: CorpusStatistics) -> str:
    """The figures of the corpus, as a table; what its rows do not have is left out."""
    lines: list[tuple[str, str]] = [("images", f"{figures.images:,}"), ("rows", f"{figures.rows:,}")]
    if figures.rows_per_image is not None:
        lines.append(("rows an image, mean", f"{figures.rows_per_image:.2f}"))
    lines += [(f"rows of mode {inline(mode)}", f"{count:,}") for mode, count in figures.rows_by_mode.items()]
    lines += [(f"words of the {name}, mean", f"{words:.1f}") for name, words in figures.mean_words.items()]
    if figures.mean_mentions is not None:
        lines.append(("regions mentioned in a row, mean", f"{figures.mean_mentions:.2f}"))
    lines.append(("regions", f"{figures.regions:,}"))
    if figures.small_box_share is not None:
        title = f"regions that cover at most {SMALL_BOX_AREA:.0%} of their image"
        lines.append((title, f"{figures.small_box_share:.1%}"))
    for critic, probability in figures.mean_accept_probability.items():
        lines.append((f"acceptance probability by {inline(critic)}, mean", f"{probability:.3f}"))
    return table(("figure", "value"), lines)


def limits() -> str:
    """What a user of the corpus has to know."""
    return (
        "- The rows are machine-made. A teacher that was given text never saw the picture, and whatever it read may "
        "have been incomplete or wrong; the critics remove some of what is false, not all.\n"
        "- Regions come from a detector or a segmentation. A box may hold several things or a part of one.\n"
        "- Pictures may show people. Metadata such as place and camera were removed, faces were not.\n"
        "- The rights in the pictures stay with their owners, see below. To have a picture removed, name its "
        "`image_id` to whoever publishes the corpus."
    )


def _step(stage: StageSummary) -> str:
    return _STEPS.get(stage.name, inline(stage.name))
