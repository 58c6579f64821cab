"""A package that obeys detectron2's public interface, for tests: detectron2 itself is in no package index.

What is obeyed, as its source of 2026 has it: LazyConfigs are programs whose calls are kept as nodes with `_target_`;
`merge_from_file` takes `allow_unsafe`; `ResizeShortestEdge.get_transform(image).apply_image(image)` scales and rounds;
models take dicts with `image` (channels, height, width), `height` and `width`, and give `Instances` in that height and
width; `DetectionCheckpointer` unpickles `.pkl` and passes over what does not fit; an unknown data set has metadata
without classes.

The detector finds the extent of what has the colours that its weights hold, in the order of channels it was made for.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

MODULES = {
    "__init__.py": '__version__ = "0.6"\n',
    "config.py": """
import builtins
import importlib
from pathlib import Path

import yaml


class DictConfig(dict):
    def __getattr__(self, name):
        if name not in self:
            raise AttributeError(name)
        return self[name]

    __setattr__ = dict.__setitem__


def LazyCall(target):
    return lambda **arguments: DictConfig(arguments, _target_=target)


class LazyConfig:
    @staticmethod
    def load(filename):
        if not filename.endswith(".py"):
            raise ValueError(f"{filename} has to be a python file")
        names = {"__file__": filename}
        exec(compile(Path(filename).read_text(), filename, "exec"), names)
        return DictConfig({k: DictConfig(v) for k, v in names.items() if isinstance(v, dict) and not k.startswith("_")})


def instantiate(config):
    if isinstance(config, list):
        return [instantiate(item) for item in config]
    if isinstance(config, dict) and "_target_" in config:
        arguments = {name: instantiate(value) for name, value in config.items()}
        target = arguments.pop("_target_")
        if isinstance(target, str):
            module, _, name = target.rpartition(".")
            target = getattr(importlib.import_module(module), name)
        return target(**arguments)
    return config


class CfgNode(DictConfig):
    def merge_from_file(self, filename, allow_unsafe=True):
        text = Path(filename).read_text()
        values = yaml.unsafe_load(text) if allow_unsafe else yaml.safe_load(text)
        for section, changes in values.items():
            for name, value in changes.items():
                if name not in self[section]:
                    raise KeyError(f"Non-existent config key: {section}.{name}")
                self[section][name] = value


def get_cfg():
    return CfgNode(
        MODEL=CfgNode(DEVICE="cuda", NUM_CLASSES=80),
        INPUT=CfgNode(MIN_SIZE_TEST=800, MAX_SIZE_TEST=1333, FORMAT="BGR"),
        DATASETS=CfgNode(TEST=()),
    )
""",
    "structures.py": """
class Boxes:
    def __init__(self, tensor):
        self.tensor = tensor


class Instances:
    def __init__(self, image_size, **fields):
        self.image_size = image_size
        self.__dict__.update(fields)

    def to(self, device):
        moved = {name: Boxes(v.tensor.to(device)) if isinstance(v, Boxes) else v.to(device)
                 for name, v in self.__dict__.items() if name != "image_size"}
        return Instances(self.image_size, **moved)
""",
    "data/__init__.py": """
class Metadata:
    def __init__(self, name):
        self.name = name


class _Catalog(dict):
    def get(self, name):
        return self.setdefault(name, Metadata(name))


MetadataCatalog = _Catalog()
MetadataCatalog.get("blocks_val").thing_classes = ["red_block", "green_block", "blue_block (toy)"]
MetadataCatalog.get("lvis_v1_val").thing_classes = ["baby", "aerosol_can", "zebra"]
MetadataCatalog.get("nursery_val").thing_classes = ["baby", "cot", "pram"]
""",
    "data/transforms.py": """
import numpy as np
from PIL import Image


class ResizeTransform:
    def __init__(self, new_height, new_width):
        self.new_height, self.new_width = new_height, new_width

    def apply_image(self, image):
        assert image.dtype == np.uint8 and image.shape[2] == 3
        return np.asarray(Image.fromarray(image).resize((self.new_width, self.new_height), Image.BILINEAR))


class ResizeShortestEdge:
    def __init__(self, short_edge_length, max_size=10**9, sample_style="range"):
        lengths = [short_edge_length] if isinstance(short_edge_length, int) else list(short_edge_length)
        assert lengths[0] == lengths[-1], "a test scales every picture alike"
        self.length, self.max_size = lengths[0], max_size

    def get_transform(self, image):
        height, width = image.shape[:2]
        scale = self.length / min(height, width)
        scale = min(scale, self.max_size / max(height, width))
        return ResizeTransform(int(height * scale + 0.5), int(width * scale + 0.5))


class RandomFlip:
    def __init__(self, horizontal=True):
        pass
""",
    "modeling.py": '''
import torch

from detectron2.structures import Boxes, Instances


class Heads(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes, self.mask_on, self.keypoint_on = num_classes, True, False
        self.colours = torch.nn.Parameter(torch.rand(num_classes, 3))  # in 0-255 once there are weights
        self.register_buffer("fed_loss_cls_weights", torch.ones(num_classes))


class Backbone(torch.nn.Module):
    def __init__(self, square_pad):
        super().__init__()
        self.padding_constraints = {"square_size": square_pad}


class ColourRCNN(torch.nn.Module):
    """One box for each colour that is somewhere in a picture; the score is the share of the box that has it."""

    def __init__(self, num_classes, input_format="BGR", square_pad=0):
        super().__init__()
        self.backbone, self.roi_heads, self.input_format = Backbone(square_pad), Heads(num_classes), input_format
        self.register_buffer("pixel_mean", torch.zeros(3, 1, 1), False)
        self.seen = []  # what it was given, for tests to look at

    def forward(self, batched_inputs):
        assert not self.training
        self.seen.append([tuple(one["image"].shape) for one in batched_inputs])
        outputs = []
        for one in batched_inputs:
            image = one["image"].to(self.pixel_mean.device) - self.pixel_mean
            outputs.append({"instances": self._find(image, one["height"], one["width"])})
        return outputs

    def _find(self, image, height, width):
        boxes, scores, classes = [], [], []
        scale = torch.tensor([width / image.shape[2], height / image.shape[1]] * 2)
        for number, colour in enumerate(self.roi_heads.colours):
            rows, columns = torch.nonzero((image - colour[:, None, None]).abs().amax(0) < 40, as_tuple=True)
            if len(rows):
                box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
                area = (box[2] - box[0]) * (box[3] - box[1])
                boxes.append(box * scale), scores.append(len(rows) / area), classes.append(number)
        fields = {"pred_masks": torch.ones(len(boxes), height, width)} if self.roi_heads.mask_on else {}
        return Instances(
            (height, width),
            pred_boxes=Boxes(torch.stack(boxes) if boxes else torch.zeros(0, 4)),
            scores=torch.tensor(scores, dtype=torch.float32),
            pred_classes=torch.tensor(classes, dtype=torch.int64),
            **fields,
        )


def build_model(config):
    return ColourRCNN(config.MODEL.NUM_CLASSES, config.INPUT.FORMAT).to(torch.device(config.MODEL.DEVICE))
''',
    "checkpoint.py": """
import pickle

import torch


class DetectionCheckpointer:
    def __init__(self, model):
        self.model = model

    def load(self, path):
        assert path.endswith(".pkl")
        with open(path, "rb") as file:
            data = pickle.load(file, encoding="latin1")
        own = self.model.state_dict()
        found = {name: torch.as_tensor(value) for name, value in data.pop("model").items()}
        fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
        self.model.load_state_dict(fitting, strict=False)
        return data
""",
}
LAZY_CONFIG = """
from detectron2.config import LazyCall as L
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import ColourRCNN

model = L(ColourRCNN)(num_classes={classes}, input_format={input_format!r}, square_pad={square_pad})
dataloader = dict(
    test=dict(
        dataset=dict(names={data_set!r}),
        mapper=dict(
            augmentations=[L(ResizeShortestEdge)(short_edge_length={shorter}, max_size={longer})],
            image_format={input_format!r},
        ),
    )
)
"""
COLOURS_RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def write_package(folder: Path, *, modules: Mapping[str, str] = MODULES) -> Path:
    """The package in `folder`, which is to be put on the path."""
    for name, text in modules.items():
        file = folder / "detectron2" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    zoo = folder / "detectron2" / "model_zoo" / "configs" / "new_baselines"
    zoo.mkdir(parents=True, exist_ok=True)
    (zoo.parent.parent / "__init__.py").touch()
    (zoo / "blocks.py").write_text(lazy_config(), "utf-8")
    return folder


def lazy_config(
    *,
    input_format: str | None = "BGR",
    data_set: str = "blocks_val",
    classes: int = 3,
    shorter: int = 64,
    longer: int = 96,
    square_pad: int = 0,
) -> str:
    """A LazyConfig of the detector."""
    return LAZY_CONFIG.format(
        input_format=input_format,
        data_set=data_set,
        classes=classes,
        shorter=shorter,
        longer=longer,
        square_pad=square_pad,
    )


def colours(input_format: str = "BGR", names: Sequence[str] = ("red", "green", "blue")) -> list[list[float]]:
    """The weights: a colour for each class, in the order of channels that the model is given."""
    step = -1 if input_format == "BGR" else 1
    return [[float(value) for value in COLOURS_RGB[name][::step]] for name in names]


def write_pickle(file: Path, weights: list[list[float]]) -> Path:
    """A checkpoint as detectron2's model zoo has them."""
    import numpy as np

    values = {"roi_heads.colours": np.array(weights, np.float32)}
    file.write_bytes(pickle.dumps({"model": values, "__author__": "a test"}))
    return file
