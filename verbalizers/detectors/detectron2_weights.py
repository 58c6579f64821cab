"""A detector of detectron2 as a recipe names it, and its checkpoint: all of it or not at all, and no pickle unasked.

detectron2's own `DetectionCheckpointer` reads its pickles, for it knows their forms, and nothing else: it says in a log
what a checkpoint lacks, and goes on with random numbers that look like any detector's.
"""

import importlib
import pickle
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ostensive.errors import SettingsError
from ostensive.models.needs import ModelNeed
from ostensive.models.pretrained import first_line
from ostensive.user_paths import PathMark, UserPath
from verbalizers.detectors.detection import DetectorSettings, Precision

if TYPE_CHECKING:
    import torch

INSTALL_PAGE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"
_PICKLES = (".pkl", ".pickle")
# Kept with the weights, worked out anew from a data set, used in training alone, and not in every checkpoint.
_TRAINING_ONLY = frozenset({"fed_loss_cls_weights"})


class Detectron2RegionSettings(DetectorSettings):
    """Regions by a detector of `detectron2`, which users build from source. LSKD's own is one of them: ViTDet with a
    ViT-H, as a cascade, trained on LVIS. The model zoo's checkpoints are not fetched: they are pickles."""

    kind: Literal["detectron2"] = "detectron2"
    model: Annotated[str, PathMark(or_name="file")] = Field(min_length=1)
    """A config: a LazyConfig (.py) or a classic one (.yaml), by its path, by a path below `config_folder`, or by its
    name in the model zoo. A .py file is a program, and is run."""
    config_folder: UserPath | None = None
    """Where `model` is looked for, such as a checkout of detectron2, which alone has the configs of its projects; None
    takes a path as it is, and names of the model zoo."""
    weights: UserPath
    """A checkpoint of this config: .safetensors, .pth of which only tensors are read, or .pkl with `allow_pickle`."""
    allow_pickle: bool = False
    """Read weights from a pickle as well, as detectron2's own downloads are. Reading a pickle runs what is in it."""
    labels: UserPath | None = None
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
            config = str(PurePath(self.config_folder) / self.model)
            needs.append(ModelNeed(role="region config", kind="file", name=config))
        if self.labels is not None:
            needs.append(ModelNeed(role="class names", kind="file", name=self.labels))
        return tuple(needs)


def check_weights(settings: Detectron2RegionSettings) -> Path:
    """The checkpoint's file; raises `SettingsError` where there is none, and for a pickle that is not allowed."""
    file = Path(settings.weights)
    if not file.is_file():
        raise SettingsError(
            f"{settings.model}: there is no file {settings.weights}; the checkpoint of this config is expected"
        )
    if file.suffix in _PICKLES and not settings.allow_pickle:
        raise SettingsError(
            f"{settings.model}: {settings.weights} is a pickle, and reading one runs whatever code is in it; "
            "set allow_pickle: true if you trust where it comes from, or give a .safetensors or .pth file"
        )
    return file


def fill(network: Any, settings: Detectron2RegionSettings) -> None:  # Any: a torch.nn.Module of detectron2
    """Loads the checkpoint; raises `SettingsError` for one that cannot be read or lacks some of the weights.

    All weights are made no number first, so that those which are so afterwards were not in the checkpoint.
    """
    import torch

    file = check_weights(settings)
    with torch.no_grad():
        for tensor in _numbers(network).values():
            tensor.fill_(torch.nan)
    try:
        if file.suffix in _PICKLES:
            importlib.import_module("detectron2.checkpoint").DetectionCheckpointer(network).load(str(file))
        else:
            _load_tensors(network, file, allow_pickle=settings.allow_pickle)
    except pickle.UnpicklingError as error:
        raise SettingsError(
            f"{settings.model}: {settings.weights} holds more than tensors, or is damaged; what else is in it would be "
            "run: set allow_pickle: true if you trust where it comes from, or give a .safetensors file"
        ) from error
    except Exception as error:  # readers of checkpoints have no common error
        raise SettingsError(
            f"{settings.model}: {settings.weights} cannot be read as a checkpoint: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    weights = _numbers(network)
    lacking = [name for name, tensor in weights.items() if bool(tensor.isnan().any())]
    if lacking:
        raise SettingsError(
            f"{settings.model}: {settings.weights} lacks {len(lacking)} of the {len(weights)} tensors of this model or "
            f"has them in another shape, among them {lacking[0]}; give the checkpoint that goes with the config"
        )


def _numbers(network: Any) -> Mapping[str, "torch.Tensor"]:
    """The weights that detecting depends on and that can be no number, by name."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point() and name.rpartition(".")[2] not in _TRAINING_ONLY
    }


def _load_tensors(network: Any, file: Path, *, allow_pickle: bool) -> None:
    """A .safetensors or .pth file into `network`, by name; what does not fit is left out."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        found = load_file(file)
    else:
        import torch

        found = torch.load(file, map_location="cpu", weights_only=not allow_pickle)
        found = found.get("model", found)  # trainings keep their own state beside the model's
    own = network.state_dict()
    network.load_state_dict(
        {name: value for name, value in found.items() if name in own and value.shape == own[name].shape}, strict=False
    )
