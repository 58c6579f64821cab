"""Models that `benchmarks/critic.py` starts from: fresh tiny ones, and given ones with the teacher's words added.

A tokenizer with a word a token, such as those of the microworld's own models, knows none of the words in which the
scripted teacher speaks of boxes, and a critic that reads unknown words alone can tell nothing apart. So the words of
the training candidates are added to it; what they mean, the critic has to learn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIDE_PX = 64
_PAD, _UNKNOWN, _IMAGE = "[PAD]", "[UNK]", "<image>"
PATTERN = r"[a-z]+|[0-9]|\S"
_WIDTH = 128
_QUERIES = 16


def words_of(texts: Sequence[str]) -> list[str]:
    """The words and marks of some texts, in order of the alphabet."""
    import re

    return sorted({word for text in texts for word in re.findall(PATTERN, text.lower())})


def make_matching(folder: Path, texts: Sequence[str], seed: int) -> None:
    """A BLIP-2 for image-text retrieval with random weights: 1.6 million, a word a token."""
    import torch
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import (
        Blip2Config,
        Blip2ForImageTextRetrieval,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        OPTConfig,
        PreTrainedTokenizerFast,
    )

    words = [_PAD, _UNKNOWN, _IMAGE, *words_of(texts)]
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=_UNKNOWN))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
    kind: Any = PreTrainedTokenizerFast  # Any: transformers types its constructors in part
    tokenizer = kind(tokenizer_object=inner, pad_token=_PAD, unk_token=_UNKNOWN, additional_special_tokens=[_IMAGE])
    sizes: dict[str, Any] = {"hidden_size": _WIDTH, "num_attention_heads": 4, "num_hidden_layers": 4}
    torch.manual_seed(seed)
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**sizes, intermediate_size=4 * _WIDTH, image_size=SIDE_PX, patch_size=8),
        qformer_config=Blip2QFormerConfig(
            **sizes,
            intermediate_size=2 * _WIDTH,
            vocab_size=len(tokenizer),
            cross_attention_frequency=1,
            max_position_embeddings=256,
            use_qformer_text_input=True,
        ),
        text_config=OPTConfig(
            hidden_size=32, ffn_dim=32, num_hidden_layers=1, num_attention_heads=1, word_embed_proj_dim=32
        ),
        num_query_tokens=_QUERIES,
        image_text_hidden_size=64,
    )
    model = Blip2ForImageTextRetrieval(config)
    with torch.no_grad():
        model.query_tokens.normal_(0, 0.02)  # they begin as zeros, and zeros that are alike stay alike
    model.save_pretrained(folder)
    processor: Any = Blip2Processor
    half = [0.5, 0.5, 0.5]
    images: Any = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX}, image_mean=half, image_std=half)
    processor(images, tokenizer).save_pretrained(folder)


def make_telling(folder: Path, texts: Sequence[str], seed: int) -> None:
    """The microworld's image-text model with random weights, and the words of `texts`."""
    import torch

    from ostensive.microworld.training.models import make_eyes
    from ostensive.microworld.training.views import PATCH_PX
    from ostensive.microworld.training.words import make_processor

    torch.manual_seed(seed)
    model, processor = make_eyes(), make_processor(PATCH_PX)
    _grow(model, processor.tokenizer, texts)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def grow(source: Path, folder: Path, texts: Sequence[str], backbone: str, seed: int) -> None:
    """Writes the model in `source` with the words of `texts` that its tokenizer does not know."""
    import torch
    import transformers

    library: Any = transformers  # Any: its automatic classes are typed in part only
    classes = {"blip2": library.Blip2ForImageTextRetrieval, "vlm": library.AutoModelForImageTextToText}
    torch.manual_seed(seed)
    model = classes[backbone].from_pretrained(source, dtype=torch.float32, use_safetensors=True)
    processor = library.AutoProcessor.from_pretrained(source)
    _grow(model, processor.tokenizer, texts)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _grow(model: Any, tokenizer: Any, texts: Sequence[str]) -> None:  # Any: transformers types both in part
    from tokenizers import AddedToken

    unknown = tokenizer.unk_token_id
    new = [word for word in words_of(texts) if unknown in tokenizer(word, add_special_tokens=False)["input_ids"]]
    if unknown is None or not new:
        return
    tokenizer.add_tokens([AddedToken(word, single_word=word.isalpha(), normalized=True) for word in new])
    rows = max(len(tokenizer), model.get_input_embeddings().num_embeddings)
    model.resize_token_embeddings(rows, mean_resizing=False)
    reader = getattr(model.config, "qformer_config", None)
    if reader is not None:
        reader.vocab_size = rows
