"""Ostensive turns a folder of images into vision-language corpora that point at things and say why."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostensive.commands.build import build
    from ostensive.commands.demo import demo
    from ostensive.commands.estimate import Estimate, estimate
    from ostensive.commands.options import BuildOptions
    from ostensive.commands.preview import preview
    from ostensive.commands.status import RunStatus, status
    from ostensive.corpus import Corpus, open_corpus
    from ostensive.errors import OstensiveError

__version__ = "0.1.0"
__all__ = [
    "BuildOptions",
    "Corpus",
    "Estimate",
    "OstensiveError",
    "RunStatus",
    "build",
    "demo",
    "estimate",
    "open_corpus",
    "preview",
    "status",
]

_HOMES = {
    "BuildOptions": "ostensive.commands.options",
    "Corpus": "ostensive.corpus",
    "Estimate": "ostensive.commands.estimate",
    "OstensiveError": "ostensive.errors",
    "RunStatus": "ostensive.commands.status",
    "build": "ostensive.commands.build",
    "demo": "ostensive.commands.demo",
    "estimate": "ostensive.commands.estimate",
    "open_corpus": "ostensive.corpus",
    "preview": "ostensive.commands.preview",
    "status": "ostensive.commands.status",
}


def __getattr__(name: str) -> Any:  # Any: functions and classes. PEP 562, so that `--help` does not import them all
    if name not in _HOMES:
        raise AttributeError(f"module 'ostensive' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
