"""The critic `judge`: a chat model rates each candidate by a written rubric.

It goes through the same journal, budget and retries as a teacher, so that a rating is paid for once. It reads what is
known of the image in words and not the picture: what it can find is what does not follow from the words. The rubric is
a set of templates, which are given the texts of a candidate by their names; the reply is read strictly, and one that
cannot be read is a failure with its cost.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Annotated, Any, Final, Literal, Self  # Any: JSON values

from pydantic import Field

from critics.critic import Critic, CriticContext, NoScore, Score, ScoringSettings
from critics.evidence import NO_EVIDENCE, known_of, lacking_claims, named
from ostensive.chat.access import ChatSettings, TeacherSettings
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply
from ostensive.fingerprint import fingerprint
from ostensive.json_text import parse_cut_json
from ostensive.prompts import PromptValue, load_prompts
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Candidate
from ostensive.run.services import Services
from ostensive.stage import Evidence
from ostensive.text_lines import lines_of
from ostensive.user_paths import PathMark

UNREADABLE: Final = "unreadable judgement"
CODE_VERSION: Final = 3
"""Goes up when the same replies would give other scores."""
BUILT_IN_SETS: Final = ("judge", "explanation_existence", "cognition", "fluency")
"""`judge` asks whether texts are right; the others measure explanations (SelfSynthX: EE, CS, FS)."""
_SYSTEM, _CANDIDATE = "system", "candidate"
_SCENE_END = "\nTo be judged:\n"
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL)
_RATED = re.compile(r'"([^"\n]+)": 1-5')
_SHOWN = 200  # characters of a reply that cannot be read


class JudgeSettings(ScoringSettings):
    """A chat model with a written rubric, through the journal and the budget of the run."""

    kind: Literal["judge"] = "judge"
    min_accept_probability: float = Field(default=0.75, ge=0, le=1)
    """Ratings 1 to 5 are 0, 0.25, 0.5, 0.75 and 1; the lowest of a candidate's texts counts."""
    chat: TeacherSettings | None = None
    """The model that judges; None takes the recipe's teacher, which then judges its own work."""
    prompt_set: Annotated[str, PathMark(or_name="folder", names=BUILT_IN_SETS)] = "judge"
    """A built-in rubric, or a folder of your own templates; start from a copy of the built-in one."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """In place of the model's own: the same candidate should be judged the same way twice."""
    max_tokens: int = Field(default=300, ge=1)
    """Longest reply, in tokens, in place of the model's own."""

    @property
    def chats(self) -> tuple[ChatSettings, ...]:
        """The model that judges, where it is not the teacher."""
        return () if self.chat is None else (self.chat,)

    def lacking(self, kind: RecipeKind) -> str:
        """Claims, and something to hold them against."""
        return lacking_claims(kind)


def low_reason(part: str) -> str:
    """The reason of a candidate whose text of that name has the lowest rating."""
    return f"{part} rated low by the judge"


class UnreadableReplyError(ValueError):
    """A reply of a judge that is not what was asked for; the message says what is wrong with it."""


def read_reply(text: str, keys: Sequence[str]) -> dict[str, Any]:
    """The one JSON object with `keys` and `why`, a text; raises `UnreadableReplyError`.

    A fence around the object is taken off, since many models put one there whatever they are told. Nothing is guessed
    from running text: a misread reply looks like any other, an unreadable one is counted.
    """
    plain = text.strip()
    if fenced := _FENCE.match(plain):
        plain = fenced[1].strip()
    try:
        values = parse_cut_json(plain)
    except ValueError as error:
        raise UnreadableReplyError(f"not one JSON object: {text.strip()[:_SHOWN]}") from error
    if not isinstance(values, dict) or set(values) != {*keys, "why"}:
        raise UnreadableReplyError(f"a JSON object with {', '.join(keys)}, why is expected, not {plain[:_SHOWN]}")
    if not isinstance(values["why"], str):
        raise UnreadableReplyError(f"why is {values['why']!r:.40}; text is expected")
    return {**values, "why": values["why"].strip()}


@dataclass(frozen=True, slots=True)
class Ratings:
    """What a judge says of the texts of a candidate: from 1 (wrong) to 5 (right), by part."""

    by_part: Mapping[str, int]
    why: str

    @property
    def lowest(self) -> str:
        """The part with the lowest rating; the first of several."""
        return min(self.by_part, key=lambda part: self.by_part[part])

    @property
    def accept_probability(self) -> float:
        """The lowest rating on a scale from 0 to 1."""
        return (self.by_part[self.lowest] - 1) / 4


def read_ratings(text: str, parts: Sequence[str]) -> Ratings:
    """The ratings of a reply; raises `UnreadableReplyError`."""
    values = read_reply(text, parts)
    for part in parts:
        rating = values[part]
        if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= 5:
            raise UnreadableReplyError(f"{part} is {rating!r:.40}; a whole number from 1 to 5 is expected")
    return Ratings({part: values[part] for part in parts}, values["why"])


class Judging:
    """What judging candidates and judging pairs share: the model, the rubric, and how they are asked."""

    def __init__(
        self, settings: JudgeSettings, context: CriticContext, *, template: str, fields: Sequence[str]
    ) -> None:
        """Stores and validates; raises `SettingsError` for a rubric that cannot be used.

        `fields` are the variables of `template` besides `scene`, `texts`, `parts` and `judged`.
        """
        self._settings, self._context, self._template = settings, context, template
        self._chat: Chat | None = None
        self.teacher = context.teacher if settings.chat is None else settings.chat
        variables = ("scene", "texts", "parts", "judged", *context.kind.parts, "question", "first", "second")
        shipped = files("critics") / "templates"
        self.prompts = load_prompts(settings.prompt_set, shipped, required=[template], variables=variables)
        self.conversation([], dict.fromkeys(fields, ""))  # a template that fails does so before any work

    @property
    def version(self) -> str:
        """A hash of the rubric, the model and how it is asked."""
        settings, kind = self._settings, self._context.kind
        return fingerprint(
            {
                "code": CODE_VERSION,
                "prompts": self.prompts.prompt_hash,
                "parts": [kind.parts, kind.judged_parts],
                "model": self.teacher.reply_identity(),
                "sampling": [settings.temperature, settings.max_tokens],
                "seed": self._context.seed,
            }
        )[:12]

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        """Itself with the model."""
        with services.open_chat(self.teacher, scripted_judge) as self._chat:
            yield self
        self._chat = None

    def ask(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """What the model replies, in order."""
        assert self._chat is not None, "a judge is opened before it is asked"
        return self._chat.chat(conversations)

    def conversation(self, known: Sequence[str], texts: Mapping[str, str]) -> Conversation:
        """The conversation about texts, by name, of an image of which these lines are known, as it will be held."""
        kind, settings = self._context.kind, self._settings
        lines = {name: _one_line(text) for name, text in texts.items()}
        values: dict[str, PromptValue] = {
            **lines,
            "scene": "\n".join(map(_one_line, known)),
            "texts": "\n".join(f"{name.capitalize()}: {text}" for name, text in lines.items()),
            "parts": kind.parts,
            "judged": kind.judged_parts,
        }
        messages = [Message("user", self.prompts.render(self._template, values))]
        if _SYSTEM in self.prompts.names:
            messages.insert(0, Message("system", self.prompts.render(_SYSTEM, values)))
        sampling = replace(
            self.teacher.sampling(self._context.seed & 0x7FFFFFFF),
            temperature=settings.temperature,
            top_p=1.0,
            max_tokens=settings.max_tokens,
        )
        return Conversation(tuple(messages), (), sampling)


class JudgeCritic(Critic[JudgeSettings]):
    """The critic `judge`: ratings by a chat model."""

    def __init__(self, settings: JudgeSettings, context: CriticContext) -> None:
        """Raises `SettingsError` for a rubric that cannot be used."""
        super().__init__(settings, context)
        self._judging = Judging(settings, context, template=_CANDIDATE, fields=context.kind.parts)

    @property
    def version(self) -> str:
        return self._judging.version

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with self._judging.opened(services):
            yield self

    def score(self, rows: Sequence[Candidate], evidence: Evidence) -> list[Score | NoScore]:
        kind = self.context.kind
        known = [known_of(row, kind, evidence) for row in rows]
        asked = [
            self._judging.conversation(lines, {shown.name: shown.text for shown in kind.shown(row)})
            for row, lines in zip(rows, known, strict=True)
            if lines is not None
        ]
        exchanges = iter(self._judging.ask(asked))
        return [
            NoScore(NO_EVIDENCE) if lines is None else score_of(next(exchanges), kind.judged_parts) for lines in known
        ]


def score_of(exchange: Exchange, parts: Sequence[str]) -> Score | NoScore:
    """The score that follows from a judge's reply on the texts of these names."""
    (reply,) = exchange.replies
    if isinstance(reply, NoReply):
        return NoScore(reply.reason, reply.detail, reply.spend)
    try:
        ratings = read_ratings(reply.text, parts)
    except UnreadableReplyError as error:
        cut = "" if reply.finish_reason == "stop" else f" (the reply ended with {reply.finish_reason})"
        return NoScore(UNREADABLE, f"{error}{cut}", reply.spend)
    detail = f"{', '.join(f'{part} {rating}' for part, rating in ratings.by_part.items())}: {ratings.why}"
    return Score(ratings.accept_probability, low_reason(ratings.lowest), detail, reply.spend)


def scripted_judge(messages: Sequence[Message], _seed: int) -> str:
    """What the scripted model says as a judge: ratings by how much of a text stands in what is known of the scene.

    It is a stand-in for rehearsals and tests that obeys the contract of the rubric; it knows no more than words.
    """
    text = messages[-1].text
    if "\nFirst reply: " in text:
        return _scripted_pair(text)
    scene, _, judged = text.rpartition(_SCENE_END)
    lines = {name: line for name, _, line in (one.partition(": ") for one in lines_of(judged.partition("\n\n")[0]))}
    ratings = {
        part: 1 + round(4 * _known_share(lines.get(part.capitalize(), ""), scene, 1.0))
        for part in _RATED.findall(judged.rpartition("\n")[2])
    }
    return json.dumps({**ratings, "why": _SCRIPTED_WHY})


def _scripted_pair(text: str) -> str:
    """Likes the reply more of whose words stand in the scene, whichever place it has."""
    scene, _, rest = text.partition("\n\nQuestion: ")
    first, second = (
        _known_share(rest.partition(f"\n{mark} reply: ")[2].partition("\n")[0], scene, 0.0)
        for mark in ("First", "Second")
    )
    better = "tie" if first == second else "first" if first > second else "second"
    return json.dumps({"better": better, "why": _SCRIPTED_WHY})


_SCRIPTED_WHY: Final = "by the words that stand in the scene"


def _known_share(text: str, scene: str, of_nothing: float) -> float:
    """Share of what a text names that stands in the scene, 0-1; `of_nothing` where it names nothing."""
    claims, there = named([text]), frozenset(named([scene]))
    return sum(claim in there for claim in claims) / len(claims) if claims else of_nothing


def _one_line(text: str) -> str:
    """A text on one line, so that it cannot pass for the lines around it."""
    return " ".join(text.split())
