"""The scores of a run's critics by which candidates are chosen to be judged, and whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from critics.annotation.choosing import Choice, ScoredRow
from critics.critic import ScoringSettings
from critics.stage import SCORED
from critics.table import critics_of, leaves
from ostensive.errors import SettingsError
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import Scored
from ostensive.run import partitions
from ostensive.run.folder import RunFolder
from ostensive.settings import nearest_key

_HOW: Final = (
    "train one with `ostensive critic train`, and give the run its scores with `ostensive critic apply RUN MODEL`"
)


@dataclass(frozen=True, slots=True)
class CriticScores:
    """What critics find of a run's candidates."""

    critics: tuple[str, ...]
    versions: tuple[str, ...]  # of the critics that the scores are by
    least_sure: float  # where the first critic decides either way, 0-1
    rows: Sequence[ScoredRow]


def asked_critics(run: RunFolder, recipe: Recipe, choose: Choice, names: Sequence[str]) -> list[ScoringSettings]:
    """The critics whose scores are to choose: those of these names, or the usual ones.

    Without names that is the only trained critic, or else the only one but rules; of `disagreement` all but rules.
    Raises `SettingsError` where there is none, too many or too few.
    """
    by_name = {one.title: one for one in leaves(critics_of(recipe))}
    for name in names:
        if name not in by_name:
            near = nearest_key(name, by_name)
            hint = f"; did you mean {near}?" if near else ""
            raise SettingsError(
                f"--critic {name}: {run.path} has no critic of that name that scores; it has {', '.join(by_name)}{hint}"
            )
    graded = [one for one in by_name.values() if one.kind != "rules"]
    if choose == "disagreement":
        chosen = [by_name[name] for name in dict.fromkeys(names)] or graded
        if len(chosen) < 2:
            has = ", ".join(one.title for one in chosen) or "none but rules"
            raise SettingsError(
                f"--choose disagreement: two critics that score are needed, and {run.path} has {has}; train another"
                " with `ostensive critic train ... --set seed=1` and apply it under a --name of its own"
            )
        return chosen
    if not names:
        trained = [one for one in graded if one.kind == "trained"]
        graded = trained if len(trained) == 1 else graded
        if not graded:
            raise SettingsError(f"--choose {choose}: {run.path} has no critic but rules to choose by; {_HOW}")
    chosen = [by_name[name] for name in names] or graded
    if len(chosen) > 1:
        found = ", ".join(one.title for one in chosen)
        raise SettingsError(
            f"--choose {choose}: of {len(chosen)} critics ({found}) one is to choose; name one, --critic"
        )
    return chosen


def read_scores(run: RunFolder, kind: RecipeKind, critics: Sequence[ScoringSettings]) -> CriticScores:
    """The scores of all candidates that have one by each of `critics`; raises `SettingsError` where there are none."""
    names = tuple(one.title for one in critics)
    rows, versions = [], set()
    for path in run.partition_paths(SCORED):
        for row in partitions.read_kept(path, Scored[kind.candidate]):  # type: ignore[name-defined]  # of the run
            by_name = {score.critic: score for score in row.scores}
            if all(name in by_name for name in names):
                scores = [by_name[name] for name in names]
                rows.append(ScoredRow(row.record_id, row.image_id, tuple(one.accept_probability for one in scores)))
                versions.add(tuple(one.critic_version for one in scores))
    if not rows:
        raise SettingsError(f"{run.path}: no candidate has a score by {' and '.join(names)} yet; {_HOW}")
    # A trained critic gives probabilities, and knows least at one half; others have scales of their own.
    first = critics[0]
    least_sure = 0.5 if first.kind == "trained" else first.min_accept_probability
    return CriticScores(names, tuple(sorted({one for some in versions for one in some})), least_sure, rows)
