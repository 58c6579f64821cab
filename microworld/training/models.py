"""The architectures of the tiny models, how they begin, and how they are saved.

All are standard ones, read by the ordinary calls of their libraries. They have one vision transformer in common: it is
taught to see once, in the shape of BLIP-2's, and then given to each of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: transformers types its models and configurations in part

from microworld.scenes import SIDE_PX
from microworld.training.visual_prompts import PATCH_PX, PATCHES
from microworld.training.words import (
    END_ID,
    IMAGE_ID,
    PAD_ID,
    START_ID,
    TEACHER_WORDS,
    WORDS,
    make_image_processor,
    make_processor,
    make_tokenizer,
)
from ostensive.models.training import use_eager_attention

if TYPE_CHECKING:
    import torch

WIDTH = 128
HEAD_WIDTH = 32
VISION_LAYERS = 4
TEXT_LAYERS = 4
MAX_POSITIONS = 512
EMBEDDING = 64  # that pictures and texts have in common
QUERIES = 16
MAX_TEXT_TOKENS = 256
VISION_EPS = 1e-5  # of the layer norms, as open_clip has it
_FAR = 8.0  # from here on GELU leaves a number as it is, to single precision


def padded_size(words: Sequence[str]) -> int:
    """How many rows an embedding of `words` has: a multiple of 64."""
    return -(-len(words) // 64) * 64


def make_vlm(words: Sequence[str] = WORDS) -> Any:
    """The image-text model, with random weights: LLaVA of a ViT, a two-layer projector and a Llama.

    It knows `words`, which are `WORDS`, `TEACHER_WORDS` or `TRIPLE_WORDS`.
    """
    import torch
    from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, ViTConfig

    sizes: dict[str, Any] = {"hidden_size": WIDTH, "num_attention_heads": WIDTH // HEAD_WIDTH}
    vision = ViTConfig(
        **sizes,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=VISION_LAYERS,
        image_size=SIDE_PX,
        patch_size=PATCH_PX,
        layer_norm_eps=VISION_EPS,
    )
    text = LlamaConfig(
        **sizes,
        num_key_value_heads=WIDTH // HEAD_WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        max_position_embeddings=MAX_POSITIONS,
        vocab_size=padded_size(words),
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
        image_seq_length=PATCHES**2,
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


def resize_vocabulary(vlm: Any) -> None:
    """Gives the image-text model `TEACHER_WORDS` for `WORDS`: those that are new mean nothing yet."""
    import torch

    vlm.resize_token_embeddings(padded_size(TEACHER_WORDS), mean_resizing=False)
    with torch.no_grad():
        vlm.get_input_embeddings().weight[len(WORDS) :].normal_(0, WIDTH**-0.5)


def compile_layers(vlm: Any) -> None:
    """Compiles the language model's layers, which needs a C++ compiler.

    Together with plain attention this is 1.7 times as fast as the default.
    """
    import torch

    for layer in vlm.model.language_model.layers:
        layer.forward = torch.compile(layer.forward, dynamic=False)


def save_vlm(model: Any, folder: Path, words: Sequence[str] | None = None) -> None:
    """Weights in half precision, configuration and processor; without `words`, those that its size tells it knows."""
    import torch

    rows = model.get_input_embeddings().num_embeddings
    words = words or (WORDS if rows == padded_size(WORDS) else TEACHER_WORDS)
    halved = make_vlm(words)  # a fresh one, for a model in training may have been compiled, which cannot be copied
    halved.load_state_dict(model.state_dict())
    halved.to(torch.float16).save_pretrained(folder)
    make_processor(PATCH_PX, words).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone; these are files of a package


def vision_config() -> Any:
    """The vision transformer of BLIP-2, whose shape is that of the contrastive model's too."""
    from transformers import Blip2VisionConfig

    return Blip2VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=WIDTH // HEAD_WIDTH,
        image_size=SIDE_PX,
        patch_size=PATCH_PX,
        layer_norm_eps=VISION_EPS,
        initializer_range=0.05,
    )


def make_vision() -> Any:
    """A vision transformer with what it needs to be taught to see: `tower`, `projector` and `words`."""
    import torch
    from torch import nn
    from transformers import Blip2VisionModel

    kind: Any = Blip2VisionModel
    tower = kind(vision_config())
    use_eager_attention(tower)
    words = nn.Embedding(padded_size(WORDS), WIDTH)
    with torch.no_grad():
        words.weight.normal_(0, WIDTH**-0.5)
    return nn.ModuleDict({"tower": tower, "projector": nn.Linear(WIDTH, WIDTH), "words": words})


def initialize_vlm(vision: Any, vlm: Any, pixels: "torch.Tensor") -> float:
    """Gives the image-text model the tower and the words of `vision`, and a projector that turns patches as that one's.

    LLaVA takes patches before the tower's last layer norm, so the projector is fitted by least squares to what the
    latter makes of `pixels` after it. Returns the share of the variance that it explains, 0-1.
    """
    import torch

    tower, projector = vision["tower"], vlm.model.multi_modal_projector
    first, second = projector.linear_1, projector.linear_2
    vlm.model.vision_tower.load_state_dict(_as_vit(tower.state_dict()), strict=False)
    with torch.no_grad():
        vlm.get_input_embeddings().weight.copy_(vision["words"].weight)
        wanted = vision["projector"](tower(pixel_values=pixels).last_hidden_state[:, 1:]).flatten(0, 1)
        layers = vlm.model.vision_tower(pixels, output_hidden_states=True, return_dict=True).hidden_states
        given = layers[vlm.config.vision_feature_layer][:, 1:].flatten(0, 1)
        spread = given.std()
        ones = torch.ones(len(given), 1)
        fitted = torch.linalg.lstsq(torch.cat([given / spread, ones], 1), wanted).solution
        first.weight.copy_(torch.eye(WIDTH) / spread)
        first.bias.fill_(_FAR)
        second.weight.copy_(fitted[:-1].T)
        second.bias.copy_(fitted[-1] - _FAR * fitted[:-1].sum(0))
        off = second(torch.nn.functional.gelu(first(given))) - wanted
    return float(1 - off.var(0).sum() / wanted.var(0).sum())


def _as_vit(source: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The weights of a vision transformer of BLIP-2 under the names of `ViTModel`."""
    target = {
        "embeddings.cls_token": source["embeddings.class_embedding"],
        "embeddings.position_embeddings": source["embeddings.position_embedding"],
        **weight_and_bias("embeddings.patch_embeddings.projection", source, "embeddings.patch_embedding"),
        **weight_and_bias("layernorm", source, "post_layernorm"),
    }
    for layer in range(VISION_LAYERS):
        ours, theirs = f"layers.{layer}", f"encoder.layers.{layer}"
        for part in ("weight", "bias"):
            together = source[f"{theirs}.self_attn.qkv.{part}"].chunk(3)
            target |= {f"{ours}.attention.{name}_proj.{part}": one for name, one in zip("qkv", together, strict=True)}
        target |= weight_and_bias(f"{ours}.attention.o_proj", source, f"{theirs}.self_attn.projection")
        target |= weight_and_bias(f"{ours}.layernorm_before", source, f"{theirs}.layer_norm1")
        target |= weight_and_bias(f"{ours}.layernorm_after", source, f"{theirs}.layer_norm2")
        target |= weight_and_bias(f"{ours}.mlp.fc1", source, f"{theirs}.mlp.fc1")
        target |= weight_and_bias(f"{ours}.mlp.fc2", source, f"{theirs}.mlp.fc2")
    return target


def make_blip2() -> Any:
    """BLIP-2 in its first stage, with random weights: a vision transformer and a Q-Former that matches it with text."""
    from transformers import Blip2Config, Blip2ForImageTextRetrieval, Blip2QFormerConfig

    queries = Blip2QFormerConfig(
        vocab_size=padded_size(TEACHER_WORDS),
        hidden_size=WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=WIDTH // HEAD_WIDTH,
        intermediate_size=4 * WIDTH,
        encoder_hidden_size=WIDTH,
        max_position_embeddings=MAX_TEXT_TOKENS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
        pad_token_id=PAD_ID,
        use_qformer_text_input=True,
    )
    config = Blip2Config(
        vision_config=vision_config(),
        qformer_config=queries,
        num_query_tokens=QUERIES,
        image_text_hidden_size=EMBEDDING,
    )
    kind: Any = Blip2ForImageTextRetrieval
    return kind(config)


def initialize_blip2(vision: Any, blip2: Any) -> None:
    """Gives BLIP-2 the tower and the words of `vision`, queries that differ, and attention that finds like by like.

    A query that has read the word "circle" then looks at the patches that `vision` turns towards that word. From random
    attention it told true from false texts in six of ten cases after a quarter of an hour.
    """
    import torch

    blip2.vision_model.load_state_dict(vision["tower"].state_dict())
    projector = vision["projector"]
    with torch.no_grad():
        words = blip2.embeddings.word_embeddings.weight
        words.normal_(0, WIDTH**-0.5)
        words[: len(WORDS)] = vision["words"].weight[: len(WORDS)]
        blip2.query_tokens.normal_(0, WIDTH**-0.5)
        for layer in blip2.qformer.encoder.layer:
            reading = layer.attention.attention
            reading.query.weight.normal_(0, WIDTH**-0.5)
            reading.key.weight.copy_(reading.query.weight)
            torch.nn.init.eye_(reading.value.weight)  # what is read stays the word that it was
            torch.nn.init.eye_(layer.attention.output.dense.weight)
            if layer.has_cross_attention:
                looking = layer.crossattention.attention
                looking.query.weight.normal_(0, WIDTH**-0.5)
                looking.key.weight.copy_(looking.query.weight @ projector.weight)
                looking.key.bias.copy_(looking.query.weight @ projector.bias)
                looking.value.weight.copy_(projector.weight)
                looking.value.bias.copy_(projector.bias)
                torch.nn.init.eye_(layer.crossattention.output.dense.weight)


def save_blip2(model: Any, folder: Path) -> None:
    """Weights in half precision, configuration and processor."""
    import torch
    from transformers import Blip2Processor

    halved = make_blip2()
    halved.load_state_dict(model.state_dict())
    halved.to(torch.float16).save_pretrained(folder)
    kind: Any = Blip2Processor
    kind(make_image_processor(), make_tokenizer(TEACHER_WORDS, starts_texts=True)).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # see `save_vlm`


def load_blip2(folder: Path) -> Any:
    """BLIP-2 in single precision, ready to be asked."""
    import torch
    from transformers import Blip2ForImageTextRetrieval

    kind: Any = Blip2ForImageTextRetrieval
    return kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()


def weight_and_bias(ours: str, source: "Mapping[str, torch.Tensor]", theirs: str) -> "dict[str, torch.Tensor]":
    """The weight and the bias of `theirs` in `source` under the name `ours`."""
    return {f"{ours}.{part}": source[f"{theirs}.{part}"] for part in ("weight", "bias")}
