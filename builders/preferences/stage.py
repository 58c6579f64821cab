"""The stage `pairs`: asks the teacher for both sides of each pair.

The chosen side answers the good prompt about the picture as it is. The rejected side answers a prompt that asks for
things that are not there, or a plain captioning prompt about a corrupted picture. Each side is one conversation that
carries its own picture; both sides of all pairs go out together, because a server is only busy when it has much to do.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self  # Any: JSON values of any depth

import PIL.Image

from builders.asking import (
    IMAGES_AT_ONCE,
    UNREADABLE,
    Asker,
    Gathered,
    check_sees,
    open_asker,
    request_identity,
    request_seed,
    sampling_of,
)
from builders.preferences.corrupting import Corrupted, change_of, corrupted
from builders.preferences.planning import CAPTION, DESCRIBE, IMAGINE, PairPlan, other_image, plan_pairs
from builders.preferences.records import PreferencePair
from builders.preferences.settings import PreferencesSettings, prompt_sets
from builders.preferences.sides import CHOSEN, NO_OTHER, REJECTED, TOO_LITTLE, Sides, read_sides
from builders.rounds import FIRST_ROUND, Inherited, RoundSettings
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Exchange, Message, NoReply
from ostensive.chat.scripted import Script
from ostensive.errors import SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.prompts import load_prompts
from ostensive.records import ImageRecord
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

PAIRS: Final = "pairs"
_STAGE_VERSION = 1

Pictures = Mapping[str, PIL.Image.Image | ImageFailure]


@dataclass(frozen=True, slots=True)
class _Request:
    """One pair that is asked for: the two conversations, and what was done to the picture of the second."""

    image_id: str
    plan: PairPlan
    corruption: str
    chosen: Conversation
    rejected: Conversation


class PairsStage(Stage[ImageRecord, PreferencePair]):
    """From images to pairs of descriptions."""

    name = PAIRS
    record_in = ImageRecord
    record_out = PreferencePair
    partitions_at_once = 2
    images_at_once = IMAGES_AT_ONCE

    def __init__(
        self,
        settings: PreferencesSettings,
        *,
        teacher: TeacherSettings,
        script: Script,
        seed: int,
        rounds: RoundSettings = FIRST_ROUND,
    ) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        check_sees(teacher, "preferences")
        self._settings = settings
        self._round, self._inherited = rounds.number, Inherited(rounds, PreferencePair)
        self._teacher = teacher
        self._script = script
        self._seed = seed
        self._asker: Asker | None = None
        self._prompts = load_prompts(settings.prompt_set, prompt_sets(), required=[DESCRIBE], variables=())
        for kind in (CAPTION, IMAGINE):
            if not any(name.startswith(kind) for name in self._prompts.names):
                raise SettingsError(
                    f"{self._prompts.origin}: a template {kind}1.j2 is missing; one or more are expected"
                )
        self._texts = {name: self._prompts.render(name, {}) for name in self._prompts.names}

    @property
    def identity(self) -> Mapping[str, Any]:
        asked = request_identity(
            _STAGE_VERSION, self._settings, prompts=self._prompts, teacher=self._teacher, seed=self._seed
        )
        return {**asked, "round": self._round, "inherited": self._inherited.identity}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker, self._inherited.opened():
            yield self
        self._asker = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[PreferencePair]]:  # noqa: ARG002 - of the protocol
        assert self._asker is not None, "the stage is opened before it is used"
        pictures = self._asker.pictures(rows)
        gathered = Gathered[PreferencePair]()
        asked: list[_Request] = []
        for row in rows:
            for earlier in self._inherited.of(row.image_id):
                gathered.keep(earlier)
            for plan in plan_pairs(self._settings, self._prompts.names, seed=self._seed, image_id=row.image_id):
                request = self._request(row.image_id, plan, pictures)
                if isinstance(request, _Request):
                    asked.append(request)
                else:
                    gathered.lose(row.image_id, request)
        exchanges = self._asker.ask([side for one in asked for side in (one.chosen, one.rejected)])
        for one, *sides in zip(asked, exchanges[::2], exchanges[1::2], strict=True):
            self._gather(gathered, one, *sides)
        return [gathered.outcome(row.image_id, otherwise=UNREADABLE) for row in rows]

    def _request(
        self, image_id: str, plan: PairPlan, pictures: Pictures
    ) -> _Request | Dropped[PreferencePair] | Failed[PreferencePair]:
        picture = pictures[image_id]
        if isinstance(picture, ImageFailure):
            return Failed(UNREADABLE, picture.detail)
        shown, prompt, corruption = picture, plan.imagine or plan.caption, ""
        if plan.corruption is not None:
            spoilt = self._spoilt(image_id, picture, plan, pictures)
            if spoilt is None:
                return Dropped(NO_OTHER)
            change = change_of(picture, spoilt.picture)
            if change < self._settings.min_change:
                return Dropped(TOO_LITTLE, f"{spoilt.done}: changes {change:.4f}")
            shown, corruption = spoilt.picture, spoilt.done
        return _Request(
            image_id,
            plan,
            corruption,
            self._conversation(DESCRIBE, picture, image_id, CHOSEN, plan.place),
            self._conversation(prompt, shown, image_id, REJECTED, plan.place),
        )

    def _spoilt(self, image_id: str, picture: PIL.Image.Image, plan: PairPlan, pictures: Pictures) -> Corrupted | None:
        """The picture that the rejected side is written about; None where it is another image's and there is none."""
        assert plan.corruption is not None, "a pair that is asked to imagine shows the picture as it is"
        if plan.corruption != "swap":
            return corrupted(picture, plan.corruption, self._settings, plan.seed)
        readable = {key: other for key, other in pictures.items() if not isinstance(other, ImageFailure)}
        other_id = other_image(list(readable), image_id, plan.seed)
        return None if other_id is None else Corrupted(readable[other_id], f"swap: image {other_id}")

    def _conversation(
        self, prompt: str, picture: PIL.Image.Image, image_id: str, side: str, place: int
    ) -> Conversation:
        sampling = sampling_of(self._teacher, request_seed(self._seed, image_id, side), draw=place)
        return Conversation((Message("user", self._texts[prompt], (picture,)),), (), sampling)

    def _gather(self, gathered: Gathered[PreferencePair], one: _Request, chosen: Exchange, rejected: Exchange) -> None:
        gathered.pay(one.image_id, chosen)
        gathered.pay(one.image_id, rejected)
        sides = read_sides(chosen, rejected)
        if isinstance(sides, NoReply):
            gathered.lose(one.image_id, Failed(sides.reason, sides.detail))
        elif sides.reason:
            gathered.lose(one.image_id, Dropped(sides.reason, sides.detail, self._pair(one, sides)))
        else:
            gathered.keep(self._pair(one, sides))

    def _pair(self, one: _Request, sides: Sides) -> PreferencePair:
        keys = sides.chosen.request_key, sides.rejected.request_key
        return PreferencePair(
            row_id=fingerprint([one.image_id, *keys, one.plan.place])[:16],
            image_id=one.image_id,
            prompt=self._texts[one.plan.caption],
            chosen=sides.chosen.text.strip(),
            rejected=sides.rejected.text.strip(),
            way="imagined" if one.plan.imagine else "corrupted",
            corruption=one.corruption,
            hallucination_prompt=one.plan.imagine or "",
            teacher=sides.chosen.model,
            prompt_hash=self._prompts.prompt_hash,
            request_key=keys[0],
            rejected_request_key=keys[1],
            round=self._round,
        )
