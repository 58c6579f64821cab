"""The stage `signatures`: what each image is compared by, where splits or a benchmark ask for near duplicates."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self  # Any: JSON values of any depth

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ostensive.errors import one_line
from ostensive.images.loader import ImageLoader
from ostensive.images.near_pairs import Gallery, Places, Vectors, empty_gallery
from ostensive.images.near_settings import EmbeddingSettings, PerceptualSettings
from ostensive.images.perceptual import CUTS, HASHES, THUMBNAIL_BYTES, VERSION, looks_of
from ostensive.models.batching import BatchSize, Steps, each_in_batches
from ostensive.models.clip_files import weights_version
from ostensive.models.clip_model import ClipModel
from ostensive.records import ImageRecord, ImageSignature
from ostensive.run.services import Services
from ostensive.stage import Evidence, Failed, Kept, Outcome, Stage

if TYPE_CHECKING:
    import torch

SIGNATURES: Final = "signatures"
UNREADABLE: Final = "image cannot be read"
NOT_ENCODED: Final = "image cannot be encoded"
_IMAGES_A_CALL: Final = 64
_DECIMALS: Final = 4  # of embeddings: the batch in which an image is encoded moves them by some 1e-7

Compared = PerceptualSettings | EmbeddingSettings


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a thread made of an image: its signature by its pixels, and what a model takes."""

    signature: ImageSignature
    tensor: "torch.Tensor | None"


@dataclass(frozen=True, slots=True)
class _Open:
    """What the stage has while it is open."""

    loader: ImageLoader
    pool: ThreadPoolExecutor
    model: ClipModel | None


class SignatureStage(Stage[ImageRecord, ImageSignature]):
    """Hashes images, and embeds them where the settings name a model."""

    name = SIGNATURES
    record_in = ImageRecord
    record_out = ImageSignature
    images_at_once = _IMAGES_A_CALL

    def __init__(self, settings: Compared) -> None:
        """Raises `SettingsError` for a model that cannot be."""
        self._settings = settings
        self._clip = ClipModel(settings) if isinstance(settings, EmbeddingSettings) else None
        self._open: _Open | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"version": VERSION, **embedding_identity(self._settings)}

    @contextmanager
    def opened(self, services: Services) -> Iterator[Self]:
        with ExitStack() as stack:
            model = None if self._clip is None else stack.enter_context(self._clip.opened())
            pool = stack.enter_context(ThreadPoolExecutor(services.threads, thread_name_prefix="signatures"))
            self._open = _Open(services.images, pool, model)
            try:
                yield self
            finally:
                self._open = None

    def process(self, rows: Sequence[ImageRecord], evidence: Evidence) -> list[Outcome[ImageSignature]]:  # noqa: ARG002 - of a stage
        """The signature of each image; one that cannot be read or encoded any more is `Failed`."""
        assert self._open is not None, "a stage is opened before it works"
        return self._encoded(list(self._open.pool.map(self._look, rows)))

    def _look(self, row: ImageRecord) -> _Seen | Failed[ImageSignature]:
        assert self._open is not None, "as above"
        try:
            picture = self._open.loader.load(row)
            looks = looks_of(picture)
            tensor = None if self._open.model is None else self._open.model.preprocess(picture)
        except Exception as error:  # noqa: BLE001 - the boundary of one image
            return Failed(UNREADABLE, one_line(error))
        if looks is None:
            return _Seen(ImageSignature(row.image_id, (), ""), tensor)
        hashes = tuple(f"{value:016x}" for value in looks.hashes.tolist())
        return _Seen(ImageSignature(row.image_id, hashes, looks.thumbnails.tobytes().hex()), tensor)

    def _encoded(self, seen: Sequence[_Seen | Failed[ImageSignature]]) -> list[Outcome[ImageSignature]]:
        assert self._open is not None, "as above"
        model, settings = self._open.model, self._settings
        tensors = [one.tensor for one in seen if isinstance(one, _Seen) and one.tensor is not None]
        made: list[Any] = []  # vectors, and errors of single images
        if model is not None and isinstance(settings, EmbeddingSettings):

            def encode(batch: "torch.Tensor") -> Sequence[Any]:
                return list(model.encode_images(batch).cpu().numpy())

            steps = Steps(model.stack, encode)
            made = each_in_batches(tensors, BatchSize(settings.batch_size, settings.model), steps)
        vectors = iter(made)
        outcomes: list[Outcome[ImageSignature]] = []
        for one in seen:
            if isinstance(one, Failed):
                outcomes.append(one)
            elif one.tensor is None:
                outcomes.append(Kept((one.signature,)))
            else:
                outcomes.append(_with_embedding(one.signature, next(vectors)))
        return outcomes


def _with_embedding(signature: ImageSignature, vector: Any) -> Outcome[ImageSignature]:
    if isinstance(vector, Exception):
        return Failed(NOT_ENCODED, one_line(vector))
    if not np.isfinite(vector).all():
        return Failed(NOT_ENCODED, "the model's features are not finite numbers")
    rounded = np.round(vector.astype(np.float64), _DECIMALS) + 0.0
    return Kept((ImageSignature(signature.image_id, signature.hashes, signature.thumbnails, tuple(rounded.tolist())),))


def embedding_identity(settings: Compared) -> dict[str, Any]:
    """What embeddings depend on besides the pixels; nothing where there are none. Raises `SettingsError`."""
    if not isinstance(settings, EmbeddingSettings):
        return {}
    weights = weights_version(settings.model, settings.weights)
    return {"model": settings.identity()["model"], "weights": weights, "dtype": settings.dtype}


SIGNATURE_FIELDS: Final = (
    pa.field("hashes", pa.binary()),
    pa.field("thumbnails", pa.binary()),
    pa.field("embedding", pa.list_(pa.float32())),
)
"""The columns of a table of signatures beside those that say whose they are; bytes are empty where there is nothing."""


def signature_columns(signatures: Sequence[ImageSignature | None]) -> dict[str, list[Any]]:
    """The values of `SIGNATURE_FIELDS`."""
    return {
        "hashes": [b"" if one is None else bytes.fromhex("".join(one.hashes)) for one in signatures],
        "thumbnails": [b"" if one is None else bytes.fromhex(one.thumbnails) for one in signatures],
        "embedding": [[] if one is None else list(one.embedding) for one in signatures],
    }


def gallery_from(table: pa.Table) -> tuple[Gallery, Places]:
    """The images of a table with `SIGNATURE_FIELDS` that can be compared, and their places in it."""
    lengths = pc.list_value_length(table.column("embedding")).to_numpy()
    is_hashed = pc.binary_length(table.column("hashes")).to_numpy() > 0
    places = np.flatnonzero(is_hashed | (lengths > 0)).astype(np.int64)
    if not len(places):
        return empty_gallery(), places
    rows = np.flatnonzero(is_hashed[places])
    hashes = np.zeros((len(places), HASHES), np.uint64)
    thumbnails = np.zeros((len(places), CUTS, THUMBNAIL_BYTES), np.int8)
    found = table.take(places[rows])
    hashes[rows] = np.frombuffer(_joined(found.column("hashes")), ">u8").reshape(-1, HASHES)
    thumbnails[rows] = np.frombuffer(_joined(found.column("thumbnails")), np.int8).reshape(-1, *thumbnails.shape[1:])
    # What has no hash is near to none: no two have the same here, and no thumbnail is like one of zeros.
    others = np.flatnonzero(~is_hashed[places])
    hashes[others] = (others.astype(np.uint64) * _SPREAD)[:, None]
    return Gallery(hashes, thumbnails, _embeddings(table, places, lengths)), places


_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: multiples of it lie far apart


def _joined(column: pa.ChunkedArray) -> bytes:
    return b"".join(column.to_pylist())


def _embeddings(table: pa.Table, places: Places, lengths: npt.NDArray[Any]) -> Vectors | None:
    width = int(lengths.max())
    if not width:
        return None
    vectors = np.zeros((len(places), width), dtype=np.float32)
    rows = np.flatnonzero(lengths[places] > 0)
    flat = pc.list_flatten(table.take(places[rows]).column("embedding"))
    vectors[rows] = flat.to_numpy().reshape(-1, width)
    return vectors
