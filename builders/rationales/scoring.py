"""How explanation prompts are scored and chosen: ILLUME, section 3.3, "Sampling". Pure functions.

The paper tries several prompts beforehand and samples with the one that scores best; by what it scores them it does not
say. Here it is what the sample is for: the share of replies that fit. Where people's rationales are known, a reply fits
that is like one of them, as the critic `overlap` has it; where none fits, which is common with a model that has learnt
nothing yet, the mean likeness tells prompts apart. Where none are known, what is no jabber may fit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from builders.rationales.records import Trial
from critics.overlap import MIN_CHARACTERS, OverlapSettings, rouge_l

_DIGITS = 9  # sums of other partitions differ in the last bits, which are to decide nothing


@dataclass(frozen=True, slots=True)
class PromptScore:
    """A prompt with what came of it, its place among all (1 is the best), and whether it is kept."""

    trial: Trial
    rank: int
    is_kept: bool


def share(hits: float, total: int) -> float:
    """`hits` of `total`, 0-1; 0 of nothing."""
    return hits / total if total else 0.0


def tried(trial: Trial, rationale: str, *, is_candidate: bool, references: Sequence[str], min_overlap: float) -> Trial:
    """`trial` after one more reply with this rationale, about an item with these references."""
    trial = replace(trial, replies=trial.replies + 1, candidates=trial.candidates + is_candidate)
    if not references:
        return trial
    overlap = 0.0
    if is_candidate and len(rationale) >= MIN_CHARACTERS:
        weight = OverlapSettings().recall_weight
        overlap = max(rouge_l(rationale, reference, recall_weight=weight) for reference in references)
    return replace(
        trial,
        referenced=trial.referenced + 1,
        fitting=trial.fitting + (is_candidate and overlap >= min_overlap),
        overlap_sum=trial.overlap_sum + overlap,
    )


def summed(trials: Iterable[Trial], prompts: Sequence[str]) -> list[Trial]:
    """All trials of each of `prompts` as one, in the order of `prompts`."""
    found = {prompt: Trial(prompt) for prompt in prompts}
    for one in trials:
        before = found[one.prompt]
        found[one.prompt] = Trial(
            one.prompt,
            before.replies + one.replies,
            before.candidates + one.candidates,
            before.referenced + one.referenced,
            before.fitting + one.fitting,
            before.overlap_sum + one.overlap_sum,
        )
    return list(found.values())


def ranked(trials: Sequence[Trial], keep: int) -> list[PromptScore]:
    """The prompts in the order of `trials` with their ranks; the best `keep` are kept, of equals the earlier one."""
    order = sorted(range(len(trials)), key=lambda place: _merit(trials[place]), reverse=True)
    ranks = {place: number for number, place in enumerate(order, 1)}
    return [PromptScore(trial, ranks[place], ranks[place] <= keep) for place, trial in enumerate(trials)]


def _merit(trial: Trial) -> tuple[float, float, float]:
    """The fitting share, the mean overlap, the share of candidates; the first two are 0 where nothing is known."""
    return (
        share(trial.fitting, trial.referenced),
        round(share(trial.overlap_sum, trial.referenced), _DIGITS),
        share(trial.candidates, trial.replies),
    )


def score_line(score: PromptScore) -> str:
    """What there is to say of a prompt."""
    trial = score.trial
    told = f"{trial.prompt}: {trial.candidates:,} of {trial.replies:,} replies are candidates"
    if trial.referenced:
        overlap = share(trial.overlap_sum, trial.referenced)
        told += f", {trial.fitting:,} of {trial.referenced:,} fit, mean ROUGE-L {overlap:.2f}"
    return f"{told}; {'kept' if score.is_kept else 'not kept'}"
