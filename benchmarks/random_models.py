"""Real architectures with random weights, saved to folders as their makers save theirs: what a benchmark measures.

    python benchmarks/random_models.py FOLDER [--size small|full] [--device cpu] [--dtype float32]

Speed does not depend on what a model has learnt, so that none has to be downloaded. `small` is for two CPU cores;
`full` has the published configurations of CLIP ViT-L/14 at 336 px, LLaVA-1.5-7B, BLIP-2 OPT-2.7B and RT-DETRv2-R18.
Weights are drawn on the device and in the precision in which they are saved: 7 B in bfloat16 pass through main memory
2 GB at a time. Published tokenizers are not to be had offline; one of the same vocabulary is trained on made-up words.
"""

import argparse
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal  # Any: models and processors of libraries that type them in part or not at all

Size = Literal["small", "full"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
_MAX_SHARD = "2GB"


@dataclass(frozen=True, slots=True)
class Making:
    """Which size to make, and where and in what precision its weights are drawn."""

    size: Size
    device: str = "cpu"
    dtype: str = "float32"


def clip_name(size: Size) -> str:
    """The name of the contrastive model, as open_clip knows it."""
    return {"small": "ViT-B-32", "full": "ViT-L-14-336"}[size]


def save_clip(folder: Path, making: Making) -> Path:
    """The checkpoint of `clip_name`, to be named as `pretrained`: float32, as published ones are."""
    import open_clip
    from safetensors.torch import save_file

    path = folder / "open_clip_model.safetensors"
    model = open_clip.create_model(clip_name(making.size), pretrained=None, load_weights=False)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def save_llava(folder: Path, making: Making, small_side_px: int = 224) -> Path:
    """LLaVA-1.5-7B's configuration, or one of the same build with 61 M parameters and images of that many pixels."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaProcessor

    full = making.size == "full"
    side_px, patch_px = (336, 14) if full else (small_side_px, 16)
    tokenizer = _tokenizer(32_000, image_token="<image>")
    vision = CLIPVisionConfig(
        hidden_size=1024 if full else 384,
        intermediate_size=4096 if full else 1536,
        num_hidden_layers=24 if full else 8,
        num_attention_heads=16 if full else 6,
        image_size=side_px,
        patch_size=patch_px,
        projection_dim=768 if full else 384,
    )
    text = LlamaConfig(
        hidden_size=4096 if full else 512,
        intermediate_size=11_008 if full else 1376,
        num_hidden_layers=32 if full else 4,
        num_attention_heads=32 if full else 8,
        num_key_value_heads=32 if full else 8,
        max_position_embeddings=4096,
        **_tokens(tokenizer, 32_064 if full else 32_000),
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(side_px // patch_px) ** 2,
    )
    side = {"height": side_px, "width": side_px}
    kind: Any = LlavaProcessor  # transformers types its constructors in part
    processor = kind(
        image_processor=CLIPImageProcessor(size={"shortest_edge": side_px}, crop_size=side),
        tokenizer=tokenizer,
        patch_size=patch_px,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    return _save(folder, config, processor, making)


def save_blip2(folder: Path, making: Making) -> Path:
    """BLIP-2 OPT-2.7B's configuration, or a small one of the same build."""
    from transformers import (
        Blip2Config,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        OPTConfig,
    )

    full = making.size == "full"
    tokenizer = _tokenizer(50_266 if full else 32_000)
    # The published start of the vision weights, 1e-10, would fill a CPU's registers with denormal numbers.
    vision = {"initializer_range": 0.02, "image_size": 224, "patch_size": 14}
    if not full:
        vision |= {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 6}
    reader: dict[str, Any] = {"encoder_hidden_size": 1408 if full else 384}
    if not full:
        reader |= {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4}
    text = OPTConfig(
        hidden_size=2560 if full else 512,
        word_embed_proj_dim=2560 if full else 512,
        ffn_dim=10_240 if full else 2048,
        num_hidden_layers=32 if full else 4,
        num_attention_heads=32 if full else 8,
        max_position_embeddings=2048,
        **_tokens(tokenizer, 50_304 if full else 32_000),
    )
    vision_kind: Any = Blip2VisionConfig  # transformers types its constructors in part
    config = Blip2Config(
        vision_config=vision_kind(**vision),
        qformer_config=Blip2QFormerConfig(**reader),
        text_config=text,
        num_query_tokens=32,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    kind: Any = Blip2Processor  # as above
    images = BlipImageProcessor(size={"height": 224, "width": 224})
    return _save(folder, config, kind(images, tokenizer, num_query_tokens=32), making)


def detector_side_px(size: Size) -> int:
    """The side to which images are scaled for the detector."""
    return {"small": 320, "full": 640}[size]


def save_detector(folder: Path, making: Making) -> Path:
    """RT-DETRv2 with a ResNet-18, 80 labels; `small` differs in the size of its images and has 100 queries."""
    from transformers import RTDetrImageProcessor, RTDetrResNetConfig, RTDetrV2Config, RTDetrV2ForObjectDetection

    full, side_px = making.size == "full", detector_side_px(making.size)
    backbone_kind: Any = RTDetrResNetConfig  # transformers types its constructors in part
    backbone = backbone_kind(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_indices=[2, 3, 4],
    )
    config = RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
        decoder_layers=3,
        num_queries=300 if full else 100,
        id2label={number: f"thing {number}" for number in range(80)},
        label2id={f"thing {number}": number for number in range(80)},
    )
    with _made_on(making):
        model: Any = RTDetrV2ForObjectDetection(config)  # as above
    model.save_pretrained(folder)
    RTDetrImageProcessor(size={"height": side_px, "width": side_px}).save_pretrained(folder)
    return folder


def _tokens(tokenizer: Any, vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _tokenizer(size: int, **named: str) -> Any:
    """Byte-level BPE of about `size` tokens, trained on made-up words; `named` are special tokens that have names."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    kind: Any = PreTrainedTokenizerFast  # transformers types its constructors in part
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_made_up_text(), trainer)
    return kind(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=named,
        model_input_names=["input_ids", "attention_mask"],
    )


def _made_up_text(lines: int = 6000, words_a_line: int = 20) -> Iterator[str]:
    rng = random.Random(0)
    onsets, ends = ("b", "br", "d", "f", "gl", "k", "m", "n", "p", "s", "st", "t", "v", "w"), ("", "n", "r", "s", "ll")
    syllables = ["".join(parts) for parts in itertools.product(onsets, "aeiou", ends)]
    for _ in range(lines):
        yield " ".join("".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(words_a_line))


def _made_on(making: Making) -> Any:
    import torch

    torch.manual_seed(0)
    return torch.device(making.device)


def _save(folder: Path, config: Any, processor: Any, making: Making) -> Path:
    import torch
    from transformers import AutoModelForImageTextToText

    kind: Any = AutoModelForImageTextToText  # typed in part
    with _made_on(making):
        model = kind.from_config(config, dtype=getattr(torch, making.dtype))
    tokenizer = processor.tokenizer
    for name in ("pad", "bos", "eos"):
        setattr(model.generation_config, f"{name}_token_id", getattr(tokenizer, f"{name}_token_id"))
    model.save_pretrained(folder, max_shard_size=_MAX_SHARD)
    processor.save_pretrained(folder)
    return folder


SAVERS: Mapping[str, Callable[[Path, Making], Path]] = {
    "clip": save_clip,
    "llava": save_llava,
    "blip2": save_blip2,
    "detector": save_detector,
}


def saved(folder: Path, name: str, making: Making) -> Path:
    """What the saver of `name` returned, made anew in a folder of its own."""
    own = folder / f"{name}-{making.size}"
    own.mkdir(parents=True)
    return SAVERS[name](own, making)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", choices=SAVERS, default=list(SAVERS))
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    chosen = parser.parse_args()
    for name in chosen.models:
        started = time.perf_counter()
        path = saved(chosen.folder, name, Making(chosen.size, chosen.device, chosen.dtype))
        size_mb = sum(file.stat().st_size for file in (folder_of(path)).rglob("*") if file.is_file()) / 1e6
        print(f"{name:<10}{size_mb:>10.0f} MB {time.perf_counter() - started:>6.1f} s  {path}", flush=True)


def folder_of(path: Path) -> Path:
    """A folder itself, or that of a file."""
    return path if path.is_dir() else path.parent


if __name__ == "__main__":
    main()
