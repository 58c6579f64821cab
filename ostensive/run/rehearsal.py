"""A few images through every stage of a recipe in memory, chat models spoken by scripts: nothing is spent or written.

`preview` shows what came of it, `estimate` counts it.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self  # Any: stages of different records

from ostensive.chat.access import ChatSettings
from ostensive.chat.records import Chat, Conversation, Exchange, Message, Reply
from ostensive.chat.scripted import Script, script_seed
from ostensive.images.intake import Intake
from ostensive.images.loader import ImageLoader
from ostensive.images.sources import SourceItem
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import NO_SPEND, ImageRecord, Record, Verbalization
from ostensive.run.pipeline import stages_of
from ostensive.run.services import Services, thread_count
from ostensive.stage import ImageEvidence, Kept, Outcome, RunWideStage, record_name


@dataclass(slots=True)
class RehearsedChat:
    """A chat model that answers by script and remembers what it was asked."""

    settings: ChatSettings  # of the model that it stands for
    script: Script
    asked: list[tuple[Conversation, Exchange]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """See `Chat`."""
        exchanges = [self._answer(conversation) for conversation in conversations]
        self.asked += zip(conversations, exchanges, strict=True)
        return exchanges

    def _answer(self, conversation: Conversation) -> Exchange:
        messages = list(conversation.messages)
        replies = []
        for follow_up in (None, *conversation.follow_ups):
            if follow_up is not None:
                messages.append(follow_up)
            key = f"{script_seed(messages, conversation.sampling.draw):016x}"
            text = self.script(messages, int(key, 16))
            replies.append(Reply(text, "stop", "scripted", key, NO_SPEND))
            messages.append(Message("assistant", text))
        return Exchange(tuple(replies))


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


def rehearse(recipe: Recipe, kind: RecipeKind, items: Sequence[SourceItem]) -> Rehearsal:
    """Takes `items` through intake and every stage of `recipe`, the parts of chat models spoken by scripts."""
    chats: list[RehearsedChat] = []

    def open_chat(settings: ChatSettings, script: Script) -> Chat:
        chats.append(RehearsedChat(settings, script))
        return chats[-1]

    threads = thread_count(recipe.run)
    services = Services(ImageLoader(recipe.intake), open_chat, GeneratorPool(), threads, threading.Event())
    intake = Intake(recipe.intake, threads)
    taken_in = intake.process(items, {})
    done = [RehearsedStage(intake.name, ImageRecord, items, taken_in)]
    images = _kept(taken_in)
    made: dict[str, Sequence[Any]] = {record_name(ImageRecord): images}  # the newest rows by the name of their class
    evidence = {image.image_id: ImageEvidence(image) for image in images}
    for stage in stages_of(recipe, kind):
        rows = made[record_name(stage.record_in)]
        if not rows:
            break
        if isinstance(stage, RunWideStage):
            outcomes = stage.apply(rows, stage.decide([stage.summarise(rows, evidence)]))
        else:
            with stage.opened(services) as opened:
                outcomes = opened.process(rows, evidence)
        done.append(RehearsedStage(stage.name, stage.record_out, rows, outcomes))
        kept = made[record_name(stage.record_out)] = _kept(outcomes)
        if stage.record_out is Verbalization:
            evidence = {row.image_id: replace(evidence[row.image_id], verbalization=row) for row in kept}
    return Rehearsal(kind, tuple(done), tuple(chats))


def _kept(outcomes: Sequence[Outcome[Any]]) -> list[Any]:
    return [record for outcome in outcomes if isinstance(outcome, Kept) for record in outcome.records]
