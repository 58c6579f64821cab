"""What the model that teaches writes on scenes it was never shown: asked as the recipes do, judged by the oracle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import PIL.Image

from builders.localized.records import Qar
from builders.localized.settings import MODES, Mode
from builders.localized.stage import seen_as
from builders.localized.triples import Absent, Limits, TurnText, turn_triples
from microworld.findings import NO_SUCH_THING, NOT_THERE, Finding
from microworld.folder import read_truth
from microworld.oracle import judge_qar, judge_text
from microworld.render import render
from microworld.scenes import Scene
from microworld.training.lessons import triples_prompt
from microworld.training.words import DESCRIBE, IMAGINE
from ostensive.chat.records import Completion, Conversation, Message, Sampling
from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.records import Verbalization
from ostensive.run.folder import RunFolder, kept_records

INVENTED: Final = frozenset({NO_SUCH_THING, NOT_THERE})
"""The reasons of the oracle that mean that a sentence speaks of a thing that is not there."""
_TRIPLES = 3  # asked for at once
_MAX_MENTIONS = 5
TEMPERATURE: Final = 0.4
"""Of replies. The likeliest word each time asks the same question again and again."""
_SAMPLING = Sampling(TEMPERATURE, max_tokens=200, seed=0)


@dataclass(frozen=True, slots=True)
class TripleFigures:
    """Of so many triples asked for in a mode, with the picture or without: those of the form, decided, and true."""

    mode: Mode
    seeing: bool
    asked: int
    kept: int
    decided: int
    true: int


@dataclass(frozen=True, slots=True)
class DescriptionFigures:
    """Of so many descriptions: the sentences that were decided, those of them that are false, and invented things."""

    prompt: str
    descriptions: int
    decided: int
    false: int
    invented: int


@dataclass(frozen=True, slots=True)
class TeacherFigures:
    """What a model that teaches writes."""

    triples: tuple[TripleFigures, ...]
    descriptions: tuple[DescriptionFigures, ...]


def measure_teacher(folder: Path, scenes: Path, *, batch_size: int = 64) -> TeacherFigures:
    """The figures of the model in `folder` on scenes that `verbalize_scenes` put into words in the folder `scenes`."""
    truth = read_truth(scenes / "scenes")
    rows = list(kept_records(RunFolder(scenes / "run"), Verbalization))
    with Generator(GeneratorSettings(model=str(folder), batch_size=batch_size)) as generator:
        triples = tuple(
            _triples(generator, rows, truth, mode, seeing=seeing) for mode in MODES for seeing in (False, True)
        )
        shown = [truth[row.image_id] for row in rows]
        return TeacherFigures(triples, tuple(_descriptions(generator, shown, one) for one in (DESCRIBE, IMAGINE)))


def _triples(
    generator: Generator, rows: Sequence[Verbalization], truth: dict[str, Scene], mode: Mode, *, seeing: bool
) -> TripleFigures:
    conversations = []
    for row in rows:
        picture = seen_as(render(truth[row.image_id]), row, mode) if seeing else None
        shown = () if picture is None else (picture,)
        conversations.append(_asked(triples_prompt(row, mode, _TRIPLES), shown))
    kept, findings = 0, list[Finding]()
    for row, result in zip(rows, generator.generate(conversations), strict=True):
        if not isinstance(result, Completion):
            continue
        limits = Limits(mode, frozenset(region.number for region in row.regions), _TRIPLES, _MAX_MENTIONS)
        for one in turn_triples(TurnText(result.text, result.finish_reason), limits):
            if not isinstance(one, Absent) and not one.reason:
                kept += 1
                qar = Qar("", row.image_id, mode, one.question, one.answer, one.rationale, one.mentions, "", "", "")
                findings.append(judge_qar(qar, row.regions, truth[row.image_id]).whole)
    decided = sum(finding.decided for finding in findings)
    true = sum(finding.is_true for finding in findings)
    return TripleFigures(mode, seeing, _TRIPLES * len(rows), kept, decided, true)


def _descriptions(generator: Generator, scenes: Sequence[Scene], prompt: str) -> DescriptionFigures:
    results = generator.generate([_asked(prompt, (render(scene),)) for scene in scenes])
    found: list[Finding] = []
    for scene, result in zip(scenes, results, strict=True):
        if isinstance(result, Completion):
            found += [one for one in sentence_findings(result.text, scene) if one.decided]
    false = [finding for finding in found if finding.is_false]
    invented = sum(finding.reason in INVENTED for finding in false)
    return DescriptionFigures(prompt, len(scenes), len(found), len(false), invented)


def sentence_findings(text: str, scene: Scene) -> list[Finding]:
    """The finding on each sentence of a description."""
    return [judge_text(f"{one.strip()} .", scene) for one in text.split(".") if one.strip()]


def _asked(prompt: str, pictures: tuple[PIL.Image.Image, ...]) -> Conversation:
    return Conversation((Message("user", prompt, pictures),), sampling=_SAMPLING)
