"""`ostensive preview`: one image through every stage, each text and prompt shown, nothing spent or written."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any  # Any: records of any stage

from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, ImageRecord, ImageSignature, ImageSplit, Judged, Scored, Verbalization
from ostensive.run.rehearsal import Rehearsal, RehearsedStage, first_image, rehearse
from ostensive.run.sources import Sources
from ostensive.stage import Kept


def preview(recipe: Recipe, kind: RecipeKind, given: Sources) -> Rehearsal:
    """Takes the first image that can be read through a rehearsal of `recipe`; raises `NoImagesError`."""
    return rehearse(recipe, kind, [first_image(recipe, given.items)], given.annotations)


def as_text(rehearsal: Rehearsal) -> str:
    """The rehearsal as a person reads it: stage by stage, with every prompt and reply of the first conversations."""
    return "\n".join(_lines(rehearsal))


def _lines(rehearsal: Rehearsal) -> Iterator[str]:
    prompts_after = _prompts_after(rehearsal)
    for stage in rehearsal.stages:
        yield _heading(stage.name)
        yield from _stage_lines(stage, rehearsal.kind)
        if stage.name == prompts_after:
            yield from _prompt_lines(rehearsal)
    yield ""
    yield "Nothing was sent, spent or written; the replies are the scripted teacher's."


def _prompts_after(rehearsal: Rehearsal) -> str:
    """The stage after which prompts are shown: the last before there are candidates."""
    before = rehearsal.stages[0].name
    for stage in rehearsal.stages[1:]:
        if stage.record is rehearsal.kind.candidate:
            break
        before = stage.name
    return before


def _prompt_lines(rehearsal: Rehearsal) -> Iterator[str]:
    for number, (conversation, exchange) in enumerate(rehearsal.asked, 1):
        yield _heading(f"conversation {number} of {len(rehearsal.asked)}")
        for message in conversation.messages:
            yield f"--- {message.role}{f' ({len(message.images)} image)' if message.images else ''}"
            yield message.text
        for reply, follow_up in zip(exchange.replies, (*conversation.follow_ups, None), strict=False):
            yield "--- assistant (scripted)"
            yield getattr(reply, "text", "")
            if follow_up is not None:
                yield f"--- {follow_up.role}"
                yield follow_up.text


def _stage_lines(stage: RehearsedStage, kind: RecipeKind) -> Iterator[str]:
    for outcome in stage.outcomes:
        if isinstance(outcome, Kept):
            for record in outcome.records:
                yield from _record_lines(record, kind)
        for loss in outcome.losses if isinstance(outcome, Kept) else (outcome,):
            detail = f" ({loss.detail})" if loss.detail else ""
            yield f"{type(loss).__name__.lower()}: {loss.reason}{detail}"


def _record_lines(record: Any, kind: RecipeKind) -> Iterator[str]:
    if isinstance(record, ImageRecord):
        yield f"{record.source}  {record.width} x {record.height} {record.format}  {record.image_id[:16]}"
    elif isinstance(record, Verbalization):
        yield from record.concepts
        for number, narrative in enumerate(record.narratives, 1):
            yield f"Description {number}: {narrative}"
        for region in record.regions:
            box = region.box
            yield f"[{region.number}] {region.caption} [({box.x1:.2f}, {box.y1:.2f}), ({box.x2:.2f}, {box.y2:.2f})]"
        for probe in record.probes:
            yield f"{probe.question} {probe.answer}"
    elif isinstance(record, Annotation):
        said = {name: value for name, value in asdict(record).items() if value and not name.endswith("_id")}
        yield "; ".join(f"{name}: {value}" for name, value in said.items())
    elif isinstance(record, kind.candidate):
        yield from (f"{shown.name}: {shown.text}" for shown in kind.shown(record))
        yield ""
    elif isinstance(record, Scored):
        scores = (f"{score.critic} {score.accept_probability:.3f}" for score in record.scores)
        yield f"{', '.join(scores)}: {kind.shown(record.candidate)[0].text}"
    elif isinstance(record, Judged):
        yield f"accepted: {kind.shown(record.candidate)[0].text}"
    elif isinstance(record, ImageSignature):
        yield f"perceptual hash {record.hashes[0]}" if record.hashes else "of one colour, so that it has no hash"
    elif isinstance(record, ImageSplit):
        yield record.split
    else:
        yield str(record)


def _heading(name: str) -> str:
    return f"\n=== {name} ==="
