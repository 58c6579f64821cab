"""What the scripted teacher sees of a picture: colours, light and layout, from its pixels alone.

It knows no thing by name, but what it says is true of the very picture that it is shown, a spoilt one too. So the
recipes whose teacher sees can be rehearsed offline, and a picture that is mixed up with another shows in the words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

import PIL.Image

from ostensive.chat.pictures import EncodedImage, Picture, picture_reference
from ostensive.chat.records import Message
from ostensive.images.decode import open_rgb

if TYPE_CHECKING:
    from verbalizers.pixels.scene import Scene

_WORKING_SIDE_PX = 160  # as `VerbalizeSettings` has them
_SHARPNESS_SIDE_PX = 384


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture under what it is known by."""

    reference: str
    picture: Picture = field(compare=False)


def shown_picture(messages: Sequence[Message]) -> Picture | None:
    """The picture that a conversation shows first; None where it shows none."""
    return next((image for message in messages for image in message.images), None)


def sentences_on(picture: Picture, seed: int) -> tuple[str, ...]:
    """What the teacher can say of a picture: six short descriptions and three sentences on palette, light and layout.

    The first gives an overview. The same picture and seed always give the same sentences.
    """
    from verbalizers.pixels.concepts import tell_concepts
    from verbalizers.pixels.narratives import tell_narratives

    scene = _scene(_Shown(picture_reference(picture), picture))
    rng = Random(f"{seed}/sight")  # noqa: S311 - wording, not secrets
    return (*tell_narratives(scene, 6, rng), *tell_concepts(scene, 3, rng))


@lru_cache(maxsize=64)
def _scene(shown: _Shown) -> "Scene":
    from verbalizers.pixels.raster import make_raster
    from verbalizers.pixels.scene import measure_scene

    picture = shown.picture
    pixels: PIL.Image.Image = open_rgb(picture.data, None) if isinstance(picture, EncodedImage) else picture
    return measure_scene(pixels, make_raster(pixels, _WORKING_SIDE_PX), _SHARPNESS_SIDE_PX)
