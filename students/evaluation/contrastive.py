"""CLIP-like models as scorers: the cosine of a picture and a text, by open_clip or by transformers.

A text that is longer than the model reads is cut, as the libraries do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol  # Any: transformers types its classes in part

import PIL.Image

from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.clip_files import FOLDER, HUB
from ostensive.models.clip_model import ClipModel
from ostensive.models.devices import give_back_memory
from students.evaluation.models import EvaluatedModel, load_pretrained

if TYPE_CHECKING:
    import torch


class Encoder(Protocol):
    """Encodes pictures and texts to unit vectors of one space."""

    def pictures(self, pictures: Sequence[PIL.Image.Image]) -> "torch.Tensor":
        """`(pictures, width)` float32."""
        ...

    def texts(self, texts: Sequence[str]) -> "torch.Tensor":
        """`(texts, width)` float32."""
        ...


@dataclass(frozen=True, slots=True)
class _OpenClipSettings:
    """What `ClipModel` is told; see `ostensive.models.clip_model.ClipModelSettings`."""

    model: str
    dtype: str
    device: str
    pretrained: str | None = None

    @property
    def weights(self) -> str | None:
        return None if self.model.startswith((HUB, FOLDER)) else "openai"


@contextmanager
def open_contrastive(model: EvaluatedModel) -> Iterator["Contrast"]:
    """The model as long as the context lasts; raises `SettingsError` in one line where it cannot be had."""
    settings = model.settings
    size = BatchSize(settings.batch_size, model.name)
    if model.is_open_clip:
        dtype = "float32" if settings.dtype == "auto" else settings.dtype
        with ClipModel(_OpenClipSettings(model.name, dtype, settings.device)).opened() as clip:
            yield Contrast(_OpenClip(clip), size)
        return
    yield Contrast(_load_transformers(model), size)
    give_back_memory()


class Contrast:
    """How well texts fit pictures, by cosine."""

    def __init__(self, encoder: Encoder, size: BatchSize) -> None:
        self._encoder = encoder
        self._size = size

    def similarities(
        self, pictures: Sequence[PIL.Image.Image], texts: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Exception]:
        """For each picture the cosine with each of its texts."""
        different = list(dict.fromkeys(text for some in texts for text in some))
        of_pictures = self._each(pictures, self._encoder.pictures)
        of_texts = dict(zip(different, self._each(different, self._encoder.texts), strict=True))
        results: list[tuple[float, ...] | Exception] = []
        for picture, some in zip(of_pictures, texts, strict=True):
            vectors = [picture, *(of_texts[text] for text in some)]
            errors = [vector for vector in vectors if isinstance(vector, Exception)]
            if errors:
                results.append(errors[0])
                continue
            one, *others = (vector for vector in vectors if not isinstance(vector, Exception))
            results.append(tuple(float(one @ other) for other in others))
        return results

    def _each(self, rows: Sequence[Any], encode: Any) -> "list[torch.Tensor | Exception]":
        def work(batch: Sequence[Any]) -> "Sequence[torch.Tensor]":
            vectors: torch.Tensor = encode(batch)
            return vectors.cpu().unbind()

        steps: Steps[Any, Sequence[Any], Sequence[torch.Tensor]] = Steps(lambda batch: batch, work)
        return each_in_batches(rows, self._size, steps)


class _OpenClip:
    """`Encoder` by open_clip."""

    def __init__(self, clip: ClipModel) -> None:
        self._clip = clip

    def pictures(self, pictures: Sequence[PIL.Image.Image]) -> "torch.Tensor":
        return self._clip.encode_images(self._clip.stack([self._clip.preprocess(picture) for picture in pictures]))

    def texts(self, texts: Sequence[str]) -> "torch.Tensor":
        return self._clip.encode_texts(texts)


class _Transformers:
    """`Encoder` by transformers."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor

    def pictures(self, pictures: Sequence[PIL.Image.Image]) -> "torch.Tensor":
        inputs = self._processor.image_processor(images=list(pictures), return_tensors="pt")
        return self._unit(self._model.get_image_features, inputs)

    def texts(self, texts: Sequence[str]) -> "torch.Tensor":
        tokenizer = self._processor.tokenizer
        # SigLIP was trained on texts that are padded to their full length, and has no mask.
        padding = "max_length" if self._model.config.model_type.startswith("siglip") else True
        limit = self._model.config.text_config.max_position_embeddings
        inputs = tokenizer(list(texts), padding=padding, truncation=True, max_length=limit, return_tensors="pt")
        return self._unit(self._model.get_text_features, inputs)

    def _unit(self, encode: Any, inputs: Any) -> "torch.Tensor":
        import torch

        with torch.inference_mode():
            moved = {name: value.to(self._model.device) for name, value in inputs.items()}
            if "pixel_values" in moved:
                moved["pixel_values"] = moved["pixel_values"].to(self._model.dtype)
            found = encode(**moved)
            features: torch.Tensor = getattr(found, "pooler_output", found)
            return torch.nn.functional.normalize(features.float(), dim=-1)


def _load_transformers(model: EvaluatedModel) -> _Transformers:
    return _Transformers(*load_pretrained(model, "AutoModelForZeroShotImageClassification"))
