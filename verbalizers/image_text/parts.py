"""Narratives, region captions and probe answers by an image-text model, on this machine or served.

All requests of all images go to the model at once, which forms batches or keeps a server busy; a loop over images would
leave either idle. Parts whose settings name the same model share it. A failure is the failure of its image alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import PIL.Image

from ostensive.chat.records import Message
from ostensive.fingerprint import fingerprint
from ostensive.images.drawing import DrawingStyle, draw_regions
from ostensive.models.generation import GenerationRequest, NotGenerated, Turn
from ostensive.models.pictures import shrunk
from ostensive.records import Box, Probe, Region, Verbalization
from ostensive.settings import Settings
from verbalizers.choice import Proposal
from verbalizers.image_text.questions import distinct_questions, with_fresh
from verbalizers.image_text.settings import (
    CaptionTelling,
    DrawSettings,
    NarrativeTelling,
    ProbeTelling,
    ServedProbeSettings,
)
from verbalizers.image_text.sources import Answer, ImageText, source_of
from verbalizers.image_text.wordings import (
    answer_prompt,
    answers_prompt,
    caption_prompt,
    narrative_prompt,
    parse_answers,
    told,
)
from verbalizers.parts import Asked, PartTools, QuestionAsker, Unsaid, View

_PICTURES_AT_ONCE = 96  # with a box drawn on each: bounds memory, and is a batch or more of any model
# The outline alone: a fill would tint what is described, and a number would be read.
_BOX_STYLE = DrawingStyle(fill_alpha=0, numbers=False)


class _ModelPart:
    """What the three have alike: a model on loan."""

    def __init__(self, settings: Settings, tools: PartTools) -> None:
        self._source, self._tools = source_of(settings, tools), tools
        self._model: ImageText | None = None
        self._resources = ExitStack()

    @property
    def version(self) -> str:
        return self._source.version

    @property
    def images_wanted(self) -> int:
        return self._source.images_wanted

    def __enter__(self) -> Self:
        self._model = self._resources.enter_context(self._source.lend(self.stand_in))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._model = None
        self._resources.close()

    @staticmethod
    def stand_in(messages: Sequence[Message], seed: int) -> str:
        """What a rehearsal has a served model say: as much as one might, and plainly nothing that was seen."""
        raise NotImplementedError

    @property
    def model(self) -> ImageText:
        assert self._model is not None, "a part is entered before it is asked"
        return self._model

    def request(
        self, image: PIL.Image.Image, text: str, draw: DrawSettings, seed_of: Sequence[str | int], samples: int = 1
    ) -> GenerationRequest:
        """One question on one image; `seed_of` names what is asked, and with the run's seed gives its own."""
        seed = int(fingerprint([self._tools.seed, *seed_of])[:15], 16)
        return GenerationRequest((Turn("user", text, (image,)),), draw.draw(seed), samples)


class ModelNarratives(_ModelPart):
    """Several descriptions drawn from one model."""

    def __init__(self, settings: NarrativeTelling, tools: PartTools) -> None:
        super().__init__(settings, tools)
        self._settings = settings

    @staticmethod
    def stand_in(messages: Sequence[Message], seed: int) -> str:  # noqa: ARG004 - of a script
        return f"Nobody has looked at picture {seed % 10_000} yet. " * 6

    def narratives(self, views: Sequence[View]) -> Sequence[tuple[str, ...] | Unsaid]:
        settings, prompt = self._settings, narrative_prompt(self.model.form, self._settings.prompt)
        requests = [
            self.request(view.picture, prompt, settings.draw, ("narratives", view.image_id), settings.count)
            for view in views
        ]
        answers = self.model.generate(requests)
        for view, answer in zip(views, answers, strict=True):
            view.spend += answer.spend
        return [_descriptions(answer) for answer in answers]


class ModelCaptions(_ModelPart):
    """A phrase on each region."""

    def __init__(self, settings: CaptionTelling, tools: PartTools) -> None:
        super().__init__(settings, tools)
        self._settings = settings

    @staticmethod
    def stand_in(messages: Sequence[Message], seed: int) -> str:  # noqa: ARG004 - of a script
        return f"a thing that nobody has looked at yet, of the kind {seed % 10_000}"

    def captions(
        self, views: Sequence[View], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | Unsaid]:
        said: list[tuple[str, ...] | Unsaid] = []
        for some in _shares(list(zip(views, regions, strict=True)), _PICTURES_AT_ONCE):
            made = self._tools.workers.map(self._requests, some)
            requests = [request for found in made if not isinstance(found, Unsaid) for request in found]
            answers = iter(self.model.generate(requests))
            for (view, _), found in zip(some, made, strict=True):
                if isinstance(found, Unsaid):
                    said.append(found)
                    continue
                own = [next(answers) for _ in found]
                view.spend = sum((answer.spend for answer in own), view.spend)
                said.append(_captions(own))
        return said

    def _requests(self, asked: tuple[View, Sequence[Proposal]]) -> list[GenerationRequest]:
        """One for each region of an image; called in a thread beside those of other images."""
        settings, form = self._settings, self.model.form
        view, regions = asked
        drawn = settings.view == "drawn"
        whole = shrunk(view.picture, settings.shown_side_px) if drawn and form != "task" else view.picture
        requests = []
        for number, box in enumerate(region.box for region in regions):
            if form == "task":
                picture = whole
            elif drawn:
                picture = with_box(whole, box)
            else:
                picture = shrunk(cut_out(whole, box, settings.crop_margin), settings.shown_side_px)
            # Not by its corners: where a detector found them, their last digits depend on the size of its batch.
            seed_of = ("captions", view.image_id, number)
            prompt = caption_prompt(form, box, settings.prompt, drawn=drawn)
            requests.append(self.request(picture, prompt, settings.draw, seed_of))
        return requests


class ModelProbes(_ModelPart):
    """Answers to standing questions and to those of a teacher."""

    def __init__(self, settings: ProbeTelling, tools: PartTools) -> None:
        super().__init__(settings, tools)
        self._settings = settings
        self._known = distinct_questions(settings.questions, settings.count)
        self._at_once = settings.questions_at_once if isinstance(settings, ServedProbeSettings) else 1
        self._asker: QuestionAsker | None = None
        if settings.asked_by == "teacher":
            assert tools.models.make_asker is not None, "a recipe with a teacher hands in how it asks"
            self._asker = tools.models.make_asker(settings.prompt_set)

    @property
    def version(self) -> str:
        """Changes with whatever the teacher's questions depend on, if it asks."""
        if self._asker is None:
            return super().version
        return f"{super().version}:{fingerprint(self._asker.identity)[:16]}"

    def __enter__(self) -> Self:
        """Raises `SettingsError` if the model answers no questions."""
        super().__enter__()
        try:
            self._prompt(["why?"])
            if self._asker is not None:
                self._resources.enter_context(self._asker)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    @staticmethod
    def stand_in(messages: Sequence[Message], seed: int) -> str:
        return "\n".join(
            f"{k}. nobody has looked yet {seed % 10_000}" for k in range(1, 1 + messages[-1].text.count("?"))
        )

    def probes(self, views: Sequence[View], drafts: Sequence[Verbalization]) -> Sequence[tuple[Probe, ...] | Unsaid]:
        questions = self._questions(views, drafts)
        blocks = [
            (view, found[start : start + self._at_once])
            for view, found in zip(views, questions, strict=True)
            if not isinstance(found, Unsaid)
            for start in range(0, len(found), self._at_once)
        ]
        answers = self.model.generate([self._request(view, block) for view, block in blocks])
        told_of: dict[str, list[tuple[Probe, ...] | Unsaid]] = {view.image_id: [] for view in views}
        for (view, block), answer in zip(blocks, answers, strict=True):
            view.spend += answer.spend
            told_of[view.image_id].append(_probes(block, answer))
        return [
            found if isinstance(found, Unsaid) else _together(told_of[view.image_id])
            for view, found in zip(views, questions, strict=True)
        ]

    def _questions(self, views: Sequence[View], drafts: Sequence[Verbalization]) -> Sequence[tuple[str, ...] | Unsaid]:
        settings, wanted = self._settings, self._settings.count - len(self._known)
        if self._asker is None or wanted <= 0:
            return [self._known for _ in views]
        asked = self._asker.ask(drafts, wanted)
        for view, found in zip(views, asked, strict=True):
            view.spend += found.spend
        return [self._with_known(found, settings) for found in asked]

    def _with_known(self, asked: Asked, settings: ProbeTelling) -> tuple[str, ...] | Unsaid:
        if isinstance(asked.questions, Unsaid):
            return asked.questions
        return with_fresh(self._known, asked.questions, settings.max_overlap, settings.count)

    def _request(self, view: View, questions: Sequence[str]) -> GenerationRequest:
        draw = self._settings.draw
        if len(questions) > 1:
            draw = draw.model_copy(update={"max_new_tokens": draw.max_new_tokens * len(questions)})
        return self.request(view.picture, self._prompt(questions), draw, ("probes", view.image_id, *questions))

    def _prompt(self, questions: Sequence[str]) -> str:
        if len(questions) > 1:
            return answers_prompt(questions)
        return answer_prompt(self._source.name, self.model.form, questions[0], self._settings.prompt)


def _shares(
    asked: Sequence[tuple[View, Sequence[Proposal]]], most: int
) -> Iterator[list[tuple[View, Sequence[Proposal]]]]:
    """`asked` in order, in parts of at most `most` regions; an image with more is a part of its own."""
    share: list[tuple[View, Sequence[Proposal]]] = []
    held = 0
    for view, regions in asked:
        if share and held + len(regions) > most:
            yield share
            share, held = [], 0
        share.append((view, regions))
        held += len(regions)
    if share:
        yield share


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


def _probes(questions: Sequence[str], answer: Answer) -> tuple[Probe, ...] | Unsaid:
    """What one request on one or several questions came to; a question that stays open tells a teacher nothing."""
    if isinstance(answer, NotGenerated):
        return _unsaid(answer)
    text = answer.drawn[0].text
    answers = parse_answers(text, len(questions)) if len(questions) > 1 else [told(text)]
    return tuple(Probe(question, said) for question, said in zip(questions, answers, strict=True) if said)


def _together(parts: Sequence[tuple[Probe, ...] | Unsaid]) -> tuple[Probe, ...] | Unsaid:
    probes: list[Probe] = []
    for part in parts:
        if isinstance(part, Unsaid):
            return part
        probes += part
    return tuple(probes)


def _unsaid(answer: NotGenerated) -> Unsaid:
    return Unsaid(f"{answer.reason}: {answer.detail}")
