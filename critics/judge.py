"""The critic `judge`: a chat model rates each candidate by a written rubric.

It goes through the same journal, budget and retries as a teacher, so that a verdict is paid for once. It reads the
verbalization and not the picture: what it can find is what does not follow from the words. The rubric is a set of
templates; the reply is read strictly (`critics.verdicts`), and one that cannot be read is a failure with its cost.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from types import TracebackType
from typing import Final, Self

from critics.critic import CriticMeans, NoScore, Score
from critics.evidence import named
from critics.scene import one_line, scene_lines
from critics.settings import JudgeSettings
from critics.verdicts import TripleVerdict, UnreadableVerdictError, read_triple
from ostensive.chat.access import sampling_of, teacher_identity
from ostensive.chat.records import Chat, Conversation, Exchange, Message, NoReply
from ostensive.fingerprint import fingerprint
from ostensive.prompts import Prompts, load_prompts
from ostensive.records import Qar, Verbalization
from ostensive.stage import Evidence

WRONG_ANSWER: Final = "answer rated low by the judge"
WEAK_RATIONALE: Final = "rationale rated low by the judge"
UNREADABLE: Final = "unreadable verdict"
NO_EVIDENCE: Final = "no verbalization"
CODE_VERSION: Final = 1
"""Goes up when the same replies would give other scores."""
_SYSTEM, TRIPLE = "system", "triple"
_VARIABLES = ("scene", "question", "answer", "rationale", "first", "second")
_SCENE_END = "\nTo be judged:\n"


def load_rubric(prompt_set: str, *, required: str) -> Prompts:
    """The rubric of this name or in this folder; raises `SettingsError` where the template `required` is missing."""
    return load_prompts(prompt_set, files("critics") / "templates", required=[required], variables=_VARIABLES)


class Judging:
    """What judging triples and judging pairs share: the model, the rubric, and how they are asked.

    A context manager: the model is opened on entry.
    """

    def __init__(self, settings: JudgeSettings, means: CriticMeans, *, template: str) -> None:
        """Stores and validates; raises `SettingsError` for a rubric that cannot be used."""
        self._settings = settings
        self._means = means
        self._template = template
        self._chat: Chat | None = None
        self.teacher = means.teacher if settings.chat is None else settings.chat
        self.prompts = load_rubric(settings.prompt_set, required=template)
        trial = dict.fromkeys(_VARIABLES, "")
        for name in (_SYSTEM, template):
            if name in self.prompts.names:
                self.prompts.render(name, trial)  # a template that fails does so before any work

    @property
    def version(self) -> str:
        """A hash of the rubric, the model and how it is asked."""
        settings = self._settings
        return fingerprint(
            {
                "code": CODE_VERSION,
                "prompts": self.prompts.prompt_hash,
                "model": teacher_identity(self.teacher),
                "sampling": [settings.temperature, settings.max_tokens],
                "seed": self._means.seed,
            }
        )[:12]

    def __enter__(self) -> Self:
        self._chat = self._means.services.open_chat(self.teacher, scripted_judge).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        chat, self._chat = self._chat, None
        if chat is not None:
            chat.__exit__(kind, error, trace)

    def ask(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """What the model replies, in order."""
        assert self._chat is not None, "a judge is entered before it is asked"
        return self._chat.chat(conversations)

    def conversation(self, known: Verbalization, texts: dict[str, str]) -> Conversation:
        """The conversation about one candidate, exactly as it will be held."""
        values = {"scene": "\n".join(map(one_line, scene_lines(known)))}
        values |= {name: one_line(text) for name, text in texts.items()}
        messages = [Message("user", self.prompts.render(self._template, values))]
        if _SYSTEM in self.prompts.names:
            messages.insert(0, Message("system", self.prompts.render(_SYSTEM, values)))
        settings = self._settings
        sampling = replace(
            sampling_of(self.teacher, self._means.seed & 0x7FFFFFFF),
            temperature=settings.temperature,
            top_p=1.0,
            max_tokens=settings.max_tokens,
        )
        return Conversation(tuple(messages), (), sampling)


class JudgeCritic:
    """`critics.critic.Critic` by a chat model."""

    def __init__(self, settings: JudgeSettings, means: CriticMeans) -> None:
        """Stores and validates; raises `SettingsError` for a rubric that cannot be used."""
        self._settings = settings
        self._judging = Judging(settings, means, template=TRIPLE)

    @property
    def name(self) -> str:
        return self._settings.title

    @property
    def version(self) -> str:
        return self._judging.version

    def __enter__(self) -> Self:
        self._judging.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._judging.__exit__(kind, error, trace)

    def score(self, rows: Sequence[Qar], evidence: Evidence) -> list[Score | NoScore]:
        known = [evidence[row.image_id].verbalization if row.image_id in evidence else None for row in rows]
        asked = [
            self._judging.conversation(
                text, {"question": row.question, "answer": row.answer, "rationale": row.rationale}
            )
            for row, text in zip(rows, known, strict=True)
            if text is not None
        ]
        exchanges = iter(self._judging.ask(asked))
        return [NoScore(NO_EVIDENCE) if text is None else score_of(next(exchanges)) for text in known]


def score_of(exchange: Exchange) -> Score | NoScore:
    """The score that follows from a judge's reply."""
    (reply,) = exchange.replies
    if isinstance(reply, NoReply):
        return NoScore(reply.reason, reply.detail, reply.spend)
    try:
        verdict = read_triple(reply.text)
    except UnreadableVerdictError as error:
        cut = "" if reply.finish_reason == "stop" else f" (the reply ended with {reply.finish_reason})"
        return NoScore(UNREADABLE, f"{error}{cut}", reply.spend)
    reason = WRONG_ANSWER if verdict.answer <= verdict.rationale else WEAK_RATIONALE
    detail = f"answer {verdict.answer}, rationale {verdict.rationale}: {verdict.why}"
    return Score(verdict.accept_probability, reason, detail, reply.spend)


def scripted_judge(messages: Sequence[Message], _seed: int) -> str:
    """What the scripted model says as a judge: ratings by how much of a text stands in what is known of the scene.

    It is a stand-in for rehearsals and tests that obeys the contract of the rubric; it knows no more than words.
    """
    scene, _, judged = messages[-1].text.rpartition(_SCENE_END)
    there = frozenset(named([scene]))
    if "\nFirst reply: " in messages[-1].text:
        return _scripted_pair(messages[-1].text)
    lines = {name: text for name, _, text in (line.partition(": ") for line in judged.splitlines()[:3])}
    ratings = {}
    for name in ("Answer", "Rationale"):
        said = named([lines.get(name, "")])
        share = sum(claim in there for claim in said) / len(said) if said else 1.0
        ratings[name] = 1 + round(4 * share)
    verdict = TripleVerdict(ratings["Answer"], ratings["Rationale"], "by the words that stand in the scene")
    return json.dumps({"answer": verdict.answer, "rationale": verdict.rationale, "why": verdict.why})


def _scripted_pair(text: str) -> str:
    """Likes the reply more of whose words stand in the scene, whichever place it has."""
    scene, _, rest = text.partition("\n\nQuestion: ")
    there = frozenset(named([scene]))
    shares = []
    for mark in ("First reply: ", "Second reply: "):
        said = named([rest.partition(f"\n{mark}")[2].partition("\n")[0]])
        shares.append(sum(claim in there for claim in said) / len(said) if said else 0.0)
    better = "tie" if shares[0] == shares[1] else "first" if shares[0] > shares[1] else "second"
    return json.dumps({"better": better, "why": "by the words that stand in the scene"})
