"""Concepts by a contrastive image-text model: three sentences on place, objects and ideas (LSKD, section 2.1).

An image is compared with every label of three lists, and the likeliest labels of each are put into a sentence of its
own; the paper has three sentences, and a teacher reads them with every prompt.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ostensive.fingerprint import fingerprint
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.caches import cache_folder
from ostensive.models.clip_files import weights_version
from ostensive.models.clip_model import ClipModel
from ostensive.run.services import Services
from verbalizers.base import DecodedImage, ImageFailure, Verbalizer, VerbalizerContext, Workers, describe_error
from verbalizers.clip.retrieval import LabelIndex, retrieve, sense_numbers, senses_of
from verbalizers.clip.settings import ClipConceptSettings, LabelListSettings
from verbalizers.clip.text_features import remembered
from verbalizers.label_lists import BUILT_IN, LabelList, load_labels, sense_key
from verbalizers.words import listing

if TYPE_CHECKING:
    import torch

CLIP_VERSION = "clip-1"
_SENTENCES = {
    "places": "The scene most likely shows this kind of place: {}.",
    "objects": "Among the things in view there seem to be: {}.",
    "concepts": "It may also have to do with: {}.",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch as the model takes it, without the images that cannot be prepared."""

    pixels: "torch.Tensor | None"
    failures: tuple[ImageFailure | None, ...]  # of each image


class ClipConcepts(Verbalizer):
    """The concepts of the kind `clip`."""

    def __init__(self, settings: ClipConceptSettings, context: VerbalizerContext) -> None:  # noqa: ARG002 - of every verbalizer
        """Raises `SettingsError` for lists that cannot be read and for a model that cannot be."""
        self._settings = settings
        self._model = ClipModel(settings)
        self._size = BatchSize(settings.batch_size, settings.model)
        sections = {"places": settings.places, "objects": settings.objects, "concepts": settings.concepts}
        self._sections: dict[str, LabelListSettings] = {k: value for k, value in sections.items() if value.top_k}
        self._lists = {name: _read_list(name, section) for name, section in self._sections.items()}
        self._indexes: dict[str, LabelIndex] = {}
        self._version: str | None = None
        self.images_wanted = 2 * settings.batch_size  # two batches, so that one is prepared beside the other

    @property
    def version(self) -> str:
        """Changes with the content of the lists and with the weights, see `ostensive.models.files`."""
        if self._version is None:
            lists = {name: labels.fingerprint for name, labels in self._lists.items()}
            weights = weights_version(self._settings.model, self._settings.weights)
            self._version = f"{CLIP_VERSION}:{fingerprint([lists, weights])[:16]}"
        return self._version

    @contextmanager
    def opened(self, services: Services, workers: Workers) -> Iterator[Self]:
        """Loads the model, and the features of the labels or works them out."""
        with super().opened(services, workers), self._model.opened():
            known: dict[str, int] = {}
            self._indexes = {name: self._index(name, known) for name in self._sections}
            try:
                yield self
            finally:
                self._indexes = {}

    def concepts(self, images: Sequence[DecodedImage]) -> Sequence[tuple[str, ...] | ImageFailure]:
        """One sentence a list that has something to say, for each image."""
        found = each_in_batches(images, self._size, Steps(self._prepare, self._work))
        return [ImageFailure(describe_error(one)) if isinstance(one, Exception) else one for one in found]

    def _prepare(self, images: Sequence[DecodedImage]) -> _Ready:
        prepared = self.workers.map(lambda image: self._model.preprocess(image.pixels), images)
        tensors = [tensor for tensor in prepared if not isinstance(tensor, ImageFailure)]
        failures = tuple(tensor if isinstance(tensor, ImageFailure) else None for tensor in prepared)
        return _Ready(self._model.stack(tensors) if tensors else None, failures)

    def _work(self, ready: _Ready) -> list[tuple[str, ...] | ImageFailure]:
        made = iter(self._sentences(ready.pixels) if ready.pixels is not None else [])
        return [next(made) if failure is None else failure for failure in ready.failures]

    def _sentences(self, pixels: "torch.Tensor") -> list[tuple[str, ...] | ImageFailure]:
        import torch

        with torch.inference_mode():
            features = self._model.encode_images(pixels).to(self._ranking_device)
            is_finite = features.isfinite().all(dim=1).tolist()
            barred = torch.zeros((len(pixels), 0), dtype=torch.int64, device=features.device)
            sentences: list[list[str]] = [[] for _ in pixels]
            for name, section in self._sections.items():
                index = self._indexes[name]
                positions = retrieve(features, index, section.top_k, self._settings.max_label_cosine, barred)
                barred = torch.cat([barred, senses_of(positions, index)], dim=1)
                labels = self._lists[name].labels
                for of_image, found in zip(sentences, positions.tolist(), strict=True):
                    of_image.extend(concept_sentence(name, [labels[place] for place in found if place >= 0]))
        return [
            tuple(of_image) if fine else ImageFailure("the model's features of the image are not finite numbers")
            for of_image, fine in zip(sentences, is_finite, strict=True)
        ]

    @property
    def _ranking_device(self) -> str:
        # Apple's devices lack some of the whole-number operations that ranking needs.
        return self._model.device if self._model.device.startswith("cuda") else "cpu"

    def _index(self, name: str, known: dict[str, int]) -> LabelIndex:
        import torch

        labels = self._lists[name].labels
        texts = [self._sections[name].template.replace("{label}", label) for label in labels]
        asked = self._settings.cache_folder
        folder = Path(asked) if asked is not None else cache_folder("text-features")
        features = remembered(
            folder,
            self._model.text_identity(texts),
            len(texts),
            lambda: self._model.encode_texts(texts).numpy(),
        )
        senses = sense_numbers([sense_key(label) for label in labels], known)
        return LabelIndex(
            torch.from_numpy(features).to(self._ranking_device),
            torch.tensor(senses, dtype=torch.int64, device=self._ranking_device),
        )


def concept_sentence(name: str, labels: Sequence[str]) -> list[str]:
    """The sentence of the list `name` on `labels`, likeliest first; none where there are none."""
    if not labels:
        return []
    listed = listing(labels) if name != "places" else " or ".join(labels)
    return [_SENTENCES[name].format(listed)]


def _read_list(name: str, section: LabelListSettings) -> LabelList:
    labels = load_labels(section.labels)
    if labels.repeated and section.labels not in BUILT_IN:  # nobody can mend a built-in list
        _log.warning(
            "%s: %s repeats %d of its labels; each counts once (%d labels)",
            name,
            section.labels,
            labels.repeated,
            len(labels.labels),
        )
    return labels
