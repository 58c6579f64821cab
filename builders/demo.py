"""`ostensive demo`: a corpus from the photographs that ship inside scikit-image and scikit-learn, in under a minute."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

from cards.reading import Corpus
from ostensive.errors import StorageError
from ostensive.files import storage_errors
from ostensive.run.build import build
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.run.reporting import Reporter

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
SETTINGS = (
    "corpus.name=ostensive-demo",
    "corpus.license=other",
    "corpus.source=Photographs that ship with scikit-image and scikit-learn, each under its own licence.",
    # The scripted teacher errs in one triple out of eight, so that the filters have something to show.
    "teacher.error_rate=0.125",
)


def demo(
    out: Path | str,
    *,
    options: BuildOptions = DEFAULT_OPTIONS,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
) -> Corpus:
    """Copies the photographs to `out/photographs` and builds the corpus in `out/run`; raises as `build` does."""
    photographs = Path(out) / "photographs"
    with storage_errors(photographs):
        photographs.mkdir(parents=True, exist_ok=True)
        for path in shipped_photographs():
            if not (photographs / path.name).exists():
                shutil.copyfile(path, photographs / path.name)
    chosen = replace(options, settings=(*SETTINGS, *options.settings))
    return build("localized", images=photographs, out=Path(out) / "run", options=chosen, reporter=reporter, stop=stop)


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
