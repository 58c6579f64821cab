"""Questions about an image whose answers are computed: from the whole, from its parts, from its regions.

LSKD (section 2.1) lets a language model ask and BLIP-2 answer, and notes that the answers can be wrong. Here a question
is asked only where the figures leave no doubt, each with a margin, so there may be fewer than fifteen. Regions are
spoken of by what they look like, never by number: the same probes go into both of the teacher's prompt modes.
"""

from collections.abc import Callable, Sequence
from random import Random

from ostensive.records import Probe
from verbalizers.pixels import layout, light
from verbalizers.pixels.captions import RegionFacts
from verbalizers.pixels.colour import COLOUR_NAMES
from verbalizers.pixels.concepts import prevailing_warmth
from verbalizers.pixels.narratives import MIRROR_FROM, SIDE_MARGIN
from verbalizers.pixels.scene import Scene, colour_phrase, extremes
from verbalizers.words import number_word, percent, sentence

_LEAD = 0.05  # by which the main colour is ahead of the next
_AREA_LEAD = 1.25  # times, by which the largest region is larger than the next
_PLACE_LEAD = 0.06  # of the view, by which the outermost region is further out than the next
_PRESENT, _ABSENT = 0.03, 0.0005  # shares at which a colour is surely there, surely not
_NOT_MIRRORED = 0.3
_ASKED_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
_CELLS_ASKED = 3


def ask_probes(scene: Scene, regions: Sequence[RegionFacts], count: int, rng: Random) -> tuple[Probe, ...]:
    """At most `count` probes, distinct, drawn by `rng` and in an order that goes from the whole to its parts."""
    askers: list[Callable[[], list[Probe]]] = [
        lambda: _about_colours(scene, rng),
        lambda: _about_light(scene),
        lambda: _about_layout(scene),
        lambda: _about_cells(scene, rng),
        lambda: _about_regions(regions),
    ]
    probes = list(dict.fromkeys(probe for asker in askers for probe in asker()))
    chosen = set(rng.sample(range(len(probes)), min(count, len(probes))))
    return tuple(probe for index, probe in enumerate(probes) if index in chosen)


def _about_colours(scene: Scene, rng: Random) -> list[Probe]:
    shares = scene.whole.colours
    probes = []
    if len(shares) == 1 or shares[0].share - shares[1].share >= _LEAD:
        probes.append(Probe("Which colour takes up most of the scene?", sentence(shares[0].term)))
        probes.append(Probe(f"How much of the scene is {shares[0].name}?", sentence(percent(shares[0].share))))
    if len(shares) > 2 and shares[1].share - shares[2].share >= _LEAD and shares[0].share - shares[1].share >= _LEAD:
        probes.append(Probe("Which colour comes second?", sentence(shares[1].term)))
    warmth = prevailing_warmth(shares)
    if warmth is not None:
        probes.append(Probe("Are the colours warm overall?", "Yes." if warmth == "warm" else "No, they are cool."))
    by_name = {item.name: item.share for item in shares}
    assert set(_ASKED_COLOURS) <= set(COLOUR_NAMES), "a colour that has no name is asked for"
    asked = rng.sample(_ASKED_COLOURS, len(_ASKED_COLOURS))
    present = [name for name in asked if by_name.get(name, 0.0) >= _PRESENT]
    absent = [name for name in asked if by_name.get(name, 0.0) <= _ABSENT]
    for name in present[:2]:
        probes.append(Probe(f"Is there anything {name} to be seen?", f"Yes, {percent(by_name[name])} of the scene is."))
    for name in absent[:1]:
        probes.append(Probe(f"Is there anything {name} to be seen?", "No."))
    return probes


def _about_light(scene: Scene) -> list[Probe]:
    probes = [
        Probe("How bright is it?", sentence(light.brightness_word(scene.whole.lightness))),
        Probe("How strong is the contrast between light and dark?", sentence(light.contrast_word(scene.contrast))),
    ]
    sharp = light.sharpness_word(scene.blur)
    if sharp in ("sharp", "blurred"):
        probes.append(Probe("Are the edges sharp?", "Yes." if sharp == "sharp" else "No, they are blurred."))
    lightest, darkest = extremes(scene.cells, layout.PLACES, SIDE_MARGIN / 2)
    if lightest is not None:
        probes.append(Probe("Which part is the lightest?", sentence(f"the {lightest}")))
    if darkest is not None:
        probes.append(Probe("Which part is the darkest?", sentence(f"the {darkest}")))
    for one, other, patches in (("left", "right", scene.columns), ("top", "bottom", scene.rows)):
        difference = patches[0].lightness - patches[2].lightness
        if abs(difference) >= SIDE_MARGIN:
            answer = "Yes." if difference > 0 else f"No, the {other} is lighter."
            probes.append(Probe(f"Is the {one} lighter than the {other}?", answer))
    return probes


def _about_layout(scene: Scene) -> list[Probe]:
    answer = sentence(f"it is {layout.format_phrase(scene.width, scene.height)}")
    probes = [Probe("How wide is the view compared with its height?", answer)]
    if scene.mirror is not None and (scene.mirror >= MIRROR_FROM or scene.mirror <= _NOT_MIRRORED):
        answer = "Yes, nearly." if scene.mirror >= MIRROR_FROM else "No."
        probes.append(Probe("Do the left and right halves mirror each other?", answer))
    if scene.detail_shares is not None:
        busiest, plainest = layout.busiest(scene.detail_shares), layout.plainest(scene.detail_shares)
        if busiest is not None:
            probes.append(Probe("Where is the most detail?", sentence(layout.at_place(busiest))))
        if plainest is not None:
            probes.append(Probe("Where is the least detail?", sentence(layout.at_place(plainest))))
    return probes


def _about_cells(scene: Scene, rng: Random) -> list[Probe]:
    cells = sorted(rng.sample(range(9), _CELLS_ASKED))
    return [
        Probe(
            f"What colour is the {layout.PLACES[cell]} of the scene?",
            sentence(colour_phrase(scene.cells[cell].colours)),
        )
        for cell in cells
    ]


def _about_regions(regions: Sequence[RegionFacts]) -> list[Probe]:
    """Comparisons among marked areas; "marked" because a scene has more parts than those that have a number."""
    probes = []
    faces = sum(facts.label == "face" for facts in regions)
    if faces:
        verb = "part looks" if faces == 1 else "parts look"
        probes.append(Probe("Does anything look like a face?", sentence(f"yes, {number_word(faces)} {verb} like one")))
    if len(regions) < 2:
        return probes
    largest = _ahead(regions, lambda facts: facts.box.area, lambda best, next_best: best >= _AREA_LEAD * next_best)
    if largest is not None:
        probes.append(Probe("What colour is the largest marked area?", sentence(largest.colour)))
        probes.append(Probe("Where is the largest marked area?", sentence(largest.place)))
    for word, (middle, edge) in _POSITIONS.items():
        outermost = _ahead(regions, middle, lambda best, next_best: best - next_best >= _PLACE_LEAD)
        # A large area may have its middle further in and still reach further out: then neither is meant clearly.
        if outermost is not None and all(edge(outermost) >= edge(other) for other in regions):
            probes.append(Probe(f"What colour is the marked area {word}?", sentence(outermost.colour)))
    for word, lightness in _LIGHTNESS.items():
        extreme = _ahead(regions, lightness, lambda best, next_best: best - next_best >= SIDE_MARGIN)
        if extreme is not None:
            probes.append(Probe(f"Where is the {word} marked area?", sentence(extreme.place)))
    return probes


_LIGHTNESS: dict[str, Callable[[RegionFacts], float]] = {
    "lightest": lambda facts: facts.patch.lightness,
    "darkest": lambda facts: -facts.patch.lightness,
}
_POSITIONS: dict[str, tuple[Callable[[RegionFacts], float], Callable[[RegionFacts], float]]] = {
    # how far the middle of a box and its outer edge lie that way
    "furthest to the left": (lambda facts: -facts.box.center[0], lambda facts: -facts.box.x1),
    "furthest to the right": (lambda facts: facts.box.center[0], lambda facts: facts.box.x2),
    "furthest to the top": (lambda facts: -facts.box.center[1], lambda facts: -facts.box.y1),
    "furthest to the bottom": (lambda facts: facts.box.center[1], lambda facts: facts.box.y2),
}


def _ahead(
    regions: Sequence[RegionFacts], value: Callable[[RegionFacts], float], clear: Callable[[float, float], bool]
) -> RegionFacts | None:
    """The region of greatest value, where it is clearly ahead of the next."""
    first, second = sorted(regions, key=value, reverse=True)[:2]
    return first if clear(value(first), value(second)) else None
