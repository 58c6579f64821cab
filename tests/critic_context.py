"""What critics are made and opened with in tests, and rows for them to score."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from captions_recipe import recipe as captions
from plain_services import journaled_services, plain_services

from builders.explanations.records import Explanation
from builders.localized.recipe import KIND
from builders.localized.records import Qar
from critics.critic import CriticContext
from ostensive.chat.access import TeacherSettings
from ostensive.chat.endpoint import ServedTeacherSettings
from ostensive.chat.scripted import ScriptedTeacherSettings
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Annotation, Box, ImageRecord, Location, NamedText, Probe, Region, Verbalization
from ostensive.run.services import Services
from ostensive.stage import Evidence, ImageEvidence

IMAGE = "a" * 64
CAPTIONS = captions.KIND
"""Candidates with neither a question nor regions, of an image that nobody verbalized."""
Caption = captions.Caption
SERVICES = plain_services()
"""Services with which nobody can be asked."""


def notes_recipe(*critics: dict[str, object]) -> captions.CaptionsRecipe:
    """The recipe of captions from notes, whose candidates have neither a question nor regions."""
    corpus = {"license": "other", "source": "a test", "intended_use": "to test"}
    values = {"recipe": "captions", "profile": "offline", "corpus": corpus, "critics": critics or ({"kind": "rules"},)}
    return captions.CaptionsRecipe.model_validate(values)


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


def explanation(answer: str, concepts: tuple[str, ...], row_id: str = "x0") -> Explanation:
    return Explanation(row_id, IMAGE, "wren", "Why?", answer, concepts, "explained", "explain", "t", "p", "k")


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
    with journaled_services(folder / "journal.sqlite") as services:
        yield Asking(CriticContext(kind, teacher, seed=0), services)
