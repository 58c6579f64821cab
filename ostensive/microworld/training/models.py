"""The architectures of the tiny models, how they begin, and how they are saved.

All are standard ones, read by the ordinary calls of their libraries. The vision tower of the image-text model and that
of the contrastive model have one shape, so that what one has learned is a start for the other.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostensive.microworld.scenes import SIDE_PX
from ostensive.microworld.training.views import PATCH_PX
from ostensive.microworld.training.words import (
    END_ID,
    IMAGE_ID,
    PAD_ID,
    START_ID,
    WORDS,
    make_processor,
    make_tokenizer,
)

if TYPE_CHECKING:
    import PIL.Image
    import torch
    from torch import nn

WIDTH = 128
HEAD_WIDTH = 32
VISION_LAYERS = 4
TEXT_LAYERS = 4
MAX_POSITIONS = 512
CLIP_TEXT_WIDTH = 64
CLIP_EMBEDDING = 64
CLIP_CONTEXT = 48
PADDED_WORDS = -(-len(WORDS) // 64) * 64
CLIP_CONFIG_FILE = "open_clip_config.json"
_HALF = [0.5, 0.5, 0.5]


def make_eyes() -> Any:  # Any: transformers types its models in part
    """The image-text model, with random weights: LLaVA of a CLIP vision tower, a two-layer projector and a Llama."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    sizes: dict[str, Any] = {"hidden_size": WIDTH, "num_attention_heads": WIDTH // HEAD_WIDTH}
    vision = CLIPVisionConfig(
        **sizes,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=VISION_LAYERS,
        image_size=SIDE_PX,
        patch_size=PATCH_PX,
        projection_dim=CLIP_EMBEDDING,
        hidden_act="gelu",
    )
    text = LlamaConfig(
        **sizes,
        num_key_value_heads=WIDTH // HEAD_WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        max_position_embeddings=MAX_POSITIONS,
        vocab_size=PADDED_WORDS,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        bos_token_id=START_ID,
        eos_token_id=END_ID,
        # Half of each head hardly turns within a prompt: what a word looks for in the image does not depend on how far
        # away the patch stands in the sequence.
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_ID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIDE_PX // PATCH_PX) ** 2,
        tie_word_embeddings=True,
    )
    kind: Any = LlavaForConditionalGeneration
    model = kind(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_(0, WIDTH**-0.5)
        for layer in model.model.language_model.layers:
            attention = layer.self_attn
            attention.q_proj.weight.normal_(0, WIDTH**-0.5)
            # Queries that are keys: from the first step on a word attends to what is like it, so that a patch that the
            # projector has turned towards the word "circle" is found by that word.
            attention.k_proj.weight.copy_(attention.q_proj.weight)
    model.generation_config.pad_token_id = PAD_ID
    model.generation_config.bos_token_id = START_ID
    model.generation_config.eos_token_id = END_ID
    return model


def hasten(model: Any, *, compiled: bool) -> None:  # Any: as above
    """Readies a model for training on a CPU: plain attention, and, if asked for, layers compiled.

    Both together are 1.7 times as fast as the default; flash attention's backward pass is what is slow on a CPU.
    Compiling needs a C++ compiler.
    """
    import torch

    model.set_attn_implementation("eager")
    if compiled:
        for layer in (*model.model.vision_tower.encoder.layers, *model.model.language_model.layers):
            layer.forward = torch.compile(layer.forward, dynamic=False)


def save_eyes(model: Any, folder: Path) -> None:  # Any: as above
    """Weights in half precision, configuration and processor."""
    import torch

    halved = make_eyes()  # a fresh one, for a model in training may have been compiled, which cannot be copied
    halved.load_state_dict(model.state_dict())
    halved.to(torch.float16).save_pretrained(folder)
    make_processor(PATCH_PX).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone; these are files of a package


def load_eyes(folder: Path) -> Any:  # Any: as above
    """The image-text model in single precision, to be trained on or measured."""
    import torch
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)


def clip_config() -> dict[str, Any]:  # Any: JSON values
    """The contrastive model as open_clip is told of it."""
    vision = {
        "image_size": SIDE_PX,
        "patch_size": PATCH_PX,
        "width": WIDTH,
        "head_width": HEAD_WIDTH,
        "layers": VISION_LAYERS,
        "mlp_ratio": 4.0,
    }
    text = {
        "context_length": CLIP_CONTEXT,
        "vocab_size": PADDED_WORDS,
        "hf_tokenizer_name": "microworld",  # any name: with `local-dir:` the tokenizer is read from the folder itself
        "width": CLIP_TEXT_WIDTH,
        "heads": CLIP_TEXT_WIDTH // HEAD_WIDTH,
        "layers": 2,
        "pool_type": "eos",
        "eos_id": END_ID,
        "pad_id": PAD_ID,
    }
    return {"embed_dim": CLIP_EMBEDDING, "vision_cfg": vision, "text_cfg": text}


def make_clip() -> Any:  # Any: open_clip ships no types
    """The contrastive model, with random weights."""
    import open_clip

    return open_clip.CLIP(**clip_config())


def clip_tokenizer() -> Any:  # Any: transformers types its tokenizers in part
    """The tokenizer of the contrastive model's texts."""
    return make_tokenizer(ends_texts=True)


def save_clip(model: Any, folder: Path) -> None:  # Any: as above
    """Weights in half precision, and the configuration that `local-dir:` reads."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in model.state_dict().items()}
    path = folder / "open_clip_model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # see `save_eyes`
    seeing = {"mean": _HALF, "std": _HALF, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": clip_config(), "preprocess_cfg": seeing}
    (folder / CLIP_CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    clip_tokenizer().save_pretrained(folder)


def give_vision(eyes: "nn.Module", clip: "nn.Module") -> None:
    """Starts the vision tower of the contrastive model from that of the image-text model."""
    import torch

    source: Mapping[str, torch.Tensor] = {
        name.removeprefix("model.vision_tower."): tensor
        for name, tensor in eyes.state_dict().items()
        if name.startswith("model.vision_tower.")
    }
    source = {name.removeprefix("vision_model."): tensor for name, tensor in source.items()}
    target = {
        "class_embedding": source["embeddings.class_embedding"],
        "positional_embedding": source["embeddings.position_embedding.weight"],
        "conv1.weight": source["embeddings.patch_embedding.weight"],
        **_pair("ln_pre", source, "pre_layrnorm"),
        **_pair("ln_post", source, "post_layernorm"),
    }
    for layer in range(VISION_LAYERS):
        ours, theirs = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
        attention = [f"{theirs}.self_attn.{name}_proj" for name in "qkv"]
        target[f"{ours}.attn.in_proj_weight"] = torch.cat([source[f"{name}.weight"] for name in attention])
        target[f"{ours}.attn.in_proj_bias"] = torch.cat([source[f"{name}.bias"] for name in attention])
        target |= _pair(f"{ours}.attn.out_proj", source, f"{theirs}.self_attn.out_proj")
        for name, other in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2")):
            target |= _pair(f"{ours}.{name}", source, f"{theirs}.{other}")
        for name, other in (("c_fc", "fc1"), ("c_proj", "fc2")):
            target |= _pair(f"{ours}.mlp.{name}", source, f"{theirs}.mlp.{other}")
    visual: Any = clip.visual  # Any: open_clip ships no types
    missing, unexpected = visual.load_state_dict(target, strict=False)
    assert (missing, unexpected) == (["proj"], []), "all of the tower but its last projection has a counterpart"


def _pair(ours: str, source: "Mapping[str, torch.Tensor]", theirs: str) -> "dict[str, torch.Tensor]":
    return {f"{ours}.{part}": source[f"{theirs}.{part}"] for part in ("weight", "bias")}


class OpenClipEncoder:
    """The contrastive model in a folder, read by open_clip's own calls."""

    def __init__(self, folder: Path) -> None:
        import open_clip

        name = f"local-dir:{folder}"
        self._model, self._preprocess = open_clip.create_model_from_pretrained(name)
        self._tokenizer = open_clip.get_tokenizer(name)
        self._model.eval()

    def preprocess(self, picture: "PIL.Image.Image") -> "torch.Tensor":
        """`(3, side, side)` float32 as the model wants it."""
        tensor: torch.Tensor = self._preprocess(picture)
        return tensor

    def encode_images(self, images: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """`(images, width)` float32 of unit length."""
        import torch

        with torch.inference_mode():
            features: torch.Tensor = self._model.encode_image(torch.stack(list(images)), normalize=True)
        return features

    def encode_texts(self, texts: "Sequence[str]") -> "torch.Tensor":
        """`(texts, width)` float32 of unit length."""
        import torch

        with torch.inference_mode():
            features: torch.Tensor = self._model.encode_text(self._tokenizer(list(texts)), normalize=True)
        return features
