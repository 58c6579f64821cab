"""What critics are made with in tests, and rows for them to score."""

import threading

from critics.critic import CriticMeans
from ostensive.chat.access import ChatSettings
from ostensive.chat.records import Chat
from ostensive.chat.scripted import Script
from ostensive.generation.pool import GeneratorPool
from ostensive.images.loader import ImageLoader
from ostensive.recipe import IntakeSettings, ScriptedTeacherSettings
from ostensive.records import Box, ImageRecord, Location, Probe, Qar, Region, Verbalization
from ostensive.services import Services
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
