"""What `ostensive demo` works on: photographs of scikit-image and scikit-learn, and a recipe's own files."""

import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ostensive.errors import StorageError
from ostensive.files import storage_errors
from ostensive.recipe_kind import RecipeKind

SCIKIT_IMAGE_PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)
SCIKIT_LEARN_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
RECIPE = "localized"
"""Of the demo where none is named."""
SETTINGS = (
    "corpus.name=ostensive-demo",
    "corpus.license=other",
    "corpus.source=Photographs that ship with scikit-image and scikit-learn, each under its own licence.",
    "corpus.intended_use=To see what a corpus looks like before one is built from your own images.",
)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo of a recipe is built from, once its files are copied."""

    photographs: Path
    annotations: Path | None
    settings: tuple[str, ...]


def demo_of(kind: RecipeKind, folder: Path) -> Demo:
    """The demo of a recipe in `folder`, with nothing copied yet."""
    own = files(kind.package) / "demo"
    beside = folder / "annotations.jsonl" if (own / "annotations.jsonl").is_file() else None
    settings = tuple(setting.replace("{demo}", str(folder)) for setting in kind.demo_settings)
    return Demo(folder / "photographs", beside, (*SETTINGS, *settings))


def copy_files(kind: RecipeKind, folder: Path) -> None:
    """Copies the recipe's own files into `folder`, in place of those of an earlier version; raises `StorageError`."""
    own = files(kind.package) / "demo"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for entry in own.iterdir() if own.is_dir() else ():
            (folder / entry.name).write_bytes(entry.read_bytes())


def copy_photographs(folder: Path) -> None:
    """Copies the photographs into `folder`, those that are there already left as they are; raises `StorageError`."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in shipped_photographs():
            if not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)


def shipped_photographs() -> list[Path]:
    """The photographs inside the installed libraries; raises `StorageError` when one of them is not there."""
    import skimage
    import sklearn

    skimage_data = Path(skimage.__file__).parent / "data"
    sklearn_images = Path(sklearn.__file__).parent / "datasets" / "images"
    paths = [skimage_data / name for name in SCIKIT_IMAGE_PHOTOGRAPHS]
    paths += [sklearn_images / name for name in SCIKIT_LEARN_PHOTOGRAPHS]
    for path in paths:
        if not path.is_file():
            raise StorageError(f"{path} is missing from the installed library; install it again")
    return paths


def demo_folder(recipe: str) -> Path:
    """Where the demo of a recipe goes if nobody says where."""
    return Path("ostensive-demo" if recipe == RECIPE else f"ostensive-demo-{recipe}")
