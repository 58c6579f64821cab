"""Ostensive turns a folder of images into vision-language corpora that point at things and say why."""

import importlib
from typing import TYPE_CHECKING, Any

from ostensive.version import VERSION

if TYPE_CHECKING:
    from cards.differences import CorpusDifferences
    from cards.hub.preparing import PublishOptions
    from cards.reading import Corpus, open_corpus
    from ostensive.commands.api import build, corpus_rows, corpus_stream, demo, diff, estimate, export, preview
    from ostensive.commands.api_loop import loop
    from ostensive.commands.api_publish import publish, takedown
    from ostensive.commands.api_report import explain, report
    from ostensive.errors import OstensiveError
    from ostensive.run.estimate import Estimate
    from ostensive.run.options import BuildOptions
    from ostensive.run.status import RunStatus, status
    from students.data.loader import ResumableLoader
    from students.data.settings import AugmentationSettings
    from students.data.stream import StreamSettings
    from students.loop.records import LoopEvaluation, LoopOptions
    from students.loop.status import LoopStatus, loop_status

__version__ = VERSION
__all__ = [
    "AugmentationSettings",
    "BuildOptions",
    "Corpus",
    "CorpusDifferences",
    "Estimate",
    "LoopEvaluation",
    "LoopOptions",
    "LoopStatus",
    "OstensiveError",
    "PublishOptions",
    "ResumableLoader",
    "RunStatus",
    "StreamSettings",
    "build",
    "corpus_rows",
    "corpus_stream",
    "demo",
    "diff",
    "estimate",
    "explain",
    "export",
    "loop",
    "loop_status",
    "open_corpus",
    "preview",
    "publish",
    "report",
    "status",
    "takedown",
]

_HOMES = {
    "AugmentationSettings": "students.data.settings",
    "BuildOptions": "ostensive.run.options",
    "Corpus": "cards.reading",
    "CorpusDifferences": "cards.differences",
    "Estimate": "ostensive.run.estimate",
    "LoopEvaluation": "students.loop.records",
    "LoopOptions": "students.loop.records",
    "LoopStatus": "students.loop.status",
    "OstensiveError": "ostensive.errors",
    "PublishOptions": "cards.hub.preparing",
    "ResumableLoader": "students.data.loader",
    "RunStatus": "ostensive.run.status",
    "StreamSettings": "students.data.stream",
    "build": "ostensive.commands.api",
    "corpus_rows": "ostensive.commands.api",
    "corpus_stream": "ostensive.commands.api",
    "demo": "ostensive.commands.api",
    "diff": "ostensive.commands.api",
    "estimate": "ostensive.commands.api",
    "explain": "ostensive.commands.api_report",
    "export": "ostensive.commands.api",
    "loop": "ostensive.commands.api_loop",
    "loop_status": "students.loop.status",
    "open_corpus": "cards.reading",
    "preview": "ostensive.commands.api",
    "publish": "ostensive.commands.api_publish",
    "report": "ostensive.commands.api_report",
    "status": "ostensive.run.status",
    "takedown": "ostensive.commands.api_publish",
}


def __getattr__(name: str) -> Any:  # Any: functions and classes. PEP 562, so that `--help` does not import them all
    if name not in _HOMES:
        raise AttributeError(f"module 'ostensive' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
