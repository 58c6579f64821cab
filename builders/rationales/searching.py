"""The stages `sampled`, `tried` and `prompts`: which explanation prompts the run's items are asked with.

The sample is drawn from the whole run and the decision is one for the whole run, so that two run-wide stages stand
around the one that asks. They are there only where a search is asked for.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self  # Any: JSON values

import pyarrow as pa
import pyarrow.parquet as pq

from builders.asking import IMAGES_AT_ONCE, UNREADABLE, Asker, Gathered, check_sees, open_asker
from builders.rationales.items import Item, items_of, key_of
from builders.rationales.records import Prompted, Sampled, Trial, Tried
from builders.rationales.replies import read_reply
from builders.rationales.requests import Request, Requests
from builders.rationales.scoring import PromptScore, ranked, score_line, summed, tried
from builders.rationales.settings import RationalesSettings
from critics.overlap import references_beside
from ostensive.arrow import from_table, schema_of, to_table
from ostensive.chat.access import TeacherSettings
from ostensive.chat.records import Conversation, NoReply
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.records import ImageRecord
from ostensive.run.folder import RunFolder
from ostensive.run.services import Services
from ostensive.stage import AnyStage, Evidence, Failed, Kept, Outcome, RunWideStage, Stage
from verbalizers.base import ImageFailure

SAMPLED: Final = "sampled"
TRIED: Final = "tried"
PROMPTS: Final = "prompts"
_SAMPLE_VERSION = 1
_TRY_VERSION = 1
_CHOOSE_VERSION = 1
_DRAWN: Final = pa.schema([pa.field(name, pa.string()) for name in ("place", "image_id", "item")])


def search_stages(
    settings: RationalesSettings, *, teacher: TeacherSettings, script: Script, seed: int
) -> tuple[AnyStage, ...]:
    """The stages of a prompt search, none where none is asked for."""
    if not settings.prompt_search.sample:
        return ()
    return (
        SampleStage(settings, seed),
        TryStage(settings, teacher=teacher, script=script, seed=seed),
        ChooseStage(settings),
    )


class SampleStage(RunWideStage[ImageRecord, Sampled]):
    """Draws the items that prompts are tried on: those that come first by a hash of the item and the seed."""

    name = SAMPLED
    record_in = ImageRecord
    record_out = Sampled
    uses_annotations = True

    def __init__(self, settings: RationalesSettings, seed: int) -> None:
        self._sample, self._label_questions, self._seed = settings.prompt_search.sample, settings.label_questions, seed

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "version": _SAMPLE_VERSION,
            "sample": self._sample,
            "label_questions": list(self._label_questions),
            "seed": self._seed,
        }

    def summarise(self, rows: Sequence[ImageRecord], evidence: Evidence) -> pa.Table:
        """The items of a partition that may be among those of the run."""
        places = (
            (fingerprint([self._seed, SAMPLED, row.image_id, key_of(item)]), row.image_id, key_of(item))
            for row in rows
            for item in items_of(evidence[row.image_id].annotations, self._label_questions)
            if isinstance(item, Item)
        )
        first = heapq.nsmallest(self._sample, places)
        return pa.Table.from_pylist([dict(zip(_DRAWN.names, one, strict=True)) for one in first], schema=_DRAWN)

    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The items of the sample."""
        return pa.concat_tables([_DRAWN.empty_table(), *summaries]).sort_by("place").slice(0, self._sample)

    def apply(self, rows: Sequence[ImageRecord], decision: pa.Table) -> list[Outcome[Sampled]]:
        """One `Sampled` for each image."""
        drawn: dict[str, list[str]] = {}
        for image_id, item in zip(decision["image_id"].to_pylist(), decision["item"].to_pylist(), strict=True):
            drawn.setdefault(image_id, []).append(item)
        return [Kept((Sampled(row.image_id, tuple(sorted(drawn.get(row.image_id, ())))),)) for row in rows]


class TryStage(Stage[Sampled, Tried]):
    """Asks about the sampled items with every prompt, and counts what comes back."""

    name = TRIED
    record_in = Sampled
    record_out = Tried
    partitions_at_once = 2
    images_at_once = IMAGES_AT_ONCE
    uses_annotations = True

    def __init__(self, settings: RationalesSettings, *, teacher: TeacherSettings, script: Script, seed: int) -> None:
        """Stores and validates; raises `SettingsError` for prompts that cannot be used."""
        check_sees(teacher, "rationales")
        self._settings, self._search = settings, settings.prompt_search
        self._teacher, self._script = teacher, script
        self._requests = Requests(settings, teacher, seed)
        self._asker: Asker | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        search = {"samples": self._search.samples, "min_overlap": self._search.min_overlap}
        return {**self._requests.identity(_TRY_VERSION), "search": search}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with open_asker(self._teacher, self._script, services) as self._asker:
            yield self
        self._asker = None

    def process(self, rows: Sequence[Sampled], evidence: Evidence) -> list[Outcome[Tried]]:
        assert self._asker is not None, "the stage is opened before it is used"
        gathered: Gathered[Tried] = Gathered()
        counts: dict[str, dict[str, Trial]] = {row.image_id: {} for row in rows}
        asked, conversations = self._asked(self._asker, rows, evidence, gathered)
        for request, exchange in zip(asked, self._asker.ask(conversations), strict=True):
            item, (reply,) = request.item, exchange.replies
            gathered.pay(item.image_id, exchange)
            if isinstance(reply, NoReply):
                gathered.lose(item.image_id, Failed(reply.reason, reply.detail))
                continue
            found = read_reply(reply.text, reply.finish_reason, item, self._settings)
            annotations = evidence[item.image_id].annotations
            of_image = counts[item.image_id]
            of_image[request.prompt] = tried(
                of_image.get(request.prompt, Trial(request.prompt)),
                found.rationale,
                is_candidate=not found.reason,
                references=references_beside(annotations, item.annotation_id, item.question),
                min_overlap=self._search.min_overlap,
            )
        for row in rows:
            gathered.keep(Tried(row.image_id, row.items, tuple(counts[row.image_id].values())))
        return [gathered.outcome(row.image_id, otherwise=UNREADABLE) for row in rows]

    def _asked(
        self, asker: Asker, rows: Sequence[Sampled], evidence: Evidence, gathered: Gathered[Tried]
    ) -> tuple[list[Request], list[Conversation]]:
        """The requests about the sampled items with their conversations; images that cannot be read are lost."""
        asked: list[Request] = []
        conversations: list[Conversation] = []
        pictures = asker.pictures([evidence[row.image_id].image for row in rows if row.items])
        for row in rows:
            picture = pictures.get(row.image_id)
            if picture is None:
                continue
            if isinstance(picture, ImageFailure):
                gathered.lose(row.image_id, Failed(UNREADABLE, picture.detail))
                continue
            for item in items_of(evidence[row.image_id].annotations, self._settings.label_questions):
                if isinstance(item, Item) and key_of(item) in row.items:
                    requests = list(self._requests.of(item, self._settings.prompts, self._search.samples))
                    asked += requests
                    conversations += [self._requests.conversation(request, picture) for request in requests]
        return asked, conversations


class ChooseStage(RunWideStage[Tried, Prompted]):
    """Scores the prompts over the whole sample and keeps the best."""

    name = PROMPTS
    record_in = Tried
    record_out = Prompted

    def __init__(self, settings: RationalesSettings) -> None:
        self._prompts, self._keep = settings.prompts, settings.prompt_search.keep

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": _CHOOSE_VERSION, "prompts": list(self._prompts), "keep": self._keep}

    def summarise(self, rows: Sequence[Tried], evidence: Evidence) -> pa.Table:  # noqa: ARG002 - of a stage
        """What came of each prompt in a partition."""
        return to_table(summed((trial for row in rows for trial in row.trials), self._prompts), Trial)

    def decide(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """What came of each prompt, its rank, and whether it is kept: a row for each prompt, in their order."""
        trials = [trial for summary in summaries for trial in from_table(summary, Trial)]
        scores = ranked(summed(trials, self._prompts), self._keep)
        table = to_table([score.trial for score in scores], Trial)
        table = table.append_column("rank", pa.array([score.rank for score in scores], pa.int64()))
        return table.append_column("is_kept", pa.array([score.is_kept for score in scores], pa.bool_()))

    def apply(self, rows: Sequence[Tried], decision: pa.Table) -> list[Outcome[Prompted]]:
        """The kept prompts for each image."""
        kept = tuple(score.trial.prompt for score in read_scores(decision) if score.is_kept)
        return [Kept((Prompted(row.image_id, kept, row.items),)) for row in rows]


def read_scores(decision: pa.Table) -> list[PromptScore]:
    """The scores that a decision of `ChooseStage` holds."""
    trials = from_table(decision.select(schema_of(Trial).names), Trial)
    ranks, kept = decision["rank"].to_pylist(), decision["is_kept"].to_pylist()
    return [PromptScore(*one) for one in zip(trials, ranks, kept, strict=True)]


def search_notes(run: Path) -> list[str]:
    """What the prompt search of a run came to, a line for each prompt; empty where there was none."""
    if PROMPTS not in RunFolder(run).stage_names():
        return []
    decisions = sorted((run / PROMPTS).glob("decision-*.parquet"))
    return [score_line(score) for path in decisions for score in read_scores(pq.read_table(path))]
