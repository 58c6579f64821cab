"""How much arithmetic a model's architecture asks for, and how much of it a device does in a second.

Used by `benchmarks/verbalizing.py`. Formulas, with 2 FLOPs a multiply-add, and what is not a matrix product left out:

- a transformer block of width d over T positions: 2 T (2 d^2 + 2 d^2 k + m d f) + 4 T^2 d, where k is the share of key
  and value heads, f the inner width of its m feed-forward matrices (3 where gated, else 2). Masked products count;
- an image tower: its blocks over (side / patch)^2 + 1 positions, and the patches' projection;
- a text of N new tokens after a prompt of P positions, image slots included: blocks over P positions at once, then one
  position N - 1 times, each against all before it, and N times the output layer, 2 d V.

Every text of an image counts the image tower and the prompt anew, for that is what is computed.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: configurations of transformers and open_clip, which are typed in part or not at all


@dataclass(frozen=True, slots=True)
class Blocks:
    """A stack of transformer blocks."""

    layers: int
    width: int
    inner_width: int
    matrices: int  # in a feed-forward part
    kv_share: float = 1.0

    @property
    def weights(self) -> float:
        """In the matrices of all blocks."""
        attention = self.width**2 * (2 + 2 * self.kv_share)
        return self.layers * (attention + self.matrices * self.width * self.inner_width)

    def flops(self, positions: int) -> float:
        """Over so many positions at once."""
        return 2 * positions * self.weights + 4 * self.layers * positions**2 * self.width

    def step_flops(self, before: int) -> float:
        """Of one position more, after `before` others."""
        return 2 * self.weights + 4 * self.layers * (before + 1) * self.width


@dataclass(frozen=True, slots=True)
class Tower:
    """An image tower."""

    blocks: Blocks
    side_px: int
    patch_px: int

    @property
    def positions(self) -> int:
        return (self.side_px // self.patch_px) ** 2 + 1

    @property
    def flops(self) -> float:
        """For one image."""
        patches = 2 * (self.positions - 1) * 3 * self.patch_px**2 * self.blocks.width
        return self.blocks.flops(self.positions) + patches


def clip_tower(vision: dict[str, Any]) -> Tower:
    """The image side of a model of open_clip by its `vision_cfg`."""
    width = int(vision["width"])
    blocks = Blocks(int(vision["layers"]), width, int(width * vision.get("mlp_ratio", 4.0)), 2)
    return Tower(blocks, int(vision["image_size"]), int(vision["patch_size"]))


def text_flops(config: Any, prompt_tokens: int, new_tokens: int) -> float:
    """For one text about one image by a LLaVA or a BLIP-2 with a decoder."""
    vision, text = config.vision_config, config.get_text_config(decoder=True)
    tower = Tower(_blocks(vision, 2), vision.image_size, vision.patch_size)
    gated = hasattr(text, "num_key_value_heads")
    decoder = _blocks(text, 3 if gated else 2)
    flops: float = tower.flops + decoder.flops(prompt_tokens) + 2 * new_tokens * decoder.width * text.vocab_size
    flops += sum(decoder.step_flops(prompt_tokens + step) for step in range(new_tokens - 1))
    if hasattr(config, "qformer_config"):
        return flops + _reader_flops(config, tower.positions)
    projector: float = 2 * (tower.positions - 1) * decoder.width * (vision.hidden_size + decoder.width)
    return flops + projector


def _blocks(config: Any, matrices: int) -> Blocks:
    width = config.hidden_size
    inner = getattr(config, "ffn_dim", None) or config.intermediate_size
    heads = config.num_attention_heads
    return Blocks(
        config.num_hidden_layers, width, inner, matrices, getattr(config, "num_key_value_heads", heads) / heads
    )


def _reader_flops(config: Any, image_positions: int) -> float:
    """BLIP-2's Q-Former: its blocks over the queries, every second of which looks at the image, and the projection."""
    reader, queries = config.qformer_config, config.num_query_tokens
    looks = reader.num_hidden_layers // reader.cross_attention_frequency
    width = reader.hidden_size
    look: float = 2 * queries * 2 * width**2 + 2 * image_positions * 2 * reader.encoder_hidden_size * width
    look += 4 * queries * image_positions * width
    out: float = 2 * queries * width * config.get_text_config(decoder=True).hidden_size
    flops: float = _blocks(reader, 2).flops(queries) + looks * look + out
    return flops


def matmul_peak(device: str, dtype: Any, side: int = 8192, seconds: float = 2.0) -> float:
    """FLOPs a second of a product of square matrices, the best of several runs within about so many seconds."""
    import torch

    side = side if device.startswith("cuda") else side // 4
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best, started = 0.0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        synchronize(device)
        before = time.perf_counter()
        for _ in range(5):
            one @ other
        synchronize(device)
        best = max(best, 5 * 2 * side**3 / (time.perf_counter() - before))
    return best


def synchronize(device: str) -> None:
    """Waits for what the device was given to do."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def cpu_seconds() -> float:
    """What this process and those that it started and that still run have had of all cores; Linux alone tells."""
    ticks, own = 0.0, str(os.getpid())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if own in (folder.name, fields[1]):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
