"""Voices for a random checkpoint whose own would take long to make."""

from __future__ import annotations

from pathlib import Path

import torch

from models.voxcpm.config import read_config
from models.voxcpm.default_voices import DEFAULTS
from models.voxcpm.prompt_cache import PromptCache, checkpoint_fingerprint


def give_default_voices(checkpoint: Path, cache: Path, *, num_patches: int = 8) -> None:
    """Put prompts of noise where the checkpoint's own would be kept: speaking those takes seconds."""
    config = read_config(checkpoint)
    prompts = PromptCache(cache, checkpoint_fingerprint(checkpoint))
    for default in DEFAULTS:
        noise = torch.Generator().manual_seed(default.seed)
        shape = (num_patches, config.patch_size, config.feat_dim)
        prompts.write(default.key(prompts), torch.randn(shape, generator=noise))
