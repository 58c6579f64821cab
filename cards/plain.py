"""Records as dictionaries, lists and scalars, by functions made once for each record class.

Six times as fast as looking at every value (`ostensive.arrow.plain`), which matters where each record of a corpus
passes by: the hints of a class say beforehand which of its fields hold something to be turned.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

_SCALARS = (str, int, float, bool)


@lru_cache(maxsize=256)
def plainer(hint: Any) -> Callable[[Any], Any] | None:  # Any: type hints and JSON values
    """A function from a value of the type `hint` to plain values; None where values are plain already.

    Knows what `ostensive.arrow.schema_of` knows: scalars, `X | None`, `tuple[X, ...]`, dataclasses, one type argument.
    """
    inner = _without_none(hint)
    if inner in _SCALARS:
        return None
    if typing.get_origin(inner) is tuple:
        return _list_maker(plainer(typing.get_args(inner)[0]))
    if dataclasses.is_dataclass(typing.get_origin(inner) or inner):
        return _dict_maker(inner)
    raise TypeError(f"no plain form for the hint {hint!r}")


def _without_none(hint: Any) -> Any:  # Any: type hints
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return parts[0] if len(parts) == 1 else hint
    return hint


def _list_maker(of_item: Callable[[Any], Any] | None) -> Callable[[Any], Any]:  # Any: JSON values
    return list if of_item is None else lambda values: [of_item(value) for value in values]


def _dict_maker(record: Any) -> Callable[[Any], Any]:  # Any: a dataclass or a parametrised one; JSON values
    origin = typing.get_origin(record) or record
    parameters = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(record), strict=True))
    hints = typing.get_type_hints(origin)
    names = tuple(field.name for field in dataclasses.fields(origin))
    makers = [(name, plainer(parameters.get(hints[name], hints[name]))) for name in names]
    nested = [(name, make) for name, make in makers if make is not None]
    values_of = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def make_dict(value: Any) -> dict[str, Any]:
        made = dict(zip(names, values_of(value), strict=True))
        for name, make in nested:
            if made[name] is not None:
                made[name] = make(made[name])
        return made

    return make_dict
