"""The stage `candidates`: asks the teacher for triples about each image and keeps the good ones.

Each image has one conversation for each mode, whose follow-up turns ask for more triples; all conversations of a
partition go out together, because a server is only busy when it has much to do. Whatever comes back, each triple that
was asked for is kept, dropped or failed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self  # Any: JSON values of any depth

import PIL.Image

from builders.asking import IMAGES_AT_ONCE, UNREADABLE, Asker, open_asker, request_identity, request_seed
from builders.localized.context import context_text
from builders.localized.records import Qar
from builders.localized.settings import LocalizedSettings, Mode, prompt_sets
from builders.localized.triples import NO_REGIONS, Absent, Limits, Triple, TurnText, turn_triples
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Exchange, Message, NoReply, Reply, Sampling
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.fingerprint import fingerprint
from ostensive.images.drawing import draw_regions
from ostensive.prompts import PromptValue, load_prompts
from ostensive.records import NO_SPEND, Spend, Verbalization
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Kept, Outcome, Stage
from verbalizers.base import ImageFailure

CANDIDATES: Final = "candidates"
_STAGE_VERSION = 1
_SYSTEM, _FOLLOW_UP = "system", "follow_up"
_VARIABLES = ("context", "mode", "qars", "max_mentions", "turn", "sees_image")
_SCRIPTED_TOKENS_PER_QAR = 400
_TRIAL = Verbalization("0" * 64, (), (), (), ())

Loss = Dropped[Qar] | Failed[Qar]


@dataclass(frozen=True, slots=True)
class _Request:
    """One conversation that is to be held: about which image, and in which mode."""

    row: Verbalization
    mode: Mode
    picture: PIL.Image.Image | None  # what the teacher is shown, if it sees


@dataclass(frozen=True, slots=True)
class _Result:
    """What one conversation gave."""

    records: tuple[Qar, ...]
    losses: tuple[Loss, ...]
    spend: Spend


def seen_as(picture: PIL.Image.Image | ImageFailure | None, row: Verbalization, mode: Mode) -> PIL.Image.Image | None:
    """What a teacher that sees is shown: the picture, where regions are named by number with the regions on it.

    In the mode that names them by their looks it is the bare picture: digits on it would be repeated.
    """
    if not isinstance(picture, PIL.Image.Image):
        return None
    return draw_regions(picture, row.regions) if mode == "ids" else picture


class CandidatesStage(Stage[Verbalization, Qar]):
    """From verbalizations to candidates."""

    name = CANDIDATES
    record_in = Verbalization
    record_out = Qar
    partitions_at_once = 2

    def __init__(self, settings: LocalizedSettings, *, teacher: TeacherSettings, script: Script, seed: int) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        self._settings = settings
        self._teacher = teacher
        self._script = script
        self._seed = seed
        self._asker: Asker | None = None
        self.images_at_once = IMAGES_AT_ONCE if teacher.sees_image else None
        required = [f"opening_{mode}" for mode in settings.modes] + ([_FOLLOW_UP] if settings.turns > 1 else [])
        self._prompts = load_prompts(settings.prompt_set, prompt_sets(), required=required, variables=_VARIABLES)
        self._prompt_hash = self._prompts.prompt_hash
        for mode in settings.modes:
            self.conversation(_TRIAL, mode)  # a template that fails does so before any work

    @property
    def prompt_hash(self) -> str:
        """The hash of the prompt set, see `ostensive.prompts`."""
        return self._prompt_hash

    @property
    def identity(self) -> Mapping[str, Any]:
        return request_identity(
            _STAGE_VERSION, self._settings, prompts=self._prompts, teacher=self._teacher, seed=self._seed
        )

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker:
            yield self
        self._asker = None

    def process(self, rows: Sequence[Verbalization], evidence: Evidence) -> list[Outcome[Qar]]:
        assert self._asker is not None, "the stage is opened before it is used"
        pictures: dict[str, PIL.Image.Image | ImageFailure] = {}
        if self._teacher.sees_image:
            pictures = self._asker.pictures([evidence[row.image_id].image for row in rows])
        unreadable = {image_id: one for image_id, one in pictures.items() if isinstance(one, ImageFailure)}
        asked = [
            _Request(row, mode, seen_as(pictures.get(row.image_id), row, mode))
            for row in rows
            for mode in self._settings.modes
            if row.image_id not in unreadable and (mode != "ids" or row.regions)
        ]
        exchanges = self._asker.ask([self.conversation(one.row, one.mode, one.picture) for one in asked])
        results: dict[str, list[_Result]] = {}
        for one, exchange in zip(asked, exchanges, strict=True):
            results.setdefault(one.row.image_id, []).append(self._result(one, exchange))
        return [
            Failed(UNREADABLE, unreadable[row.image_id].detail)
            if row.image_id in unreadable
            else self._outcome(row, results.get(row.image_id, []))
            for row in rows
        ]

    def conversation(self, row: Verbalization, mode: Mode, picture: PIL.Image.Image | None = None) -> Conversation:
        """The conversation about one image in one mode, exactly as it will be held."""
        values: dict[str, PromptValue] = {
            "context": context_text(row, mode),
            "mode": mode,
            "qars": self._settings.qars_per_turn,
            "max_mentions": self._settings.max_mentions,
            "turn": 1,
            "sees_image": bool(self._teacher.sees_image),
        }
        shown = () if picture is None else (picture,)
        opening = [Message("user", self._prompts.render(f"opening_{mode}", values), shown)]
        if _SYSTEM in self._prompts.names:
            opening.insert(0, Message("system", self._prompts.render(_SYSTEM, values)))
        follow_ups = tuple(
            Message("user", self._prompts.render(_FOLLOW_UP, {**values, "turn": turn}))
            for turn in range(2, self._settings.turns + 1)
        )
        return Conversation(tuple(opening), follow_ups, self._sampling(row, mode))

    def _sampling(self, row: Verbalization, mode: Mode) -> Sampling:
        seed = request_seed(self._seed, row.image_id, mode)
        sampling = self._teacher.sampling(seed)
        if isinstance(self._teacher, ScriptedTeacherSettings):
            # It draws its errors from the seed, and is never to be cut short.
            return replace(sampling, seed=seed, max_tokens=_SCRIPTED_TOKENS_PER_QAR * self._settings.qars_per_turn)
        return sampling

    def _outcome(self, row: Verbalization, results: Sequence[_Result]) -> Outcome[Qar]:
        losses = [loss for result in results for loss in result.losses]
        if not row.regions and "ids" in self._settings.modes:
            losses += [Dropped(NO_REGIONS)] * (self._settings.turns * self._settings.qars_per_turn)
        spend = sum((result.spend for result in results), NO_SPEND)
        return Kept(tuple(record for result in results for record in result.records), tuple(losses), spend)

    def _result(self, asked: _Request, exchange: Exchange) -> _Result:
        limits = Limits(
            asked.mode,
            frozenset(region.number for region in asked.row.regions),
            self._settings.qars_per_turn,
            self._settings.max_mentions,
        )
        records: list[Qar] = []
        losses: list[Loss] = []
        spend = sum((reply.spend for reply in exchange.replies), NO_SPEND)
        for turn in self._turns(exchange):
            if isinstance(turn, NoReply):
                losses += [Failed(turn.reason, turn.detail)] * limits.qars
                continue
            seen = [record.question for record in records]
            for found in turn_triples(TurnText(turn.text, turn.finish_reason), limits, seen):
                if isinstance(found, Absent):
                    losses.append(Dropped(found.reason, found.detail))
                elif found.reason:
                    losses.append(Dropped(found.reason, found.detail, self._qar(found, asked, turn)))
                else:
                    records.append(self._qar(found, asked, turn))
        return _Result(tuple(records), tuple(losses), spend)

    def _turns(self, exchange: Exchange) -> Iterator[Reply | NoReply]:
        """One reply or none for each turn: those after a missing reply were not asked, for the same reason."""
        replies = exchange.replies
        assert replies, "an exchange has at least one reply"
        assert len(replies) == self._settings.turns or isinstance(replies[-1], NoReply), (
            "a turn has neither reply nor why"
        )
        for turn in range(self._settings.turns):
            yield replies[min(turn, len(replies) - 1)]

    def _qar(self, triple: Triple, asked: _Request, reply: Reply) -> Qar:
        return Qar(
            row_id=fingerprint([asked.row.image_id, reply.request_key, triple.slot])[:16],
            image_id=asked.row.image_id,
            mode=asked.mode,
            question=triple.question,
            answer=triple.answer,
            rationale=triple.rationale,
            mentions=triple.mentions,
            teacher=reply.model,
            prompt_hash=self._prompt_hash,
            request_key=reply.request_key,
        )
