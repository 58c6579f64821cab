"""A recipe of the tests: a row is a caption of an image, made of the note that came in beside it. No model, no region.

Its stages are functions of modules: items beside images, captions, scores, judgements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import Field

from ostensive.chat.scripted import Script
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Annotation, CriticScore, ImageRecord, Judged, Judgement, Scored
from ostensive.settings import Settings
from ostensive.stage import AnyStage, Dropped, Evidence, FunctionStage, Kept, Outcome

ITEMS, CAPTIONS = "items", "captions"


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption of an image."""

    row_id: str
    image_id: str
    caption: str
    tone: str | None
    teacher: str
    prompt_hash: str
    request_key: str

    @property
    def record_id(self) -> str:
        return self.row_id


class LengthSettings(Settings):
    """The one critic: a caption of a single word is too short."""

    kind: Literal["length"] = "length"
    name: str | None = None
    min_accept_probability: float = 0.5


class CaptionRecipe(Recipe):
    """Captions; an image without a note has none that is accepted."""

    recipe: Literal["captions"]
    notes: dict[str, str] = Field(default_factory=dict)  # by the image's source
    given_splits: dict[str, str] = Field(default_factory=dict)  # likewise
    licenses: dict[str, str] = Field(default_factory=dict)  # of images, where it is none that allows everything
    urls: dict[str, str] = Field(default_factory=dict)  # where images are from
    critics: tuple[LengthSettings, ...] = (LengthSettings(),)
    plain_only: bool = False
    """Whether a second stage judges, after the critics."""


def _items(
    notes: Mapping[str, str],
    splits: Mapping[str, str],
    licenses: Mapping[str, str],
    urls: Mapping[str, str],
    rows: Sequence[ImageRecord],
    _evidence: Evidence,
) -> list[Outcome[Annotation]]:
    return [
        Kept(
            (
                Annotation(
                    f"item of {row.image_id[:8]}",
                    row.image_id,
                    instruction=notes.get(row.source),
                    split=splits.get(row.source),
                    source=urls.get(row.source),
                    license=licenses.get(row.source, "cc0-1.0" if row.source in notes else None),
                ),
            )
        )
        for row in rows
    ]


def _captions(rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Caption]]:
    return [
        Kept(
            tuple(
                Caption(f"{row.image_id[:12]}-{tone}", row.image_id, f"{item.instruction or ''} ({tone})".strip(), tone,
                        "scripted", "p" * 16, "k" * 16)
                for item in evidence[row.image_id].annotations
                for tone in ("plain", None)
            )
        )
        for row in rows
    ]  # fmt: skip


def _scores(rows: Sequence[Caption], _evidence: Evidence) -> list[Outcome[Scored[Caption]]]:
    return [
        Kept((Scored(row, (CriticScore("length", "1", float(len(row.caption.split()) > 1), "too short", ""),)),))
        for row in rows
    ]


def _judgements(least: float, rows: Sequence[Scored[Caption]], _evidence: Evidence) -> list[Outcome[Judged[Caption]]]:
    made: list[Outcome[Judged[Caption]]] = []
    for row in rows:
        (score,) = row.scores
        accepted = score.accept_probability >= least
        judgement = Judgement(
            score.critic, score.critic_version, score.accept_probability, accepted, "" if accepted else score.reason
        )
        judged = Judged(row.candidate, (judgement,))
        made.append(Kept((judged,)) if accepted else Dropped(score.reason, "", judged))
    return made


def _plain(rows: Sequence[Judged[Caption]], _evidence: Evidence) -> list[Outcome[Judged[Caption]]]:
    return [Kept((row,)) if row.candidate.tone == "plain" else Dropped("not plain", "", row) for row in rows]


def make_stages(recipe: CaptionRecipe) -> Sequence[AnyStage]:
    given = {"notes": recipe.notes, "splits": recipe.given_splits, "licenses": recipe.licenses, "urls": recipe.urls}
    items = partial(_items, recipe.notes, recipe.given_splits, recipe.licenses, recipe.urls)
    least = recipe.critics[0].min_accept_probability

    def stage(name: str, function: Any, record_in: Any, record_out: Any, **identity: Any) -> AnyStage:
        return FunctionStage(
            name, function, record_in=record_in, record_out=record_out, identity=identity, uses_annotations=True
        )

    last = (stage("plain", _plain, Judged[Caption], Judged[Caption]),) if recipe.plain_only else ()
    return (
        stage(ITEMS, items, ImageRecord, Annotation, **given),
        stage(CAPTIONS, _captions, ImageRecord, Caption),
        stage("scored", _scores, Caption, Scored[Caption]),
        stage("judged", partial(_judgements, least), Scored[Caption], Judged[Caption], least=least),
        *last,
    )


def script_of(_recipe: Recipe) -> Script:
    return lambda _messages, _seed: ""


def shown(candidate: Caption) -> tuple[ShownText, ...]:
    return (ShownText("caption", candidate.caption),)


def compared_text(candidate: Caption) -> str:
    return candidate.caption


KIND = RecipeKind(
    name="captions",
    recipe=CaptionRecipe,
    candidate=Caption,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=compared_text,
    parts=("caption",),
    judged_parts=("caption",),
    counted_fields=("tone",),
    title="captions made from notes",
    noun="caption",
    task_categories=("image-to-text",),
    tags=("captions",),
    method="Each note that came in beside a picture is taken for its caption.",
    citation="",
    limits=("Notes may be wrong.",),
    field_notes={"caption": "what the picture shows", "tone": "how it is said"},
    package="tests",
)
