"""The tables by which queries and keys are rotated (RoPE)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_tables(angles: Tensor, amplitude: float = 1.0) -> tuple[Tensor, Tensor]:
    """Angles float32 [positions, dim / 2] -> the cosines and sines `rotate` takes, [positions, dim] each."""
    cos, sin = angles.cos() * amplitude, angles.sin() * amplitude
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
