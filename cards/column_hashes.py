"""A number for every value of an Arrow column, by which rows of two corpora are compared without holding their text.

Equal values have equal numbers, whatever file or batch they stand in; different ones have different numbers but for
chance (64 bits). Lists and structs are worked out from the numbers of what is in them, so that no value becomes an
object of Python but each distinct text once a batch.
"""

import hashlib
from typing import Any, Final  # Any: pyarrow has no types

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

_NULL: Final = np.uint64(0x9E3779B97F4A7C15)
_LIST: Final = np.uint64(0xD1B54A32D192ED03)
_PLACE: Final = np.uint64(0x8CB92BA72F3D8DD7)  # odd, so that no two places in a list count alike


def text_hash(text: str) -> int:
    """The number of a text, as `hashes_of` gives it."""
    return _of_bytes(text.encode("utf-8"))


def hashes_of(column: Any) -> Hashes:
    """The numbers of the values of an Arrow array, `(length,) uint64`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return hashes_of(column.dictionary_decode())
    if pa.types.is_struct(kind):
        return _of_structs(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _of_lists(column)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _where_there(column, mixed(_numbers(column, pa.int64(), np.int64).view(np.uint64)))
    if pa.types.is_floating(kind):
        return _where_there(column, mixed((_numbers(column, pa.float64(), np.float64) + 0.0).view(np.uint64)))
    return _of_texts(column)


def joined(first: Hashes, second: Hashes) -> Hashes:
    """One number for two, in this order."""
    return mixed(mixed(first) + second)


def mixed(values: Hashes) -> Hashes:
    """Numbers with every bit depending on every bit: the finalizer of splitmix64 (Steele et al., OOPSLA 2014)."""
    mixing = values + _NULL
    mixing = (mixing ^ (mixing >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixing = (mixing ^ (mixing >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixing ^ (mixing >> np.uint64(31))


def _of_texts(column: Any) -> Hashes:
    encoded = column.dictionary_encode()
    distinct = np.array([_of_value(value) for value in encoded.dictionary.to_pylist()], np.uint64)
    if not len(distinct):
        return np.full(len(column), _NULL, np.uint64)
    return _where_there(column, distinct[_numbers(encoded.indices, pa.int64(), np.int64)])


def _of_value(value: Any) -> int:
    if isinstance(value, str):
        return _of_bytes(value.encode("utf-8"))
    return _of_bytes(value if isinstance(value, bytes) else repr(value).encode("utf-8"))


def _of_bytes(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _of_structs(column: Any) -> Hashes:
    found = np.zeros(len(column), np.uint64)
    for field, values in zip(column.type, column.flatten(), strict=True):
        found = joined(found + np.uint64(text_hash(field.name)), hashes_of(values))
    return _where_there(column, found)


def _of_lists(column: Any) -> Hashes:
    lengths = _numbers(pc.list_value_length(column), pa.int64(), np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    places = (np.arange(ends[-1] if len(ends) else 0) - np.repeat(starts, lengths)).astype(np.uint64)
    items = mixed(hashes_of(column.flatten()) + (places + np.uint64(1)) * _PLACE)
    # Sums of uint64 wrap around, so that the difference of two running sums is the sum between them.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(items, dtype=np.uint64)])
    return _where_there(column, mixed(sums[ends] - sums[starts] + lengths.astype(np.uint64) + _LIST))


def _numbers(column: Any, kind: Any, numpy_kind: Any) -> Any:
    """The values as numpy has them, 0 where there is none."""
    return np.asarray(pc.fill_null(column.cast(kind), 0).to_numpy(zero_copy_only=False), numpy_kind)


def _where_there(column: Any, found: Hashes) -> Hashes:
    if not column.null_count:
        return found
    return np.where(pc.is_null(column).to_numpy(zero_copy_only=False), _NULL, found)
