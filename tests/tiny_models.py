"""Image-text models of real architectures with tiny random weights, saved to folders as their makers save theirs.

Each has a tokenizer trained here, its family's own processor and fewer than 1 MB of weights. The weights are drawn
wider than a fresh model's, for those say the same of every image.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SIDE_PX = 28
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""In the form that Qwen models are trained on, which servers look for."""
_TEXTS = [
    "Describe what can be seen in this picture. What is it? Where is it taken? A dog runs over the grass.",
    "user: assistant: system: Question: Answer: What does the region describe? Two people sit beside the water.",
    "In one short phrase, say what is inside the box. The light is bright and the sky is blue and wide.",
] * 4


def _tokenizer(extra: dict[str, str] | None = None, added: tuple[str, ...] = (), **options: Any) -> Any:
    """A byte-level BPE tokenizer of about 330 tokens; `extra` are named special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    kind: Any = PreTrainedTokenizerFast  # transformers types its constructors in part
    special = ["<pad>", "<s>", "</s>", "<unk>", *(extra or {}).values(), *added]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320 + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return kind(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
        **({"extra_special_tokens": extra} if extra else {}),
        **options,
    )


def _widen(model: Any, seed: int) -> None:
    """Random weights under which the image decides what is said."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                scale = 1.6 / parameter[0].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def _save(folder: Path, model: Any, processor: Any, *, rare: tuple[str, ...] = ()) -> Path:
    """`rare` are tokens that the model shall hardly ever say; its output layer is tied to its embeddings."""
    import torch

    _widen(model, 7)
    with torch.no_grad():
        for token in rare:
            model.get_input_embeddings().weight[processor.tokenizer.convert_tokens_to_ids(token)] *= 0.2
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.generation_config.bos_token_id = processor.tokenizer.bos_token_id
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _text(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _llama(tokenizer: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        **_text(tokenizer),
    )


def _clip_processor() -> Any:
    from transformers import CLIPImageProcessor

    side = {"height": SIDE_PX, "width": SIDE_PX}
    return CLIPImageProcessor(size=side, crop_size=side, do_center_crop=False)


def save_llava(folder: Path, *, template: str | None = CHAT_TEMPLATE) -> Path:
    from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = _tokenizer({"image_token": "<image>"})
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE_PX,
        patch_size=14,
        projection_dim=16,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=_llama(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=4,
    )
    kind: Any = LlavaProcessor
    processor = kind(
        image_processor=_clip_processor(),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return _save(folder, LlavaForConditionalGeneration(config), processor)


def _idefics3_parts() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The tokenizer, the configuration and the image processing of Idefics3, which SmolVLM is built upon."""
    rows = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
    words = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    tokenizer = _tokenizer(added=(*words, *rows))
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE_PX,
        "patch_size": 7,
    }
    config = {
        "vision_config": vision,
        "text_config": _llama(tokenizer),
        "scale_factor": 2,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": tokenizer.pad_token_id,
    }
    images = {
        "size": {"longest_edge": 2 * SIDE_PX},
        "max_image_size": {"longest_edge": SIDE_PX},
        "do_image_splitting": True,
    }
    return tokenizer, config, images


def save_idefics3(folder: Path) -> Path:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessor, Idefics3Processor

    tokenizer, config, images = _idefics3_parts()
    processor = Idefics3Processor(
        Idefics3ImageProcessor(**images), tokenizer, image_seq_len=4, chat_template=CHAT_TEMPLATE
    )
    return _save(folder, Idefics3ForConditionalGeneration(Idefics3Config(**config)), processor)


def save_smolvlm(folder: Path) -> Path:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer, config, images = _idefics3_parts()
    processor: Any = SmolVLMProcessor
    return _save(
        folder,
        SmolVLMForConditionalGeneration(SmolVLMConfig(**config)),
        processor(
            SmolVLMImageProcessor(**images),
            tokenizer,
            SmolVLMVideoProcessor(),
            image_seq_len=4,
            chat_template=CHAT_TEMPLATE,
        ),
    )


def save_blip2(folder: Path, *, language: str = "opt") -> Path:
    """`language` is "opt" (a decoder) or "t5" (an encoder-decoder), as the published BLIP-2 models have."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        OPTConfig,
        T5Config,
    )

    tokenizer = _tokenizer(added=("<image>",))
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text: Any
    if language == "opt":
        text = OPTConfig(
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            word_embed_proj_dim=32,
            max_position_embeddings=256,
            **_text(tokenizer),
        )
    else:
        kind: Any = T5Config
        text = kind(
            d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=0, **_text(tokenizer)
        )
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**sizes, image_size=SIDE_PX, patch_size=14),
        qformer_config=Blip2QFormerConfig(**sizes, vocab_size=32, cross_attention_frequency=1),
        text_config=text,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    model = Blip2ForConditionalGeneration(config)
    if language == "t5":
        model.generation_config.decoder_start_token_id = 0
    processor: Any = Blip2Processor
    return _save(folder, model, processor(images, tokenizer, num_query_tokens=4))


def save_florence2(folder: Path) -> Path:
    from transformers import (
        BartConfig,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        Florence2VisionConfig,
    )

    tokenizer = _tokenizer({"image_token": "<image>"}, added=tuple(f"<loc_{place}>" for place in range(1000)))
    vision = Florence2VisionConfig(
        depths=(1, 1),
        patch_size=(7, 3),
        patch_stride=(4, 2),
        patch_padding=(3, 1),
        patch_prenorm=(False, True),
        embed_dim=(8, 16),
        num_heads=(2, 2),
        num_groups=(2, 2),
        window_size=4,
        projection_dim=16,
        drop_path_rate=0.0,
    )
    text = BartConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=256,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        **_text(tokenizer),
    )
    config = Florence2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        **{name: value for name, value in _text(tokenizer).items() if name != "vocab_size"},
    )
    images = _clip_processor()
    images.image_seq_length = (SIDE_PX // 8 + 1) ** 2 + 1
    model = Florence2ForConditionalGeneration(config)
    model.generation_config.decoder_start_token_id = tokenizer.eos_token_id
    loose_bytes = [token for token in tokenizer.get_vocab() if len(token) == 1 and not token.isascii()]
    rare = ("</s>", *(f"<loc_{place}>" for place in range(1000)), *loose_bytes)
    return _save(folder, model, Florence2Processor(images, tokenizer), rare=rare)


def save_instructblip(folder: Path) -> Path:
    from transformers import (
        BlipImageProcessor,
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
        InstructBlipQFormerConfig,
        InstructBlipVisionConfig,
    )

    tokenizer, reader = _tokenizer(added=("<image>",)), _tokenizer()
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(**sizes, image_size=SIDE_PX, patch_size=14),
        qformer_config=InstructBlipQFormerConfig(**sizes, vocab_size=len(reader), cross_attention_frequency=1),
        text_config=_llama(tokenizer),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    processor: Any = InstructBlipProcessor
    return _save(
        folder, InstructBlipForConditionalGeneration(config), processor(images, tokenizer, reader, num_query_tokens=4)
    )


def _qwen_parts() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The tokenizer, the configuration of the text model and the ids of the tokens around images of a Qwen-VL."""
    words = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = _tokenizer(added=("<|im_start|>", "<|im_end|>", *words))
    start, end, image, video = (tokenizer.convert_tokens_to_ids(word) for word in words)
    text = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        **_text(tokenizer),
    }
    ids = {"vision_start_token_id": start, "vision_end_token_id": end, "image_token_id": image, "video_token_id": video}
    return tokenizer, text, ids


def save_qwen2_vl(folder: Path) -> Path:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer, text, ids = _qwen_parts()
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    kind: Any = Qwen2VLConfig
    bounds: dict[str, Any] = {"size": {"shortest_edge": SIDE_PX**2, "longest_edge": 4 * SIDE_PX**2}}
    processor: Any = Qwen2VLProcessor
    return _save(
        folder,
        Qwen2VLForConditionalGeneration(kind(vision_config=vision, text_config=text, **ids)),
        processor(
            Qwen2VLImageProcessor(**bounds), tokenizer, Qwen2VLVideoProcessor(**bounds), chat_template=CHATML_TEMPLATE
        ),
    )


def save_qwen3_vl(folder: Path) -> Path:
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    tokenizer, text, ids = _qwen_parts()
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 16,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    kind: Any = Qwen3VLConfig
    bounds: dict[str, Any] = {"patch_size": 16, "size": {"shortest_edge": 32**2, "longest_edge": 4 * 32**2}}
    processor: Any = Qwen3VLProcessor
    return _save(
        folder,
        Qwen3VLForConditionalGeneration(kind(vision_config=vision, text_config={**text, "head_dim": 16}, **ids)),
        processor(
            Qwen2VLImageProcessor(**bounds), tokenizer, Qwen3VLVideoProcessor(**bounds), chat_template=CHATML_TEMPLATE
        ),
    )


SAVERS = {
    "llava": save_llava,
    "idefics3": save_idefics3,
    "smolvlm": save_smolvlm,
    "blip2-opt": save_blip2,
    "blip2-t5": lambda folder: save_blip2(folder, language="t5"),
    "florence2": save_florence2,
    "instructblip": save_instructblip,
    "qwen2-vl": save_qwen2_vl,
    "qwen3-vl": save_qwen3_vl,
}


def tiny_model(name: str, factory: Any) -> Path:
    """The folder of one of `SAVERS`, made once in a test run; `factory` is pytest's `tmp_path_factory`."""
    folder = Path(factory.getbasetemp()) / "tiny-models" / name
    if not folder.is_dir():
        SAVERS[name](folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are several times faster without threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
