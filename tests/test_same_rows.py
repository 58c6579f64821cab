"""Same recipe, same seed, same rows: whole builds by learned models, in other batches and other partitions.

Four of the five parts and the teacher are models; CLIP, RT-DETR and LLaVA of real architectures, tiny and random.
"""

import contextlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_clip
import tiny_detectors
import tiny_models
import transformers
from drawing import write_scenes
from tiny_models import one_thread  # noqa: F401 - a fixture

import ostensive
from ostensive.errors import EmptyCorpusError
from ostensive.records import Box, Verbalization
from ostensive.run import partitions
from ostensive.run.folder import RunFolder

IMAGES = 5


@dataclass(frozen=True)
class Outcome:
    verbalized: dict[str, Verbalization]  # by image_id
    replies: dict[str, str]  # of the self teacher, by the key of the request


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("same") / "images", IMAGES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    clip = tiny_clip.write_folder(tmp_path_factory.mktemp("clip") / "model")
    llava = tiny_models.tiny_model("llava", tmp_path_factory)
    chosen = [f"verbalize.concepts.kind=clip verbalize.concepts.model=local-dir:{clip}"]
    chosen += [f"verbalize.concepts.cache_folder={tmp_path_factory.mktemp('features')}"]
    detector = tiny_detectors.save_rt_detr(tmp_path_factory.mktemp("detector") / "model")
    chosen += [f"verbalize.regions.kind=detector verbalize.regions.model={detector} verbalize.regions.device=cpu"]
    chosen += ["verbalize.regions.min_probability=0 verbalize.regions.choice.max_regions=3"]
    for part in ("narratives", "captions", "probes"):
        chosen += [f"verbalize.{part}.kind=generator verbalize.{part}.model={llava} verbalize.{part}.device=cpu"]
    chosen += ["verbalize.narratives.count=2 verbalize.probes.asked_by=teacher verbalize.probes.count=6"]
    chosen += [f"teacher.kind=self teacher.model={llava} teacher.device=cpu teacher.max_tokens=8"]
    chosen += ["localized.turns=1 corpus.license=cc0-1.0 corpus.source=drawn"]
    chosen += ["corpus.intended_use=tests run.max_failed_share=1"]
    return tuple(setting for line in chosen for setting in line.split())


def draws(temperature: float) -> tuple[str, ...]:
    parts = ("narratives", "captions", "probes")
    return (
        f"teacher.temperature={temperature}",
        *(f"verbalize.{part}.draw.temperature={temperature}" for part in parts),
        *(f"verbalize.{part}.draw.max_new_tokens=6" for part in parts),
    )


def built(images: Path, out: Path, settings: tuple[str, ...], *, partition_size: int, batch_size: int) -> Outcome:
    sections = [f"verbalize.{part}" for part in ("concepts", "regions", "narratives", "captions", "probes")]
    batches = [f"{section}.batch_size={batch_size}" for section in (*sections, "teacher")]
    options = ostensive.BuildOptions(settings=(*settings, *batches, f"run.partition_size={partition_size}"))
    with contextlib.suppress(EmptyCorpusError):  # random weights write no triples
        ostensive.build("localized", images=images, out=out, options=options)
    run = RunFolder(out)
    said: dict[str, Verbalization] = {}
    for path in run.partition_paths("verbalized"):
        said |= {text.image_id: text for text in partitions.read_kept(path, Verbalization)}
    with closing(sqlite3.connect(run.journal_path)) as journal:
        replies = dict(journal.execute("select key, response from answers"))
    return Outcome(said, replies)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The image-text models that the library loads from now on."""
    library: Any = transformers.AutoModelForImageTextToText  # Any: its constructors are typed in part only
    load, loaded = library.from_pretrained, list[str]()

    def noted(name: str, **options: Any) -> Any:  # Any: as above
        loaded.append(name)
        return load(name, **options)

    monkeypatch.setattr(library, "from_pretrained", noted)
    return loaded


def words(outcome: Outcome) -> Outcome:
    """All of it but the corners and scores of regions."""
    whole = Box(0, 0, 1, 1)
    told = {
        image_id: replace(
            text, regions=tuple(replace(region, box=whole, label_probability=None) for region in text.regions)
        )
        for image_id, text in outcome.verbalized.items()
    }
    return replace(outcome, verbalized=told)


def numbers(outcome: Outcome) -> list[float]:
    """Corners and scores of all regions."""
    regions = [region for _, text in sorted(outcome.verbalized.items()) for region in text.regions]
    boxes = [(region.box.x1, region.box.y1, region.box.x2, region.box.y2) for region in regions]
    return [*(corner for box in boxes for corner in box), *(region.label_probability or 0.0 for region in regions)]


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.1])
def test_neither_batches_nor_partitions_change_a_row(
    images: Path, models: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    settings = (*models, *draws(temperature))
    loaded = watched(monkeypatch)
    one = built(images, tmp_path / "one", settings, partition_size=IMAGES, batch_size=16)
    assert len(loaded) == 1, "three parts and the teacher share a model"
    assert len(one.verbalized) >= 2, "random weights may say nothing of an image"
    assert len({text.narratives for text in one.verbalized.values()}) > 1, (
        "random weights may say the same of two images"
    )
    assert len(one.replies) >= 2, "the teacher was asked for questions"
    assert max(len(text.regions) for text in one.verbalized.values()) > 1, "captions after the first are drawn too"
    other = built(images, tmp_path / "other", settings, partition_size=2, batch_size=3)
    assert words(other) == words(one)
    # A number on the edge between two steps of rounding may fall to either side: by a step, on another processor.
    assert numbers(other) == pytest.approx(numbers(one), abs=1.1e-4)
    seeded = built(images, tmp_path / "seeded", (*settings, "seed=1"), partition_size=2, batch_size=3)
    assert (words(seeded).verbalized == words(one).verbalized) == (temperature == 0)
