"""What critics are made with in tests, and rows for them to score."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ostensive.models.pool import GeneratorPool

from critics.critic import CriticMeans
from ostensive.chat.access import ChatSettings, open_chat
from ostensive.chat.budget import Budget
from ostensive.chat.journal import Journal
from ostensive.chat.prices import load_prices
from ostensive.chat.records import Chat
from ostensive.chat.scripted import Script
from ostensive.images.loader import ImageLoader
from ostensive.recipe import IntakeSettings, ScriptedTeacherSettings, ServedTeacherSettings, TeacherSettings
from ostensive.records import Box, ImageRecord, Location, Probe, Qar, Region, Verbalization
from ostensive.run.services import Services
from ostensive.stage import Evidence, ImageEvidence

IMAGE = "a" * 64


def no_chat(_settings: ChatSettings, _script: Script) -> Chat:
    raise AssertionError("nobody is to be asked here")


def services() -> Services:
    return Services(ImageLoader(IntakeSettings()), no_chat, GeneratorPool(), 1, threading.Event())


def means() -> CriticMeans:
    """Means with which nobody can be asked."""
    return CriticMeans(services(), ScriptedTeacherSettings(), seed=0)


def qar(
    question: str = "What does [0] do?",
    answer: str = "[0] swims.",
    rationale: str = "[0] is deep in the water.",
    *,
    row_id: str = "r0",
    image_id: str = IMAGE,
) -> Qar:
    return Qar(row_id, image_id, "ids", question, answer, rationale, (0,), "t", "p", "k")


def evidence(
    *captions: str, concepts: tuple[str, ...] = (), probes: tuple[Probe, ...] = (), image_id: str = IMAGE
) -> Evidence:
    """Evidence of one image with a region for each caption."""
    image = ImageRecord(image_id, 10, 10, "PNG", "RGB", 5, "a.png", Location("/a.png"))
    regions = tuple(Region(number, Box(0, 0, 1, 1), "area", None, caption) for number, caption in enumerate(captions))
    return {image_id: ImageEvidence(image, Verbalization(image_id, concepts, (), regions, probes))}


@contextmanager
def asking_means(folder: Path, base_url: str | None = None) -> Iterator[CriticMeans]:
    """Means with which the scripted model is asked, or the server at `base_url`, through a journal in `folder`."""
    stop = threading.Event()
    with Journal(folder / "journal.sqlite", "run") as journal:
        budget, prices, generators = Budget(), load_prices(None), GeneratorPool()

        def ask(settings: ChatSettings, script: Script) -> Chat:
            return open_chat(
                settings,
                journal=journal,
                budget=budget,
                stop=stop,
                script=script,
                prices=prices,
                generators=generators,
            )

        teacher: TeacherSettings = ScriptedTeacherSettings()
        if base_url is not None:
            teacher = ServedTeacherSettings(model="scripted", base_url=base_url)
        yield CriticMeans(Services(ImageLoader(IntakeSettings()), ask, generators, 1, stop), teacher, seed=0)
