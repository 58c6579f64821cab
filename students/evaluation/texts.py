"""Texts held against references: BLEU, ROUGE-L, CIDEr and METEOR by `pycocoevalcap`, and how texts become words.

The words are those that COCO's evaluation gets from Stanford's tokenizer, to which a test compares them, but are made
here, since that one needs Java: lower case, `'s` and `n't` apart, hyphens within words kept, no punctuation. A tag such
as `[3]` is a word.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final  # Any: pycocoevalcap ships no types

import numpy as np

from ostensive.errors import SettingsError
from students.evaluation.resampling import Array

TOKENIZER: Final = "ostensive-1: as COCO's, without Java"
"""By which words are made; goes up when the same text would give other words."""
ORDERS: Final = 4  # BLEU-1 to BLEU-4
_TINY, _SMALL = 1e-15, 1e-9  # of pycocoevalcap's BLEU, so that a corpus without a match has one
_WORD: Final = re.compile(
    r"\[\d{1,6}\]"  # a region
    r"|\w+?(?=n't\b)|n't\b|can(?=not\b)|(?<=\bcan)not\b"
    r"|'(?:s|re|ve|ll|d|m)\b"
    r"|\d+(?:[.,:]\d+)+"
    r"|(?:[a-z]\.){2,}|(?:mr|mrs|ms|dr)\."
    r"|\w+(?:[-'/&.]\w+)*?(?=(?:n't|'(?:s|re|ve|ll|d|m))\b)"
    r"|\w+(?:[-'/&.]\w+)*"
    r"|[$%#&@+=*]"
)
_APOSTROPHES: Final = str.maketrans({"’": "'", "‘": "'"})


@dataclass(frozen=True, slots=True)
class TextScores:
    """How like a text is to its references."""

    bleu_counts: tuple[int, ...]  # matches of 1 to 4 words, sequences of 1 to 4 words, words, words of the reference
    rouge_l: float  # 0-1
    cider: float  # CIDEr-D, 0-10; 0 for all texts where there is one item alone
    meteor: float | None  # 0-1; None where it is not wanted or cannot be had


def words(text: str) -> tuple[str, ...]:
    """The words of a text in order."""
    return tuple(_WORD.findall(text.lower().translate(_APOSTROPHES)))


def check_installed() -> None:
    """Raises `SettingsError` where the package that compares texts is missing."""
    if find_spec("pycocoevalcap") is None:
        raise SettingsError("references: comparing texts needs pycocoevalcap; install ostensive[students]")


def text_scores(
    texts: Sequence[str], references: Sequence[Sequence[str]], *, with_meteor: bool = False
) -> list[TextScores]:
    """The scores of each text against its references, at least one.

    CIDEr weighs words by how rare they are in all `references`, so that it depends on which items are scored together.
    METEOR, if it is wanted, is there where Java is. Raises `SettingsError` where the package is missing.
    """
    check_installed()
    from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    if not texts:
        return []
    found = {place: [" ".join(words(text))] for place, text in enumerate(texts)}
    wanted = {place: [" ".join(words(text)) for text in some] for place, some in enumerate(references)}
    cider = Cider().compute_score(wanted, found)[1]
    rouge = Rouge().compute_score(wanted, found)[1]
    meteor = _meteor(wanted, found) if with_meteor else None
    scores = []
    for place in found:
        counts = cook_test(found[place][0], cook_refs(wanted[place]), eff="closest")
        scores.append(
            TextScores(
                (*counts["correct"], *counts["guess"], counts["testlen"], counts["reflen"]),
                float(rouge[place]),
                float(cider[place]),
                None if meteor is None else meteor[place],
            )
        )
    return scores


def bleu(sums: Array, order: int) -> Array:
    """BLEU of a corpus with n-grams up to `order` (Papineni et al. 2002), 0-1, from sums of `TextScores.bleu_counts`.

    The reference nearest in length counts for brevity, as in COCO's evaluation.
    """
    precisions = (sums[:, :order] + _TINY) / (sums[:, ORDERS : ORDERS + order] + _SMALL)
    lengths = (sums[:, 2 * ORDERS] + _TINY) / (sums[:, 2 * ORDERS + 1] + _SMALL)
    penalty = np.exp(np.minimum(0.0, 1 - 1 / lengths))
    return np.asarray(np.exp(np.log(precisions).mean(axis=1)) * penalty, dtype=np.float64)


@lru_cache(maxsize=1)
def has_java() -> bool:
    """Whether METEOR can be had: some systems have a `java` that only says where to get one."""
    java = shutil.which("java")
    if java is None:
        return False
    try:
        return subprocess.run([java, "-version"], capture_output=True, check=False, timeout=30).returncode == 0  # noqa: S603 - no input of others
    except (OSError, subprocess.TimeoutExpired):
        return False


def _meteor(wanted: dict[int, list[str]], found: dict[int, list[str]]) -> list[float] | None:
    """METEOR of each text; None without Java. A text without a word has 0, which the program cannot be asked."""
    if not has_java():
        return None
    from pycocoevalcap.meteor.meteor import Meteor

    asked = [place for place, (text,) in found.items() if text and any(wanted[place])]
    scores = [0.0] * len(found)
    if asked:
        meteor: Any = Meteor()
        gts = {place: [text for text in wanted[place] if text] for place in asked}
        _, values = meteor.compute_score(gts, {place: found[place] for place in asked})
        for place, score in zip(asked, values, strict=True):
            scores[place] = float(score)
        meteor.meteor_p.stdout.close()  # it leaves them open, and ends the process when it is collected
        meteor.meteor_p.stderr.close()
    return scores
