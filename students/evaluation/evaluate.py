"""An evaluation from beginning to end: pictures, scores or replies in batches, figures, a file of results."""

import dataclasses
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON values

import PIL.Image

from ostensive.errors import Interrupted, SettingsError
from ostensive.fingerprint import fingerprint
from ostensive.models.devices import is_out_of_memory
from ostensive.models.digests import files_digest
from ostensive.models.files import model_version
from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.likelihoods import TooLongError
from ostensive.models.loading import RequestError
from ostensive.models.text_model import load_text_model
from ostensive.user_paths import without_folder
from students.evaluation.choosing import choice_result
from students.evaluation.figures import by_kind, chances, measures
from students.evaluation.formats import Metric
from students.evaluation.hallucination import ObjectVocabulary
from students.evaluation.items import BrokenRowError, ChoiceItem, Item, Question, Read, ReplyItem
from students.evaluation.measure import Measure
from students.evaluation.models import EvaluatedModel, chosen_scoring, find_model
from students.evaluation.pictures import Pictures
from students.evaluation.replying import Describing, Replier
from students.evaluation.results import ResultFile
from students.evaluation.scoring import AskedChoice, Scorer, open_scorer
from students.evaluation.settings import EvaluationSettings
from students.evaluation.text_figures import ReplyJudges, measured_replies
from students.evaluation.texts import TOKENIZER, check_installed, has_java

TOO_LONG: Final = "too long for the model"
NOT_TAKEN: Final = "request not taken by the model"
OUT_OF_MEMORY: Final = "out of memory"
NOT_FINITE: Final = "a score is not finite"
FAILED: Final = "scoring failed"
_VERSION: Final = 1  # goes up when the same model would have other results

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark that was read, and its pictures."""

    name: str  # the format
    metric: Metric
    read: Read[ChoiceItem] | Read[ReplyItem]
    pictures: Pictures


def evaluate(
    model: str,
    task: Task,
    settings: EvaluationSettings,
    out: Path,
    *,
    describing: Describing | None = None,
    stop: threading.Event | None = None,
    tell: Tell = lambda _line: None,
) -> Mapping[str, Any]:
    """The summary of how `model` does on `task`; results of each item go to the file `out`, the summary beside it.

    `describing` says how to describe and respond, where `settings.describe` asks for it. The same call goes on
    with what was stopped. Raises `SettingsError` before any work for a model that cannot be had or does not fit the
    task, and for a file of other results; `Interrupted` when asked to stop, after a batch.
    """
    found = find_model(model, _model_settings(settings))
    items: Sequence[Item] = task.read.items[: settings.limit]
    about = _about(found, task, settings)
    made_from = fingerprint([_VERSION, about, settings.identity(), [dataclasses.asdict(item) for item in items]])
    file = ResultFile(out)
    at_once = settings.batch_size if task.metric == "replies" else _items_at_once(items, settings)
    done, at_once = file.begin(made_from, at_once)
    if done is not None:
        return done
    batches = _batches(items, at_once)
    missing = [number for number in range(len(batches)) if not file.has_part(number)]
    if missing:
        with _asker(found, task, settings, describing) as ask:
            counted = sum(map(len, batches)) - sum(len(batches[number]) for number in missing)
            for number, results in _worked(task.pictures, batches, missing, ask):
                file.add_part(number, results)
                counted += len(results)
                tell(f"{counted:,} of {len(items):,} items")
                if stop is not None and stop.is_set():
                    raise Interrupted("stopped")
    results = file.parts(len(batches))
    if task.metric == "replies":
        replied = [item for item in items if isinstance(item, ReplyItem)]
        results = measured_replies(replied, results, _judges(settings))
    summary = {**about, **_summary(task, items, results), "made_from": made_from}
    file.finish(results, summary)
    return {**summary}


def check_fit(model: str, task: Task, settings: EvaluationSettings) -> None:
    """Raises `SettingsError` where `evaluate` would, but for its file; no model is loaded."""
    _about(find_model(model, _model_settings(settings)), task, settings)


def _model_settings(settings: EvaluationSettings) -> dict[str, Any]:
    names = ("revision", "dtype", "device", "batch_size")
    return {name: getattr(settings, name) for name in names}


def _about(model: EvaluatedModel, task: Task, settings: EvaluationSettings) -> dict[str, Any]:
    """What is evaluated and how; raises `SettingsError` where model and task do not fit."""
    about: dict[str, Any] = {
        "model": model.shown,
        "model_version": model.version,
        "task": task.name,
        "metric": task.metric,
    }
    if task.metric == "replies":
        if settings.scoring is not None:
            raise SettingsError(f"--scoring {settings.scoring}: {task.name} has replies and no choices; leave it out")
        if "likelihood" not in model.scorings:
            raise SettingsError(f"{model.shown}: writes no text; an image-text-to-text model is expected")
        # Where Java comes or goes, there are other figures.
        about |= {
            "words": TOKENIZER,
            "has_meteor": settings.meteor and has_java(),
            "describe_and_respond": settings.describe,
        }
        if any(isinstance(item, ReplyItem) and item.references for item in task.read.items):
            check_installed()
        if settings.objects is not None:
            ObjectVocabulary.read(Path(settings.objects))  # a file that is none is told before any work
            about["objects"] = files_digest([Path(settings.objects)])
        if settings.fluency_model is not None:
            about["fluency_model"] = without_folder(settings.fluency_model)
            about["fluency_model_version"] = model_version(settings.fluency_model)
        return about
    scoring = chosen_scoring(model, settings.scoring)
    if task.metric == "loss" and scoring != "likelihood":
        raise SettingsError(f"{model.shown}: has no likelihoods; an image-text-to-text model is expected")
    if settings.describe:
        raise SettingsError(f"--describe: is for replies; {task.name} has choices")
    return {**about, "scoring": scoring, **({"per": settings.per} if scoring == "likelihood" else {})}


Ask = Callable[[Sequence[Item], Sequence[PIL.Image.Image]], list[dict[str, Any]]]


@contextmanager
def _asker(
    model: EvaluatedModel, task: Task, settings: EvaluationSettings, describing: Describing | None
) -> Iterator[Ask]:
    """What gives a result for each item and picture, with the model loaded as long as the context lasts."""
    if task.metric == "replies":
        with Generator(model.settings) as generator:
            replier = Replier(generator, settings.max_tokens, describing if settings.describe else None)

            def replies(items: Sequence[Item], pictures: Sequence[PIL.Image.Image]) -> list[dict[str, Any]]:
                asked = [item for item in items if isinstance(item, ReplyItem)]
                found = replier.reply(asked, pictures)
                return [
                    {**_known(item.question), **_against(item), **one} for item, one in zip(asked, found, strict=True)
                ]

            yield replies
        return
    scoring = chosen_scoring(model, settings.scoring)
    with open_scorer(model, scoring, per=settings.per, lead=settings.has_lead) as scorer:
        yield lambda items, pictures: _scored(scorer, items, pictures, task.metric)


def _scored(
    scorer: Scorer, items: Sequence[Item], pictures: Sequence[PIL.Image.Image], metric: Metric
) -> list[dict[str, Any]]:
    asked = [
        AskedChoice(item, picture)
        for item, picture in zip(items, pictures, strict=True)
        if isinstance(item, ChoiceItem)
    ]
    results = []
    for one, scores in zip(asked, scorer.score(asked), strict=True):
        if isinstance(scores, Exception):
            results.append(_lost(one.item, _reason(scores), str(scores)))
        elif not all(map(math.isfinite, scores.values)):
            results.append(_lost(one.item, NOT_FINITE, ""))
        else:
            results.append(choice_result(one.item, scores, metric))
    return results


def _reason(error: Exception) -> str:
    if isinstance(error, TooLongError):
        return TOO_LONG
    if isinstance(error, RequestError):
        return NOT_TAKEN
    return OUT_OF_MEMORY if is_out_of_memory(error) else FAILED


def _known(question: Question) -> dict[str, Any]:
    return {"id": question.item_id, "kind": question.kind}


def _against(item: ReplyItem) -> dict[str, Any]:
    """What a reply is held against, by its hash: replies that are held against other things are not compared."""
    values = dataclasses.asdict(item)
    return {
        **_known(item.question),
        "answer": fingerprint({name: value for name, value in values.items() if name != "question"})[:16],
    }


def _lost(item: Item, reason: str, detail: str) -> dict[str, Any]:
    return {**_known(item.question), "lost": reason, "detail": " ".join(detail.split())[:300]}


def _items_at_once(items: Sequence[Item], settings: EvaluationSettings) -> int:
    """So many items that their choices fill a batch or two."""
    choices = max((len(item.choices) for item in items if isinstance(item, ChoiceItem)), default=1)
    return max(1, 2 * settings.batch_size // choices)


def _batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _worked(
    pictures: Pictures, batches: Sequence[Sequence[Item]], missing: Sequence[int], ask: Ask
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The results of the batches that are missing; pictures of the next one are decoded meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="pictures") as pool:

        def begin(place: int) -> "Future[list[PIL.Image.Image | BrokenRowError]] | None":
            return pool.submit(_pictures, pictures, batches[missing[place]]) if place < len(missing) else None

        following = begin(0)
        for place, number in enumerate(missing):
            assert following is not None, "there is a batch at every place"
            decoded, following = following.result(), begin(place + 1)
            batch = batches[number]
            seen = [(item, one) for item, one in zip(batch, decoded, strict=True) if not isinstance(one, Exception)]
            found = iter(ask([item for item, _ in seen], [one for _, one in seen]) if seen else [])
            yield (
                number,
                [
                    _lost(item, str(one), item.question.places[0]) if isinstance(one, Exception) else next(found)
                    for item, one in zip(batch, decoded, strict=True)
                ],
            )


def _pictures(pictures: Pictures, batch: Sequence[Item]) -> "list[PIL.Image.Image | BrokenRowError]":
    found: list[PIL.Image.Image | BrokenRowError] = []
    for item in batch:
        try:
            found.append(pictures.picture(item.question))
        except BrokenRowError as error:
            found.append(error)
    return found


def _judges(settings: EvaluationSettings) -> ReplyJudges:
    objects = None if settings.objects is None else ObjectVocabulary.read(Path(settings.objects))
    fluency = None
    if settings.fluency_model is not None:
        named = GeneratorSettings(
            model=settings.fluency_model, device=settings.device, dtype=settings.dtype, batch_size=settings.batch_size
        )
        fluency = load_text_model(named)
    return ReplyJudges(objects, fluency, settings.batch_size, with_meteor=settings.meteor)


def _summary(task: Task, items: Sequence[Item], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lost = Counter(result["lost"] for result in results if "lost" in result)
    assert len(results) == len(items), f"{len(results)} results of {len(items)} items"
    scored = [result for result in results if "lost" not in result]
    known = chances(task.metric, scored)
    return {
        "rows": task.read.rows,
        "rows_lost": dict(task.read.lost),
        "rows_of_other_splits": task.read.passed_over,
        "items": len(items),
        "items_lost": dict(lost),
        "ties": sum(result.get("chosen", 0) is None for result in scored),
        "figures": [figure_values(one, known.get(one.name)) for one in measures(task.metric, results)],
        "by_kind": [figure_values(one) for one in by_kind(scored)],
    }


def figure_values(measure: Measure, chance: float | None = None) -> dict[str, Any]:
    """A figure as JSON."""
    interval = measure.interval
    values = {
        "name": measure.name,
        "value": measure.value,
        "interval_95": [interval.low, interval.high],
        "interval_by": "Wilson" if measure.is_share else "bootstrap",
        "items": len(measure.ids),
    }
    return values if chance is None else {**values, "chance": chance}
