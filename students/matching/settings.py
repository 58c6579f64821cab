"""How an image-text student is trained. The defaults are LSKD's where it says something, else BLIP-2's."""

from typing import Annotated, Final, Literal

from pydantic import Field

from ostensive.settings import Operational, Settings
from ostensive.user_paths import PathMark

IMAGE_TEXT: Final = "image-text"


class ImageTextSettings(Settings):
    """A training of the Q-Former of a BLIP-2, whose image encoder stays as it is."""

    base: Annotated[str, PathMark(or_name="folder")]
    """A folder or name of a `Blip2ForImageTextRetrieval`, such as `Salesforce/blip2-itm-vit-g`; a student is one."""
    revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    objective: Literal["image-text"] = IMAGE_TEXT
    """Image-text contrastive, image-text matching and image-grounded text generation, in equal weights (BLIP-2,
    section 3.1; LSKD)."""
    rationale_share: float = Field(default=0.5, ge=0, le=1)
    """How often a text is question, answer and rationale; else it is question and answer. LSKD's repository: 0.5."""
    max_text_tokens: int = Field(default=128, ge=4)
    """Rows with longer texts are left out and counted; LSKD: 128, where longer ones are cut."""
    image_side_px: int = Field(default=480, ge=28, le=4096)
    """Longer side to which larger images are scaled before regions are drawn on them; LSKD: 480. The model's own
    processor then scales to what its image encoder takes."""
    decoding_token: str | None = None
    """The token of the tokenizer by which generation begins; null takes its `bos_token` (BLIP-2: `[DEC]`)."""
    temperature: float = Field(default=0.07, ge=0.01, le=1)
    """That cosines are divided by at first; it is learned. BLIP-2's repository: 0.07."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Of the contrastive loss; LSKD's and BLIP-2's repositories: 0.1."""
    epochs: float = Field(default=1.0, gt=0)
    """How often each row is seen."""
    max_steps: int | None = Field(default=None, ge=1)
    """The number of steps, whatever `epochs` says; LSKD: 10,000."""
    batch_size: int = Field(default=64, ge=2)
    """Rows of a step, which are each other's negatives; LSKD: 256 in all, in its repository 64 a device."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """The highest; LSKD: 1e-5."""
    head_learning_rate: float = Field(default=1e-4, gt=0)
    """The highest of the language head, which published checkpoints lack, so that it begins anew."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """The share of steps in which the rate rises, before it falls by a cosine; LSKD has both, without a figure."""
    weight_decay: float = Field(default=0.05, ge=0)
    """LSKD's repository and BLIP-2: 0.05."""
    seed: int = 0
    """By which rows are shuffled, texts chosen, negatives drawn and the language head begun."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of the arithmetic; weights stay in float32. auto: bfloat16 on a GPU that has it, else float32."""
    device: Operational[str] = "auto"
    """cpu, cuda, mps; auto takes a GPU where there is one."""
    checkpoint_every_s: Operational[Annotated[float, Field(ge=0)]] = 120.0
    """Seconds of training that a kill may cost."""
