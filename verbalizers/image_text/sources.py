"""Where a part has its image-text model from: this machine, or a server.

Both answer the same requests, so that a part is written once; what differs is how a model is had, what it is known by
and how many images keep it busy.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from ostensive.chat.image_text import SentImages, ServedImageText
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.models.files import model_version
from ostensive.models.forms import Form
from ostensive.models.generation import Generated, GenerationRequest, NotGenerated
from ostensive.models.generator import Generator
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.models.pool import GeneratorPool
from ostensive.recipe import ServedModelSettings
from ostensive.settings import Settings
from verbalizers.parts import PartTools

GENERATOR_VERSION = "generator-3"
SERVED_VERSION = "served-2"
_SERVED_IMAGES = 64  # keep a server busy

Answer = Generated | NotGenerated


class ImageText(Protocol):
    """A model that answers requests on images: a `Generator` or a `ServedImageText`."""

    @property
    def form(self) -> Form: ...

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Answer]: ...


class Source(Protocol):
    """Where a part has its model from."""

    name: str  # of the model, for messages
    images_wanted: int

    @property
    def version(self) -> str: ...

    def lend(self, stand_in: Script) -> AbstractContextManager[ImageText]:
        """The model for as long as the context lasts; a rehearsal has a served one say what `stand_in` says."""
        ...


class LocalSource:
    """A model of `transformers`, shared through the pool."""

    def __init__(self, settings: GeneratorSettings, generators: GeneratorPool) -> None:
        self._settings, self._generators = settings, generators
        self.name = settings.model
        self.images_wanted = settings.batch_size
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the weights, see `ostensive.models.files`."""
        if self._version is None:
            known_by = model_version(self._settings.model, self._settings.revision)
            self._version = f"{GENERATOR_VERSION}:{known_by}"
        return self._version

    def lend(self, stand_in: Script) -> AbstractContextManager[Generator]:  # noqa: ARG002 - of the protocol
        """Loads the model unless another part has."""
        return self._generators.lend(self._settings)


class ServedSource:
    """A chat model behind an endpoint."""

    images_wanted = _SERVED_IMAGES

    def __init__(self, tools: PartTools) -> None:
        models, sent = tools.models, tools.sent
        assert models.endpoint is not None, "a recipe with a part of kind `served` has an endpoint"
        assert models.open_chat is not None, "a recipe with a part of kind `served` hands in how to reach it"
        self._endpoint, self._open_chat, self._threads = models.endpoint, models.open_chat, tools.workers.threads
        self._sent = SentImages(sent.max_side_px, sent.jpeg_quality)
        self.name = models.endpoint.model

    @property
    def version(self) -> str:
        """Changes with the model and its address, also where both are the teacher's."""
        asked = ServedModelSettings.model_validate(_shared(self._endpoint)).identity()
        return f"{SERVED_VERSION}:{fingerprint(asked)[:16]}"

    @contextmanager
    def lend(self, stand_in: Script) -> Iterator[ServedImageText]:
        """Opens connections; sends nothing."""
        with self._open_chat(self._endpoint, stand_in) as chat:
            yield ServedImageText(chat, self._sent, send_seed=self._endpoint.send_seed, threads=self._threads)


def _shared(settings: ServedModelSettings) -> Mapping[str, Any]:  # Any: values of settings
    """The fields that every served model has."""
    return {name: getattr(settings, name) for name in ServedModelSettings.model_fields}


def source_of(settings: Settings, tools: PartTools) -> Source:
    """The source for a section: of the kind `generator` the model it names, else the served one."""
    if isinstance(settings, GeneratorSettings):
        return LocalSource(settings.generator, tools.models.generators)
    return ServedSource(tools)
