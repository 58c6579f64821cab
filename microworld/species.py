"""Species: families of things that are told apart by several visible marks together, with what an expert says of each.

They are this world's birds and plants: a folder of specimens has labels, and each label has a list of concepts, of
which some are not to be seen in a given picture. The table is such that
- no mark tells a species: whatever is so of one species may be so of another;
- any two differ in at least two marks, so that one part misread makes no other species of a specimen;
- one of these is on the body (shape, colour, pattern, pose), so that a specimen without its hat and with empty hands,
  which both may be lost, is of one species still;
- each leaves something open, so that individuals differ.

Names are words of no language and of no other use in this world. Concepts follow from the definition rather than
standing beside it: an expert's list that contradicts the table cannot be written.

A part that is not there has its place all the same: whether something wears no hat cannot be seen where another thing
lies over its head. How much is visible is counted on the masks that are rendered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from microworld.claims import HeldKind, Kind
from microworld.scenes import MIN_VISIBLE, POSES, SIDE_PX, Colour, Held, Pattern, Pose, Shape, Thing
from microworld.sprites import Layer, layers


@dataclass(frozen=True, slots=True)
class Concept:
    """What an expert names: short words, and what has to be so of a thing for them to be true."""

    words: str
    what: Kind
    constant: bool  # so of every individual; others are of a colour among several, or of a part that may be lost


@dataclass(frozen=True, slots=True)
class Species:
    """A species. What is None is open: it differs from one individual to the next, as size and place always do."""

    name: str
    shape: Shape
    colours: tuple[Colour, ...]  # an individual has one of them
    pattern: Pattern | None
    hat: Colour | Literal["none"] | None
    holds: HeldKind | Literal["nothing"]
    poses: tuple[Pose, ...] = ()  # of figures

    def has_body(self, thing: Thing) -> bool:
        """Whether the body of `thing` is of this species."""
        looks = thing.shape == self.shape and thing.colour in self.colours and self.pattern in (None, thing.pattern)
        return looks and (thing.pose is None or thing.pose in self.poses)

    def includes(self, thing: Thing) -> bool:
        """Whether `thing` is of this species: its body is, and it has no hat and holds nothing that is another's."""
        hat = self.hat is None or thing.hat is None or thing.hat == self.hat
        if thing.holds is None:
            return self.has_body(thing) and hat
        return self.has_body(thing) and hat and self.holds != "nothing" and self.holds.fits(thing.holds)

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The expert's list, 6 to 9 concepts; no two are alike."""
        found = [_concept(Kind(shape=self.shape))]
        found += [_concept(Kind(colour=colour), constant=len(self.colours) == 1) for colour in self.colours]
        found += [] if self.pattern is None else [_concept(Kind(pattern=self.pattern))]
        found += [_concept(Kind(pose=self.poses[0]))] if len(self.poses) == 1 else []
        if self.hat == "none":
            found.append(_concept(Kind(hat="none")))
        elif self.hat is not None:
            found += [_concept(Kind(hat=hat), constant=False) for hat in ("any", self.hat)]
        return (*found, *(_concept(Kind(holds=held), constant=held == "nothing") for held in self._held()))

    def _held(self) -> tuple[HeldKind | Literal["nothing"], ...]:
        """What is said of what it holds, the least first."""
        if self.holds == "nothing":
            return ("nothing",)
        return tuple(dict.fromkeys((HeldKind(), HeldKind(self.holds.shape), self.holds)))


def _concept(what: Kind, *, constant: bool = True) -> Concept:
    return Concept(concept_words(what), what, constant)


def concept_words(what: Kind) -> str:
    """The words of a concept that says one thing: "a striped body", "a red hat", "holds a white ring"."""
    match what:
        case Kind(shape=str(shape)):
            return f"the shape of a {shape}"
        case Kind(colour=str(look)) | Kind(pattern=str(look)):
            return f"{'an' if look == 'orange' else 'a'} {look} body"
        case Kind(pose=str(pose)):
            return f"a {pose} pose"
        case Kind(hat=str(hat)):
            return {"none": "no hat", "any": "a hat", "orange": "an orange hat"}.get(hat, f"a {hat} hat")
        case Kind(holds="nothing"):
            return "holds nothing"
        case Kind(holds=HeldKind(None, None)):
            return "holds something"
        case Kind(holds=HeldKind(shape, colour)):
            phrase = " ".join(filter(None, (colour, shape or "thing")))
            return f"holds {'an' if phrase[0] == 'o' else 'a'} {phrase}"
    raise ValueError(f"a concept says one thing, and not of a size: {what}")


_RING, _CROSS, _HEART, _DIAMOND = HeldKind("ring"), HeldKind("cross"), HeldKind("heart"), HeldKind("diamond")
SPECIES: tuple[Species, ...] = (
    Species("bavri", "hexagon", ("yellow", "white"), "dotted", "green", "nothing"),
    Species("dorvel", "hexagon", ("blue", "purple"), "plain", "none", HeldKind("diamond", "white")),
    Species("gresk", "star", ("red", "orange"), "dotted", "green", HeldKind("diamond", "white")),
    Species("hulna", "heart", ("yellow",), "striped", "white", _DIAMOND),
    Species("kwen", "figure", ("green",), "plain", "red", _HEART, ("waving",)),
    Species("mirvo", "heart", ("blue", "purple"), "striped", "none", _CROSS),
    Species("nusk", "star", ("yellow", "white"), None, "black", "nothing"),
    Species("obrin", "figure", ("green", "blue"), "plain", "red", "nothing", ("sitting",)),
    Species("plimo", "hexagon", ("yellow",), "plain", None, HeldKind("cross", "black")),
    Species("skend", "heart", ("blue", "purple"), "dotted", "white", _CROSS),
    Species("tarnu", "star", ("blue",), "striped", "none", _RING),
    Species("velm", "star", ("red", "orange"), "striped", "green", _RING),
    Species("wenta", "figure", ("green",), "striped", "black", _HEART, POSES),
    Species("yolt", "hexagon", ("red", "orange"), None, "green", HeldKind("heart", "black")),
    Species("zubra", "figure", ("red", "orange"), "striped", "black", "nothing", ("waving",)),
)
"""Every species, by name."""
NAMES: tuple[str, ...] = tuple(species.name for species in SPECIES)
_BY_NAME = {species.name: species for species in SPECIES}


def species_named(name: str) -> Species:
    """The species of a name; raises `KeyError` where there is none."""
    return _BY_NAME[name]


def species_of(thing: Thing) -> Species | None:
    """The one species that a thing is of, or None."""
    return next((species for species in SPECIES if species.includes(thing)), None)


_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PartVisibility:
    """The share of each part, or of its place, that no later thing covers, 0-1."""

    body: float
    hat: float
    held: float

    def shows(self, what: Kind) -> bool:
        """Whether all the parts that `what` speaks of can be seen well enough to say if it is so."""
        of_body = any(name not in ("hat", "holds") for name in what.aspects)
        shares = [self.body] if of_body else []
        shares += [self.hat] if what.hat is not None else []
        shares += [self.held] if what.holds is not None else []
        return min(shares, default=0.0) >= MIN_VISIBLE


def part_visibility(things: Sequence[Thing], thing: Thing) -> PartVisibility:
    """What is to be seen of the parts of `thing`, one of `things`, which are in the order in which they are drawn."""
    full = replace(thing, hat=thing.hat or "red", holds=thing.holds or Held("square", "red"))
    body, hat, held = (_mask([layer]) for layer in layers(full, SIDE_PX))
    if thing.holds is not None:
        body, hat = body & ~held, hat & ~held
    if thing.hat is not None:
        body &= ~hat
    above = _mask([layer for other in things if other.number > thing.number for layer in layers(other, SIDE_PX)])
    return PartVisibility(*(1 - float((part & above).sum() / part.sum()) for part in (body, hat, held)))


def _mask(laid: Sequence[Layer]) -> _Mask:
    """`(SIDE_PX, SIDE_PX)`: the pixels that any of the layers draws; what lies outside the picture is left out."""
    mask = np.zeros((SIDE_PX, SIDE_PX), bool)
    for layer in laid:
        cut = max(0, -layer.top)  # the place of a hat that is not there may begin above the picture
        drawn = layer.sprite.drawn[cut:]
        top = layer.top + cut
        mask[top : top + drawn.shape[0], layer.left : layer.left + drawn.shape[1]] |= drawn
    return mask
