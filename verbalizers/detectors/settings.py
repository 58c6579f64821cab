"""What a recipe may say about regions by an object detector, each library a kind of its own.

LSKD (section 2.1) takes the 300 likeliest boxes of its detector as candidates and chooses among them; the other numbers
are this project's own.
"""

from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ostensive.models.needs import ModelNeed
from ostensive.settings import Operational, Settings
from verbalizers.choice import ChoiceSettings
from verbalizers.label_lists import BUILT_IN, MAX_LABEL_CHARACTERS


def _check_source(value: Any) -> Any:  # Any: what YAML gives
    """Labels or a file, in one sentence: pydantic's own words on a choice of two types name types."""
    if not isinstance(value, str | list | tuple) or not value:
        raise ValueError("a list of labels, or a file with a label a line, is expected")
    for label in value if not isinstance(value, str) else ():
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_CHARACTERS:
            raise ValueError(f"labels are texts of 1 to {MAX_LABEL_CHARACTERS} characters")
    return value


LabelSource = Annotated[tuple[str, ...] | str, BeforeValidator(_check_source)]
Precision = Literal["float32", "bfloat16", "float16"]

INSTALL_PAGE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"
LABEL_SLOT = "{label}"
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt")


class DetectorSettings(Settings):
    """What all kinds of detectors have alike."""

    model: str = Field(min_length=1)
    """Which detector."""
    min_probability: float = Field(default=0.3, ge=0, le=1)
    """Detections that their detector holds less likely are left out."""
    max_candidates: int = Field(default=300, ge=1, le=10_000)
    """Most detections of an image that regions are chosen from, likeliest first. LSKD, section 2.1: 300."""
    min_area: float = Field(default=0.001, ge=0, le=1)
    """Smallest box, as a share of the image; 0.001 is a square of 3 percent of the sides."""
    max_area: float = Field(default=1.0, gt=0, le=1)
    """Largest box, as a share of the image; 1 leaves none out."""
    device: Operational[Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]] = "auto"
    """auto, cpu, mps, cuda or cuda:1; auto takes the first there is of cuda, mps, cpu."""
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 8
    """Images looked at together; halved, and said so, when memory runs out."""
    choice: ChoiceSettings = ChoiceSettings()
    """Which of the candidates become regions."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError("min_area is at most max_area")
        return self

    @property
    def set_device(self) -> str | None:
        """The device as set; None where the best there is will be taken."""
        return None if self.device == "auto" else self.device


class HubDetectorSettings(DetectorSettings):
    """What both kinds of `transformers` have alike."""

    model: str = Field(min_length=1)
    """A name on the Hugging Face Hub or a folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None takes the main branch. A commit keeps a run repeatable."""
    dtype: Precision = "float32"
    """Precision; bfloat16 and float16 save time and memory on a GPU and place boxes to about 0.4 percent only."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model."""
        return (ModelNeed(role="regions", kind="hub", name=self.model, revision=self.revision, device=self.set_device),)


class DetectorRegionSettings(HubDetectorSettings):
    """Regions by a detector with classes of its own: RT-DETR, D-FINE, RF-DETR, DETR, YOLOS, ... of `transformers`."""

    kind: Literal["detector"] = "detector"


class ZeroShotRegionSettings(HubDetectorSettings):
    """Regions by a detector that is told what to look for: Grounding DINO, OWLv2, OWL-ViT, OmDet-Turbo."""

    kind: Literal["zero_shot"] = "zero_shot"
    vocabulary: LabelSource
    """What to look for: labels, or a UTF-8 text file with a label a line, or `imagenet`."""
    template: str = LABEL_SLOT
    """The words each label is put into before the model reads it, with {label} in them, once. OWL models have read many
    a "a photo of a {label}"."""
    labels_at_once: int = Field(default=80, ge=1, le=10_000)
    """Most labels in one prompt. A longer vocabulary takes several prompts, each a run of the model over the image; the
    OWL models read each label alone and run once whatever stands here."""
    min_probability: float = Field(default=0.25, ge=0, le=1)
    """Detections that their detector holds less likely are left out. 0.2 to 0.35 for Grounding DINO, 0.1 to 0.3 for the
    OWL models."""

    @field_validator("template")
    @classmethod
    def _has_a_slot(cls, value: str) -> str:
        if value.count(LABEL_SLOT) != 1:
            raise ValueError(f"a text with {LABEL_SLOT} in it, once, is expected")
        return value

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model, and the vocabulary where it is a file."""
        if not isinstance(self.vocabulary, str) or self.vocabulary in BUILT_IN:
            return super().needs()
        return (*super().needs(), ModelNeed(role="vocabulary", kind="file", name=self.vocabulary))


class TorchvisionRegionSettings(DetectorSettings):
    """Regions by a detector of `torchvision`."""

    kind: Literal["torchvision"] = "torchvision"
    model: str = Field(default="fasterrcnn_resnet50_fpn_v2", min_length=1)
    """A name of `torchvision.models.detection`."""
    weights: str = Field(default="DEFAULT", min_length=1)
    """A tag of torchvision (`COCO_V1`, `DEFAULT`), or a file: .safetensors, or .pth, of which only tensors are read."""
    labels: LabelSource | None = None
    """The classes of a file, from number 1 on (0 is background), or a text file with a class a line; None takes those
    of COCO, as torchvision numbers them."""

    @model_validator(mode="after")
    def _labels_go_with_a_file(self) -> Self:
        if self.labels is not None and not self.has_file:
            raise ValueError("labels go with a file of weights; torchvision's own say what their classes are")
        return self

    @property
    def has_file(self) -> bool:
        """Whether `weights` are a file; tags have neither dots nor slashes."""
        path = PurePath(self.weights)
        return path.suffix in WEIGHTS_SUFFIXES or len(path.parts) > 1

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model, and the list of its classes where it is a file."""
        model = ModelNeed(
            role="regions", kind="torchvision", name=self.model, weights=self.weights, device=self.set_device
        )
        if not isinstance(self.labels, str):
            return (model,)
        return model, ModelNeed(role="class names", kind="file", name=self.labels)


class Detectron2RegionSettings(DetectorSettings):
    """Regions by a detector of `detectron2`, which users build from source. LSKD's own is one of them: ViTDet with a
    ViT-H, as a cascade, trained on LVIS. The model zoo's checkpoints are not fetched: they are pickles."""

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
            config = str(PurePath(self.config_folder) / self.model)
            needs.append(ModelNeed(role="region config", kind="file", name=config))
        if self.labels is not None:
            needs.append(ModelNeed(role="class names", kind="file", name=self.labels))
        return tuple(needs)
