"""What thresholds keep of a run's candidates, said where a run keeps nothing or next to nothing.

A threshold is easily one that no score reaches: probabilities of a critic that learned from few labels stay near the
share that people accept. A corpus that is empty for that is no sign of bad candidates, so that what other thresholds
would keep is told with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from critics.critic import ScoringSettings
from critics.stage import SCORED
from critics.table import AllOfSettings, AnyOfSettings, CriticSettings, leaves
from critics.threshold import threshold_to_keep
from critics.trained.settings import TrainedSettings
from ostensive.recipe import Recipe
from ostensive.run.folder import RunFolder

if TYPE_CHECKING:
    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]

NEXT_TO_NOTHING: Final = 0.05
"""A critic that keeps at most this share of the candidates, 0-1, is told of."""
_MIN_ROWS: Final = 20  # fewer are told of only where none is kept
_SHARES: Final = (0.1, 0.2, 0.5)
_HALF: Final = 0.5
COMMAND: Final = "ostensive critic threshold RUN --critic {critic} --keep 0.2 --apply"


@dataclass(frozen=True, slots=True)
class KeptShare:
    """What a threshold keeps of the candidates, as a share, 0-1."""

    min_accept_probability: float
    kept_share: float


@dataclass(frozen=True, slots=True)
class ThresholdShares:
    """What the threshold of a critic keeps of the candidates, and what others would."""

    critic: str
    candidates: int
    kept: int
    highest: float  # score
    in_force: KeptShare
    others: tuple[KeptShare, ...]  # 0.5, and those that keep about 10, 20 and 50 %; () where scores leave no choice

    @property
    def is_next_to_nothing(self) -> bool:
        """Whether it keeps so little that it has to be said."""
        return is_next_to_nothing(self.kept, self.candidates)


def is_next_to_nothing(kept: int, candidates: int) -> bool:
    """Whether `kept` of `candidates` is so little that it has to be said."""
    few = candidates >= _MIN_ROWS and kept <= NEXT_TO_NOTHING * candidates
    return candidates > 0 and (kept == 0 or few)


def shares_of(critic: str, scores: "Sequence[float] | Scores", min_accept_probability: float) -> ThresholdShares:
    """What thresholds keep of candidates with these scores of a critic, of which there is one at least."""
    found = np.asarray(scores, np.float64)

    def share(threshold: float) -> KeptShare:
        return KeptShare(threshold, float((found >= threshold).mean()))

    now = share(min_accept_probability)
    shown = [share(threshold_to_keep(found, wanted)) for wanted in _SHARES]
    others = list(dict.fromkeys(one for one in shown if one.kept_share not in (0.0, now.kept_share, 1.0)))
    if others and _HALF not in (min_accept_probability, *(one.min_accept_probability for one in others)):
        others.insert(0, share(_HALF))
    kept = int((found >= min_accept_probability).sum())
    return ThresholdShares(critic, len(found), kept, float(found.max()), now, tuple(others))


def share_words(found: ThresholdShares) -> str:
    """What a critic keeps, what other thresholds would, and how one is set, in a line."""
    asked = f"it asks for {found.in_force.min_accept_probability:.4g}"
    if found.kept:
        share = f"{found.in_force.kept_share:.1%}"
        begins = f"{found.critic} keeps {found.kept:,} of {found.candidates:,} candidates ({share}): {asked}"
    else:
        begins = (
            f"{found.critic} rejects all of {found.candidates:,} candidates: {asked}, and the highest score is"
            f" {found.highest:.4g}"
        )
    if not found.others:
        return f"{begins}; its scores are so few that no other threshold keeps some of the rest"
    shares = ", ".join(f"{one.kept_share:.1%} from {one.min_accept_probability:.4g} on" for one in found.others)
    return f"{begins}; it would keep {shares}; set another with: {COMMAND.format(critic=found.critic)}"


def notes_of(critics: Sequence[CriticSettings], scores: "Mapping[str, Scores]") -> Iterator[str]:
    """What has to be said of critics by whose thresholds next to nothing is kept, a line each; nothing where enough is.

    `scores` are those of each critic that scores, by its name, of the same candidates in the same order. A member of a
    combination is told of where the combination keeps next to nothing, for elsewhere it decides nothing alone.
    """
    accepted = [_accepted(critic, scores) for critic in critics]
    together = np.logical_and.reduce(accepted)
    if is_next_to_nothing(int(together.sum()), len(together)):
        yield from _among(critics, scores) or [
            f"the critics together keep {_of(together)}, though each alone keeps more:"
            f" {_listed(critics, accepted)}; move one of their thresholds, or combine them with any_of"
        ]
    for critic in leaves(critics):
        found = scores[critic.title]
        least = float(found.min())
        # Others are often given a threshold that keeps all, to measure and to drop nothing.
        if isinstance(critic, TrainedSettings) and 0 < critic.min_accept_probability <= least < float(found.max()):
            yield (
                f"{critic.title} keeps all of {len(found):,} candidates: it asks for"
                f" {critic.min_accept_probability:.4g}, and the lowest score is {least:.4g}; set another with:"
                f" {COMMAND.format(critic=critic.title)}"
            )


def _among(critics: Sequence[CriticSettings], scores: "Mapping[str, Scores]") -> list[str]:
    """The lines of those that keep next to nothing by themselves."""
    lines: list[str] = []
    for critic in critics:
        accepted = _accepted(critic, scores)
        if not is_next_to_nothing(int(accepted.sum()), len(accepted)):
            continue
        if isinstance(critic, ScoringSettings):
            lines.append(share_words(shares_of(critic.title, scores[critic.title], critic.min_accept_probability)))
            continue
        members = [_accepted(member, scores) for member in critic.critics]
        lines += _among(critic.critics, scores) or [
            f"{critic.title} keeps {_of(accepted)}, though each of its members keeps more:"
            f" {_listed(critic.critics, members)}; move one of their thresholds, or combine them with any_of"
        ]
    return lines


def _accepted(critic: CriticSettings, scores: "Mapping[str, Scores]") -> "npt.NDArray[np.bool_]":
    if isinstance(critic, AllOfSettings | AnyOfSettings):
        combine = np.logical_and if isinstance(critic, AllOfSettings) else np.logical_or
        accepted: npt.NDArray[np.bool_] = combine.reduce([_accepted(member, scores) for member in critic.critics])
        return accepted
    return scores[critic.title] >= critic.min_accept_probability


def _of(accepted: "npt.NDArray[np.bool_]") -> str:
    return f"{int(accepted.sum()):,} of {len(accepted):,} candidates ({accepted.mean():.1%})"


def _listed(critics: Sequence[CriticSettings], accepted: "Sequence[npt.NDArray[np.bool_]]") -> str:
    return ", ".join(f"{critic.title} {one.mean():.1%}" for critic, one in zip(critics, accepted, strict=True))


def threshold_notes(run: RunFolder, recipe: Recipe) -> list[str]:
    """What has to be said of the thresholds of a run whose stages are done, a line each; [] where all is as it may be.

    In the lines the run folder is RUN.
    """
    critics: tuple[CriticSettings, ...] = getattr(recipe, "critics", None) or ()
    if not critics or not all(isinstance(one, ScoringSettings | AllOfSettings | AnyOfSettings) for one in critics):
        return []  # a recipe from elsewhere may have critics of its own
    if not sum(info.summary.kept for info in run.infos(SCORED)):
        return []
    return list(notes_of(critics, read_scores(run, [one.title for one in leaves(critics)])))


def read_scores(run: RunFolder, critics: Sequence[str]) -> "dict[str, Scores]":
    """The scores of the candidates of a run, by critic, in the order of the candidates."""
    found: dict[str, list[Scores]] = {name: [] for name in critics}
    for path in run.partition_paths(SCORED):
        table = pq.read_table(path, columns=["outcome", "scores"])
        kept = table.filter(pc.equal(table.column("outcome"), "kept")).column("scores").combine_chunks()
        every = kept.flatten()
        names, values = every.field("critic"), every.field("accept_probability")
        for name, parts in found.items():
            parts.append(values.filter(pc.equal(names, name)).to_numpy(zero_copy_only=False))
    return {name: np.concatenate(parts) for name, parts in found.items()}
