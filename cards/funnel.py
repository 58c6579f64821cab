"""From the images that were found to the rows that are published: what waits between steps, and whether all adds up."""

from collections.abc import Collection, Mapping

from ostensive.errors import OstensiveError
from ostensive.records import Judged
from ostensive.run.summary import RunFacts


def waiting(facts: RunFacts) -> Mapping[str, int]:
    """By the name of a stage, how much of what its source kept was not given to it yet; empty for a whole run."""
    found = {}
    for name, left in _not_given(facts).items():
        done, of_source = (facts.partitions.get(one, 0) for one in (name, facts.sources[name]))
        if left > 0 and done < of_source:
            found[name] = left
    return found


def check_funnel(facts: RunFacts, carried_out: Collection[str]) -> None:
    """Raises `OstensiveError` where the numbers of a run do not add up.

    Each stage that was `carried_out` just now was given all that its source kept, and the rows that the last critics
    accepted are those that the corpus is made of. Of a run that was stopped nothing is checked: beside what is new it
    may hold partitions of an earlier recipe.
    """
    kept = {stage.name: stage.kept for stage in facts.stages}
    for name, left in _not_given(facts).items():
        source = facts.sources[name]
        if left and name in carried_out and facts.partitions.get(name) == facts.partitions.get(source):
            raise OstensiveError(
                f"{name} was given {kept[source] - left} rows, but {source} kept {kept[source]}: files of the run were"
                f" changed; remove its folders {source} and {name}, and run the same command again"
            )
    judged = [name for name, record in facts.records.items() if record == Judged.__name__][-1:]
    for name in judged:
        is_whole = name in carried_out and len(set(facts.partitions.values())) == 1
        if is_whole and kept[name] != facts.accepted:
            raise OstensiveError(
                f"{name} kept {kept[name]} rows, but the corpus is made of {facts.accepted}: files of the run were"
                f" changed; remove its folder {name}, and run the same command again"
            )


def _not_given(facts: RunFacts) -> dict[str, int]:
    """By the name of a stage that has a source, what the source kept less what the stage was given."""
    stages = {stage.name: stage for stage in facts.stages}
    return {
        name: stages[source].kept - stages[name].inputs
        for name, source in facts.sources.items()
        if name in stages and source in stages
    }
