"""Which stage's kept records each stage of a run is given, for counts that must agree."""

from collections.abc import Sequence

from ostensive.images.intake import DISTINCT
from ostensive.records import ImageRecord
from ostensive.run.planning import INTAKE_RECORDS
from ostensive.stage import AnyStage, record_name


def stage_sources(intake: Sequence[str], stages: Sequence[AnyStage]) -> dict[str, str]:
    """By the name of a stage, the last before it with records of the class that it is given.

    `intake` names the stages before those of the recipe. The first of them reads files, and what comes in beside images
    is told apart by image only later: neither is given what a stage kept, and neither is here.
    """
    made = [(name, record_name(INTAKE_RECORDS[name])) for name in intake]
    made += [(stage.name, record_name(stage.record_out)) for stage in stages]
    given = {DISTINCT: record_name(ImageRecord)} | {stage.name: record_name(stage.record_in) for stage in stages}
    found, last = dict[str, str](), dict[str, str]()
    for name, record in made:
        source = last.get(given.get(name, ""))
        if source is not None:
            found[name] = source
        last[record] = name
    return found
