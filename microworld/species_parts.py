"""How much of the parts of a thing is to be seen: of its body, of its hat, of what it holds.

Counted on the masks that are rendered. A part that is not there has its place all the same: whether something wears no
hat cannot be seen where another thing lies over its head.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from microworld.claims import Kind
from microworld.scenes import MIN_VISIBLE, SIDE_PX, Held, Thing
from microworld.sprites import Layer, layers

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PartsSeen:
    """The share of each part, or of its place, that no later thing covers, 0-1."""

    body: float
    hat: float
    held: float

    def shows(self, what: Kind) -> bool:
        """Whether all the parts that `what` speaks of can be seen well enough to say if it is so."""
        of_body = any(name not in ("hat", "holds") for name in what.said)
        shares = [self.body] if of_body else []
        shares += [self.hat] if what.hat is not None else []
        shares += [self.held] if what.holds is not None else []
        return min(shares, default=0.0) >= MIN_VISIBLE


def parts_seen(things: Sequence[Thing], thing: Thing) -> PartsSeen:
    """What is to be seen of the parts of `thing`, one of `things`, which are in the order in which they are drawn."""
    full = replace(thing, hat=thing.hat or "red", holds=thing.holds or Held("square", "red"))
    body, hat, held = (_mask([layer]) for layer in layers(full, SIDE_PX))
    if thing.holds is not None:
        body, hat = body & ~held, hat & ~held
    if thing.hat is not None:
        body &= ~hat
    above = _mask([layer for other in things if other.number > thing.number for layer in layers(other, SIDE_PX)])
    return PartsSeen(*(1 - float((part & above).sum() / part.sum()) for part in (body, hat, held)))


def _mask(laid: Sequence[Layer]) -> _Mask:
    """`(SIDE_PX, SIDE_PX)`: the pixels that any of the layers draws; what lies outside the picture is left out."""
    mask = np.zeros((SIDE_PX, SIDE_PX), bool)
    for layer in laid:
        cut = max(0, -layer.top)  # the place of a hat that is not there may begin above the picture
        drawn = layer.sprite.drawn[cut:]
        top = layer.top + cut
        mask[top : top + drawn.shape[0], layer.left : layer.left + drawn.shape[1]] |= drawn
    return mask
