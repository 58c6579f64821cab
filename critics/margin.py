"""The critic `margin`: of a pair, by how much the chosen side is the better one, by a model that sees the picture.

Each side is rated alone, with the picture and without the other side. A pair whose rejected side is as good teaches a
student nothing, or the wrong thing: STIC rejects a description for how it was asked for, and a model that is asked to
make things up may still describe what is there. Ratings go through journal, budget and retries like a teacher's
replies; the chosen side of several pairs is rated once.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from typing import Annotated, Final, Literal, Self

import PIL.Image
from pydantic import Field

from critics.critic import Critic, CriticContext, NoScore, Score, ScoringSettings
from critics.judge import UNREADABLE, UnreadableReplyError, read_reply
from ostensive.chat.access import ChatSettings, TeacherSettings
from ostensive.chat.pictures import presentable, shrunk
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply
from ostensive.fingerprint import fingerprint
from ostensive.images.loader import ImageLoader
from ostensive.images.refusals import ImageChangedError, ImageRefusedError
from ostensive.prompts import load_prompts
from ostensive.recipe_kind import RecipeKind
from ostensive.records import NO_SPEND, Candidate, ImageRecord, Spend
from ostensive.run.services import Services
from ostensive.stage import Evidence
from ostensive.user_paths import PathMark

AS_GOOD: Final = "rejected side is as good"
NO_PICTURE: Final = "image cannot be read"
CODE_VERSION: Final = 1
"""Goes up when the same replies would give other scores."""
_SIDE: Final = "side"
_SIDES: Final = ("chosen", "rejected")
_VARIABLES: Final = ("prompt", "text")
_MAX_SIDE_PX = 1024
_HIGHEST: Final = 5


class MarginSettings(ScoringSettings):
    """A model that sees the picture rates both sides of a pair, each alone."""

    kind: Literal["margin"] = "margin"
    min_accept_probability: float = Field(default=0.625, ge=0, le=1)
    """The difference of the ratings (1 to 5) on a scale from 0 to 1: 0.5 where both are alike, an eighth for each step.
    0.625 asks that the chosen side be one step better."""
    chat: TeacherSettings | None = None
    """The model that rates; None takes the recipe's teacher. It has to take images."""
    prompt_set: Annotated[str, PathMark(or_name="folder", names=("margin",))] = "margin"
    """The built-in template, or a folder with a `side.j2` of your own."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """In place of the model's own: the same text should be rated the same way twice."""
    max_tokens: int = Field(default=150, ge=1)
    """Longest reply, in tokens, in place of the model's own."""

    @property
    def chats(self) -> tuple[ChatSettings, ...]:
        """The model that rates, where it is not the teacher."""
        return () if self.chat is None else (self.chat,)

    def lacking(self, kind: RecipeKind) -> str:
        """Two sides, and the prompt that both answer."""
        return "" if {"prompt", *_SIDES} <= set(kind.parts) else "a prompt with a chosen and a rejected side"


def read_rating(text: str) -> tuple[int, str]:
    """The rating of a reply, 1 to 5, and why; raises `UnreadableReplyError`."""
    values = read_reply(text, ("rating",))
    rating = values["rating"]
    if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= _HIGHEST:
        raise UnreadableReplyError(f"rating is {rating!r:.40}; a whole number from 1 to {_HIGHEST} is expected")
    return rating, values["why"]


def margin(chosen: int, rejected: int) -> float:
    """By how much the rating of `chosen` is the higher one, on a scale from 0 to 1; 0.5 where they are alike."""
    return (chosen - rejected + _HIGHEST - 1) / (2 * (_HIGHEST - 1))


class MarginCritic(Critic[MarginSettings]):
    """The critic `margin`: the difference of two ratings."""

    def __init__(self, settings: MarginSettings, context: CriticContext) -> None:
        """Raises `SettingsError` for a template that cannot be used."""
        super().__init__(settings, context)
        self._teacher = context.teacher if settings.chat is None else settings.chat
        shipped = files("critics") / "templates"
        self._prompts = load_prompts(settings.prompt_set, shipped, required=[_SIDE], variables=_VARIABLES)
        self._prompts.render(_SIDE, dict.fromkeys(_VARIABLES, ""))  # a template that fails does so before any work
        self._chat: Chat | None = None
        self._images: ImageLoader | None = None

    @property
    def version(self) -> str:
        settings = self.settings
        return fingerprint(
            {
                "code": CODE_VERSION,
                "prompts": self._prompts.prompt_hash,
                "model": self._teacher.reply_identity(),
                "sampling": [settings.temperature, settings.max_tokens],
                "seed": self.context.seed,
            }
        )[:12]

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        self._images = services.images
        with services.open_chat(self._teacher, scripted_rating) as self._chat:
            yield self
        self._chat = self._images = None

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score | NoScore]:
        assert self._chat is not None, "a critic is opened before it scores"
        images = {row.image_id: evidence[row.image_id].image for row in rows}
        pictures = {image_id: self._picture(image) for image_id, image in images.items()}
        asked: dict[tuple[str, str, str], Conversation] = {}
        sides = [self._texts(row) for row in rows]
        for row, (prompt, *texts) in zip(rows, sides, strict=True):
            picture = pictures[row.image_id]
            if isinstance(picture, PIL.Image.Image):
                for text in texts:
                    key = row.image_id, prompt, text
                    if key not in asked:
                        asked[key] = self._conversation(prompt, text, picture)
        exchanges = dict(zip(asked, self._chat.chat(list(asked.values())), strict=True))
        paid: set[tuple[str, str, str]] = set()
        found: list[Score | NoScore] = []
        for row, (prompt, *texts) in zip(rows, sides, strict=True):
            picture = pictures[row.image_id]
            if isinstance(picture, NoScore):
                found.append(picture)
                continue
            keys = [(row.image_id, prompt, text) for text in texts]
            spend = _spend(exchanges[key] for key in dict.fromkeys(keys) if key not in paid)
            paid.update(keys)
            chosen, rejected = (exchanges[key] for key in keys)
            found.append(scored_pair(chosen, rejected, spend))
        return found

    def _texts(self, row: Candidate) -> tuple[str, ...]:
        texts = {shown.name: " ".join(shown.text.split()) for shown in self.context.kind.shown(row)}
        return tuple(texts[name] for name in ("prompt", *_SIDES))

    def _picture(self, image: ImageRecord) -> PIL.Image.Image | NoScore:
        assert self._images is not None, "as above"
        try:
            return shrunk(presentable(self._images.load(image)), _MAX_SIDE_PX)
        except (ImageChangedError, ImageRefusedError) as error:
            return NoScore(NO_PICTURE, str(error))

    def _conversation(self, prompt: str, text: str, picture: PIL.Image.Image) -> Conversation:
        sampling = replace(
            self._teacher.sampling(self.context.seed & 0x7FFFFFFF),
            temperature=self.settings.temperature,
            top_p=1.0,
            max_tokens=self.settings.max_tokens,
        )
        said = self._prompts.render(_SIDE, {"prompt": prompt, "text": text})
        return Conversation((Message("user", said, (picture,)),), (), sampling)


def scored_pair(chosen: Exchange, rejected: Exchange, spend: Spend) -> Score | NoScore:
    """The score that follows from the replies about both sides; none where one of them cannot be read."""
    ratings: list[int] = []
    reasons: list[str] = []
    for side, exchange in zip(_SIDES, (chosen, rejected), strict=True):
        (reply,) = exchange.replies
        if isinstance(reply, NoReply):
            return NoScore(reply.reason, reply.detail, spend)
        try:
            rating, why = read_rating(reply.text)
        except UnreadableReplyError as error:
            return NoScore(UNREADABLE, f"{side}: {error}", spend)
        ratings.append(rating)
        reasons.append(f"{side} {rating}: {why}")
    return Score(margin(*ratings), AS_GOOD, "; ".join(reasons), spend)


def _spend(exchanges: Iterator[Exchange]) -> Spend:
    return sum((reply.spend for exchange in exchanges for reply in exchange.replies), NO_SPEND)


def scripted_rating(messages: Sequence[Message], _seed: int) -> str:
    """What the scripted model says: it does not look at the picture and takes long texts for true, 25 words a step.

    It is a stand-in for rehearsals and tests that obeys the contract of the template.
    """
    text = messages[-1].text.rpartition("\nThe text: ")[2].partition("\n")[0]
    return json.dumps({"rating": min(_HIGHEST, 1 + len(text.split()) // 25), "why": "by its length"})
