"""Narratives, region captions and probe answers by an image-text model, on this machine or served.

All requests of all images go to the model at once, which forms batches or keeps a server busy; a loop over images would
leave either idle. Verbalizers whose settings name the same model share it. A failure is the failure of its image alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

import PIL.Image

from ostensive.chat.pictures import shrunk
from ostensive.chat.records import Conversation, Message, NoReply, Reply
from ostensive.fingerprint import fingerprint
from ostensive.images.drawing import DrawingStyle, draw_regions
from ostensive.records import Box, Probe, Region, Verbalization
from ostensive.run.services import Services
from verbalizers.base import DecodedImage, ImageFailure, Questions, Verbalizer, VerbalizerContext, Workers
from verbalizers.choice import Proposal
from verbalizers.image_text.model import ImageTextModel
from verbalizers.image_text.settings import CaptionOptions, NarrativeOptions, ProbeOptions, ServedProbeSettings
from verbalizers.image_text.wordings import (
    answer_prompt,
    answers_prompt,
    caption_prompt,
    clean_reply,
    distinct_questions,
    narrative_prompt,
    parse_answers,
    with_fresh,
)

_PICTURES_AT_ONCE = 96  # with a box drawn on each: bounds memory, and is a batch or more of any model
# The outline alone: a fill would tint what is described, and a number would be read.
_BOX_STYLE = DrawingStyle(fill_alpha=0, numbers=False)


class _ModelVerbalizer(Verbalizer):
    """What the three have alike: the model."""

    model: ImageTextModel

    @property
    def version(self) -> str:
        return self.model.version

    @contextmanager
    def opened(self, services: Services, workers: Workers) -> Iterator[Self]:
        with super().opened(services, workers), self.model.opened(services):
            yield self


class ModelNarratives(_ModelVerbalizer):
    """Several descriptions drawn from one model."""

    def __init__(self, settings: NarrativeOptions, context: VerbalizerContext) -> None:
        self._settings = settings
        self.model = ImageTextModel(settings, context, narrative_stand_in)
        self.images_wanted = self.model.images_wanted

    def narratives(self, images: Sequence[DecodedImage]) -> Sequence[tuple[str, ...] | ImageFailure]:
        settings, prompt = self._settings, narrative_prompt(self.model.form, self._settings.prompt)
        asked = []
        for image in images:
            seed_of = ("narratives", image.image_id)
            for draw in range(settings.count):
                talk = self.model.conversation(image.pixels, prompt, settings.draw, seed_of, draw=draw)
                asked.append((image, talk))
        replies = iter(self.model.ask(asked))
        return [_descriptions([next(replies) for _ in range(settings.count)]) for _ in images]


class ModelCaptions(_ModelVerbalizer):
    """A phrase on each region."""

    def __init__(self, settings: CaptionOptions, context: VerbalizerContext) -> None:
        self._settings = settings
        self.model = ImageTextModel(settings, context, caption_stand_in)
        self.images_wanted = self.model.images_wanted

    def captions(
        self, images: Sequence[DecodedImage], regions: Sequence[tuple[Proposal, ...]]
    ) -> Sequence[tuple[str, ...] | ImageFailure]:
        captions: list[tuple[str, ...] | ImageFailure] = []
        for some in _shares(list(zip(images, regions, strict=True)), _PICTURES_AT_ONCE):
            made = self.workers.map(self._conversations, some)
            asked = [
                (image, conversation)
                for (image, _), found in zip(some, made, strict=True)
                if not isinstance(found, ImageFailure)
                for conversation in found
            ]
            replies = iter(self.model.ask(asked))
            captions += [
                found if isinstance(found, ImageFailure) else _captions([next(replies) for _ in found])
                for found in made
            ]
        return captions

    def _conversations(self, asked: tuple[DecodedImage, Sequence[Proposal]]) -> list[Conversation]:
        """One for each region of an image; called in a thread beside those of other images."""
        settings, form = self._settings, self.model.form
        image, regions = asked
        drawn = settings.show == "drawn"
        whole = shrunk(image.pixels, settings.shown_side_px) if drawn and form != "task" else image.pixels
        conversations = []
        for number, box in enumerate(region.box for region in regions):
            if form == "task":
                picture = whole
            elif drawn:
                picture = with_box(whole, box)
            else:
                picture = shrunk(cut_out(whole, box, settings.crop_margin), settings.shown_side_px)
            # Not by its corners: where a detector found them, their last digits depend on the size of its batch.
            seed_of = ("captions", image.image_id, number)
            prompt = caption_prompt(form, box, settings.prompt, drawn=drawn)
            conversations.append(self.model.conversation(picture, prompt, settings.draw, seed_of))
        return conversations


class ModelProbes(_ModelVerbalizer):
    """Answers to standing questions and to those of a teacher."""

    def __init__(self, settings: ProbeOptions, context: VerbalizerContext) -> None:
        self._settings = settings
        self.model = ImageTextModel(settings, context, probe_stand_in)
        self.images_wanted = self.model.images_wanted
        self._known = distinct_questions(settings.questions, settings.count)
        self._at_once = settings.questions_at_once if isinstance(settings, ServedProbeSettings) else 1
        self._asker = context.asker if settings.asked_by == "teacher" else None
        assert self._asker is not None or settings.asked_by == "list", "a recipe with a teacher hands in how it asks"

    @property
    def version(self) -> str:
        """Changes with whatever the teacher's questions depend on, if it asks."""
        if self._asker is None:
            return super().version
        return f"{super().version}:{fingerprint(self._asker.identity)[:16]}"

    @contextmanager
    def opened(self, services: Services, workers: Workers) -> Iterator[Self]:
        """Raises `SettingsError` if the model answers no questions."""
        with super().opened(services, workers), ExitStack() as stack:
            self._prompt(["why?"])
            if self._asker is not None:
                stack.enter_context(self._asker.opened(services))
            yield self

    def probes(
        self, images: Sequence[DecodedImage], drafts: Sequence[Verbalization]
    ) -> Sequence[tuple[Probe, ...] | ImageFailure]:
        questions = self._questions(images, drafts)
        blocks = [
            (image, found[start : start + self._at_once])
            for image, found in zip(images, questions, strict=True)
            if not isinstance(found, ImageFailure)
            for start in range(0, len(found), self._at_once)
        ]
        replies = self.model.ask([(image, self._conversation(image, block)) for image, block in blocks])
        probes: dict[str, list[tuple[Probe, ...] | ImageFailure]] = {image.image_id: [] for image in images}
        for (image, block), reply in zip(blocks, replies, strict=True):
            probes[image.image_id].append(_probes(block, reply))
        return [
            found if isinstance(found, ImageFailure) else _joined(probes[image.image_id])
            for image, found in zip(images, questions, strict=True)
        ]

    def _questions(
        self, images: Sequence[DecodedImage], drafts: Sequence[Verbalization]
    ) -> Sequence[tuple[str, ...] | ImageFailure]:
        wanted = self._settings.count - len(self._known)
        if self._asker is None or wanted <= 0:
            return [self._known for _ in images]
        asked = self._asker.ask(drafts, wanted)
        for image, found in zip(images, asked, strict=True):
            image.spend += found.spend
        return [self._with_known(found) for found in asked]

    def _with_known(self, asked: Questions) -> tuple[str, ...] | ImageFailure:
        if isinstance(asked.questions, ImageFailure):
            return asked.questions
        return with_fresh(self._known, asked.questions, self._settings.max_overlap, self._settings.count)

    def _conversation(self, image: DecodedImage, questions: Sequence[str]) -> Conversation:
        prompt, seed_of = self._prompt(questions), ("probes", image.image_id, *questions)
        return self.model.conversation(image.pixels, prompt, self._settings.draw, seed_of, texts=len(questions))

    def _prompt(self, questions: Sequence[str]) -> str:
        if len(questions) > 1:
            return answers_prompt(questions)
        return answer_prompt(self.model.name, self.model.form, questions[0], self._settings.prompt)


def narrative_stand_in(messages: Sequence[Message], seed: int) -> str:  # noqa: ARG001 - of a script
    """What a rehearsal has a served model say: as much as one might, and plainly nothing that was seen."""
    return f"Nobody has looked at picture {seed % 10_000} yet. " * 6


def caption_stand_in(messages: Sequence[Message], seed: int) -> str:  # noqa: ARG001 - of a script
    """The same of a region."""
    return f"a thing that nobody has looked at yet, of the kind {seed % 10_000}"


def probe_stand_in(messages: Sequence[Message], seed: int) -> str:
    """The same of each question."""
    return "\n".join(f"{k}. nobody has looked yet {seed % 10_000}" for k in range(1, 1 + messages[-1].text.count("?")))


def _shares(
    asked: Sequence[tuple[DecodedImage, Sequence[Proposal]]], most: int
) -> Iterator[list[tuple[DecodedImage, Sequence[Proposal]]]]:
    """`asked` in order, in shares of at most `most` regions; an image with more is a share of its own."""
    share: list[tuple[DecodedImage, Sequence[Proposal]]] = []
    held = 0
    for image, regions in asked:
        if share and held + len(regions) > most:
            yield share
            share, held = [], 0
        share.append((image, regions))
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


def _descriptions(replies: Sequence[Reply | NoReply]) -> tuple[str, ...] | ImageFailure:
    texts = []
    for reply in replies:
        if isinstance(reply, NoReply):
            return _failure(reply)
        texts.append(clean_reply(reply.text))
    return tuple(dict.fromkeys(filter(None, texts))) or ImageFailure("the model said nothing")


def _captions(replies: Sequence[Reply | NoReply]) -> tuple[str, ...] | ImageFailure:
    texts = []
    for number, reply in enumerate(replies):
        if isinstance(reply, NoReply):
            return _failure(reply)
        text = clean_reply(reply.text).rstrip(".")
        if not text:
            return ImageFailure(f"the model said nothing of region {number}")
        texts.append(text)
    return tuple(texts)


def _probes(questions: Sequence[str], reply: Reply | NoReply) -> tuple[Probe, ...] | ImageFailure:
    """What one request on one or several questions came to; a question that stays open tells a teacher nothing."""
    if isinstance(reply, NoReply):
        return _failure(reply)
    answers = parse_answers(reply.text, len(questions)) if len(questions) > 1 else [clean_reply(reply.text)]
    return tuple(Probe(question, answer) for question, answer in zip(questions, answers, strict=True) if answer)


def _joined(blocks: Iterable[tuple[Probe, ...] | ImageFailure]) -> tuple[Probe, ...] | ImageFailure:
    probes: list[Probe] = []
    for block in blocks:
        if isinstance(block, ImageFailure):
            return block
        probes += block
    return tuple(probes)


def _failure(reply: NoReply) -> ImageFailure:
    return ImageFailure(f"{reply.reason}: {reply.detail}")
