"""A random LoRA adapter in the official layout: lora_weights.safetensors and lora_config.json."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from models.voxcpm.config import VoxCPMConfig
from models.voxcpm.weights import expected_tensors

_ATTENTION = tuple(f".self_attn.{name}_proj.weight" for name in "qkvo")
_PROJECTIONS = ("enc_to_lm_proj.weight", "lm_to_dit_proj.weight", "res_to_dit_proj.weight")
_SHARE = 0.3  # of a linear layer's output that the adapter adds


def write_lora(
    out: Path,
    config: VoxCPMConfig,
    *,
    seed: int,
    rank: int = 8,
    alpha: int = 16,
    lm: bool = True,
    dit: bool = True,
    projections: bool = False,
) -> None:
    """An adapter for checkpoints of that configuration into the directory `out`, the same for the same arguments.

    It adapts the attention of both language models (`lm`) and of LocDiT (`dit`), and the three projections. Raises
    OSError.
    """
    tensors: dict[str, np.ndarray] = {}
    for name, (num_out, num_in) in _adapted(config, lm=lm, dit=dit, projections=projections):
        generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
        down = generator.standard_normal((rank, num_in), dtype=np.float32) / np.float32(num_in**0.5)
        up = generator.standard_normal((num_out, rank), dtype=np.float32)
        tensors[f"{name}.lora_A"] = down
        tensors[f"{name}.lora_B"] = up * np.float32(_SHARE * rank**0.5 / alpha)
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "lora_weights.safetensors")
    values = {"enable_lm": lm, "enable_dit": dit, "enable_proj": projections, "r": rank, "alpha": alpha, "dropout": 0.0}
    text = json.dumps({"base_model": "random", "lora_config": values}, indent=1) + "\n"
    (out / "lora_config.json").write_text(text, encoding="utf-8")


def _adapted(config: VoxCPMConfig, *, lm: bool, dit: bool, projections: bool) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, shape in expected_tensors(config).items():
        if name.endswith(_ATTENTION):
            wanted = lm if name.startswith(("base_lm.", "residual_lm.")) else dit and name.startswith("feat_decoder.")
        else:
            wanted = projections and name in _PROJECTIONS
        if wanted:
            yield name.removesuffix(".weight"), (shape[0], shape[1])
