"""What critics are made and opened with in tests, and rows for them to score."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plain_services import plain_services

from builders.filtering import FilteredRecipe
from builders.localized.recipe import KIND
from builders.localized.records import Qar
from critics.critic import CriticContext
from ostensive.chat.access import TeacherSettings
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.images.settings import IntakeSettings
from ostensive.recipe_kind import RecipeKind, ShownText
from ostensive.records import Annotation, Box, ImageRecord, Location, NamedText, Probe, Region, Verbalization
from ostensive.run.services import Services, ServiceSettings, open_services
from ostensive.stage import Evidence, ImageEvidence

IMAGE = "a" * 64
SERVICES = plain_services()
"""Services with which nobody can be asked."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A candidate with neither a question nor regions, of an image that nobody verbalized."""

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


class NotesRecipe(FilteredRecipe):
    recipe: Literal["notes"]


def shown_caption(candidate: Caption) -> tuple[ShownText, ...]:
    return (ShownText("note", candidate.note), ShownText("caption", candidate.caption))


def caption_of(candidate: Caption) -> str:
    return candidate.caption


CAPTIONS = RecipeKind(
    name="notes",
    recipe=NotesRecipe,
    candidate=Caption,
    make_stages=lambda _recipe: (),
    script=KIND.script,
    shown=shown_caption,
    compared_text=caption_of,
    parts=("note", "caption"),
    judged_parts=("caption",),
    annotations_required=("note",),
    title="captions of images from notes",
    noun="caption",
    task_categories=("image-to-text",),
    method="",
    citation="",
    package="nowhere",
)


def notes_recipe(*critics: dict[str, object]) -> NotesRecipe:
    corpus = {"license": "other", "source": "a test"}
    values = {"recipe": "notes", "profile": "offline", "corpus": corpus, "critics": critics or ({"kind": "rules"},)}
    return NotesRecipe.model_validate(values)


def context(kind: RecipeKind = KIND) -> CriticContext:
    return CriticContext(kind, ScriptedTeacherSettings(), seed=0)


CAPTIONS_CONTEXT = context(CAPTIONS)
"""Of captions."""


def qar(
    question: str = "What does [0] do?",
    answer: str = "[0] swims.",
    rationale: str = "[0] is deep in the water.",
    *,
    row_id: str = "r0",
    image_id: str = IMAGE,
) -> Qar:
    return Qar(row_id, image_id, "ids", question, answer, rationale, (0,), "t", "p", "k")


def caption(text: str, *, note: str = "a note", row_id: str = "c0", image_id: str = IMAGE) -> Caption:
    return Caption(row_id, image_id, note, text, "t", "p", "k")


def image(image_id: str = IMAGE) -> ImageRecord:
    return ImageRecord(image_id, 10, 10, "PNG", "RGB", 5, "a.png", Location("/a.png"))


def evidence(
    *captions: str, concepts: tuple[str, ...] = (), probes: tuple[Probe, ...] = (), image_id: str = IMAGE
) -> Evidence:
    """Evidence of one image with a region for each caption."""
    regions = tuple(Region(number, Box(0, 0, 1, 1), "area", None, caption) for number, caption in enumerate(captions))
    known = Verbalization(image_id, concepts, (), regions, probes)
    return {image_id: ImageEvidence(image(image_id), known)}


def noted(*notes: str, image_id: str = IMAGE) -> Evidence:
    """Evidence of one image that nobody verbalized, with notes that came in beside it."""
    items = tuple(Annotation(note, image_id, extras=(NamedText("note", note),)) for note in notes)
    return {image_id: ImageEvidence(image(image_id), annotations=items)}


@dataclass(frozen=True, slots=True)
class Asking:
    """A context whose model is asked, and services that ask it."""

    context: CriticContext
    services: Services


@contextmanager
def asking(folder: Path, base_url: str | None = None, *, kind: RecipeKind = KIND) -> Iterator[Asking]:
    """The scripted model is asked, or the server at `base_url`, through a journal in `folder`."""
    teacher: TeacherSettings = ScriptedTeacherSettings()
    if base_url is not None:
        teacher = ServedTeacherSettings(model="scripted", base_url=base_url)
    settings = ServiceSettings(intake=IntakeSettings(), threads=1, journal=folder / "journal.sqlite", run_id="run")
    with open_services(settings, threading.Event()) as services:
        yield Asking(CriticContext(kind, teacher, seed=0), services)
