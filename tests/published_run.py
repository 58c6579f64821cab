"""A run to publish, made in a moment, of a recipe that no room knows, and the Hub's client set up for a test's Hub."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import caption_kind
import pytest
from drawing import write_scenes
from hub_server import Hub
from hub_state import User

from cards.assembling import publish
from cards.hub.client import HubClient
from cards.hub.plan import PublishPlan
from cards.hub.preparing import PublishOptions
from cards.hub.publishing import Publication, Published
from cards.reading import Corpus
from ostensive.run.build import Build
from ostensive.run.folder import RunFolder

TOKEN = "hf_nobodyShouldEverReadThisInAFile"
ME = User("me", organizations=("team",))
CORPUS = {
    "name": "noted",
    "license": "cc0-1.0",
    "source": "drawn",
    "intended_use": "to test",
    "contact": "someone@example.org",
    "max_shard_samples": 2,
    "max_shard_bytes": 10_000,
}


@dataclass
class PublishedRun:
    """A run of captions and what is done with it."""

    images: Path
    path: Path
    said: list[str] = field(default_factory=list)
    licenses: Mapping[str, str] = field(default_factory=dict)  # by the name of an image's file
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def corpus(self) -> Path:
        return self.path / "corpus"

    def recipe(self, **corpus: Any) -> caption_kind.CaptionRecipe:
        notes = {path.name: f"a note on {path.stem}" for path in sorted(self.images.iterdir())}
        given = {"notes": notes, "licenses": dict(self.licenses), "urls": dict(self.urls)}
        values = {"recipe": "captions", **given, "corpus": {**CORPUS, **corpus}, "run": {"partition_size": 3}}
        return caption_kind.CaptionRecipe.model_validate(values)

    def build(self, **corpus: Any) -> Corpus:
        return Build(self.recipe(**corpus), caption_kind.KIND, publish).from_images(self.images, self.path)

    def publication(
        self, confirm: Callable[[PublishPlan], bool] = lambda _plan: True, stop: Any = None, **options: Any
    ) -> Publication:
        corpus = options.pop("corpus", {})
        return Publication(
            self.run,
            self.recipe(**corpus),
            caption_kind.KIND,
            PublishOptions(**options),
            HubClient(self.said.append, (0.01, 0.02)),
            confirm,
            stop,
            self.said.append,
        )

    def publish(self, name: str = "me/noted", **options: Any) -> Published:
        return self.publication(**options).carry_out(name)

    def files(self) -> dict[str, bytes]:
        """The files of the corpus, by their path in it."""
        return {
            path.relative_to(self.corpus).as_posix(): path.read_bytes()
            for path in sorted(self.corpus.rglob("*"))
            if path.is_file()
        }


def drawn_run(
    folder: Path, images: int = 7, *, licenses: Mapping[str, str] | None = None, urls: Mapping[str, str] | None = None
) -> PublishedRun:
    """A run with a corpus; `licenses` and `urls` are those of images by the names of their files."""
    drawn = write_scenes(folder / "images", images)
    found = PublishedRun(drawn, folder / "run", licenses=licenses or {}, urls=urls or {})
    found.build()
    return found


def logged_in(patch: pytest.MonkeyPatch, hub: Hub, folder: Path, user: User = ME, token: str | None = TOKEN) -> None:
    """The library of the Hub as a user of `hub` has it: it reads its settings once, when it is imported."""
    from huggingface_hub import constants

    hub.users[TOKEN] = user
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    settings = {
        "ENDPOINT": hub.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_TOKEN_PATH": str(folder / "token"),
        "HF_HUB_CACHE": str(folder / "cache"),
    }
    for name, value in settings.items():
        patch.setattr(constants, name, value)
    patch.delenv("HF_TOKEN", raising=False)
    if token is not None:
        patch.setenv("HF_TOKEN", token)
