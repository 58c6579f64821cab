"""The funnel of a run, from images to rows: what a stage kept is what the next one was given, and numbers add up."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from caption_kind import KIND, CaptionRecipe
from drawing import write_scenes

import ostensive
from builders.table import load, recipe_kind, recipe_names
from cards.assembling import publish
from cards.card_text import funnel
from cards.funnel import check_funnel, waiting
from ostensive.errors import OstensiveError
from ostensive.run import partitions
from ostensive.run.build import Build
from ostensive.run.status import status
from ostensive.run.summary import RunFacts, StageSummary
from ostensive.stage import record_name


def check_corpus(corpus: ostensive.Corpus, recipe: str) -> None:
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
    check_corpus(corpus, "localized")


def built(images: Path, out: Path, partition_size: int = 3) -> ostensive.Corpus:
    corpus = {"name": "noted", "license": "cc0-1.0", "source": "drawn", "intended_use": "to test", "splits": {"a": 1}}
    notes = {f"scene {place:04d}.jpg": "a note" for place in range(5)}
    values = {"recipe": "captions", "notes": notes, "corpus": corpus, "run": {"partition_size": partition_size}}
    return Build(CaptionRecipe.model_validate(values), KIND, publish).from_images(images, out)


def say_more(path: Path, *, kept: int = 0, inputs: int = 0) -> None:
    """Has a partition say other counts of itself than those of its rows."""
    info = partitions.read_info(path)
    summary = replace(info.summary, kept=info.summary.kept + kept, inputs=info.summary.inputs + inputs)
    partitions.write(path, pq.read_table(path), replace(info, summary=summary))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("funnel") / "images", 5)


def test_each_stage_has_its_source(images: Path, tmp_path: Path) -> None:
    corpus = built(images, tmp_path / "run")
    sources = corpus.run.read_state()["sources"]
    assert sources == {
        "distinct": "images", "items": "distinct", "captions": "distinct", "scored": "captions", "judged": "scored",
        "splits": "distinct",
    }  # fmt: skip
    stages = {stage.name: stage for stage in corpus.stages}
    assert all(stages[name].inputs == stages[source].kept for name, source in sources.items())
    assert "What waits" not in (corpus.path / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("stage", "more", "message", "told"),
    [
        ("captions", {"kept": -1}, "scored was given 10 rows, but captions kept 9", "captions and scored"),
        ("splits", {"inputs": 4}, "splits was given 9 rows, but distinct kept 5", "distinct and splits"),
    ],
)
def test_a_corpus_of_numbers_that_do_not_add_up_is_not_written(
    images: Path, tmp_path: Path, stage: str, more: dict[str, int], message: str, told: str
) -> None:
    corpus = built(images, tmp_path / "run")
    path = corpus.run.partition_paths(stage)[-1]
    say_more(path, **more)
    (corpus.path / "manifest.json").unlink()
    with pytest.raises(OstensiveError) as caught:
        built(images, tmp_path / "run")
    assert str(caught.value) == (
        f"{message}: files of the run were changed; remove its folders {told}, and run the same command again"
    )
    for name in told.split(" and "):
        shutil.rmtree(corpus.run.path / name)
    assert built(images, tmp_path / "run").row_count == corpus.row_count


FACTS = RunFacts(
    {}, "", (StageSummary("images", 9, 8), StageSummary("captions", 5, 5), StageSummary("judged", 5, 4)),
    {"images": "ImageRecord", "captions": "Caption", "judged": "Judged"}, 4, (), (), (), "0",
    sources={"captions": "images", "judged": "captions"}, partitions={"images": 3, "captions": 2, "judged": 2},
)  # fmt: skip


def test_a_run_that_was_stopped_says_what_waits() -> None:
    assert waiting(FACTS) == {"captions": 3}
    assert funnel(FACTS).endswith("\n\nThe run was stopped before its end. What waits: 3 before captions.")
    check_funnel(FACTS, ())
    whole = replace(FACTS, partitions=dict.fromkeys(FACTS.partitions, 3))
    assert waiting(whole) == {}, "nothing waits in a run that is whole"
    check_funnel(whole, ())
    check_funnel(whole, ("images",))
    with pytest.raises(OstensiveError, match=r"^captions was given 5 rows, but images kept 8: "):
        check_funnel(whole, ("images", "captions", "judged"))


def test_what_was_accepted_is_what_the_corpus_is_made_of() -> None:
    stages = (StageSummary("images", 9, 5), *FACTS.stages[1:])
    facts = replace(FACTS, stages=stages, partitions=dict.fromkeys(FACTS.partitions, 3))
    check_funnel(facts, tuple(facts.records))
    with pytest.raises(OstensiveError) as caught:
        check_funnel(replace(facts, accepted=3), tuple(facts.records))
    assert str(caught.value) == (
        "judged kept 4 rows, but the corpus is made of 3: files of the run were changed; remove its folder judged, and"
        " run the same command again"
    )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name in recipe_names() if name != "localized"])
def test_the_funnel_of_every_demo(recipe: str, tmp_path: Path) -> None:
    check_corpus(ostensive.demo(tmp_path / recipe, recipe), recipe)
