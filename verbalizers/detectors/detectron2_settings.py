"""What a recipe may say about regions by a detector of detectron2 (kind `detectron2`).

LSKD's own is one of them: ViTDet with a ViT-H, as a cascade, trained on LVIS. The checkpoint has to be named: fetching
the model zoo's was given up, for they are pickles, which nobody should run unasked.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from ostensive.models.needs import ModelNeed
from verbalizers.detectors.settings import DetectorSettings, Precision

INSTALL_PAGE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"


class Detectron2RegionSettings(DetectorSettings):
    """Regions by a detector of `detectron2`, which users build from source."""

    kind: Literal["detectron2"] = "detectron2"
    model: str = Field(min_length=1)
    """A config: a LazyConfig (.py) or a classic one (.yaml), by its path, by a path below `config_folder`, or by its
    name in the model zoo. A .py file is a program, and is run."""
    config_folder: str | None = None
    """Where `model` is looked for, such as a checkout of detectron2, which alone has the configs of its projects; None
    takes a path as it is, and names of the model zoo."""
    weights: str = Field(min_length=1)
    """A checkpoint of this config: .safetensors, .pth of which only tensors are read, or .pkl with `allow_pickle`."""
    allow_pickle: bool = False
    """Read weights from a pickle as well, as detectron2's own downloads are. Reading a pickle runs what is in it."""
    labels: str | None = None
    """A UTF-8 text file with a class a line, in the order of the model's classes; None takes those that detectron2 has
    for the data set which the config is tested on."""
    dtype: Precision = "float32"
    """Precision; with bfloat16 and float16 detectron2 runs under autocast, as it trains."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The package, the checkpoint, and the config and class names where they are files of the user's."""
        needs = [
            ModelNeed(role="regions", kind="package", name="detectron2", hint=f"build it from source: {INSTALL_PAGE}"),
            ModelNeed(role="region weights", kind="file", name=self.weights),
        ]
        if self.config_folder is not None:
            config = str(Path(self.config_folder) / self.model)
            needs.append(ModelNeed(role="region config", kind="file", name=config))
        if self.labels is not None:
            needs.append(ModelNeed(role="class names", kind="file", name=self.labels))
        return tuple(needs)
