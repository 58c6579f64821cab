"""The stage `candidates`: asks the teacher for triples about each image and keeps the good ones.

Each image has one conversation for each mode, whose follow-up turns ask for more triples; all conversations of a
partition go out together, because a server is only busy when it has much to do. Whatever comes back, each triple that
was asked for is kept, dropped or failed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self  # Any: JSON values of any depth

from builders.localized.context import context_text
from builders.localized.outcomes import NO_REGIONS, Absent, Limits, Triple, TurnText, turn_outcomes
from builders.localized.records import Qar
from builders.localized.settings import LocalizedSettings, Mode, prompt_sets
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply, Reply, Sampling
from ostensive.chat.scripted import Script, ScriptedTeacherSettings
from ostensive.fingerprint import fingerprint
from ostensive.prompts import PromptValue, load_prompts
from ostensive.records import NO_SPEND, Spend, Verbalization
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Kept, Outcome, Stage

CANDIDATES: Final = "candidates"
_STAGE_VERSION = 1
_SYSTEM, _FOLLOW_UP = "system", "follow_up"
_VARIABLES = ("context", "mode", "qars", "max_mentions", "turn")
_SCRIPTED_TOKENS_PER_QAR = 400
_TRIAL = Verbalization("0" * 64, (), (), (), ())

Loss = Dropped[Qar] | Failed[Qar]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One conversation that is to be held: about which image, and in which mode."""

    row: Verbalization
    mode: Mode


@dataclass(frozen=True, slots=True)
class _Harvest:
    """What one conversation gave."""

    records: tuple[Qar, ...]
    losses: tuple[Loss, ...]
    spend: Spend


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
        self._chat: Chat | None = None
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
        settings = self._settings.identity()
        # A folder that is moved, or a copy of the built-in set, writes the same prompts: their hash says it all.
        del settings["prompt_set"]
        return {
            "version": _STAGE_VERSION,
            "settings": settings,
            "prompts": self._prompt_hash,
            "teacher": self._teacher.reply_identity(),
            "seed": self._seed,
        }

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with services.open_chat(self._teacher, self._script) as self._chat:
            yield self
        self._chat = None

    def process(self, rows: Sequence[Verbalization], evidence: Evidence) -> list[Outcome[Qar]]:  # noqa: ARG002 - of the protocol
        assert self._chat is not None, "the stage is opened before it is used"
        asked = [_Asked(row, mode) for row in rows for mode in self._settings.modes if mode != "ids" or row.regions]
        exchanges = self._chat.chat([self.conversation(one.row, one.mode) for one in asked])
        harvests: dict[str, list[_Harvest]] = {}
        for one, exchange in zip(asked, exchanges, strict=True):
            harvests.setdefault(one.row.image_id, []).append(self._harvest(one, exchange))
        return [self._outcome(row, harvests.get(row.image_id, [])) for row in rows]

    def conversation(self, row: Verbalization, mode: Mode) -> Conversation:
        """The conversation about one image in one mode, exactly as it will be held."""
        values: dict[str, PromptValue] = {
            "context": context_text(row, mode),
            "mode": mode,
            "qars": self._settings.qars_per_turn,
            "max_mentions": self._settings.max_mentions,
            "turn": 1,
        }
        opening = [Message("user", self._prompts.render(f"opening_{mode}", values))]
        if _SYSTEM in self._prompts.names:
            opening.insert(0, Message("system", self._prompts.render(_SYSTEM, values)))
        follow_ups = tuple(
            Message("user", self._prompts.render(_FOLLOW_UP, {**values, "turn": turn}))
            for turn in range(2, self._settings.turns + 1)
        )
        return Conversation(tuple(opening), follow_ups, self._sampling(row, mode))

    def _sampling(self, row: Verbalization, mode: Mode) -> Sampling:
        # 31 bits: servers differ in how large a seed they take.
        seed = int(fingerprint([self._seed, row.image_id, mode])[:8], 16) & 0x7FFFFFFF
        sampling = self._teacher.sampling(seed)
        if isinstance(self._teacher, ScriptedTeacherSettings):
            # It draws its errors from the seed, and is never to be cut short.
            return replace(sampling, seed=seed, max_tokens=_SCRIPTED_TOKENS_PER_QAR * self._settings.qars_per_turn)
        return sampling

    def _outcome(self, row: Verbalization, harvests: Sequence[_Harvest]) -> Outcome[Qar]:
        losses = [loss for harvest in harvests for loss in harvest.losses]
        if not row.regions and "ids" in self._settings.modes:
            losses += [Dropped(NO_REGIONS)] * (self._settings.turns * self._settings.qars_per_turn)
        spend = sum((harvest.spend for harvest in harvests), NO_SPEND)
        return Kept(tuple(record for harvest in harvests for record in harvest.records), tuple(losses), spend)

    def _harvest(self, asked: _Asked, exchange: Exchange) -> _Harvest:
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
            for found in turn_outcomes(TurnText(turn.text, turn.finish_reason), limits, seen):
                if isinstance(found, Absent):
                    losses.append(Dropped(found.reason, found.detail))
                elif found.reason:
                    losses.append(Dropped(found.reason, found.detail, self._qar(found, asked, turn)))
                else:
                    records.append(self._qar(found, asked, turn))
        return _Harvest(tuple(records), tuple(losses), spend)

    def _turns(self, exchange: Exchange) -> Iterator[Reply | NoReply]:
        """One reply or none for each turn: those after a missing reply were not asked, for the same reason."""
        replies = exchange.replies
        assert replies, "an exchange has at least one reply"
        assert len(replies) == self._settings.turns or isinstance(replies[-1], NoReply), (
            "a turn has neither reply nor why"
        )
        for turn in range(self._settings.turns):
            yield replies[min(turn, len(replies) - 1)]

    def _qar(self, triple: Triple, asked: _Asked, reply: Reply) -> Qar:
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
