"""A few images through every stage of a recipe in memory, chat models spoken by scripts: nothing is spent or written.

`preview` shows what came of it, `estimate` counts it.
"""

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self  # Any: stages of different records

from ostensive.chat.access import ChatSettings
from ostensive.chat.local import SelfTeacherSettings
from ostensive.chat.records import Chat, Conversation, Exchange, Form, Reply
from ostensive.chat.scripted import Script, script_seed
from ostensive.chat.turns import converse
from ostensive.errors import NoImagesError
from ostensive.images.intake import Intake
from ostensive.images.items import SourceItem
from ostensive.images.refusals import why_none
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import NO_SPEND, Annotation, ImageRecord, ImageSignature, Record, Verbalization
from ostensive.run.annotating import ImageItems, annotation_stage
from ostensive.run.pipeline import stages_of
from ostensive.run.planning import PlannedAnnotations, has_given_splits
from ostensive.run.services import Services, ServiceSettings, open_services, thread_count
from ostensive.stage import AnyStage, ImageEvidence, Kept, Outcome, RunWideStage, record_name


@dataclass(slots=True)
class RehearsedChat:
    """A chat model that answers by script and remembers what it was asked."""

    settings: ChatSettings  # of the model that it stands for
    script: Script
    asked: list[tuple[Conversation, Exchange]] = field(default_factory=list)
    form: ClassVar[Form] = "chat"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """See `Chat`."""
        exchanges = converse(conversations, lambda asked: [self._answer(one) for one in asked])
        self.asked += zip(conversations, exchanges, strict=True)
        return exchanges

    def _answer(self, conversation: Conversation) -> Reply:
        seed = script_seed(conversation.messages, conversation.sampling.draw)
        return Reply(self.script(conversation.messages, seed), "stop", "scripted", f"{seed:016x}", NO_SPEND)


@dataclass(frozen=True, slots=True)
class RehearsedStage:
    """What a stage was given and made, in memory."""

    name: str
    record: Any  # the class of what it made
    rows: Sequence[Record]
    outcomes: Sequence[Outcome[Any]]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything that came of a few images."""

    kind: RecipeKind
    stages: tuple[RehearsedStage, ...]  # intake first
    chats: tuple[RehearsedChat, ...]

    @property
    def asked(self) -> tuple[tuple[Conversation, Exchange], ...]:
        """All conversations, those of one model after those of another."""
        return tuple(pair for chat in self.chats for pair in chat.asked)

    @property
    def images(self) -> list[ImageRecord]:
        """The images that were taken in."""
        kept = (outcome for outcome in self.stages[0].outcomes if isinstance(outcome, Kept))
        return [record for outcome in kept for record in outcome.records]


def rehearse(
    recipe: Recipe, kind: RecipeKind, items: Sequence[SourceItem], annotations: PlannedAnnotations | None = None
) -> Rehearsal:
    """Takes `items` and what lies beside them through every stage of `recipe`, the chat models spoken by scripts.

    Models of this machine that verbalize are free, and look at the images as they do in a build.
    """
    chats: list[RehearsedChat] = []
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite"
        threads = thread_count(recipe.run)
        settings = ServiceSettings(intake=recipe.intake, threads=threads, journal=journal, run_id="rehearsal")
        with open_services(settings, threading.Event()) as services:

            def open_chat(chat: ChatSettings, script: Script) -> Chat:
                if isinstance(chat, GeneratorSettings) and not isinstance(chat, SelfTeacherSettings):
                    return services.open_chat(chat, script)
                chats.append(RehearsedChat(chat, script))
                return chats[-1]

            opened = replace(services, open_chat=open_chat)
            done = _intake_rehearsed(Intake(recipe.intake, threads), items, annotations)
            after = stages_of(recipe, kind, with_splits=has_given_splits(annotations))
            stages = [*done, *_rehearsed(after, done, opened)]
    return Rehearsal(kind, tuple(stages), tuple(chats))


def first_image(recipe: Recipe, items: Sequence[SourceItem]) -> SourceItem:
    """The first of `items` that can be taken in; raises `NoImagesError` where there is none."""
    intake, refused = Intake(recipe.intake, threads=1), Counter[str]()
    for item in items:
        (outcome,) = intake.process([item], {})
        if isinstance(outcome, Kept):
            return item
        refused[outcome.reason] += 1
    raise NoImagesError(why_none(refused))


def _intake_rehearsed(
    intake: Intake, items: Sequence[SourceItem], annotations: PlannedAnnotations | None
) -> list[RehearsedStage]:
    taken_in = intake.process(items, {})
    done = [RehearsedStage(intake.name, ImageRecord, items, taken_in)]
    return done if annotations is None else [*done, _joined(annotations, items, taken_in)]


def _rehearsed(
    stages: Sequence[AnyStage], intake: Sequence[RehearsedStage], services: Services
) -> Iterator[RehearsedStage]:
    """The stages after intake, as long as there are rows for them."""
    made = {record_name(stage.record): _kept(stage.outcomes) for stage in intake}  # the newest rows by their class
    items = made.get(record_name(Annotation), [])
    evidence = {
        image.image_id: ImageEvidence(image, None, tuple(one for one in items if one.image_id == image.image_id))
        for image in made[record_name(ImageRecord)]
    }
    for stage in stages:
        rows = made[record_name(stage.record_in)]
        if not rows:
            return
        known = evidence
        if not stage.uses_annotations:
            known = {image_id: replace(one, annotations=()) for image_id, one in evidence.items()}
        if isinstance(stage, RunWideStage):
            outcomes = stage.apply(rows, stage.decide([stage.summarise(rows, known)]))
        else:
            with stage.opened(services) as opened:
                outcomes = opened.process(rows, known)
        yield RehearsedStage(stage.name, stage.record_out, rows, outcomes)
        kept = made[record_name(stage.record_out)] = _kept(outcomes)
        if stage.record_out is Verbalization:
            evidence |= {row.image_id: replace(evidence[row.image_id], verbalization=row) for row in kept}
        elif stage.record_out is ImageSignature:
            evidence |= {row.image_id: replace(evidence[row.image_id], signature=row) for row in kept}


def _joined(
    annotations: PlannedAnnotations, items: Sequence[SourceItem], taken_in: Sequence[Outcome[ImageRecord]]
) -> RehearsedStage:
    """The stage `annotations` on the few images."""
    keys: dict[str, list[str]] = {}
    for item, outcome in zip(items, taken_in, strict=True):
        for image in outcome.records if isinstance(outcome, Kept) else ():
            keys.setdefault(image.image_id, []).append(item.key)
    settled = {image_id: annotations.found.of(own, image_id) for image_id, own in keys.items()}
    rows = [ImageItems(image_id, one.items, one.losses) for image_id, one in settled.items()]
    stage = annotation_stage(annotations.required)
    return RehearsedStage(stage.name, Annotation, rows, stage.process(rows, {}))


def _kept(outcomes: Sequence[Outcome[Any]]) -> list[Any]:
    return [record for outcome in outcomes if isinstance(outcome, Kept) for record in outcome.records]
