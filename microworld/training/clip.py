"""The contrastive model, a CLIP: pictures and texts that are true of them come to lie near each other.

Two things are asked of it at once. Of all captions in a batch each picture finds its own (InfoNCE, as in CLIP), and of
all labels of this world each picture finds those that are true of it (each pair by itself, yes or no, as in SigLIP),
because that is how the label lists of `verbalizers` use it: with captions alone it learns places and little else.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: open_clip ships no types; JSON values

import numpy as np
import numpy.typing as npt

from microworld.nouns import with_article
from microworld.scenes import COLOURS, PATTERNS, PLACES, SHAPES, SIDE_PX
from microworld.training.examples import TASKS
from microworld.training.models import (
    EMBEDDING,
    HEAD_WIDTH,
    VISION_LAYERS,
    WIDTH,
    padded_size,
    weight_and_bias,
)
from microworld.training.pool import Pool
from microworld.training.vision import draw_rows, pixels_of
from microworld.training.visual_prompts import PATCH_PX, draw_prompt
from microworld.training.words import END_ID, PAD_ID, WORDS, ids_of, make_tokenizer

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH_PICTURES = 32
CLIP_TEXT_WIDTH = 64
CLIP_CONTEXT = 48
CLIP_CONFIG_FILE = "open_clip_config.json"
_HALF = [0.5, 0.5, 0.5]
_PAIRS_SHOWN = 24  # labels of colour and shape together in a step, of all 80
_TEMPLATES = ("{label}", "{a label}", "a photo of {label}", "a photo of {a label}", "there is {a label}")
_DESCRIBE = TASKS.index("describe")


@dataclass(frozen=True, slots=True)
class ContrastiveBatch:
    """A batch of pictures, captions and labels."""

    pixels: "torch.Tensor"  # (pictures, 3, side, side) float32
    captions: "torch.Tensor"  # (pictures, context) int64
    labels: "torch.Tensor"  # (labels, context) int64
    is_true: "torch.Tensor"  # (pictures, labels) float32


def make_contrastive_batch(pool: Pool, seed: int, step: int, count: int = BATCH_PICTURES) -> ContrastiveBatch:
    """The batch of a step."""
    import torch

    rows, rng = draw_rows(pool, seed, step, count)
    texts, is_true = labels_on(pool, rows, rng)
    return ContrastiveBatch(
        pixels_of([draw_prompt(pool, int(row), "whole", rng) for row in rows]),
        torch.from_numpy(np.stack([_padded(_caption(pool, int(row), rng)) for row in rows])),
        torch.from_numpy(np.stack([_padded([*ids_of(text), END_ID]) for text in texts])),
        torch.from_numpy(is_true),
    )


def labels_on(
    pool: Pool, rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Labels in the usual templates, and whether each is true of each picture: `(pictures, labels)`, 0 or 1."""
    texts, truth = [], []
    words = random.Random(int(rng.integers(2**31)))  # noqa: S311 - no secret
    for text, column in _labels(pool, rows, rng):
        template = words.choice(_TEMPLATES)
        texts.append(template.replace("{label}", text).replace("{a label}", with_article(text)))
        truth.append(column)
    return texts, np.stack(truth, 1).astype(np.float32)


def _labels(
    pool: Pool, rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Labels and of which pictures they are true: places, shapes, colours, patterns, some colours of shapes."""
    shapes, colours, patterns = (pool.attributes[rows, :, column] for column in (0, 1, 3))
    found: list[tuple[str, npt.NDArray[np.bool_]]] = []
    found += [(name, pool.place[rows] == number) for number, name in enumerate(PLACES)]
    found += [(name, (shapes == number).any(1)) for number, name in enumerate(SHAPES)]
    found += [(f"{name} thing", (colours == number).any(1)) for number, name in enumerate(COLOURS)]
    found += [(f"{name} thing", (patterns == number).any(1)) for number, name in enumerate(PATTERNS)]
    for pair in rng.choice(len(SHAPES) * len(COLOURS), _PAIRS_SHOWN, replace=False):
        colour, shape = divmod(int(pair), len(SHAPES))
        found.append((f"{COLOURS[colour]} {SHAPES[shape]}", ((shapes == shape) & (colours == colour)).any(1)))
    return found


def _caption(pool: Pool, row: int, rng: np.random.Generator) -> list[int]:
    """One of the descriptions of a scene, or what one of its regions shows."""
    numbers = [number for number in pool.examples(row) if pool.task[number] == _DESCRIBE]
    _, answer = pool.example(int(rng.choice(numbers)))
    return [int(word) for word in answer]


def _padded(ids: list[int]) -> npt.NDArray[np.int64]:
    cut = ids if len(ids) <= CLIP_CONTEXT else [*ids[: CLIP_CONTEXT - 1], END_ID]
    return np.array([*cut, *[PAD_ID] * (CLIP_CONTEXT - len(cut))])


def make_scale() -> "nn.Module":
    """Scale and bias of the judgement on labels; they are needed in training alone."""
    import torch
    from torch import nn

    scale = nn.Linear(1, 1)
    with torch.no_grad():
        scale.weight.fill_(10.0)
        scale.bias.fill_(-4.0)
    return scale


def contrastive_loss(clip: Any, scale: Any, batch: ContrastiveBatch) -> "torch.Tensor":
    """How badly captions and labels are told apart."""
    import torch
    from torch.nn import functional
    from torch.nn.attention import SDPBackend, sdpa_kernel

    # Flash attention's backward pass is slow on a CPU: a step takes half the time without it.
    with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
        images = clip.encode_image(batch.pixels)
        texts = clip.encode_text(torch.cat([batch.captions, batch.labels]))
    images, texts = (functional.normalize(features.float(), dim=-1) for features in (images, texts))
    captions, labels = texts[: len(images)], texts[len(images) :]
    likeness = clip.logit_scale.exp().clamp(max=100) * images @ captions.T
    own = torch.arange(len(images))
    contrast = (functional.cross_entropy(likeness, own) + functional.cross_entropy(likeness.T, own)) / 2
    judged = scale.weight * (images @ labels.T) + scale.bias
    loss: torch.Tensor = 0.3 * contrast + 4 * functional.binary_cross_entropy_with_logits(judged, batch.is_true)
    return loss


def clip_config() -> dict[str, Any]:
    """The contrastive model as open_clip is told of it."""
    vision = {
        "image_size": SIDE_PX,
        "patch_size": PATCH_PX,
        "width": WIDTH,
        "head_width": HEAD_WIDTH,
        "layers": VISION_LAYERS,
        "mlp_ratio": 4.0,
        "no_ln_pre": True,  # as in BLIP-2
        "pool_type": "avg",  # patches know what they show from the first step on; a class token would have to learn it
    }
    text = {
        "context_length": CLIP_CONTEXT,
        "vocab_size": padded_size(WORDS),
        "hf_tokenizer_name": "microworld",  # any name: with `local-dir:` the tokenizer is read from the folder itself
        "width": CLIP_TEXT_WIDTH,
        "heads": CLIP_TEXT_WIDTH // HEAD_WIDTH,
        "layers": 2,
        "pool_type": "eos",
        "eos_id": END_ID,
        "pad_id": PAD_ID,
    }
    return {"embed_dim": EMBEDDING, "vision_cfg": vision, "text_cfg": text}


def make_clip() -> Any:
    """The contrastive model, with random weights."""
    import open_clip

    return open_clip.CLIP(**clip_config())


def clip_tokenizer() -> Any:
    """The tokenizer of the contrastive model's texts."""
    return make_tokenizer(ends_texts=True)


def save_clip(model: Any, folder: Path) -> None:
    """Weights in half precision, and the configuration that `local-dir:` reads."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in model.state_dict().items()}
    path = folder / "open_clip_model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # see `save_vlm`
    preprocess = {"mean": _HALF, "std": _HALF, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": clip_config(), "preprocess_cfg": preprocess}
    (folder / CLIP_CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    clip_tokenizer().save_pretrained(folder)


def initialize_clip(tower: "nn.Module", clip: "nn.Module") -> None:
    """Starts the vision tower of the contrastive model from `tower`, that of BLIP-2."""
    import torch

    source: Mapping[str, torch.Tensor] = tower.state_dict()
    target = {
        "class_embedding": source["embeddings.class_embedding"][0, 0],
        "positional_embedding": source["embeddings.position_embedding"][0],
        "conv1.weight": source["embeddings.patch_embedding.weight"],
        **weight_and_bias("ln_post", source, "post_layernorm"),
    }
    for layer in range(VISION_LAYERS):
        ours, theirs = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
        target[f"{ours}.attn.in_proj_weight"] = source[f"{theirs}.self_attn.qkv.weight"]
        target[f"{ours}.attn.in_proj_bias"] = source[f"{theirs}.self_attn.qkv.bias"]
        target |= weight_and_bias(f"{ours}.attn.out_proj", source, f"{theirs}.self_attn.projection")
        for name, other in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2")):
            target |= weight_and_bias(f"{ours}.{name}", source, f"{theirs}.{other}")
        for name, other in (("c_fc", "fc1"), ("c_proj", "fc2")):
            target |= weight_and_bias(f"{ours}.mlp.{name}", source, f"{theirs}.mlp.{other}")
    # The convolution of open_clip has no bias: what it would add to each patch is added with the patch's place.
    target["positional_embedding"] = target["positional_embedding"].clone()
    target["positional_embedding"][1:] += source["embeddings.patch_embedding.bias"]
    visual: Any = clip.visual
    missing, unexpected = visual.load_state_dict(target, strict=False)
    assert (missing, unexpected) == (["proj"], []), "all of the tower but its last projection has a counterpart"
