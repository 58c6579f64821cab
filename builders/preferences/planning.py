"""What each pair is made with, before anything is asked: which prompts, and which corruption."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from builders.asking import request_seed
from builders.preferences.settings import Corruption, PreferencesSettings

DESCRIBE = "describe"
"""The template of the good prompt."""
CAPTION, IMAGINE = "caption_", "imagine_"
"""What the names of the plain captioning prompts and of the hallucination prompts begin with."""


@dataclass(frozen=True, slots=True)
class PairPlan:
    """How one pair is made: either a template that asks for things that are not there, or a corruption."""

    place: int  # among the pairs of the image, from 0
    caption: str  # the template of the prompt that both sides are trained with
    imagine: str | None
    corruption: Corruption | None
    seed: int  # of the corruption


def plan_pairs(
    settings: PreferencesSettings, names: Sequence[str], *, seed: int, image_id: str
) -> tuple[PairPlan, ...]:
    """The plans of an image's pairs; `names` are those of all templates. The same seed and image give the same plans.

    The prompts of an image's pairs differ as long as there are enough of them.
    """
    captions, imagines = (
        _shuffled([name for name in names if name.startswith(kind)], seed, image_id) for kind in (CAPTION, IMAGINE)
    )
    plans = []
    for place in range(settings.pairs):
        of_pair = request_seed(seed, image_id, "pair", place)
        rng = Random(of_pair)  # noqa: S311 - sampling, not secrets
        is_corrupted = rng.random() < settings.corruption_share
        corruption = rng.choice(settings.corruptions)
        plans.append(
            PairPlan(
                place,
                captions[place % len(captions)],
                None if is_corrupted else imagines[place % len(imagines)],
                corruption if is_corrupted else None,
                of_pair,
            )
        )
    return tuple(plans)


def other_image(image_ids: Sequence[str], image_id: str, seed: int) -> str | None:
    """One of `image_ids` that is not `image_id`, whatever their order; None where there is no other."""
    others = sorted(set(image_ids) - {image_id})
    return Random(f"{seed}/swap").choice(others) if others else None  # noqa: S311 - sampling, not secrets


def _shuffled(names: Sequence[str], seed: int, image_id: str) -> list[str]:
    rng = Random(request_seed(seed, image_id, "prompts", sorted(names)))  # noqa: S311 - sampling, not secrets
    return rng.sample(sorted(names), len(names))
