"""What a recipe may say about narratives, captions and probes by an image-text model: kinds `generator` and `served`.

What is asked is the same whoever answers; a model of `transformers` on this machine is named in the section itself, a
served one in `verbalize.endpoint`, so that three sections need not repeat an address. LSKD's numbers are cited; its
prompts are not published, and those used where `prompt` is None are this project's own, in the form that the model
wants (`verbalizers.image_text.wordings`).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from ostensive.chat.endpoint import ServedModelSettings
from ostensive.chat.records import Sampling
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.settings import Settings
from ostensive.user_paths import PathMark

QUESTION_SLOT = "{question}"

# Five standing questions lead LSKD's worked example (figure 10): place, light, mood, inside or outside, weather.
FIRST_QUESTIONS = (
    "In what kind of place is this?",
    "How is the scene lit?",
    "What mood does the scene have?",
    "Is this indoors or outdoors?",
    "What is the weather like?",
)


class DrawSettings(Settings):
    """How texts are drawn."""

    temperature: float = Field(default=0.0, ge=0, le=5)
    """0 takes the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Tokens are drawn from the likeliest that together have this probability."""
    top_k: int | None = Field(default=None, ge=1)
    """Tokens are drawn from so many of the likeliest; None draws from all."""
    max_new_tokens: int = Field(default=48, ge=1, le=8192)
    """Longest text, in tokens."""

    def sampling(self, seed: int | None, draw: int = 0, *, texts: int = 1) -> Sampling:
        """These settings with a seed, for as many texts in one."""
        return Sampling(self.temperature, self.top_p, self.max_new_tokens * texts, seed, draw, self.top_k)


class NarrativeOptions(Settings):
    """Descriptions of the whole image, drawn several times from one model."""

    count: int = Field(default=5, ge=1, le=50)
    """Texts drawn for each image; those that come out alike are told once. LSKD, section 2.1: five."""
    draw: DrawSettings = DrawSettings(temperature=1.1, top_p=0.95, max_new_tokens=96)
    """LSKD, section 2.1: temperature 1.1, nucleus of 0.95."""
    prompt: str | None = None
    """What the model is asked; None asks in words of our own. For Florence-2 a task prompt."""


class CaptionOptions(Settings):
    """What is in each region, by a model that is shown the region."""

    show: Literal["drawn", "crop"] = "drawn"
    """The whole image with the region's box drawn on it (LSKD, section 2.1), or the region cut out with a margin.
    Florence-2 is given the whole image and the box as text, whatever stands here."""
    crop_margin: float = Field(default=0.15, ge=0, le=2)
    """How far a crop goes beyond the box on each side, as a share of the box's sides."""
    shown_side_px: int = Field(default=1024, ge=64, le=4096)
    """Larger pictures are shrunk to this longest side before a box is drawn, so that its line outlives the model's own
    scaling; a crop is shrunk after it is cut."""
    draw: DrawSettings = DrawSettings()
    """Greedy unless set: a caption is to be the likeliest."""
    prompt: str | None = None
    """What the model is asked; None asks in words of our own."""


class ProbeOptions(Settings):
    """Answers of a model to standing questions and, if it is to ask, to questions of the teacher."""

    questions: tuple[Annotated[str, Field(min_length=1)], ...] = FIRST_QUESTIONS
    """Asked of each image, in this order, before the teacher's; a question that is there twice is asked once."""
    count: int = Field(default=15, ge=0)
    """Most questions asked of each image. LSKD, section 2.1: fifteen."""
    asked_by: Literal["list", "teacher"] = "list"
    """`teacher` has the teacher read the concepts, narratives and captions and ask for what is missing, until there are
    `count` questions (LSKD, section 2.1); `list` asks `questions` alone."""
    prompt_set: Annotated[str, PathMark(or_name="folder", names=("probing",))] = "probing"
    """The prompts for the teacher: a built-in set, or a folder of your own templates."""
    max_overlap: float = Field(default=0.75, ge=0, le=1)
    """A question of the teacher is left out if it has more than this in common with one that is asked already: the
    intersection over the union of the words that matter; 1 leaves out equal ones only."""
    draw: DrawSettings = DrawSettings(max_new_tokens=32)
    """Longest answer, and how it is drawn."""
    prompt: str | None = None
    """What the model is asked, with {question} in it; None asks in words of our own."""

    @field_validator("prompt")
    @classmethod
    def _has_a_slot(cls, value: str | None) -> str | None:
        if value is not None and value.count(QUESTION_SLOT) != 1:
            raise ValueError(f"a text with {QUESTION_SLOT} in it, once, is expected")
        return value


class GeneratorNarrativeSettings(GeneratorSettings, NarrativeOptions):
    """Descriptions by a model of `transformers`."""

    role: ClassVar[str] = "narratives"
    kind: Literal["generator"] = "generator"


class GeneratorCaptionSettings(GeneratorSettings, CaptionOptions):
    """Region captions by a model of `transformers`."""

    role: ClassVar[str] = "region captions"
    kind: Literal["generator"] = "generator"


class GeneratorProbeSettings(GeneratorSettings, ProbeOptions):
    """Answers by a model of `transformers`."""

    role: ClassVar[str] = "probe answers"
    kind: Literal["generator"] = "generator"


class ServedNarrativeSettings(NarrativeOptions):
    """Descriptions by the chat model of `verbalize.endpoint`."""

    kind: Literal["served"] = "served"


class ServedCaptionSettings(CaptionOptions):
    """Region captions by the chat model of `verbalize.endpoint`."""

    kind: Literal["served"] = "served"


class ServedProbeSettings(ProbeOptions):
    """Answers by the chat model of `verbalize.endpoint`."""

    kind: Literal["served"] = "served"
    questions_at_once: int = Field(default=15, ge=1, le=100)
    """Questions in one request, for the image is paid for with each; 1 asks each alone, as LSKD did."""


class EndpointSettings(ServedModelSettings):
    """A served chat model that takes images."""

    section: ClassVar[str] = "verbalize.endpoint"
    role: ClassVar[str] = "verbalizing"
