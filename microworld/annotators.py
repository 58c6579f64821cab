"""Annotators who know the truth from the oracle, but waver, and now and then err, as people do.

With them labelling, the training of a critic and the choice of a threshold can be rehearsed before anybody is asked.
"""

import random
from typing import Literal, TypeAlias

from microworld.oracle import QarVerdict
from ostensive.fingerprint import fingerprint

WAVERING_SHARE = 0.2
"""How often a "maybe" is said of what is right."""
Said: TypeAlias = Literal["accept", "maybe", "reject"]


def rated(verdict: QarVerdict, row_id: str, annotator: str, *, noise: float) -> dict[str, Said]:
    """What an annotator says of a triple, `qa` and `rationale`: wrong with the probability `noise` (0-1) on each.

    The rationale of a rejected answer is rejected too. The same annotator says the same of a triple each time.
    """
    rng = random.Random(fingerprint([row_id, annotator]))  # noqa: S311 - no secret

    def say(is_right: bool) -> Said:
        if is_right == (rng.random() < noise):
            return "reject"
        return "maybe" if rng.random() < WAVERING_SHARE else "accept"

    qa = say(not verdict.answer.is_false)
    rationale = say(not verdict.rationale.is_false)
    return {"qa": qa, "rationale": "reject" if qa == "reject" else rationale}
