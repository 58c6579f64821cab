"""Results as a person reads them on standard output, and as JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: JSON values

from ostensive.images.paths import shown_json
from ostensive.models.doctor import Diagnosis
from ostensive.models.needs import ModelNeed
from ostensive.recipe_kind import ListedConcepts
from ostensive.records import Spend, dollars
from ostensive.run.estimate import Estimate
from ostensive.run.status import RunStatus
from ostensive.run.summary import StageSummary, requests_text
from ostensive.user_paths import shown_path

if TYPE_CHECKING:
    from cards.reading import Corpus
    from ostensive.run.growth import Growth
    from students.exporting import Exported
    from students.training.record import TrainedStudent

_UNITS = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


def to_json(value: Any) -> str:
    """`value` as JSON on one line, with nothing in it that would act on a terminal."""
    return shown_json(json.dumps(value, ensure_ascii=False, sort_keys=True))


def stage_table(stages: Sequence[StageSummary]) -> Iterator[str]:
    """A row for each stage: what came in, what was kept, dropped and failed, and under it the reasons."""
    yield f"{'stage':<12}{'in':>9}{'rows':>9}{'kept':>9}{'dropped':>9}{'failed':>9}"
    for stage in stages:
        dropped, failed = sum(stage.dropped.values()), sum(stage.failed.values())
        yield f"{stage.name:<12}{stage.inputs:>9}{stage.rows:>9}{stage.kept:>9}{dropped:>9}{failed:>9}"
        for kind, reasons in (("dropped", stage.dropped), ("failed", stage.failed)):
            for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
                yield f"{'':<12}{count:>9} {kind}: {reason}"


def money(usd: float | None) -> str:
    """A sum in US dollars, with enough digits to be more than nothing."""
    if usd is None:
        return "unknown (no price is known for the model)"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${dollars(usd)}"


def spend_line(spend: Spend) -> str:
    """Requests, tokens and cost."""
    tokens = f"{spend.prompt_tokens:,} prompt and {spend.completion_tokens:,} completion tokens"
    return f"{requests_text(spend)}, {tokens}, cost {money(spend.usd)}"


def total_spend(stages: Sequence[StageSummary]) -> Spend:
    """What the answers behind all stages cost."""
    return sum((stage.spend for stage in stages), Spend())


def corpus_lines(corpus: "Corpus", grown: "Growth | None" = None, notes: Sequence[str] = ()) -> Iterator[str]:
    """What a build has to say at its end."""
    yield from stage_table(corpus.stages)
    yield ""
    images = "1 image" if corpus.image_count == 1 else f"{corpus.image_count:,} images"
    rows = "1 row" if corpus.row_count == 1 else f"{corpus.row_count:,} rows"
    yield f"corpus      {rows} about {images}"
    if grown is not None and grown.number > 0:
        yield f"round       {grown.line()}"
    for number, note in enumerate(notes):
        yield f"{'' if number else 'found':<12}{note}"
    yield f"teacher     {spend_line(total_spend(corpus.stages))}"
    if corpus.row_count == 0:
        yield "empty       no row was accepted; the reasons are above"
    yield f"card        {shown_path(corpus.path / 'README.md')}"
    yield f"shards      {shown_path(corpus.path / 'shards')}"
    yield f"Parquet     {shown_path(corpus.path / 'data')}"
    yield f"rows        {shown_path(corpus.path / 'rows')}"


def corpus_values(corpus: "Corpus", grown: "Growth | None" = None, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The same for programs."""
    return {
        **({} if grown is None else {"round": asdict(grown) | {"share": grown.share, "is_enough": grown.is_enough}}),
        **({"notes": list(notes)} if notes else {}),
        "corpus": str(corpus.path),
        "rows": corpus.row_count,
        "images": corpus.image_count,
        "stages": [stage_values(stage) for stage in corpus.stages],
        "spend": asdict(total_spend(corpus.stages)),
    }


def stage_values(stage: StageSummary) -> dict[str, Any]:
    """A stage's counts for programs."""
    return {
        "name": stage.name,
        "inputs": stage.inputs,
        "rows": stage.rows,
        "kept": stage.kept,
        "dropped": dict(stage.dropped),
        "failed": dict(stage.failed),
    }


def status_lines(status: RunStatus) -> Iterator[str]:
    """The stage table, the partitions that are done, cost and time left."""
    yield f"run is {status.outcome}{f': {status.message}' if status.message else ''}; {status.images:,} source images"
    yield f"{'stage':<12}{'partitions':>12}{'kept':>9}{'dropped':>9}{'failed':>9}"
    for stage in status.stages:
        summary = stage.summary
        dropped, failed = sum(summary.dropped.values()), sum(summary.failed.values())
        done = f"{stage.partitions_done}/{status.partitions}"
        yield f"{summary.name:<12}{done:>12}{summary.kept:>9}{dropped:>9}{failed:>9}"
    for number, note in enumerate(one for one in status.notes if one not in status.message):
        yield f"{'' if number else 'found':<12}{note}"
    yield f"cost        {money(status.spend.usd)} for {requests_text(status.spend)}"
    if status.outcome != "done":
        yield f"time left   {duration(status.seconds_left)}"


def status_values(status: RunStatus) -> dict[str, Any]:
    """The same for programs."""
    return {
        "outcome": status.outcome,
        "message": status.message,
        **({"notes": list(status.notes)} if status.notes else {}),
        "images": status.images,
        "partitions": status.partitions,
        "stages": [
            {**stage_values(stage.summary), "partitions_done": stage.partitions_done} for stage in status.stages
        ],
        "usd": status.spend.usd,
        "spend": asdict(status.spend),
        "seconds_left": status.seconds_left,
    }


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds; "unknown" for None."""
    if seconds is None:
        return "unknown"
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds_ = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds_} s" if minutes else f"{seconds_} s"


def estimate_lines(estimate: Estimate) -> Iterator[str]:
    """What a build would ask and cost."""
    yield f"images      {estimate.images:,} (estimated from {estimate.sampled_images})"
    for model in estimate.models:
        yield f"model       {model.model}: {model.requests:,} requests, {money(model.usd)}"
    yield f"requests    {estimate.requests:,}"
    yield f"tokens      {estimate.prompt_tokens:,} prompt, {estimate.completion_tokens:,} completion"
    yield f"cost        {money(estimate.usd)}"
    yield "Nothing was sent. Tokens are counted as four characters each, replies as long as the scripted ones."


def doctor_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """A line for each need and, under what is missing, what to do."""
    missing = [finding for finding in diagnosis.findings if finding.found.problem is not None]
    width = max((len(finding.need.role) for finding in diagnosis.findings), default=0) + 2
    for finding in diagnosis.findings:
        found = finding.found
        facts = [
            "there" if found.problem is None else "missing",
            None if found.size_bytes is None else size_words(found.size_bytes),
            None if finding.device is None else f"on {finding.device}",
            None if found.commit is None else f"commit {found.commit[:12]}",
        ]
        yield f"{finding.need.role:<{width}}{need_name(finding.need)}: {', '.join(fact for fact in facts if fact)}"
        if found.problem is not None:
            yield f"{'':<{width}}{found.problem} ({', '.join(finding.settings)})"
    if not diagnosis.findings:
        yield f"recipe {diagnosis.recipe}, profile {diagnosis.profile}: needs no model, package or key"
    elif missing:
        yield f"recipe {diagnosis.recipe}, profile {diagnosis.profile}: {len(missing)} of these are missing"
    else:
        yield f"recipe {diagnosis.recipe}, profile {diagnosis.profile}: everything is there"


def doctor_values(diagnosis: Diagnosis) -> dict[str, Any]:
    """The same for programs."""
    return {
        "recipe": diagnosis.recipe,
        "profile": diagnosis.profile,
        "complete": diagnosis.is_complete,
        "needs": [
            {
                **{key: value for key, value in asdict(finding.need).items() if key != "device"},
                **asdict(finding.found),
                "settings": list(finding.settings),
                "device": finding.device,
            }
            for finding in diagnosis.findings
        ],
    }


def need_name(need: ModelNeed) -> str:
    """A need as people call it: `open_clip ViT-L-14-336 (openai)`, `server gpt-4o`."""
    kind = {"hub": "model", "folder": "model", "packaged": "packaged model"}.get(need.kind, need.kind)
    details = ", ".join(detail for detail in (need.weights, need.revision) if detail)
    return f"{kind} {need.name or 'that is not set'}{f' ({details})' if details else ''}"


def concept_lines(found: ListedConcepts, out: Path) -> Iterator[str]:
    """What became of asking for concepts: labels that got none or few, then the sums."""
    for label, reason in found.lost.items():
        yield f"nothing     {label}: {reason}"
    for label, count in found.few.items():
        yield f"few         {label}: {count}"
    before = f", {found.kept:,} there before" if found.kept else ""
    yield f"labels      {found.added:,} added{before}, {len(found.lost):,} got nothing"
    yield f"teacher     {spend_line(found.spend)}"
    yield f"list        {shown_path(out)}" if found.added + found.kept else "list        nothing was written"


def export_lines(found: "Exported", out: Path) -> Iterator[str]:
    """Rows by split, what could not be used, and where they are."""
    for split, count in found.rows.items():
        yield f"{split:<12}{count:,} rows for training"
    for reason, count in found.lost.items():
        yield f"lost        {count:,}: {reason}"
    for detail in found.details:
        yield f"            {detail}"
    yield f"export      {shown_path(out)}"


def student_lines(found: "TrainedStudent", out: Path) -> Iterator[str]:
    """What a training came to, and where the student is."""
    check = found.image_check
    yield f"base        {found.base} ({found.base_version[:19]})"
    yield f"rows        {found.rows:,} of {found.recipe}, objective {found.objective}"
    for reason, count in found.lost.items():
        yield f"lost        {count:,}: {reason}"
    for name, other in (("replayed", found.replay), ("questions", found.items)):
        if other is not None:
            yield f"{name:<11} {other.rows:,} rows of {other.data}, {other.wanted:,} were asked for"
            for reason, count in other.lost.items():
                yield f"            lost {count:,}: {reason}"
    if found.explanation_weight is not None:
        yield f"loss        of answers, and {found.explanation_weight:g} times that of rationales"
    yield f"steps       {found.steps:,}, loss {found.first_loss:.4f} at first, {found.last_loss:.4f} at last"
    if check.other_pictures is not None:
        yield f"sees        loss {check.own_pictures:.4f} with its own pictures, {check.other_pictures:.4f} with others"
    yield f"trained     {found.trained_share:.1%} of the weights"
    yield f"student     {shown_path(out / 'model')}"


def size_words(size_bytes: int) -> str:
    """A size in the unit that leaves a number people can read: `1.7 GB`."""
    for unit, name in _UNITS:
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} B"
