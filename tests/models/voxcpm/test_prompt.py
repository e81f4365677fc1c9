"""Voice prompts: a recording becomes latents, in whole patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.base import ModelError
from models.voxcpm.prompt import encode_prompt
from models.voxcpm.vae_encoder import AudioVaeEncoder

from .vae_reference import V15, random_codec, reference_encode

PATCH_SAMPLES = 4 * V15.hop_samples


def tone(num_samples: int, rate_hz: int = 44_100) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(num_samples) / rate_hz)).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> AudioVaeEncoder:
    return AudioVaeEncoder(V15, random_codec(V15))


@pytest.mark.parametrize(("num_samples", "num_patches"), [(1, 1), (PATCH_SAMPLES, 1), (PATCH_SAMPLES + 1, 2)])
def test_prompt_is_whole_patches_with_silence_in_front(
    encoder: AudioVaeEncoder, num_samples: int, num_patches: int
) -> None:
    audio = torch.from_numpy(tone(num_samples))
    silence = torch.zeros(num_patches * PATCH_SAMPLES - num_samples)
    latents = encode_prompt(encoder, audio, patch_samples=PATCH_SAMPLES)
    assert latents.shape == (num_patches, 4, V15.latent_dim)
    expected = reference_encode(random_codec(V15), V15, torch.cat([silence, audio]))
    # The original's layout: [feat, latents] viewed as [feat, patches, 4] and permuted.
    official = expected.t().reshape(V15.latent_dim, num_patches, 4).permute(1, 2, 0)
    torch.testing.assert_close(latents, official, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(0,), (2, 100)])
def test_prompt_of_another_shape_is_refused(encoder: AudioVaeEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"A prompt of shape \[samples\] was expected"):
        encode_prompt(encoder, torch.zeros(shape), patch_samples=PATCH_SAMPLES)
