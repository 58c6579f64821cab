"""What a recipe may say about concepts by a contrastive image-text model (kind `clip`).

The paper's numbers (LSKD, section 2.1 and its worked example) are cited; it publishes neither its text template nor how
it treats labels that mean the same, so those defaults are this project's own.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ostensive.models.files import PACKAGED
from ostensive.models.needs import ModelNeed
from ostensive.settings import Operational, Settings
from ostensive.user_paths import PathMark, UserPath
from verbalizers.label_lists import BUILT_IN, LabelListName

LOCAL = "local-dir:"
SCHEMES = ("hf-hub:", LOCAL, PACKAGED)  # of model names that name their weights themselves
_SLOT = "{label}"
TopK = Annotated[int, Field(ge=0, le=50)]


class LabelListSettings(Settings):
    """A list of labels and how it is asked."""

    labels: LabelListName
    """`places`, `imagenet`, `concepts`, or a UTF-8 text file with a label a line; `#` begins a line of comment."""
    template: str = "a photo of {label}"
    """The text that each label is put into before it is encoded. LSKD does not publish its own."""
    top_k: TopK
    """Most labels named of this list; 0 leaves its sentence out."""

    @field_validator("template")
    @classmethod
    def _has_a_slot(cls, value: str) -> str:
        if value.count(_SLOT) != 1:
            raise ValueError(f"a text with {_SLOT} in it, once, is expected")
        return value

    def needs(self) -> tuple[ModelNeed, ...]:
        """The file, where it is one."""
        if self.labels in BUILT_IN or self.top_k == 0:
            return ()
        return (ModelNeed(role="label list", kind="file", name=self.labels),)


# A class for each list, so that one setting of a list can be changed and the others keep their defaults. The numbers:
# LSKD, section 2.1, two places, three objects, three concepts.
class PlaceListSettings(LabelListSettings):
    """Where it may be."""

    labels: LabelListName = "places"
    top_k: TopK = 2


class ObjectListSettings(LabelListSettings):
    """What may be in view."""

    labels: LabelListName = "imagenet"
    top_k: TopK = 3


class IdeaListSettings(LabelListSettings):
    """What it may have to do with."""

    labels: LabelListName = "concepts"
    top_k: TopK = 3


class ClipConceptSettings(Settings):
    """Sentences on place, objects and ideas, by comparing the image with lists of labels (LSKD, section 2.1)."""

    kind: Literal["clip"] = "clip"
    model: Annotated[str, PathMark(prefix=LOCAL)] = "ViT-L-14-336"
    """A model as open_clip names it, `hf-hub:NAME` or `local-dir:FOLDER`. LSKD: CLIP ViT-L/14 at 336 pixels."""
    pretrained: Annotated[str, PathMark(or_name="file")] | None = None
    """The weights of a model that open_clip names: one of its tags, or a file; None takes `openai`."""
    places: PlaceListSettings = PlaceListSettings()
    objects: ObjectListSettings = ObjectListSettings()
    concepts: IdeaListSettings = IdeaListSettings()
    max_label_cosine: float = Field(default=0.95, gt=0, le=1)
    """Of labels whose text features are more alike than this, only the likeliest is named; 1 leaves them all."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the model. Cosines are compared in float32 whatever is set here."""
    device: Operational[Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]] = "auto"
    """auto, cpu, mps, cuda or cuda:1; auto takes the first there is of cuda, mps, cpu."""
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 32
    """Images encoded at a time; halved when the device runs out of memory."""
    cache_folder: Operational[UserPath | None] = None
    """Where text features are kept; None takes `ostensive/text-features` in the user's cache folder."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pretrained is not None and self.model.startswith(SCHEMES):
            raise ValueError("pretrained goes with a model that open_clip names, not with hf-hub: or local-dir:")
        if not any(section.top_k for section in (self.places, self.objects, self.concepts)):
            raise ValueError("one of places, objects and concepts has a top_k of 1 or more")
        return self

    @property
    def weights(self) -> str | None:
        """The tag or file that is loaded; None where the model's name says it all."""
        return None if self.model.startswith(SCHEMES) else self.pretrained or "openai"

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model."""
        device = None if self.device == "auto" else self.device
        return (ModelNeed(role="concepts", kind="open_clip", name=self.model, weights=self.weights, device=device),)
