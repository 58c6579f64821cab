"""Choices scored by a model: the higher a score, the better a choice fits picture and question."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import PIL.Image

from ostensive.chat.records import Message
from ostensive.models.batching import BatchSize
from ostensive.models.loading import LoadedModel, load_model
from ostensive.models.reply_likelihoods import AskedReply, reply_likelihoods
from students.evaluation.contrastive import open_contrastive
from students.evaluation.items import ChoiceItem
from students.evaluation.matching import open_matching
from students.evaluation.models import EvaluatedModel, Scoring

Per = Literal["token", "text"]
"""Whether a likelihood is the mean over the tokens of a choice or their sum."""


@dataclass(frozen=True, slots=True)
class AskedChoice:
    """An item with its picture, boxes drawn."""

    item: ChoiceItem
    picture: PIL.Image.Image


@dataclass(frozen=True, slots=True)
class Scores:
    """A score for each choice of an item, and, of likelihoods, ln p of each and its number of tokens."""

    values: tuple[float, ...]
    log_likelihoods: tuple[float, ...] = ()
    tokens: tuple[int, ...] = ()


class Scorer(Protocol):
    """Scores choices with a model that is loaded."""

    def score(self, asked: Sequence[AskedChoice]) -> list[Scores | Exception]:
        """The scores of each item, in order; an item that cannot be scored has the error and costs no other."""
        ...


@contextmanager
def open_scorer(
    model: EvaluatedModel, scoring: Scoring, *, per: Per = "token", lead: bool | None = None
) -> Iterator[Scorer]:
    """What scores choices with `model`, loaded as long as the context lasts.

    `lead` says whether a question stands before the choices where a picture is compared with a text; None leaves it out
    for `contrastive`, as LSKD does of CLIP. Raises `SettingsError` as the loaders do.
    """
    if scoring == "likelihood":
        yield LikelihoodScorer(load_model(model.settings), BatchSize(model.settings.batch_size, model.name), per)
    elif scoring == "contrastive":
        with open_contrastive(model) as contrast:
            yield TextScorer(contrast.similarities, has_lead=lead is True)
    else:
        with open_matching(model, scoring) as matching:
            yield TextScorer(matching.similarities, has_lead=lead is not False)


class Similarities(Protocol):
    """How well each of some texts fits a picture, for several pictures."""

    def __call__(
        self, pictures: Sequence[PIL.Image.Image], texts: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Exception]: ...


@dataclass(frozen=True, slots=True)
class TextScorer:
    """Scores by how well picture and text fit, the text being a choice behind what leads to it."""

    similarities: Similarities
    has_lead: bool

    def score(self, asked: Sequence[AskedChoice]) -> list[Scores | Exception]:
        texts = [[joint_text(one.item, choice, lead=self.has_lead) for choice in one.item.choices] for one in asked]
        found = self.similarities([one.picture for one in asked], texts)
        return [values if isinstance(values, Exception) else Scores(values) for values in found]


def joint_text(item: ChoiceItem, choice: str, *, lead: bool) -> str:
    """The one text that stands for a choice."""
    return f"{item.lead} {choice}" if lead and item.lead else choice


@dataclass(frozen=True, slots=True)
class LikelihoodScorer:
    """Scores by how likely a generative model finds a choice as its reply."""

    loaded: LoadedModel
    size: BatchSize
    per: Per

    def score(self, asked: Sequence[AskedChoice]) -> list[Scores | Exception]:
        rows = [
            AskedReply(messages_of(one.item, one.picture, self.loaded), choice)
            for one in asked
            for choice in one.item.choices
        ]
        found = iter(reply_likelihoods(self.loaded, rows, self.size))
        results: list[Scores | Exception] = []
        for one in asked:
            replies = [next(found) for _ in one.item.choices]
            errors = [reply for reply in replies if isinstance(reply, Exception)]
            if errors:
                results.append(errors[0])
                continue
            known = [reply for reply in replies if not isinstance(reply, Exception)]
            sums = tuple(reply.log_likelihood for reply in known)
            means = tuple(reply.mean for reply in known)
            tokens = tuple(reply.tokens for reply in known)
            results.append(Scores(means if self.per == "token" else sums, sums, tokens))
        return results


def messages_of(item: ChoiceItem, picture: PIL.Image.Image, loaded: LoadedModel) -> tuple[Message, ...]:
    """The turns before a choice, the picture in the first; one prompt for a model that holds no conversations."""
    turns = item.question.turns
    if loaded.form != "chat":
        # BLIP-2's own form of a question.
        return (Message("user", f"Question: {item.lead}" if item.lead else turns[-1].text, (picture,)),)
    return with_picture(tuple(Message(turn.role, turn.text) for turn in turns), picture)  # type: ignore[arg-type]  # roles


def with_picture(messages: tuple[Message, ...], picture: PIL.Image.Image) -> tuple[Message, ...]:
    """Messages with the picture in the user's first."""
    first = next(place for place, message in enumerate(messages) if message.role == "user")
    return (*messages[:first], replace(messages[first], images=(picture,)), *messages[first + 1 :])
