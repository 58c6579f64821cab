"""The first stage: a vision tower and a projector learn what each patch shows.

What a patch shows is said in the language model's own words: the projector turns the patch towards the embeddings of
"red", "circle" and "striped", so that a word finds its patches from the first step of the second stage on. From
captions alone a tiny model learns places and counts in minutes but shapes not in an hour.
What a bag of words would mix up (whose colour: the thing's, its hat's, that of what it holds) is learned by
linear heads, which are thrown away afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: transformers types its models in part; modules used as what they are

import numpy as np

from microworld.scenes import COLOURS, PATTERNS, PLACES, POSES, SHAPES
from microworld.training.pool import ATTRIBUTES, Pool
from microworld.training.visual_prompts import PATCHES, PromptedImage, VisualPrompt, draw_prompt
from microworld.training.words import word_id

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH_PICTURES = 16  # pictures in a step
_VISUAL_PROMPTS: dict[VisualPrompt, float] = {"whole": 0.5, "drawn": 0.5}
_GROUNDS = {"meadow": "grass", "beach": "sand", "snowfield": "snow", "street": "pavement", "night sky": "darkness"}
_SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
VISIBLE_WORDS: tuple[str, ...] = (
    *SHAPES, *COLOURS, *PATTERNS, *POSES, "small", "little", "large", "big", "hat", "box",
    "meadow", "beach", "snowfield", "street", "night", "sky", *_GROUNDS.values(),
)  # fmt: skip
_WORD_IDS = [word_id(word) for word in VISIBLE_WORDS]
_NUMBERS = {word: place for place, word in enumerate(VISIBLE_WORDS)}
_GROUND_WEIGHT = 0.2  # of a patch that shows no thing, beside one that does


@dataclass(frozen=True, slots=True)
class PatchBatch:
    """A batch of pictures and what their patches show."""

    pixels: "torch.Tensor"  # (pictures, 3, side, side) float32, as the image processor makes them
    values: "torch.Tensor"  # (pictures, patches, attributes) int64, the number after the last for "none"
    on_thing: "torch.Tensor"  # (pictures, patches) bool
    place: "torch.Tensor"  # (pictures,) int64
    in_box: "torch.Tensor"  # (pictures, patches) float32
    middle: "torch.Tensor"  # (pictures, patches) float32: whether the middle of a thing lies in the patch
    centers: "torch.Tensor"  # (pictures, patches, 2) float32, of the thing that the patch shows, -1 to 1
    words: "torch.Tensor"  # (pictures, patches, len(VISIBLE_WORDS)) float32


def draw_rows(pool: Pool, seed: int, step: int, count: int) -> tuple[np.ndarray, np.random.Generator]:
    """The scenes of a step, and what else is drawn in it."""
    rng = np.random.default_rng([seed, step])
    return rng.integers(len(pool), size=count), rng


def draw_visual_prompt(visual_prompts: dict[VisualPrompt, float], rng: np.random.Generator) -> VisualPrompt:
    """One of the visual prompts by their chances."""
    kinds = list(visual_prompts)
    return kinds[int(rng.choice(len(kinds), p=list(visual_prompts.values())))]


def pixels_of(shown: Sequence[PromptedImage]) -> "torch.Tensor":
    """`(pictures, 3, side, side)` float32 in -1 to 1, as the image processor makes them."""
    return as_processed([one.pixels for one in shown])


def as_processed(pixels: Sequence[np.ndarray]) -> "torch.Tensor":
    """The same of `(side, side, 3)` uint8 each."""
    import torch

    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def make_patch_batch(pool: Pool, seed: int, step: int, count: int = BATCH_PICTURES) -> PatchBatch:
    """The batch of a step."""
    import torch

    rows, rng = draw_rows(pool, seed, step, count)
    shown = [draw_prompt(pool, int(row), draw_visual_prompt(_VISUAL_PROMPTS, rng), rng) for row in rows]
    things = np.stack([one.patch_thing for one in shown])  # -1 takes the last row, which is made "none"
    none = np.array([len(values) for values in ATTRIBUTES.values()])
    attributes = np.concatenate([pool.attributes[rows], np.broadcast_to(none, (count, 1, len(none)))], 1)
    values = np.take_along_axis(attributes, np.where(things < 0, attributes.shape[1] - 1, things)[..., None], 1)
    centers = np.stack([one.centers for one in shown])
    at = np.take_along_axis(centers, np.maximum(things, 0)[..., None], 1) * 2 - 1
    in_box = np.stack([one.in_box for one in shown])
    place = pool.place[rows]
    return PatchBatch(
        pixels_of(shown),
        torch.from_numpy(values),
        torch.from_numpy(things >= 0),
        torch.from_numpy(place),
        torch.from_numpy(in_box).float(),
        torch.from_numpy(
            np.stack([_middles(one.centers, int(pool.things[row])) for one, row in zip(shown, rows, strict=True)])
        ),
        torch.from_numpy(at).float(),
        torch.from_numpy(_words(values, things >= 0, place, in_box)),
    )


def _middles(centers: np.ndarray, count: int) -> np.ndarray:
    flags = np.zeros((PATCHES, PATCHES), np.float32)
    across, down = np.minimum((centers[:count] * PATCHES).astype(int), PATCHES - 1).T
    flags[down, across] = 1
    return flags.reshape(-1)


def _word_tables() -> dict[str, np.ndarray]:
    """For each attribute, which words its values bring: `(values and none, words)`."""
    tables = {name: np.zeros((len(values) + 1, len(VISIBLE_WORDS)), np.float32) for name, values in ATTRIBUTES.items()}
    for name in ("shape", "colour", "pattern", "pose"):
        for place, value in enumerate(ATTRIBUTES[name]):
            tables[name][place, _NUMBERS[value]] = 1
    for place, value in enumerate(ATTRIBUTES["size"]):
        tables["size"][place, [_NUMBERS[word] for word in _SIZE_WORDS[value]]] = 1
    tables["hat"][: len(COLOURS), _NUMBERS["hat"]] = 1
    return tables


def _words(values: np.ndarray, on_thing: np.ndarray, place: np.ndarray, in_box: np.ndarray) -> np.ndarray:
    words = np.zeros((*on_thing.shape, len(VISIBLE_WORDS)), np.float32)
    for column, table in enumerate(_word_tables().values()):
        words += table[values[..., column]]
    grounds = np.zeros((len(PLACES), len(VISIBLE_WORDS)), np.float32)
    for number, name in enumerate(PLACES):
        grounds[number, [_NUMBERS[word] for word in (*name.split(), _GROUNDS[name])]] = 1
    words += grounds[place][:, None] * ~on_thing[..., None]
    words[..., _NUMBERS["box"]] = in_box
    return words


def make_heads(width: int) -> "nn.Module":
    """Linear heads on a projected patch, and a bias for each word."""
    import torch
    from torch import nn

    sizes = {name: len(values) + 1 for name, values in ATTRIBUTES.items()}
    heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})
    heads["place"] = nn.Linear(width, len(PLACES))
    heads["flags"] = nn.Linear(width, 2)
    heads["where"] = nn.Linear(width, 4)
    heads["word_bias"] = nn.Linear(1, len(VISIBLE_WORDS))
    with torch.no_grad():
        bias: Any = heads["word_bias"]
        bias.bias.fill_(-2.0)
    return heads


def patch_features(vlm: Any, pixels: "torch.Tensor") -> "torch.Tensor":
    """`(pictures, patches, width)`: what the language model is given for the patches of each picture."""
    import torch

    features: list[torch.Tensor] = vlm.model.get_image_features(pixels, return_dict=True).pooler_output
    return torch.stack(features)


def patch_embeddings(vision: Any, pixels: "torch.Tensor") -> "torch.Tensor":
    """`(pictures, patches, width)`: patches turned towards the words for what they show."""
    features: torch.Tensor = vision["projector"](vision["tower"](pixel_values=pixels).last_hidden_state[:, 1:])
    return features


def patch_loss(vision: Any, heads: Any, batch: PatchBatch) -> "torch.Tensor":
    """How far the projected patches are from telling what they show."""
    import torch
    from torch.nn import functional

    with torch.autocast("cpu", torch.bfloat16):
        features = patch_embeddings(vision, batch.pixels)
    features = features.float()
    weight = batch.on_thing.float() + _GROUND_WEIGHT * ~batch.on_thing
    total = weight.sum()
    words = vision["words"].weight[_WORD_IDS]
    logits = features @ words.T + heads["word_bias"].bias
    by_word = functional.binary_cross_entropy_with_logits(logits, batch.words, reduction="none").sum(-1)
    loss: torch.Tensor = (by_word * weight).sum() / total
    on = batch.on_thing
    for column, name in enumerate(ATTRIBUTES):
        loss = loss + 0.5 * functional.cross_entropy(heads[name](features[on]), batch.values[..., column][on])
    place = batch.place[:, None].expand(on.shape)
    loss = loss + 0.2 * functional.cross_entropy(heads["place"](features).transpose(1, 2), place)
    flags = torch.stack([batch.in_box, batch.middle], -1)
    loss = loss + 2 * functional.binary_cross_entropy_with_logits(heads["flags"](features), flags)
    where = heads["where"](features)
    own = (torch.arange(PATCHES) + 0.5) / PATCHES * 2 - 1
    grid = torch.stack([own.repeat(PATCHES), own.repeat_interleave(PATCHES)], -1)
    loss = loss + 2 * functional.mse_loss(where[on][:, :2], batch.centers[on])
    return loss + functional.mse_loss(where[..., 2:], grid.expand_as(where[..., 2:]))


def patch_accuracy(vision: Any, heads: Any, batch: PatchBatch) -> dict[str, float]:
    """The share of patches on things whose attribute is predicted right, for each attribute."""
    import torch

    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        features = patch_embeddings(vision, batch.pixels)
        on = batch.on_thing
        predicted = {name: heads[name](features[on]).argmax(-1) for name in ATTRIBUTES}
        shares = {
            name: float((predicted[name] == batch.values[..., column][on]).float().mean())
            for column, name in enumerate(ATTRIBUTES)
        }
        words = vision["words"].weight[_WORD_IDS]
        logits = features @ words.T
        for name, column, values in (("shape", 0, SHAPES), ("colour", 1, COLOURS)):
            numbers = [_NUMBERS[value] for value in values]
            right = logits[on][:, numbers].argmax(-1) == batch.values[..., column][on]
            shares[f"{name} by words"] = float(right.float().mean())
        box = heads["flags"](features)[..., 0] > 0
        shares["in box"] = float((box == (batch.in_box > 0.5)).float().mean())
        off = (heads["where"](features)[on][:, :2] - batch.centers[on]).abs().mean()
        shares["center off by px"] = float(off) * 32
    return shares
