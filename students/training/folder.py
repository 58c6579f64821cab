"""The folder of a student: what lies in it, and that it is gone on with by the very training that began it.

It holds `model/`, and `student.json`, written last: a folder without it is a training that has not ended.
"""

import json
from pathlib import Path
from typing import Final

from cards.reading import Corpus
from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.fingerprint import fingerprint
from ostensive.user_paths import shown_path

STUDENT: Final = "student.json"
MODEL: Final = "model"
MADE_FROM: Final = "made_from.json"
"""What a training that has not ended was begun with."""


def begin(out: Path, made_from: str) -> None:
    """Marks the folder `out` as that of the training `made_from`, or finds that it is.

    Raises `SettingsError` for a folder of another training, or of something else.
    """
    mark = out / MADE_FROM
    if mark.exists():
        check_same(out, json.loads(mark.read_text("utf-8"))["made_from"], made_from)
    elif any(out.iterdir()):
        raise SettingsError(f"--out {shown_path(out)}: holds files of something else; name a folder of its own")
    else:
        write_text(mark, json.dumps({"made_from": made_from}) + "\n")


def check_same(out: Path, before: str, now: str) -> None:
    """Raises `SettingsError` where the folder `out` is of another training than this one."""
    if before != now:
        raise SettingsError(
            f"--out {shown_path(out)}: a training of another corpus, base, settings or versions of libraries was begun"
            " here; name another folder"
        )


def corpus_digest(corpus: Corpus) -> str:
    """A hash of the files with the rows of a corpus."""
    return fingerprint([[file.path, file.sha256] for file in corpus.manifest.files_of("samples")])[:16]
