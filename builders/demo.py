"""What `ostensive demo` works on: the photographs that ship inside scikit-image and scikit-learn."""

import shutil
from pathlib import Path

from ostensive.errors import StorageError
from ostensive.files import storage_errors

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
SETTINGS = (
    "corpus.name=ostensive-demo",
    "corpus.license=other",
    "corpus.source=Photographs that ship with scikit-image and scikit-learn, each under its own licence.",
    # The scripted teacher errs in one triple out of eight, so that the filters have something to show.
    "teacher.error_rate=0.125",
)


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
