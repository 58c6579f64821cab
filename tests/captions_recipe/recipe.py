from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal, Self

from builders.filtering import FilteredRecipe, filtering_stages
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.prompts import load_prompts
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import ImageRecord, Spend
from ostensive.run.services import Services
from ostensive.stage import AnyStage, Dropped, Evidence, Failed, Kept, Outcome, Stage


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption of an image, and the note that it was written from."""

    row_id: str
    image_id: str
    note: str
    caption: str
    teacher: str
    prompt_hash: str
    request_key: str

    @property
    def record_id(self) -> str:
        return self.row_id


class CaptionsRecipe(FilteredRecipe):
    """A caption for each note."""

    recipe: Literal["captions"]


class CaptionStage(Stage[ImageRecord, Caption]):
    name = "captions"
    record_in = ImageRecord
    record_out = Caption
    uses_annotations = True

    def __init__(self, teacher: TeacherSettings, seed: int) -> None:
        self._teacher, self._seed = teacher, seed
        self._prompts = load_prompts(
            "captions", files("captions_recipe") / "templates", required=["caption"], variables=["note"]
        )
        self._chat: Chat | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        prompts = self._prompts.prompt_hash
        return {"version": 1, "prompts": prompts, "teacher": self._teacher.reply_identity(), "seed": self._seed}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with services.open_chat(self._teacher, say_caption) as self._chat:
            yield self
        self._chat = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Caption]]:
        assert self._chat is not None
        notes = [
            (row, extra.text) for row in rows for item in evidence[row.image_id].annotations for extra in item.extras
        ]
        exchanges = self._chat.chat([self._conversation(note) for _, note in notes])
        made: dict[str, list[Caption | Failed[Caption]]] = {row.image_id: [] for row in rows}
        spend: dict[str, Spend] = {row.image_id: Spend() for row in rows}
        for (row, note), exchange in zip(notes, exchanges, strict=True):
            made[row.image_id].append(self._caption(row, note, exchange))
            spend[row.image_id] += exchange.replies[0].spend
        return [
            Kept(
                tuple(one for one in made[row.image_id] if isinstance(one, Caption)),
                tuple(one for one in made[row.image_id] if isinstance(one, Failed)),
                spend[row.image_id],
            )
            if made[row.image_id]
            else Dropped("no note")
            for row in rows
        ]

    def _conversation(self, note: str) -> Conversation:
        message = Message("user", self._prompts.render("caption", {"note": note}))
        return Conversation((message,), (), self._teacher.sampling(self._seed))

    def _caption(self, row: ImageRecord, note: str, exchange: Exchange) -> Caption | Failed[Caption]:
        reply = exchange.replies[0]
        if isinstance(reply, NoReply):
            return Failed(reply.reason, reply.detail)
        return Caption(
            row_id=fingerprint([row.image_id, reply.request_key])[:16],
            image_id=row.image_id,
            note=note,
            caption=reply.text,
            teacher=reply.model,
            prompt_hash=self._prompts.prompt_hash,
            request_key=reply.request_key,
        )


def say_caption(messages: Sequence[Message], seed: int) -> str:
    """What the scripted teacher says: the note, as a sentence."""
    note = messages[-1].text.partition(": ")[2].partition("\n")[0]
    return f"Here is {note[:1].lower()}{note[1:].rstrip('.')}."


def script_of(_recipe: CaptionsRecipe) -> Script:
    return say_caption


def make_stages(recipe: CaptionsRecipe) -> Sequence[AnyStage]:
    return (CaptionStage(recipe.teacher, recipe.seed), *filtering_stages(recipe, KIND))


def shown(candidate: Caption) -> tuple[ShownText, ...]:
    return (ShownText("note", candidate.note), ShownText("caption", candidate.caption))


def compared_text(candidate: Caption) -> str:
    return candidate.caption


KIND: Final = RecipeKind(
    name="captions",
    recipe=CaptionsRecipe,
    candidate=Caption,
    make_stages=make_stages,
    script=script_of,
    shown=shown,
    compared_text=compared_text,
    parts=("note", "caption"),
    judged_parts=("caption",),
    tasks=("accept",),
    annotations_required=("note",),
    title="captions of images from notes",
    noun="caption",
    task_categories=("image-to-text",),
    tags=("captions",),
    method="A teacher that never sees a picture writes a caption from what somebody noted beside it.",
    citation="",
    limits=("A caption says no more than its note.",),
    field_notes={"note": "what came in beside the image", "caption": "the caption"},
    package="captions_recipe",
)
