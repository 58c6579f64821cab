"""Short descriptions of a scene from pixels, each a walk of its own: down, across, outwards, by light, by detail.

LSKD (section 2.1) samples five localized narratives from one model at a high temperature; here variety comes from
what each description attends to, and only the wording from chance.
"""

from collections.abc import Callable, Sequence
from random import Random

from verbalizers.pixels import layout, light
from verbalizers.pixels.concepts import detail_phrase, palette_phrase, prevailing_warmth
from verbalizers.pixels.scene import Patch, Scene, colour_phrase, extremes
from verbalizers.words import listing, sentence

MIRROR_FROM = 0.9  # likeness of the two halves that is called a mirror image
SIDE_MARGIN = 8.0  # in L*, for one side to be lighter than another


def tell_narratives(scene: Scene, count: int, rng: Random) -> tuple[str, ...]:
    """`count` descriptions (at most six) of one to three sentences, the overview first, the others in any order."""
    walks: list[Callable[[Scene, Random], str]] = [_downwards, _across, _outwards, _by_light, _by_detail]
    rng.shuffle(walks)
    return tuple(walk(scene, rng) for walk in [_overview, *walks][:count])


def _overview(scene: Scene, rng: Random) -> str:
    colours = palette_phrase(scene.whole.colours, 4)
    bright = light.brightness_word(scene.whole.lightness)
    warmth = prevailing_warmth(scene.whole.colours)
    first = rng.choice([f"taken as a whole, the scene is {colours}", f"all in all, the view is {colours}"])
    second = f"it is {bright}" + (f", and its colours are mostly {warmth}" if warmth else "")
    return f"{sentence(first)} {sentence(second)}"


def _downwards(scene: Scene, rng: Random) -> str:
    parts = ("the top", "the middle", "the bottom")
    start = rng.choice(["from top to bottom", "going down the view"])
    text = sentence(f"{start}, {_walk(scene.rows, parts)}")
    top, bottom = scene.rows[0].lightness, scene.rows[2].lightness
    if abs(top - bottom) < SIDE_MARGIN:
        return text
    lighter = "top" if top > bottom else "bottom"
    return f"{text} {sentence(f'the {lighter} is the lighter of the two ends')}"


def _across(scene: Scene, rng: Random) -> str:
    parts = ("the left", "the middle", "the right")
    start = rng.choice(["from left to right", "going across the view"])
    text = sentence(f"{start}, {_walk(scene.columns, parts)}")
    if scene.mirror is not None and scene.mirror >= MIRROR_FROM:
        return f"{text} {sentence('the two halves nearly mirror each other')}"
    left, right = scene.columns[0].lightness, scene.columns[2].lightness
    if abs(left - right) < SIDE_MARGIN:
        return text
    lighter = "left" if left > right else "right"
    return f"{text} {sentence(f'the {lighter} side is the lighter one')}"


def _walk(patches: Sequence[Patch], parts: Sequence[str]) -> str:
    """What three thirds look like, in turn; equal ones are told once."""
    phrases = [colour_phrase(patch.colours) for patch in patches]
    if len(set(phrases)) == 1:
        return f"each third is {phrases[0]}"
    return listing([f"{part} is {phrase}" for part, phrase in zip(parts, phrases, strict=True)])


def _outwards(scene: Scene, rng: Random) -> str:
    centre, border = colour_phrase(scene.cells[4].colours), colour_phrase(scene.border.colours)
    if centre == border:
        return sentence(f"the centre and what lies around it are both {centre}")
    text = rng.choice(["the centre is {}, what lies around it is {}", "in the centre it is {}, and around that {}"])
    return sentence(text.format(centre, border))


def _by_light(scene: Scene, rng: Random) -> str:
    contrast = light.contrast_word(scene.contrast)
    lightest, darkest = extremes(scene.cells, layout.PLACES, SIDE_MARGIN / 2)
    text = sentence(rng.choice([f"the contrast is {contrast}", f"light and dark differ with {contrast} contrast"]))
    marks = []
    if lightest is not None:
        marks.append(f"the {lightest} is the lightest part")
    if darkest is not None:
        marks.append(f"the {darkest} the darkest" if marks else f"the {darkest} is the darkest part")
    return f"{text} {sentence(listing(marks) if marks else 'no single part is lightest or darkest by much')}"


def _by_detail(scene: Scene, rng: Random) -> str:
    text = sentence(rng.choice(["looking closely, {}", "seen from near, {}"]).format(detail_phrase(scene)))
    sharp = light.sharpness_word(scene.blur)
    return text if sharp is None else f"{text} {sentence(f'its edges are {sharp}')}"
