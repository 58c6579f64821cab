"""Detectors of detectron2: found by their config, built, filled and given the names of their classes.

Everything is asked of detectron2's public interface (`LazyConfig`, `instantiate`, `get_cfg`, `build_model`,
`DetectionCheckpointer`, `MetadataCatalog`), by its modules' names: it is built from source and seldom there, and ships
no types. Its `DefaultPredictor` takes one picture at a time, and no LazyConfig.
"""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: detectron2 ships no types

from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.pretrained import first_line
from verbalizers.detectors.detectron2_weights import INSTALL_PAGE, Detectron2RegionSettings, check_weights, fill
from verbalizers.label_lists import load_labels

_LAZY, _CLASSIC = (".py",), (".yaml", ".yml")
_FORMATS = ("BGR", "RGB")
_TEST_SIDES_PX = 800, 1333  # detectron2's own where a config does not say how pictures are scaled


@dataclass(frozen=True, slots=True)
class Detectron2Model:
    """A model on its device."""

    network: Any  # a torch.nn.Module, in evaluation mode
    resize: Any  # its ResizeShortestEdge, as the config tests with; None leaves pictures at their size
    input_format: str  # the order of the channels: "BGR" or "RGB"
    labels: tuple[str, ...]  # by number of the class
    device: str

    @property
    def pads_to_one_size(self) -> bool:
        """Whether pictures of any size share a batch without a difference to any of them, as ViTDet's do."""
        constraints = getattr(getattr(self.network, "backbone", None), "padding_constraints", None) or {}
        return int(constraints.get("square_size", 0)) > 0


@dataclass(frozen=True, slots=True)
class _Built:
    """What either form of config comes to."""

    network: Any
    resize: Any
    image_format: str | None  # as the config reads pictures; None where it does not say
    data_set: str | None  # that it is tested on


def load_model(settings: Detectron2RegionSettings) -> Detectron2Model:
    """The model that `settings` name; raises `SettingsError` where it cannot be had, built, filled or named."""
    config, device = config_path(settings), resolve_device(settings.device)
    check_weights(settings)
    _import_detectron2()
    try:
        built = _build_lazy(config) if config.suffix in _LAZY else _build_classic(config, device)
    except SettingsError:
        raise
    except Exception as error:  # a config is a program, and may raise anything
        raise SettingsError(f"{settings.model}: cannot be built from {config}: {_cause(error)}") from error
    fill(built.network, settings)
    input_format = getattr(built.network, "input_format", None) or built.image_format or "BGR"
    if input_format not in _FORMATS:
        raise SettingsError(
            f"{settings.model}: wants pictures as {input_format!r}; {' or '.join(_FORMATS)} is expected"
        )
    labels = _labels(built, settings)
    # Nobody looks at masks and key points here, and 300 masks of the size of a photograph take gigabytes.
    heads = getattr(built.network, "roi_heads", None)
    for part in ("mask_on", "keypoint_on"):
        if getattr(heads, part, False):
            setattr(heads, part, False)
    return Detectron2Model(built.network.to(device).eval(), built.resize, input_format, labels, device)


def package_folder() -> Path:
    """Where detectron2 is installed; raises `SettingsError` where it is not. Imports nothing."""
    spec = importlib.util.find_spec("detectron2")
    if spec is None or spec.origin is None:  # a folder of that name, such as its own checkout, is no package
        raise SettingsError(f"regions: the package detectron2 is not installed; build it from source: {INSTALL_PAGE}")
    return Path(spec.origin).parent


def library_version() -> str | None:
    """The version of detectron2 that is installed, None where it is not known."""
    try:
        return importlib.metadata.version("detectron2")
    except importlib.metadata.PackageNotFoundError:
        return None


def config_path(settings: Detectron2RegionSettings) -> Path:
    """The config's file; raises `SettingsError` where there is none, and where detectron2 is not installed."""
    zoo, name = package_folder() / "model_zoo" / "configs", Path(settings.model)
    places = [name, zoo / name]
    if settings.config_folder is not None:
        places = [Path(settings.config_folder) / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked_for = " or ".join(str(place) for place in places)
        raise SettingsError(
            f"{settings.model}: there is no config {looked_for}; those of detectron2's projects, ViTDet among them, "
            "are only in a checkout of its source: name that in config_folder"
        )
    if found.suffix not in (*_LAZY, *_CLASSIC):
        raise SettingsError(f"{settings.model}: {found} is no config; a .py or .yaml file is expected")
    return found


def _import_detectron2() -> None:
    """Raises `SettingsError` with the cause where detectron2 is installed and cannot be imported."""
    try:
        for name in ("checkpoint", "config", "data", "data.transforms", "modeling"):
            importlib.import_module(f"detectron2.{name}")
    except Exception as error:  # its compiled part may be for another torch, which raises what the system says
        message = _cause(error)
        page = "" if INSTALL_PAGE in message else f"; see {INSTALL_PAGE}"
        raise SettingsError(f"regions: detectron2 is installed and cannot be imported: {message}{page}") from error


def _cause(error: Exception) -> str:
    """An error of detectron2 in one line; where something is not installed as it should be, with what to do."""
    message = f"{type(error).__name__}: {first_line(error)}"
    if not isinstance(error, ImportError):
        return message
    # Its main branch asks for pkg_resources as soon as its model zoo is imported, which ViTDet's configs do.
    hint = "; setuptools below version 82 has that" if error.name == "pkg_resources" else ""
    return f"{message}{hint}; see {INSTALL_PAGE}"


def _detectron2(module: str) -> Any:
    return importlib.import_module(f"detectron2.{module}")


def _build_lazy(path: Path) -> _Built:
    """The model of a LazyConfig, which is run, and what it says of its test data."""
    config = _detectron2("config").LazyConfig.load(str(path))
    if "model" not in config:
        raise SettingsError(f"{path}: holds no `model`; a LazyConfig with one is expected")
    mapper = _at(config, "dataloader", "test", "mapper") or {}
    names = _at(config, "dataloader", "test", "dataset", "names")
    instantiate = _detectron2("config").instantiate
    steps = _at(mapper, "augmentations")
    resize = _resize(None if steps is None else [instantiate(step) for step in steps], path)
    return _Built(instantiate(config["model"]), resize, _at(mapper, "image_format"), _first(names))


def _build_classic(path: Path, device: str) -> _Built:
    """The model of a classic config, of which only plain values are read."""
    config = _detectron2("config").get_cfg()
    config.merge_from_file(str(path), allow_unsafe=False)
    config.MODEL.DEVICE = device
    shorter = config.INPUT.MIN_SIZE_TEST
    resize = _detectron2("data.transforms").ResizeShortestEdge([shorter, shorter], config.INPUT.MAX_SIZE_TEST)
    return _Built(
        _detectron2("modeling").build_model(config), resize, config.INPUT.FORMAT, _first(config.DATASETS.TEST)
    )


def _at(config: Any, *path: str) -> Any:
    """What is at `path`, None where a part of it is not there."""
    for name in path:
        if config is None or name not in config:
            return None
        config = config[name]
    return config


def _first(names: Any) -> str | None:
    if names is None or isinstance(names, str):
        return names
    return str(names[0]) if len(names) else None


def _resize(steps: list[Any] | None, path: Path) -> Any:
    """The one step that scales pictures; None where the config says that there is none.

    Raises `SettingsError` for others: where pictures are cropped or turned as well, boxes would be of other pictures.
    """
    scaling = _detectron2("data.transforms").ResizeShortestEdge
    if steps is None:
        shorter, longer = _TEST_SIDES_PX
        return scaling([shorter, shorter], longer)
    if not steps:
        return None
    if len(steps) > 1 or not isinstance(steps[0], scaling):
        given = ", ".join(type(step).__name__ for step in steps)
        raise SettingsError(f"{path}: tests with {given}; ResizeShortestEdge alone is expected")
    return steps[0]


def _labels(built: _Built, settings: Detectron2RegionSettings) -> tuple[str, ...]:
    """The names of the classes, one each; raises `SettingsError` where there are none, or not as many."""
    labels = _labels_of_file(settings.labels) if settings.labels is not None else _labels_of_data_set(built, settings)
    heads = getattr(built.network, "roi_heads", None)
    counts = (
        getattr(part, "num_classes", None) for part in (heads, built.network, getattr(built.network, "head", None))
    )
    count = next((count for count in counts if count is not None), None)
    if count is not None and count != len(labels):
        origin = settings.labels or f"the data set {built.data_set}"
        raise SettingsError(
            f"{settings.model}: has {count} classes, and {origin} names {len(labels)}; one each is expected"
        )
    return labels


def _labels_of_file(path: str) -> tuple[str, ...]:
    found = load_labels(path)
    if found.repeated:  # taken once, it would give every class after it the name of its neighbour
        raise SettingsError(f"labels: {path} repeats {found.repeated} of its labels; one for each class is expected")
    return found.labels


def _labels_of_data_set(built: _Built, settings: Detectron2RegionSettings) -> tuple[str, ...]:
    catalog: Callable[[str], Any] = _detectron2("data").MetadataCatalog.get
    classes = None if built.data_set is None else getattr(catalog(built.data_set), "thing_classes", None)
    if not classes:
        raise SettingsError(
            f"{settings.model}: detectron2 knows no class names for the data set {built.data_set}; "
            "give a file with a class a line in labels"
        )
    is_lvis = str(built.data_set).startswith("lvis")
    # detectron2 calls a category of LVIS by the first of its synonyms, and those of `person` begin with "baby".
    return tuple("person" if is_lvis and name == "baby" else str(name) for name in classes)
