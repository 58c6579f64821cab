"""Narratives, region captions and probe answers by an image-text model: thin classes around one batched generator.

All requests of all images go to the generator at once, which forms the batches; a loop over images would leave a device
idle. Parts whose settings name the same model share it. A failure is the failure of its image alone.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import PIL.Image

from ostensive.drawing import DrawingStyle, draw_regions
from ostensive.fingerprint import fingerprint
from ostensive.generation.generator import Generator
from ostensive.generation.records import Generated, GenerationRequest, NotGenerated, Turn
from ostensive.generation.settings import GeneratorSettings
from ostensive.model_files import model_version
from ostensive.records import Box, Probe, Region, Verbalization
from verbalizers.choice import Proposal
from verbalizers.generator_settings import (
    DrawSettings,
    GeneratorCaptionSettings,
    GeneratorNarrativeSettings,
    GeneratorProbeSettings,
)
from verbalizers.parts import PartTools, Unsaid, View
from verbalizers.wordings import answer_prompt, caption_prompt, distinct_questions, narrative_prompt, told

GENERATOR_VERSION = "generator-1"
# The outline alone: a fill would tint what is described, and a number would be read.
_BOX_STYLE = DrawingStyle(fill_alpha=0, numbers=False)

Answer = Generated | NotGenerated


class _GeneratorPart:
    """What the three have alike: a generator of the pool."""

    def __init__(self, settings: GeneratorSettings, tools: PartTools) -> None:
        self._model, self._tools = settings, tools
        self._generator: Generator | None = None
        self._version: str | None = None
        self._resources = ExitStack()

    @property
    def version(self) -> str:
        """Changes with the weights, see `ostensive.model_files`."""
        if self._version is None:
            self._version = f"{GENERATOR_VERSION}:{model_version(self._model.model, self._model.revision)}"
        return self._version

    def __enter__(self) -> Self:
        self._generator = self._resources.enter_context(self._tools.generators.lend(self._model))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._generator = None
        self._resources.close()

    @property
    def generator(self) -> Generator:
        assert self._generator is not None, "a part is entered before it is asked"
        return self._generator

    def request(
        self, image: PIL.Image.Image, text: str, draw: DrawSettings, seed_of: Sequence[str | int], samples: int = 1
    ) -> GenerationRequest:
        """One question on one image; `seed_of` names what is asked, and with the run's seed gives its own."""
        seed = int(fingerprint([self._tools.seed, *seed_of])[:15], 16)
        return GenerationRequest((Turn("user", text, (image,)),), draw.draw(seed), samples)


class GeneratorNarratives(_GeneratorPart):
    """Several descriptions drawn from one model."""

    def __init__(self, settings: GeneratorNarrativeSettings, tools: PartTools) -> None:
        super().__init__(settings.generator, tools)
        self._settings = settings

    def narratives(self, views: Sequence[View]) -> Sequence[tuple[str, ...] | Unsaid]:
        settings, prompt = self._settings, narrative_prompt(self.generator.form, self._settings.prompt)
        requests = [
            self.request(view.picture, prompt, settings.draw, ("narratives", view.image_id), settings.count)
            for view in views
        ]
        return [_descriptions(answer) for answer in self.generator.generate(requests)]


class GeneratorCaptions(_GeneratorPart):
    """A phrase on each region."""

    def __init__(self, settings: GeneratorCaptionSettings, tools: PartTools) -> None:
        super().__init__(settings.generator, tools)
        self._settings = settings

    def captions(
        self, views: Sequence[View], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | Unsaid]:
        pairs = list(zip(views, regions, strict=True))
        requests = [self._request(view, region.box) for view, found in pairs for region in found]
        answers = iter(self.generator.generate(requests))
        return [_captions([next(answers) for _ in found]) for _, found in pairs]

    def _request(self, view: View, box: Box) -> GenerationRequest:
        settings, form = self._settings, self.generator.form
        drawn = settings.view == "drawn"
        prompt = caption_prompt(form, box, settings.prompt, drawn=drawn)
        if form == "task":
            picture = view.picture
        elif drawn:
            picture = with_box(shrunk(view.picture, settings.shown_side_px), box)
        else:
            picture = shrunk(cut_out(view.picture, box, settings.crop_margin), settings.shown_side_px)
        place = (box.x1, box.y1, box.x2, box.y2)
        return self.request(picture, prompt, settings.draw, ("captions", view.image_id, *map(repr, place)))


class GeneratorProbes(_GeneratorPart):
    """Answers to standing questions."""

    def __init__(self, settings: GeneratorProbeSettings, tools: PartTools) -> None:
        super().__init__(settings.generator, tools)
        self._settings = settings
        self._questions = distinct_questions(settings.questions, settings.count)

    def __enter__(self) -> Self:
        """Raises `SettingsError` if the model answers no questions."""
        super().__enter__()
        try:
            self._prompts()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _prompts(self) -> list[str]:
        form, prompt = self.generator.form, self._settings.prompt
        return [answer_prompt(self._model.model, form, question, prompt) for question in self._questions]

    def probes(self, views: Sequence[View], drafts: Sequence[Verbalization]) -> Sequence[tuple[Probe, ...] | Unsaid]:  # noqa: ARG002 - the protocol has it
        prompts = self._prompts()
        requests = [
            self.request(view.picture, prompt, self._settings.draw, ("probes", view.image_id, question))
            for view in views
            for question, prompt in zip(self._questions, prompts, strict=True)
        ]
        answers = iter(self.generator.generate(requests))
        return [_probes(self._questions, [next(answers) for _ in prompts]) for _ in views]


def shrunk(image: PIL.Image.Image, max_side_px: int) -> PIL.Image.Image:
    """`image` with a longest side of at most `max_side_px`, in proportion; a smaller one comes back as it is."""
    factor = max_side_px / max(image.size)
    if factor >= 1:
        return image
    size_px = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size_px, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)


def with_box(image: PIL.Image.Image, box: Box) -> PIL.Image.Image:
    """The whole image with the outline of one box on it."""
    return draw_regions(image, [Region(0, box, "", None, "")], style=_BOX_STYLE)


def cut_out(image: PIL.Image.Image, box: Box, margin: float) -> PIL.Image.Image:
    """The part of the image in `box` and around it by `margin` times its sides, as far as the image goes."""
    left, top, right, bottom = box.pixels(image.width, image.height)
    out_x, out_y = round(margin * (right - left)), round(margin * (bottom - top))
    return image.crop(
        (max(left - out_x, 0), max(top - out_y, 0), min(right + out_x, image.width), min(bottom + out_y, image.height))
    )


def _descriptions(answer: Answer) -> tuple[str, ...] | Unsaid:
    if isinstance(answer, NotGenerated):
        return _unsaid(answer)
    texts = tuple(dict.fromkeys(text for drawn in answer.drawn if (text := told(drawn.text))))
    return texts or Unsaid("the model said nothing")


def _captions(answers: Sequence[Answer]) -> tuple[str, ...] | Unsaid:
    texts = []
    for number, answer in enumerate(answers):
        if isinstance(answer, NotGenerated):
            return _unsaid(answer)
        text = told(answer.drawn[0].text).rstrip(".")
        if not text:
            return Unsaid(f"the model said nothing of region {number}")
        texts.append(text)
    return tuple(texts)


def _probes(questions: Sequence[str], answers: Sequence[Answer]) -> tuple[Probe, ...] | Unsaid:
    probes = []
    for question, answer in zip(questions, answers, strict=True):
        if isinstance(answer, NotGenerated):
            return _unsaid(answer)
        text = told(answer.drawn[0].text)
        if text:  # a question that stays open tells a teacher nothing
            probes.append(Probe(question, text))
    return tuple(probes)


def _unsaid(answer: NotGenerated) -> Unsaid:
    return Unsaid(f"{answer.reason}: {answer.detail}")
