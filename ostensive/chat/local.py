"""A model of `transformers` on this machine behind the same interface as a served one: to verbalize, and to teach.

A reply is known by the whole content of the model (the fingerprint of a folder, the commit of a Hub model), the
messages with the hashes of their pictures' pixels, and the sampling. The seed of a request without one comes from the
same key, so that equal requests have equal replies and the journal's are as good as new ones. Not in the key: batch
size and device, which change only rounding.
"""

import threading
from collections.abc import Generator as GeneratorIterator
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, Literal, Self  # Any: JSON values

import PIL.Image
from pydantic import Field

from ostensive.chat.budget import Budget
from ostensive.chat.journal import FREE_ENDPOINT, Journal
from ostensive.chat.pictures import Picture, SentImageSettings
from ostensive.chat.records import Conversation, Exchange, Form, NoReply, Sampling
from ostensive.chat.settings import READING_VERSION
from ostensive.chat.turns import Answered, JournaledModel, KeyedConversation, with_pictures
from ostensive.chat.wire import request_key
from ostensive.errors import SettingsError
from ostensive.images.decode import open_rgb
from ostensive.models.files import model_version
from ostensive.models.generator import Generator, GeneratorPool
from ostensive.models.generator_settings import GeneratorSettings

GENERATION_VERSION = 3  # of the way replies are generated; another number makes every journaled reply unknown


class SelfTeacherSettings(GeneratorSettings):
    """A model of `transformers` on this machine; the one that verbalizes, if it is to teach itself."""

    role: ClassVar[str] = "teacher"
    kind: Literal["self"] = "self"
    name: str | None = Field(default=None, min_length=1)
    """What its rows and its answers are told apart by. None takes the model's name, of a folder the last part."""
    sees_image: bool | None = None
    """Whether the teacher is sent the picture. None takes what the recipe does: `localized` sends its text alone."""
    temperature: float = Field(default=0.8, ge=0, le=2)
    """LSKD, section 2.2 and methods: 0.8. 0 takes the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    """Tokens are drawn from so many of the likeliest; None draws from all."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest reply, in tokens."""

    @property
    def model_name(self) -> str:
        return self.name or super().model_name

    def reply_identity(self) -> Mapping[str, Any]:
        """See `ChatModelSettings`; with what its weights are known by."""
        return {**self.identity(), "reading": READING_VERSION, "weights": model_version(self.model, self.revision)}

    def sampling(self, seed: int | None = None) -> Sampling:
        """How replies are drawn."""
        return Sampling(self.temperature, self.top_p, self.max_tokens, seed, top_k=self.top_k)


class LocalChat:
    """The model that `settings` name. Entered before use, which loads it; may be called from several threads."""

    def __init__(
        self,
        settings: GeneratorSettings,
        *,
        journal: Journal,
        budget: Budget,
        stop: threading.Event,
        generators: GeneratorPool,
        threads: int = 1,
    ) -> None:
        """`threads` of them decode images that came as files. `budget` counts what is asked of a teacher alone."""
        teaches = isinstance(settings, SelfTeacherSettings)
        self.name, self.endpoint = settings.model_name, "self" if teaches else FREE_ENDPOINT
        self._settings, self._generators, self._threads = settings, generators, threads
        self._model = JournaledModel(self, journal=journal, budget=budget if teaches else Budget(), stop=stop)
        self._resources = ExitStack()
        self._generator: Generator | None = None
        self._weights = ""

    def __enter__(self) -> Self:
        """Raises `SettingsError` if the model cannot be loaded, or is to teach and holds no conversations."""
        self._weights = model_version(self._settings.model, self._settings.revision)
        with ExitStack() as stack:
            self._generator = stack.enter_context(self._generators.lend(self._settings.generator))
            if isinstance(self._settings, SelfTeacherSettings) and self.form != "chat":
                raise SettingsError(
                    f"{self._settings.model}: holds no conversations (it takes one prompt with one image), so it"
                    " cannot be the teacher; name a model with a chat template as teacher.model"
                )
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._generator = None
        self._resources.close()

    @property
    def generator(self) -> Generator:
        """The model itself, on loan."""
        assert self._generator is not None, "a model is entered before it is asked"
        return self._generator

    @property
    def form(self) -> Form:
        """How the model wants to be asked."""
        return self.generator.form

    def chat(self, conversations: Sequence[Conversation]) -> list[Exchange]:
        """One exchange for each conversation, in order. Each batch is journaled in one commit."""
        return with_pictures(conversations, _pixels, self._model.chat, threads=self._threads)

    @property
    def known_by(self) -> Mapping[str, Any]:
        """Weights, and how they are run."""
        settings = self._settings.generator.identity()
        return {"generator": settings, "weights": self._weights, "version": GENERATION_VERSION}

    def batches(self, requests: Sequence[KeyedConversation]) -> GeneratorIterator[Sequence[Answered], None, None]:
        """See `ostensive.chat.turns.Model`."""
        with closing(self.generator.stream_batches([self._seeded(request) for request in requests])) as batches:
            for batch in batches:
                yield [
                    Answered(requests[done.index], replace(done.result, request_key=requests[done.index].key))
                    if isinstance(done.result, NoReply)
                    else Answered(requests[done.index], done.result)
                    for done in batch
                ]

    def _seeded(self, request: KeyedConversation) -> Conversation:
        sampling = request.conversation.sampling
        if sampling.seed is not None:
            return request.conversation
        seed = int(request_key(self.endpoint, request.body)[:15], 16)  # one for all draws of a request
        return replace(request.conversation, sampling=replace(sampling, seed=seed))


def _pixels(picture: Picture, _sent_images: SentImageSettings) -> PIL.Image.Image:
    """The pixels as they are; raises `ImageRefusedError` for a file that cannot be read, and what Pillow raises."""
    if isinstance(picture, PIL.Image.Image):
        picture.load()
        return picture
    return open_rgb(picture.data, None)
