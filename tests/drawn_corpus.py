"""A corpus that is written in a moment, of pictures whose regions are squares of a colour of their own.

Every triple names a region and the colour that it has, so that a test can look at the picture for what a text says.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import PIL.Image
import PIL.ImageDraw

from builders.localized.recipe import KIND
from builders.localized.records import Qar
from cards.reading import Corpus, CorpusManifest, read_manifest
from cards.samples import CorpusSample
from cards.writing import write_corpus
from ostensive.recipe import CorpusSettings
from ostensive.records import Box, ImageRecord, Judged, Judgement, Location, Region, Verbalization
from ostensive.run.folder import RunFolder
from ostensive.run.summary import RunFacts, StageSummary

RECIPE: Final[Mapping[str, Any]] = {"recipe": "localized"}
SIZE: Final = (288, 216)
COLOURS: Final = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
_PLACES: Final = ((24, 24), (180, 30), (36, 132), (192, 126))  # left and upper edge of each square
_SIDE: Final = 60


def regions_of(number: int) -> tuple[Region, ...]:
    """Four squares, in each picture in another order of colours."""
    names = list(COLOURS)
    return tuple(
        Region(
            place,
            Box(left / SIZE[0], top / SIZE[1], (left + _SIDE) / SIZE[0], (top + _SIDE) / SIZE[1]),
            names[(place + number) % 4],
            None,
            "",
        )
        for place, (left, top) in enumerate(_PLACES)
    )


def picture_of(number: int) -> PIL.Image.Image:
    picture = PIL.Image.new("RGB", SIZE, (number * 7 % 200, 90, 200 - number * 7 % 200))
    pen = PIL.ImageDraw.Draw(picture)
    for region in regions_of(number):
        left, top, right, bottom = region.box.pixels(*SIZE)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=COLOURS[region.label])
    return picture


def sample_of(number: int, rows: int, split: str = "train") -> CorpusSample:
    image_id = hashlib.sha256(str(number).encode()).hexdigest()
    buffer = io.BytesIO()
    picture_of(number).save(buffer, "JPEG", quality=95, subsampling=0)
    regions = regions_of(number)
    triples = tuple(
        Judged(
            Qar(
                row_id=f"{number:03d}-{row}",
                image_id=image_id,
                mode="ids",
                question=f"What is [{row}] beside [{(row + 1) % 4}]?",
                answer=f"[{row}] is {regions[row].label}.",
                rationale=f"[{(row + 1) % 4}] is {regions[(row + 1) % 4].label}.",
                mentions=(row, (row + 1) % 4),
                teacher="scripted",
                prompt_hash="0" * 64,
                request_key="0" * 64,
            ),
            (Judgement("rules", "1", 1.0, True, ""),),
        )
        for row in range(rows)
    )
    image = ImageRecord(
        image_id, *SIZE, "JPEG", "RGB", len(buffer.getvalue()), f"{number}.jpg", Location(f"/{number}.jpg")
    )
    return CorpusSample(
        image, buffer.getvalue(), Verbalization(image_id, ("A scene.",), (), regions, ()), triples, (), split
    )


def write_samples(
    folder: Path,
    samples: Sequence[CorpusSample],
    *,
    recipe: Mapping[str, Any] = RECIPE,
    splits: Sequence[str] = (),
    a_shard: int = 4,
) -> tuple[CorpusManifest, RunFacts]:
    """A corpus folder of these samples, without a run, and the facts on its card."""
    folder.mkdir(parents=True)
    accepted = sum(len(one.rows) for one in samples)
    facts = RunFacts(
        recipe=recipe,
        recipe_hash=str(sorted(recipe.items())),
        stages=(StageSummary("judged", accepted, accepted),),
        records={"verbalized": Verbalization.__name__},
        accepted=accepted,
        teachers=("scripted",),
        prompt_hashes=("0" * 64,),
        critics=("rules 1",),
        ostensive_version="0",
        splits=tuple(splits),
    )
    settings = CorpusSettings(
        name="drawn", license="cc0-1.0", source="drawn by a test", intended_use="to test", max_shard_samples=a_shard
    )
    return write_corpus(samples, folder, kind=KIND, settings=settings, facts=facts), facts


def written_corpus(run: Path, images: int, *, rows: int = 2, a_shard: int = 4, splits: Sequence[str] = ()) -> Corpus:
    """`images` pictures with `rows` triples each; of several splits the last has the last picture."""
    names = [splits[-1 if splits and number == images - 1 else 0] if splits else "train" for number in range(images)]
    samples = [sample_of(number, rows, name) for number, name in enumerate(names)]
    folder = run / "corpus"
    manifest, facts = write_samples(folder, samples, splits=splits, a_shard=a_shard)
    assert read_manifest(folder) == manifest or manifest.rows == images * rows
    return Corpus(RunFolder(run), facts.stages, manifest)
