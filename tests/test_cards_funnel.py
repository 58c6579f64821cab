"""The funnel of a run, from images to rows: what a stage kept is what the next one was given, and numbers add up."""

from pathlib import Path

import pytest
from drawing import write_scenes

import ostensive
from builders.table import load, recipe_kind, recipe_names
from ostensive.run.status import status
from ostensive.stage import record_name


def check_funnel(corpus: ostensive.Corpus, recipe: str) -> None:
    stages = {stage.name: stage for stage in corpus.stages}
    for stage in corpus.stages:
        assert stage.rows == stage.kept + sum(stage.dropped.values()) + sum(stage.failed.values())
    assert stages["images"].inputs == stages["images"].rows
    made_of = {"ImageRecord": "distinct"}  # the last stage that made records of a class
    given = 0
    for made in recipe_kind(recipe).make_stages(load(str(corpus.path.parent / "recipe.yaml"))):
        source = made_of.get(record_name(made.record_in))
        if source is not None and made.name in stages:
            assert stages[made.name].inputs == stages[source].kept, f"{made.name} was given what {source} kept"
            given += 1
        made_of[record_name(made.record_out)] = made.name
    assert given >= 4
    assert stages["judged"].kept == corpus.row_count + sum(corpus.manifest.lost.values())
    assert [one.summary for one in status(corpus.path.parent).stages] == list(corpus.stages)


def test_the_funnel_of_a_run_of_two_partitions(tmp_path: Path) -> None:
    images = write_scenes(tmp_path / "images", 3)
    (images / "broken.jpg").write_bytes(b"no picture")
    (images / "again.jpg").write_bytes((images / "scene 0000.jpg").read_bytes())
    settings = ["corpus.license=cc0-1.0", "corpus.source=drawn", "corpus.intended_use=to test", "run.partition_size=2"]
    settings += ["teacher.error_rate=0.3", "localized.turns=1"]
    corpus = ostensive.build(
        "localized", images=images, out=tmp_path / "run", options=ostensive.BuildOptions(settings=settings)
    )
    assert [(stage.inputs, stage.kept) for stage in corpus.stages[:2]] == [(5, 4), (4, 3)]
    check_funnel(corpus, "localized")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name in recipe_names() if name != "localized"])
def test_the_funnel_of_every_demo(recipe: str, tmp_path: Path) -> None:
    check_funnel(ostensive.demo(tmp_path / recipe, recipe), recipe)
