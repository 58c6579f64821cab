"""How far the people agreed who judged candidates of a run: kept in the run by an export, told on its card.

No name of anybody is in it. A card tells what the last export found, so that a person who is still judging changes no
corpus.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # Any: JSON values

from ostensive.arrow import from_plain
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.json_text import parse_json

FILE_NAME = "agreement.json"
_FORM = {"kind": "ostensive-agreement", "version": 1}


@dataclass(frozen=True, slots=True)
class AnnotatorAgreement:
    """All annotators on one question of a task; what is None is undefined, such as the alpha of equal answers."""

    task: str
    question: str
    items: int  # that two or more annotators judged
    annotators: int  # who judged any of the task
    same_share: float | None  # of the items, those of which all said the same
    alpha_nominal: float | None  # Krippendorff's
    alpha_ordinal: float | None


def read_agreements(run: Path) -> tuple[AnnotatorAgreement, ...]:
    """What the last export of a run found; raises `SettingsError` for a file that was changed by hand."""
    path = run / FILE_NAME
    try:
        values: dict[str, Any] = parse_json(path.read_text("utf-8"), strict=False)
        return tuple(from_plain(values["questions"], AnnotatorAgreement))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(
            f"{path}: not a file of agreement; remove it and export the judgements again, by"
            " `ostensive annotate RUN --export`"
        ) from error


def write_agreements(run: Path, found: Iterable[AnnotatorAgreement]) -> None:
    """Writes what was found, in place of an earlier export's; raises `StorageError`."""
    values = {**_FORM, "questions": [asdict(one) for one in found]}
    write_text(run / FILE_NAME, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
