"""The stage `described`: the teacher describes each labelled image, several times with each of several prompts.

It is not told the label: the descriptions are samples from what can be seen. Every conversation carries its own
picture. (The published code tiles two lists, of pictures and of prompts, so that they slip against each other.)
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Self  # Any: JSON values

from builders.asking import (
    FILTERED,
    IMAGES_AT_ONCE,
    TRUNCATED,
    UNREADABLE,
    Asker,
    Gathered,
    check_sees,
    open_asker,
    request_seed,
    sampling_of,
    whole_reply,
)
from builders.explanations.concepts import NO_LIST, load_concepts
from builders.explanations.records import Described
from builders.explanations.settings import ExplanationsSettings, prompt_sets
from critics.label_names import plain_label
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, Exchange, Message, Reply
from ostensive.chat.scripted import Script
from ostensive.errors import SettingsError
from ostensive.prompts import load_prompts
from ostensive.records import Annotation, ImageRecord
from ostensive.run.services import Services
from ostensive.stage import Dropped, Evidence, Failed, Outcome, Stage
from verbalizers.base import ImageFailure

DESCRIBED: Final = "described"
NO_LABEL = "no label"
SEVERAL_LABELS = "several labels"
NO_CONCEPTS = "no concepts for the label"
NO_DESCRIPTION = "no description"
REASONS = (NO_LABEL, SEVERAL_LABELS, NO_CONCEPTS, TRUNCATED, FILTERED)
"""Every reason for which an image or a description is dropped."""

_STAGE_VERSION = 1
_PREFIX = "describe_"
PROMPT_VALUES: Final = ("label", "concepts", "query")
"""What the templates of a set may use; those of descriptions are given nothing."""


def labels_of(annotations: Sequence[Annotation]) -> list[str]:
    """The different labels that came in with an image, in order; case, hyphens and space make no other one."""
    found: dict[str, str] = {}
    for item in annotations:
        if item.label is not None:
            found.setdefault(plain_label(item.label), item.label.strip())
    return list(found.values())


class DescribeStage(Stage[ImageRecord, Described]):
    """From images with a label to what is said of them."""

    name = DESCRIBED
    record_in = ImageRecord
    record_out = Described
    uses_annotations = True
    images_at_once = IMAGES_AT_ONCE
    partitions_at_once = 2

    def __init__(self, settings: ExplanationsSettings, *, teacher: TeacherSettings, script: Script, seed: int) -> None:
        """Stores and validates; raises `SettingsError` for prompts or a list of concepts that cannot be used."""
        check_sees(teacher, "explanations")
        self._settings, self._teacher, self._script, self._seed = settings, teacher, script, seed
        self._concepts = None if settings.concepts is None else load_concepts(settings.concepts)
        prompts = load_prompts(settings.prompt_set, prompt_sets(), required=[f"{_PREFIX}1"], variables=PROMPT_VALUES)
        names = [name for name in prompts.names if name.startswith(_PREFIX)]
        self._prompts = tuple(prompts.render(name, {}) for name in names)  # one that asks for a value fails here
        self._asker: Asker | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        if self._concepts is None:
            raise SettingsError(NO_LIST)
        return {
            "version": _STAGE_VERSION,
            "labels": [plain_label(one.label) for one in self._concepts.labels if one.concepts],
            "draws": self._settings.draws,
            "temperature": self._settings.describe_temperature,
            "max_tokens": self._settings.describe_max_tokens,
            "prompts": list(self._prompts),
            "teacher": self._teacher.reply_identity(),
            "seed": self._seed,
        }

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        if self._concepts is None:
            raise SettingsError(NO_LIST)
        with open_asker(self._teacher, self._script, services) as self._asker:
            yield self
        self._asker = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[Described]]:
        assert self._asker is not None, "the stage is opened before it is used"
        labels = {row.image_id: labels_of(evidence[row.image_id].annotations) for row in rows}
        unfit = {row.image_id: reason for row in rows if (reason := self._unfit(labels[row.image_id]))}
        pictures = self._asker.pictures([row for row in rows if row.image_id not in unfit])
        asked = [
            (image_id, conversation)
            for image_id, picture in pictures.items()
            if not isinstance(picture, ImageFailure)
            for conversation in self._conversations(image_id, picture)
        ]
        exchanges: dict[str, list[Exchange]] = {}
        answered = self._asker.ask([conversation for _, conversation in asked])
        for (image_id, _), exchange in zip(asked, answered, strict=True):
            exchanges.setdefault(image_id, []).append(exchange)
        gathered = Gathered[Described]()
        for image_id, picture in pictures.items():
            if isinstance(picture, ImageFailure):
                gathered.lose(image_id, Failed(UNREADABLE, picture.detail))
            else:
                _gather(gathered, image_id, labels[image_id][0], exchanges[image_id])
        return [
            Dropped(unfit[row.image_id], "; ".join(labels[row.image_id])[:200])
            if row.image_id in unfit
            else gathered.outcome(row.image_id, otherwise=NO_DESCRIPTION)
            for row in rows
        ]

    def _unfit(self, labels: Sequence[str]) -> str:
        """Why an image with these labels is not asked about; empty where it is."""
        if not labels:
            return NO_LABEL
        if len(labels) > 1:
            return SEVERAL_LABELS
        assert self._concepts is not None, "it is not opened without a list"
        return "" if self._concepts.places(labels[0]) else NO_CONCEPTS

    def _conversations(self, image_id: str, picture: Any) -> Iterator[Conversation]:  # Any: as `Message` takes it
        for number, prompt in enumerate(self._prompts):
            for draw in range(self._settings.draws):
                # Of its own for each draw: a server that honours seeds would give the same reply to all of them.
                seed = request_seed(self._seed, image_id, DESCRIBED, number, draw)
                sampling = replace(
                    sampling_of(self._teacher, seed, draw=draw),
                    temperature=self._settings.describe_temperature,
                    max_tokens=self._settings.describe_max_tokens,
                )
                yield Conversation((Message("user", prompt, (picture,)),), (), sampling)


def _gather(gathered: Gathered[Described], image_id: str, label: str, exchanges: Sequence[Exchange]) -> None:
    descriptions: list[str] = []
    for exchange in exchanges:
        found = whole_reply(exchange.replies[0])
        gathered.pay(image_id, exchange)
        if isinstance(found, Reply):
            descriptions.append(" ".join(found.text.split()))
        else:
            gathered.lose(image_id, found)
    if descriptions:
        gathered.keep(Described(image_id, label, tuple(descriptions)))
