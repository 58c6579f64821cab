"""Records as dictionaries, lists and scalars, by functions made once for each record class.

The hints of a class say beforehand which of its fields hold something to be turned, which is several times as fast as
looking at every value (`dataclasses.asdict`, which copies scalars too) and matters where each record passes by.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

_SCALARS = (str, int, float, bool)


def hints_of(record: Any) -> dict[str, Any]:  # Any: type hints have no common type
    """The hint of each field of a dataclass, in order, with type arguments (`Judged[Qar]`) put in."""
    origin = typing.get_origin(record) or record
    hints = typing.get_type_hints(origin)
    parameters = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(record), strict=False))
    return {field.name: parameters.get(hints[field.name], hints[field.name]) for field in dataclasses.fields(origin)}


def without_none(hint: Any) -> tuple[Any, bool]:  # Any: as above
    """`X` and True for the hint `X | None`; any other hint and False."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(inner) == 1:
            return inner[0], True
    return hint, False


@lru_cache(maxsize=256)
def plainer(hint: Any) -> Callable[[Any], Any] | None:  # Any: type hints and JSON values
    """A function from a value of the type `hint` to plain values; None where values are plain already.

    Knows what `ostensive.arrow.schema_of` knows: scalars, `X | None`, `tuple[X, ...]`, dataclasses, one type argument.
    """
    inner, _ = without_none(hint)
    if inner in _SCALARS:
        return None
    if typing.get_origin(inner) is tuple:
        return _list_maker(plainer(typing.get_args(inner)[0]))
    if dataclasses.is_dataclass(typing.get_origin(inner) or inner):
        return _dict_maker(inner)
    raise TypeError(f"no plain form for the hint {hint!r}")


def _list_maker(of_item: Callable[[Any], Any] | None) -> Callable[[Any], Any]:  # Any: JSON values
    return list if of_item is None else lambda values: [of_item(value) for value in values]


def _dict_maker(record: Any) -> Callable[[Any], Any]:  # Any: a dataclass or a parametrised one; JSON values
    hints = hints_of(record)
    names = tuple(hints)
    makers = [(name, plainer(hint)) for name, hint in hints.items()]
    nested = [(name, make) for name, make in makers if make is not None]
    values_of = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def make_dict(value: Any) -> dict[str, Any]:
        made = dict(zip(names, values_of(value), strict=True))
        for name, make in nested:
            if made[name] is not None:
                made[name] = make(made[name])
        return made

    return make_dict
