"""A CLIP of 6 MB with random weights, saved and loaded by open_clip's own calls."""

import json
from pathlib import Path
from typing import Any

MODEL = "ostensive-test-clip"
CONFIG: dict[str, Any] = {  # Any: JSON values
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def write_config(folder: Path) -> Path:
    """The configuration as open_clip registers it; its name is that of the model."""
    path = folder / f"{MODEL}.json"
    path.write_text(json.dumps(CONFIG))
    return path


def write_checkpoint(path: Path, seed: int = 0) -> Path:
    """Random weights for that configuration, as safetensors."""
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = CLIP(**CONFIG)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            # Wider than the library's own start, which leaves all texts and all images nearly alike.
            if "embedding" in name or name.startswith("visual.") or "text_projection" in name:
                tensor.normal_(std=0.5)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def write_folder(folder: Path, seed: int = 0) -> Path:
    """The same as a folder that `local-dir:` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    write_checkpoint(folder / "open_clip_model.safetensors", seed)
    return folder
