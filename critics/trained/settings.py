"""What a user may say of a critic that is trained, and of one that is applied.

How the pictures are made and the texts written is said once, at training, and travels with the critic; whoever applies
it sets only where it is, how it runs and from which probability on a candidate is accepted: a critic that is shown
other pictures than it learned from judges something else.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from critics.critic import ScoringSettings
from ostensive.models.needs import ModelNeed
from ostensive.settings import Operational, Settings
from ostensive.user_paths import ModelName, UserPath

BackboneName = Literal["blip2", "vlm"]
ReadKind = Literal["evidence", "geometry"]
Weight = Annotated[float, Field(ge=0)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]


class ShowingSettings(Settings):
    """What the critic is shown of an image."""

    regions: Literal["mentioned", "among_others", "mixed"] = "mentioned"
    """Which regions are drawn: those that the texts mention, these among others of the image, or by turns: the
    mentioned alone in 60 % of the rows, which is what LSKD's repository does."""
    max_regions: int = Field(default=5, ge=1)
    """Most regions drawn where others are drawn too; LSKD: five. Mentioned ones are always drawn."""
    image_side_px: int = Field(default=480, ge=28, le=4096)
    """Longer side to which larger images are scaled before regions are drawn on them. LSKD's repository: 480."""


class HeadWeights(Settings):
    """What each head counts in the loss. LSKD's repository: 1 and twice 0.5; with `0` a critic does not rate by it."""

    accept: float = Field(default=1.0, gt=0)
    """Cross-entropy of accepted or not."""
    rating: Weight = 0.5
    """Squared error of the rating of each criterion that the labels have."""
    criteria: dict[str, Weight] = Field(default_factory=dict)
    """The same of single criteria, by their names."""

    def of(self, criterion: str) -> float:
        """The weight of the rating of a criterion."""
        return self.criteria.get(criterion, self.rating)


class TrainSettings(Settings):
    """How a critic is trained."""

    backbone: BackboneName
    """blip2: an image-text matching model (`Blip2ForImageTextRetrieval`); vlm: any image-text-to-text model that is
    spoken to by a chat template and is a decoder (LLaVA, SmolVLM, Qwen-VL, ...)."""
    model: ModelName = Field(min_length=1)
    """The model to start from: a name on the Hugging Face Hub or a folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None takes the main branch."""
    image_tower: Literal["trained", "frozen"] = "trained"
    """Whether the part that sees learns too. LSKD trains it."""
    language: Literal["trained", "frozen"] = "trained"
    """Whether the part that reads learns too: the Q-Former of BLIP-2, else the language model and what joins it to the
    image. With both frozen only the heads learn."""
    show: ShowingSettings = ShowingSettings()
    scores_of: tuple[ReadKind, ...] = ()
    """Critics whose scores are read beside the model's state; they need no model, and score at training and after."""
    head_weights: HeadWeights = HeadWeights()
    class_balance: bool = True
    """Whether accepted and rejected rows count the same in sum. The probability is put right for it afterwards."""
    held_out_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the labels, by whole images, by which training is stopped and probabilities are calibrated."""
    test_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the labels, by whole images, on which the figures are measured and which nothing else sees."""
    learning_curve: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.25, 0.5)
    """Shares of the training labels on which further critics are trained afterwards, to say what more labels would
    bring; each costs about its share of the training. None are trained where it is empty."""
    batch_size: int = Field(default=32, ge=1)
    """Rows to a step of the optimizer. LSKD: 256, of 20,000 rows."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Highest rate of the model. LSKD: 1e-5."""
    head_learning_rate: float = Field(default=1e-4, gt=0)
    """Highest rate of the heads."""
    weight_decay: float = Field(default=0.05, ge=0)
    """LSKD's repository, for the student: 0.05."""
    warm_up_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps in which the rate rises; it then falls to nothing along half a cosine."""
    max_gradient: float = Field(default=1.0, gt=0)
    """Longest gradient; longer ones are shortened to it."""
    max_epochs: int = Field(default=10, ge=1)
    """Most rounds through the labels. LSKD: ten."""
    patience: int = Field(default=3, ge=1)
    """Rounds that tell the held-out rows apart no better after which training ends: by their order (average
    precision), and where it is as good, by how sure it is (cross-entropy)."""
    dropout: bool = True
    """Whether the model's own dropout is on in training."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of the arithmetic; weights stay in float32. auto: bfloat16 on a GPU that has it, else float32."""
    seed: int = Field(default=0, ge=0)
    """Of the splits, the order, the regions drawn, the dropout and the heads' beginning."""
    device: Operational[Device] = "auto"
    """auto, cpu, mps, cuda or cuda:1."""
    rows_at_once: Operational[Annotated[int, Field(ge=1, le=4096)]] = 8
    """Rows through the model at a time; gradients of a step are added up. Halved when memory runs out."""
    checkpoint_every_s: Operational[Annotated[float, Field(ge=0)]] = 120.0
    """Seconds of training that a kill may cost."""

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> "TrainSettings":
        if self.held_out_share + self.test_share > 0.8:
            raise ValueError(
                "held_out_share and test_share together at most 0.8 are expected, not"
                f" {self.held_out_share + self.test_share:g}"
            )
        return self

    def needs(self) -> tuple[ModelNeed, ...]:
        """The model to start from."""
        device = None if self.device == "auto" else self.device
        return (ModelNeed(role="critic", kind="hub", name=self.model, revision=self.revision, device=device),)


class TrainedSettings(ScoringSettings):
    """A critic that `ostensive critic train` made."""

    kind: Literal["trained"] = "trained"
    model: UserPath
    """The folder of the critic."""
    min_accept_probability: float = Field(default=0.8, ge=0, le=1)
    """A candidate is accepted from this probability on. LSKD: 0.8, which kept about a fifth."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of weights and arithmetic. auto: bfloat16 on a GPU that has it, else float32."""
    device: Operational[Device] = "auto"
    """auto, cpu, mps, cuda or cuda:1."""
    batch_size: Operational[Annotated[int, Field(ge=1, le=4096)]] = 32
    """Rows through the model at a time; halved, and said so, when memory runs out."""

    def needs(self) -> tuple[ModelNeed, ...]:
        """The critic's folder."""
        device = None if self.device == "auto" else self.device
        return (ModelNeed(role="critic", kind="folder", name=self.model, device=device),)
