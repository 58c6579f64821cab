"""A folder of scenes: ordinary image files that any command takes, and the truth about them beside.

`truth.jsonl` has a line a file: its name, the SHA-256 of its bytes (which is the `image_id` of intake), and the scene.
Each file says in a text chunk that it is of this world. Scenes could be made again from their seeds alone; the truth is
written out all the same, so that it can be read without this package and outlives a change of the sampler.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import PIL.PngImagePlugin
from pydantic import TypeAdapter, ValidationError

from microworld.render import render
from microworld.sample import sample_scene
from microworld.scenes import SIDE_PX, Scene
from ostensive.errors import SettingsError
from ostensive.files import replacing, storage_errors
from ostensive.images.mark import MARK, MARK_VERSION

TRUTH_NAME = "truth.jsonl"


@dataclass(frozen=True, slots=True)
class TrueScene:
    """A line of the truth: a file, what it is known by, and what is in it."""

    file: str
    image_id: str  # SHA-256 of the file's bytes, hexadecimal
    scene: Scene


def write_scenes(
    folder: Path,
    count: int,
    *,
    first_seed: int = 0,
    side_px: int = SIDE_PX,
    sample: Callable[[int], Scene] = sample_scene,
) -> list[TrueScene]:
    """Renders the scenes that `sample` makes of `count` seeds from `first_seed` on into `folder`, which is made.

    Returns the truth.
    Same arguments, same bytes. Raises `SettingsError` for a folder that holds another truth, `StorageError` when the
    disk refuses.
    """
    truth_path = folder / TRUTH_NAME
    made: list[TrueScene] = []
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if truth_path.exists():
        raise SettingsError(f"{truth_path} is there already; choose another folder, for it would no longer fit")
    for seed in range(first_seed, first_seed + count):
        scene = sample(seed)
        data = encoded(scene, side_px)
        name = f"scene-{seed:07d}.png"
        with storage_errors(folder / name), replacing(folder / name) as temporary:
            temporary.write_bytes(data)
        made.append(TrueScene(name, hashlib.sha256(data).hexdigest(), scene))
    with storage_errors(truth_path), replacing(truth_path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(line)) + "\n" for line in made)
    return made


def encoded(scene: Scene, side_px: int = SIDE_PX) -> bytes:
    """The scene as a PNG file that says where it is from."""
    mark = PIL.PngImagePlugin.PngInfo()
    mark.add_text(MARK, MARK_VERSION)
    sink = io.BytesIO()
    render(scene, side_px).save(sink, "PNG", pnginfo=mark)
    return sink.getvalue()


def read_truth(folder: Path) -> dict[str, Scene]:
    """The scenes of a folder by `image_id`; raises `SettingsError` in one line where there is no truth to be read."""
    return {line.image_id: line.scene for line in _lines(folder / TRUTH_NAME)}


def _lines(path: Path) -> Iterator[TrueScene]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: there is no such file; a folder that `ostensive microworld render` wrote is expected"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    reader = TypeAdapter(TrueScene)
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            yield reader.validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the line"
            raise SettingsError(f"{path}:{number}: no scene of the microworld: {place}: {problem['msg']}") from error
