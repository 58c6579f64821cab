"""The clarifications that a model makes of a text: it asks about it, and answers itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from builders.asking import request_seed
from builders.self_talk.continuing import Beginning, Continued, continued
from builders.self_talk.prompts import Wording, asking, shipped_wordings, telling
from builders.self_talk.replies import ReplyError, clarification_of, topic_of
from builders.self_talk.settings import SelfTalkSettings
from ostensive.chat.records import Sampling
from ostensive.models.batching import BatchSize
from ostensive.models.devices import is_out_of_memory
from ostensive.models.likelihoods import TooLongError
from ostensive.models.text_model import TextModel

REPEATS = "repeats another"
TOO_LONG = "too long for the model"
OUT_OF_MEMORY = "out of memory"
MODEL_FAILED = "the model failed"


def failure(error: Exception) -> str:
    """The reason of a text that a model could not be asked about."""
    if isinstance(error, TooLongError):
        return TOO_LONG
    return OUT_OF_MEMORY if is_out_of_memory(error) else MODEL_FAILED


@dataclass(slots=True)
class Talk:
    """The clarifications of each text, and how many replies were none, by reason."""

    clarifications: dict[str, list[str]]
    asked: int = 0  # replies that the model was asked for
    lost: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that the model asks about a text."""

    about: str
    wording: Wording
    topic: str


def question_sampling(settings: SelfTalkSettings, about: str, wording: Wording, draw: int) -> Sampling:
    """How question number `draw` is drawn: the same for a text whatever else is asked about."""
    return Sampling(
        temperature=1.0,
        top_p=settings.question_top_p,
        max_tokens=settings.question_tokens,
        seed=request_seed(settings.seed, about, wording.ask),
        draw=draw,
    )


def answer_sampling(settings: SelfTalkSettings, asked: Asked, draw: int) -> Sampling:
    """How answer number `draw` to a question is drawn."""
    return Sampling(
        temperature=1.0,
        top_p=settings.answer_top_p,
        max_tokens=settings.answer_tokens,
        seed=request_seed(settings.seed, asked.about, asked.wording.tell, asked.topic),
        draw=draw,
    )


def talk(loaded: TextModel, task: str, texts: Sequence[str], settings: SelfTalkSettings, size: BatchSize) -> Talk:
    """What the model says of each of `texts`, which are different; the same of one text whatever the others are."""
    found = Talk({text: [] for text in texts})
    if settings.questions == 0:
        return found
    for asked, replies in _answers(loaded, _questions(loaded, task, settings, size, found), settings, size).items():
        for reply in replies:
            found.asked += 1
            _take(found, asked, reply)
    return found


def _questions(loaded: TextModel, task: str, settings: SelfTalkSettings, size: BatchSize, found: Talk) -> list[Asked]:
    """The different questions that the model asks, those of a text in the order of the wordings."""
    wanted = [
        (about, wording, draw)
        for about in found.clarifications
        for wording in shipped_wordings()[task]
        for draw in range(settings.questions)
    ]
    replies = continued(
        loaded,
        [
            Beginning(
                asking(about, wording),
                question_sampling(settings, about, wording, draw),
            )
            for about, wording, draw in wanted
        ],
        size,
    )
    asked: dict[Asked, None] = {}
    for (about, wording, _), reply in zip(wanted, replies, strict=True):
        found.asked += 1
        try:
            one = Asked(about, wording, topic_of(_text(reply), about))
        except ReplyError as error:
            found.lost[str(error)] += 1
            continue
        if one in asked:
            found.lost[REPEATS] += 1
        asked[one] = None
    return list(asked)


def _answers(
    loaded: TextModel, asked: Sequence[Asked], settings: SelfTalkSettings, size: BatchSize
) -> Mapping[Asked, list[Continued | Exception]]:
    beginnings = [
        Beginning(
            telling(one.about, one.wording, one.topic),
            answer_sampling(settings, one, draw),
        )
        for one in asked
        for draw in range(settings.answers)
    ]
    replies = continued(loaded, beginnings, size)
    each = settings.answers
    return {one: replies[number * each : (number + 1) * each] for number, one in enumerate(asked)}


def _take(found: Talk, asked: Asked, reply: Continued | Exception) -> None:
    known = found.clarifications[asked.about]
    try:
        text = clarification_of(
            asked.wording.statement(asked.topic),
            _text(reply),
            is_whole=isinstance(reply, Continued) and reply.is_whole,
        )
    except ReplyError as error:
        found.lost[str(error)] += 1
        return
    if text in known:
        found.lost[REPEATS] += 1
    else:
        known.append(text)


def _text(reply: Continued | Exception) -> str:
    if isinstance(reply, Continued):
        return reply.text
    raise ReplyError(failure(reply)) from reply
