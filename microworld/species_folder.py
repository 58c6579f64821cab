"""A folder of specimens: images and their truth as for any scenes, with labels and an expert's concepts beside.

`labels.csv` (file, label) and `concepts.json` (label to concepts) are what a user has, and all that a recipe is given.
`specimens.jsonl` is the truth: a line a file with the species, the thing that it is, and how each concept stands.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from microworld.folder import TrueScene, write_scenes
from microworld.scenes import SIDE_PX
from microworld.species import SPECIES
from microworld.species_sample import sample_specimen
from microworld.species_truth import Specimen, specimens_in
from ostensive.errors import SettingsError
from ostensive.files import replacing, storage_errors

LABELS_NAME, CONCEPTS_NAME, SPECIMENS_NAME = "labels.csv", "concepts.json", "specimens.jsonl"


@dataclass(frozen=True, slots=True)
class TrueSpecimen:
    """A line of the truth: an image, by its file and by its SHA-256, and the one specimen in it."""

    file: str
    image_id: str
    specimen: Specimen


def write_specimens(folder: Path, count: int, *, first_seed: int = 0, side_px: int = SIDE_PX) -> list[TrueScene]:
    """Renders the specimens of `count` seeds from `first_seed` on into `folder`; as `folder.write_scenes` otherwise."""
    made = write_scenes(folder, count, first_seed=first_seed, side_px=side_px, sample=sample_specimen)
    lines = [TrueSpecimen(one.file, one.image_id, specimens_in(one.scene)[0]) for one in made]
    labels = io.StringIO()
    rows = csv.writer(labels, lineterminator="\n")
    rows.writerows([("file", "label"), *((line.file, line.specimen.species) for line in lines)])
    concepts = {species.name: [concept.words for concept in species.concepts] for species in SPECIES}
    writer = TypeAdapter(TrueSpecimen)
    _write(folder / LABELS_NAME, labels.getvalue())
    _write(folder / CONCEPTS_NAME, json.dumps(concepts, indent=2) + "\n")
    _write(folder / SPECIMENS_NAME, "".join(writer.dump_json(line).decode("utf-8") + "\n" for line in lines))
    return made


def _write(path: Path, text: str) -> None:
    with storage_errors(path), replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def read_specimens(folder: Path) -> dict[str, Specimen]:
    """The specimens of a folder by `image_id`; raises `SettingsError` in one line where there is no truth of them."""
    path, reader = folder / SPECIMENS_NAME, TypeAdapter(TrueSpecimen)
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: there is no such file; a folder that `ostensive microworld render --species` wrote is expected"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    found: dict[str, Specimen] = {}
    for number, line in enumerate(lines, start=1):
        try:
            read = reader.validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the line"
            raise SettingsError(f"{path}:{number}: no specimen of the microworld: {place}: {problem['msg']}") from error
        found[read.image_id] = read.specimen
    return found
