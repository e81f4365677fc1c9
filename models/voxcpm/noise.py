"""The noise that a patch is made from: a function of (seed, segment, patch) alone.

Counter-based, so that it is the same in any batch, on any device and after any restart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MANTISSA_BITS = 53


def patch_noise(seed: int, segment: int, patch: int, *, patch_size: int, feat_dim: int) -> Tensor:
    """Standard normal, float32 [patch_size, feat_dim], on the CPU."""
    return batch_noise([(seed, segment, patch)], patch_size=patch_size, feat_dim=feat_dim)[0]


def batch_noise(keys: Sequence[tuple[int, int, int]], *, patch_size: int, feat_dim: int) -> Tensor:
    """The noise of several patches, each by its (seed, segment, patch): float32 [patches, patch_size, feat_dim].

    Philox 4x64 (Salmon et al. 2011) keyed with all three, and Box-Muller: its raw bits are fixed by the algorithm,
    while numpy's own normal distribution may change between versions.
    """
    num_values = patch_size * feat_dim
    num_pairs = (num_values + 1) // 2
    raw = np.empty((len(keys), 2 * num_pairs), np.uint64)
    for row, (seed, segment, patch) in zip(raw, keys, strict=True):
        key = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF, (segment & 0xFFFF_FFFF) << 32 | patch & 0xFFFF_FFFF], np.uint64)
        row[:] = np.random.Philox(key=key).random_raw(2 * num_pairs)
    uniform = ((raw >> np.uint64(64 - _MANTISSA_BITS)).astype(np.float64) + 0.5) * 2.0**-_MANTISSA_BITS  # (0, 1)
    radius = np.sqrt(-2.0 * np.log(uniform[:, :num_pairs]))
    angle = 2.0 * np.pi * uniform[:, num_pairs:]
    values = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :num_values]
    return torch.from_numpy(values.astype(np.float32).reshape(len(keys), patch_size, feat_dim))
