"""The image-text model that a section names, on this machine or served: what it is known by, and how it is asked.

All are asked through `Services.open_chat`, so that a verbalizer is written once and all answers are in the journal.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import PIL.Image

from ostensive.chat.endpoint import ServedModelSettings
from ostensive.chat.records import Chat, Conversation, Form, Message, NoReply, Reply
from ostensive.chat.scripted import Script
from ostensive.fingerprint import fingerprint
from ostensive.models.files import model_version
from ostensive.models.generator_settings import GeneratorSettings
from ostensive.run.services import Services
from ostensive.settings import Settings
from verbalizers.base import DecodedImage, VerbalizerContext
from verbalizers.image_text.settings import DrawSettings

GENERATOR_VERSION = "generator-4"
SERVED_VERSION = "served-3"
_SERVED_IMAGES = 64  # keep a server busy


class ImageTextModel:
    """A model that is asked one question on one image at a time, as many as there are together."""

    def __init__(self, settings: Settings, context: VerbalizerContext, stand_in: Script) -> None:
        """The model that `settings` name, or that of the endpoint; a rehearsal has `stand_in` answer for a server."""
        chosen = settings if isinstance(settings, GeneratorSettings) else context.endpoint
        assert chosen is not None, "a recipe with a section of kind `served` has an endpoint"
        self._settings, self._context, self._stand_in = chosen, context, stand_in
        self.name = chosen.model
        self.images_wanted = chosen.batch_size if isinstance(chosen, GeneratorSettings) else _SERVED_IMAGES
        self._chat: Chat | None = None
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Changes with the weights, see `ostensive.models.files`; of a server with the model and its address."""
        if self._version is None:
            chosen = self._settings
            if isinstance(chosen, GeneratorSettings):
                self._version = f"{GENERATOR_VERSION}:{model_version(chosen.model, chosen.revision)}"
            else:
                # The same where both are the teacher's.
                shared = {name: getattr(chosen, name) for name in ServedModelSettings.model_fields}
                identity = ServedModelSettings.model_validate(shared).identity()
                self._version = f"{SERVED_VERSION}:{fingerprint(identity)[:16]}"
        return self._version

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        """Loads the model unless another has, or opens connections; sends nothing."""
        with services.open_chat(self._settings, self._stand_in) as chat:
            self._chat = chat
            try:
                yield self
            finally:
                self._chat = None

    @property
    def chat(self) -> Chat:
        """The model itself."""
        assert self._chat is not None, "a model is opened before it is asked"
        return self._chat

    @property
    def form(self) -> Form:
        """How the model wants to be asked."""
        return self.chat.form

    def conversation(
        self,
        image: PIL.Image.Image,
        text: str,
        sampling: DrawSettings,
        seed_of: Sequence[str | int],
        *,
        draw: int = 0,
        texts: int = 1,
    ) -> Conversation:
        """One question on one image; `seed_of` names what is asked, and with the run's seed gives its own."""
        seed: int | None = int(fingerprint([self._context.seed, *seed_of])[:15], 16)
        if isinstance(self._settings, ServedModelSettings) and not self._settings.send_seed:
            seed = None
        return Conversation(
            (Message("user", text, (image,)),),
            (),
            sampling.sampling(seed, draw, texts=texts),
            self._context.sent_images,
        )

    def ask(self, asked: Sequence[tuple[DecodedImage, Conversation]]) -> list[Reply | NoReply]:
        """The reply to each conversation; what it cost is put down to its image. Raises as `Chat.chat`."""
        replies = [exchange.replies[0] for exchange in self.chat.chat([conversation for _, conversation in asked])]
        if isinstance(self._settings, ServedModelSettings):
            for (image, _), reply in zip(asked, replies, strict=True):
                image.spend += reply.spend
        return replies
