"""Critics of the evidence: trained on what two annotators say whom the oracle plays, and asked for their scores."""

from collections.abc import Sequence
from pathlib import Path

from critic import TINY, VARIANTS, Row, evidence_of, judgement, opened

from builders.dedupe import UNIQUE
from builders.localized.recipe import KIND
from critics.critic import Score
from critics.labels import labels_from, write_labels
from critics.trained.settings import TrainedSettings, TrainSettings
from critics.trained.training import train_critic
from ostensive.run.folder import RunFolder
from ostensive.settings import validate

NOISE = 0.05
"""The share of what each annotator says that is wrong."""


def trained_critic(run: Path, labelled: Sequence[Row], out: Path, *, rounds: int, seed: int) -> Path:
    """A critic of `labelled`, candidates of `run`, after at most `rounds` over them; one that is in `out` is used."""
    given = labels_from(judgement(row, who, NOISE) for row in labelled for who in ("one", "two"))
    write_labels(out.with_name(f"{out.name}-labels.parquet"), given)
    values = {**TINY, "max_epochs": rounds, "rows_at_once": 32, "head_weights": VARIANTS["three"], "seed": seed}
    settings = validate(TrainSettings, {**values, "backbone": "vlm", "model": "microworld:vlm"}, "critic")
    if not out.exists():
        train_critic(RunFolder(run), given, kind=KIND, stage=UNIQUE, settings=settings, out=out)
    return out


def scores(critic: Path, run: Path, rows: Sequence[Row]) -> list[float]:
    """The probability that each of `rows`, of the run in `run`, is acceptable; 0 for one that cannot be judged."""
    with opened(TrainedSettings(model=str(critic))) as one:
        found = one.score([row.qar for row in rows], evidence_of(run))
    return [score.accept_probability if isinstance(score, Score) else 0.0 for score in found]
