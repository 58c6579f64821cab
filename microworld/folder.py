"""A folder of scenes: ordinary image files that any command takes, and the truth about them beside.

`truth.jsonl` has a line a file: its name, the SHA-256 of its bytes (which is the `image_id` of intake), and the scene.
Each file says in a text chunk that it is of this world. Scenes could be made again from their seeds alone; the truth is
written out all the same, so that it can be read without this package and outlives a change of the sampler.

A folder of specimens has besides `labels.csv` (file, label) and `concepts.json` (label to concepts), which are what a
user has and all that a recipe is given, and `specimens.jsonl`, the truth about labels: a line a file with the species,
the thing that it is, and how each concept stands.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import PIL.PngImagePlugin
from pydantic import TypeAdapter, ValidationError

from microworld.render import render
from microworld.sample import sample_scene, sample_specimen
from microworld.scenes import SIDE_PX, Scene
from microworld.species import SPECIES
from microworld.species_truth import Specimen, specimens_in
from ostensive.errors import SettingsError
from ostensive.files import is_temporary, replacing, storage_errors
from ostensive.images.decode import MICROWORLD_MARK

TRUTH_NAME = "truth.jsonl"
LABELS_NAME, CONCEPTS_NAME, SPECIMENS_NAME = "labels.csv", "concepts.json", "specimens.jsonl"
LineT = TypeVar("LineT")


@dataclass(frozen=True, slots=True)
class TrueScene:
    """A line of the truth: a file, what it is known by, and what is in it."""

    file: str
    image_id: str  # SHA-256 of the file's bytes, hexadecimal
    scene: Scene


@dataclass(frozen=True, slots=True)
class TrueSpecimen:
    """A line of the truth: an image, by its file and by its SHA-256, and the one specimen in it."""

    file: str
    image_id: str
    specimen: Specimen


def write_scenes(
    folder: Path,
    count: int,
    *,
    first_seed: int = 0,
    side_px: int = SIDE_PX,
    sample: Callable[[int], Scene] = sample_scene,
) -> list[TrueScene]:
    """Renders the scenes that `sample` makes of `count` seeds from `first_seed` on into `folder`; returns the truth.

    Same arguments, same bytes. Raises `SettingsError` for a folder that holds other files, `StorageError` when the disk
    refuses.
    """
    truth_path = folder / TRUTH_NAME
    made: list[TrueScene] = []
    if truth_path.exists():
        raise SettingsError(f"{truth_path} is there already; choose another folder, for it would no longer fit")
    seeds = {_name(seed): seed for seed in range(first_seed, first_seed + count)}
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(entry.name for entry in folder.iterdir() if not is_temporary(entry.name))
    for name in there:  # of a command that was killed
        path = folder / name
        if name not in seeds or not path.is_file() or path.read_bytes() != _png(sample(seeds[name]), side_px):
            raise SettingsError(f"{folder} holds other files ({name}, ...); choose an empty folder")
    for name, seed in seeds.items():
        scene = sample(seed)
        data = _png(scene, side_px)
        _write(folder / name, data)
        made.append(TrueScene(name, hashlib.sha256(data).hexdigest(), scene))
    _write(truth_path, "".join(json.dumps(asdict(line)) + "\n" for line in made).encode())
    return made


def write_specimens(folder: Path, count: int, *, first_seed: int = 0, side_px: int = SIDE_PX) -> list[TrueScene]:
    """Renders the specimens of `count` seeds from `first_seed` on into `folder`; as `write_scenes` otherwise."""
    made = write_scenes(folder, count, first_seed=first_seed, side_px=side_px, sample=sample_specimen)
    lines = [TrueSpecimen(one.file, one.image_id, specimens_in(one.scene)[0]) for one in made]
    labels = io.StringIO()
    rows = csv.writer(labels, lineterminator="\n")
    rows.writerows([("file", "label"), *((line.file, line.specimen.species) for line in lines)])
    concepts = {species.name: [concept.words for concept in species.concepts] for species in SPECIES}
    writer = TypeAdapter(TrueSpecimen)
    _write(folder / LABELS_NAME, labels.getvalue().encode())
    _write(folder / CONCEPTS_NAME, (json.dumps(concepts, indent=2) + "\n").encode())
    _write(folder / SPECIMENS_NAME, b"".join(writer.dump_json(line) + b"\n" for line in lines))
    return made


def _name(seed: int) -> str:
    return f"scene-{seed:07d}.png"


def _png(scene: Scene, side_px: int) -> bytes:
    """The scene as a PNG file that says where it is from."""
    mark = PIL.PngImagePlugin.PngInfo()
    mark.add_text(MICROWORLD_MARK, "1")
    sink = io.BytesIO()
    render(scene, side_px).save(sink, "PNG", pnginfo=mark)
    return sink.getvalue()


def _write(path: Path, data: bytes) -> None:
    with storage_errors(path), replacing(path) as temporary:
        temporary.write_bytes(data)


def read_truth(folder: Path) -> dict[str, Scene]:
    """The scenes of a folder by `image_id`; raises `SettingsError` in one line where there is no truth to be read."""
    return {line.image_id: line.scene for line in _lines(folder / TRUTH_NAME, TrueScene, "scene", "render")}


def read_specimens(folder: Path) -> dict[str, Specimen]:
    """The specimens of a folder by `image_id`; raises `SettingsError` in one line where there is no truth of them."""
    lines = _lines(folder / SPECIMENS_NAME, TrueSpecimen, "specimen", "render --species")
    return {line.image_id: line.specimen for line in lines}


def _lines(path: Path, record: type[LineT], what: str, command: str) -> Iterator[LineT]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: there is no such file; a folder that `ostensive microworld {command}` wrote is expected"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    reader = TypeAdapter(record)
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            yield reader.validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the line"
            raise SettingsError(f"{path}:{number}: no {what} of the microworld: {place}: {problem['msg']}") from error
