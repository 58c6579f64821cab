"""The stages of a recipe after intake: its own, and those that every recipe may ask for."""

from collections.abc import Sequence

from ostensive.images.intake import DISTINCT
from ostensive.recipe import Recipe
from ostensive.recipe_kind import RecipeKind
from ostensive.records import ImageRecord
from ostensive.run.planning import INTAKE_RECORDS
from ostensive.run.splits import SplitStage
from ostensive.stage import AnyStage, record_name


def stages_of(recipe: Recipe, kind: RecipeKind, *, with_splits: bool = False) -> tuple[AnyStage, ...]:
    """The stages in order; nothing is opened. `with_splits` also where the recipe asks for none: some came in.

    Raises `SettingsError` for what stages cannot be made of.
    """
    splits = (SplitStage(recipe.corpus.splits, recipe.seed),) if recipe.corpus.splits or with_splits else ()
    return (*kind.make_stages(recipe), *splits)


def stage_sources(intake: Sequence[str], stages: Sequence[AnyStage]) -> dict[str, str]:
    """The stage whose kept records each stage is given: the last before it with records of that class.

    `intake` names the stages before those of the recipe. The first of them reads files, and what comes in beside images
    is told apart by image only later: neither is given what a stage kept.
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
