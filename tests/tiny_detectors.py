"""Detectors of real architectures with tiny random weights, saved to folders as their makers save theirs.

The weights are drawn wider than a fresh model's, so that what is found depends on the picture. Each has fewer than a
million weights, but for those of torchvision, which come in one size.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from verbalizers.detectors.detection import Detection

CLASSES = ("person", "traffic light", "dog", "tea cup")


def _library() -> Any:  # Any: transformers types its constructors in part
    import transformers

    return transformers


def _lively(make: Callable[[], Any], seed: int, gain: float = 1.0) -> Any:
    """The model that `make` makes, with random weights under which the picture decides what is found."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = make()
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                scale = gain / parameter[0].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def _names(classes: tuple[str, ...] = CLASSES) -> dict[str, Mapping[Any, Any]]:
    return {"id2label": dict(enumerate(classes)), "label2id": {name: number for number, name in enumerate(classes)}}


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _rt_detr_resnet() -> Any:
    return _library().RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )


_RT_DETR = {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 24, 32],
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "d_model": 32,
    "num_queries": 12,
    "decoder_in_channels": [32, 32, 32],
    "decoder_ffn_dim": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_n_points": 2,
    "num_denoising": 0,
}


def _square_processor(side_px: int) -> Any:
    kind = _library().RTDetrImageProcessor
    return kind(size={"height": side_px, "width": side_px})


def save_rt_detr(folder: Path, *, side_px: int = 64) -> Path:
    config = _library().RTDetrConfig(backbone_config=_rt_detr_resnet(), **_RT_DETR, **_names())
    return _save(folder, _lively(lambda: _library().RTDetrForObjectDetection(config), 3), _square_processor(side_px))


def save_rt_detr_v2(folder: Path) -> Path:
    config = _library().RTDetrV2Config(backbone_config=_rt_detr_resnet(), **_RT_DETR, **_names())
    return _save(folder, _lively(lambda: _library().RTDetrV2ForObjectDetection(config), 3), _square_processor(64))


def draw_squares(count: int, *, seed: int, width: int, height: int) -> tuple[list[Image.Image], list[Detection]]:
    """Grey pictures with one red or blue rectangle each, and where it is."""
    import numpy as np

    rng, pictures, truths = np.random.default_rng(seed), [], []
    for _ in range(count):
        shares = rng.uniform(0.25, 0.55, 2)
        start = rng.uniform(0, 1 - shares)
        left, top = (int(part) for part in start * (width, height))
        right, bottom = (int(part) for part in (start + shares) * (width, height))
        colour = ("red", "blue")[int(rng.integers(2))]
        picture = Image.new("RGB", (width, height), "grey")
        picture.paste(colour, (left, top, right, bottom))
        pictures.append(picture)
        truths.append(Detection((left, top, right, bottom), colour, 1.0))
    return pictures, truths


def save_trained_rt_detr(folder: Path, *, steps: int = 300) -> Path:
    """RT-DETR that has learned to find the rectangles of `draw_squares`, whatever their proportions."""
    import torch

    config = _library().RTDetrConfig(
        backbone_config=_rt_detr_resnet(), **_RT_DETR, freeze_backbone_batch_norms=False, **_names(("red", "blue"))
    )
    processor, side_px = _square_processor(64), 64
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _library().RTDetrForObjectDetection(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
        for step in range(steps):
            pictures, truths = draw_squares(8, seed=1000 + step, width=side_px, height=side_px)
            inputs = processor(images=pictures, return_tensors="pt")
            labels = []
            for truth in truths:
                left, top, right, bottom = truth.corners_px
                box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
                number = config.label2id[truth.label]
                labels.append({"class_labels": torch.tensor([number]), "boxes": torch.tensor([box]) / side_px})
            optimizer.zero_grad()
            model(**inputs, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return _save(folder, model.eval(), processor)


def save_d_fine(folder: Path) -> Path:
    backbone = _library().HGNetV2Config(
        embedding_size=8,
        stem_channels=[3, 8, 8],
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        stage_in_channels=[8, 8, 16, 24],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 16, 24, 32],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_indices=[2, 3, 4],
    )
    config = _library().DFineConfig(backbone_config=backbone, **_RT_DETR, **_names())
    return _save(folder, _lively(lambda: _library().DFineForObjectDetection(config), 5), _square_processor(64))


def save_rf_detr(folder: Path) -> Path:
    backbone = _library().RfDetrDinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        num_windows=2,
        out_indices=[2, 4],
    )
    config = _library().RfDetrConfig(
        backbone_config=backbone,
        d_model=32,
        num_queries=12,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_n_points=2,
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2,
        c2f_num_blocks=1,
        group_detr=1,
        **_names(),
    )
    kind = _library().RfDetrImageProcessor
    return _save(
        folder, _lively(lambda: _library().RfDetrForObjectDetection(config), 5), kind(size={"height": 56, "width": 56})
    )


def save_detr(folder: Path) -> Path:
    """Keeps the proportions of a picture, and its processor pads: the ones that can leak."""
    backbone = _library().ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = _library().DetrConfig(
        backbone_config=backbone,
        d_model=32,
        num_queries=12,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        **_names(),
    )
    kind = _library().DetrImageProcessor
    processor = kind(size={"shortest_edge": 64, "longest_edge": 128})
    return _save(folder, _lively(lambda: _library().DetrForObjectDetection(config), 5, gain=1.6), processor)


def save_yolos(folder: Path) -> Path:
    """Its processor pads and the model is never told where."""
    config = _library().YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[64, 96],
        patch_size=16,
        num_detection_tokens=12,
        **_names(),
    )
    kind = _library().YolosImageProcessor
    processor = kind(size={"shortest_edge": 64, "longest_edge": 128})
    return _save(folder, _lively(lambda: _library().YolosForObjectDetection(config), 5), processor)


def _clip_tokenizer(side: int) -> Any:
    """A byte-level BPE tokenizer whose end token has the highest number, as OWL needs, padded to `side` tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    kind = _library().PreTrainedTokenizerFast
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", *letters, "<s>", "</s>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ends = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return kind(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=side,
        model_input_names=["input_ids", "attention_mask"],
    )


def save_owl(folder: Path, *, version: int = 2) -> Path:
    """OWLv2, or OWL-ViT for version 1."""
    library = _library()
    name = "Owlv2" if version == 2 else "OwlViT"
    tokenizer = _clip_tokenizer(32)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "pad_token_id": 0,
        "bos_token_id": len(tokenizer) - 2,
        "eos_token_id": len(tokenizer) - 1,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    }
    config = getattr(library, f"{name}Config")(text_config=text, vision_config=vision, projection_dim=24)
    model = _lively(lambda: getattr(library, f"{name}ForObjectDetection")(config), 5, gain=1.6)
    images = getattr(library, f"{name}ImageProcessor")(size={"height": 64, "width": 64})
    return _save(folder, model, getattr(library, f"{name}Processor")(image_processor=images, tokenizer=tokenizer))


def _bert_tokenizer() -> Any:
    """BERT's, with the numbers of its ends of labels that Grounding DINO has in its code, and letters for words."""
    kind = _library().BertTokenizer
    vocabulary = {f"[unused{number}]": number for number in range(1030)}
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
    for token, number in special.items():
        del vocabulary[f"[unused{number}]"]
        vocabulary[token] = number
    words = ["dog", "cup", "tea", "light", "traffic", "man", "in", "red", ",", "(", ")"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    for place, token in enumerate([*words, *letters, *(f"##{letter}" for letter in letters)], start=1030):
        vocabulary[token] = place
    return kind(vocab=vocabulary, do_lower_case=True)


def save_grounding_dino(folder: Path, *, mm: bool = False) -> Path:
    """Grounding DINO, or MM Grounding DINO."""
    library = _library()
    name = "MMGroundingDino" if mm else "GroundingDino"
    tokenizer = _bert_tokenizer()
    text = library.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    backbone = library.SwinConfig(
        image_size=64,
        window_size=2,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 2],
        out_indices=[2, 3, 4],
    )
    config = getattr(library, f"{name}Config")(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        num_queries=12,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_n_points=2,
        decoder_n_points=2,
        max_text_len=64,
        disable_custom_kernels=True,
    )
    model = _lively(lambda: getattr(library, f"{name}ForObjectDetection")(config), 5)
    images = library.GroundingDinoImageProcessor(size={"shortest_edge": 96, "longest_edge": 192})
    return _save(folder, model, library.GroundingDinoProcessor(image_processor=images, tokenizer=tokenizer))


def save_omdet_turbo(folder: Path) -> Path:
    library = _library()
    tokenizer = _clip_tokenizer(77)
    text = library.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        pad_token_id=0,
        bos_token_id=len(tokenizer) - 2,
        eos_token_id=len(tokenizer) - 1,
        projection_dim=24,
    )
    backbone = library.SwinConfig(
        image_size=64, window_size=2, patch_size=4, embed_dim=8, depths=[1] * 4, num_heads=[1, 2, 2, 2],
        out_indices=[2, 3, 4],
    )  # fmt: skip
    config = library.OmDetTurboConfig(
        backbone_config=backbone,
        text_config=text,
        image_size=64,
        text_projection_in_dim=24,
        text_projection_out_dim=24,
        task_encoder_hidden_dim=32,
        class_embed_dim=24,
        num_queries=12,
        encoder_hidden_dim=32,
        vision_features_channels=[32, 32, 32],
        encoder_in_channels=[16, 32, 64],
        encoder_attention_heads=2,
        encoder_dim_feedforward=32,
        decoder_hidden_dim=32,
        decoder_num_heads=2,
        decoder_num_layers=2,
        decoder_dim_feedforward=32,
        decoder_num_points=2,
        disable_custom_kernels=True,
        apply_layernorm_after_vision_backbone=False,
    )
    model = _lively(lambda: library.OmDetTurboForObjectDetection(config), 5)
    images = library.DetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False)
    return _save(folder, model, library.OmDetTurboProcessor(image_processor=images, tokenizer=tokenizer))


def save_torchvision(path: Path, name: str = "ssdlite320_mobilenet_v3_large", *, classes: int = len(CLASSES)) -> Path:
    """The weights of a model of torchvision, for `classes` classes and background, in a file that its name says."""
    import torch
    import torchvision.models
    from safetensors.torch import save_file

    options: Any = {"weights": None, "weights_backbone": None, "num_classes": classes + 1}
    model = _lively(lambda: torchvision.models.get_model(name, **options), 1, gain=1.4)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((2, 3, 320, 320), generator=generator) + torch.randn((2, 3, 1, 1), generator=generator)
    heads = ("bbox_pred.weight", "cls_logits.weight", "cls_score.weight")
    with torch.no_grad():  # random layers over each other fade out or overflow unless their statistics are taken
        model.backbone.train()(noise)
        for layer, parameter in model.named_parameters():
            if layer.endswith(heads):  # which have no such statistics
                parameter.div_(3000)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path
