"""AudioVAE's encoder against its plain formulation (`vae_reference`)."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.base import ModelError
from models.voxcpm.config import AudioVaeConfig
from models.voxcpm.vae_encoder import CHUNK_LATENTS, AudioVaeEncoder

from .vae_reference import V1, V15, random_codec, reference_encode

LAYOUTS = pytest.mark.parametrize("config", [V1, V15], ids=["v1", "v1.5"])


def noise(num_samples: int) -> torch.Tensor:
    return 0.3 * torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))


@LAYOUTS
@pytest.mark.parametrize("num_latents", [1, CHUNK_LATENTS, CHUNK_LATENTS + 1, 2 * CHUNK_LATENTS + 5])
def test_encoder_gives_the_latents_of_the_plain_formulation(config: AudioVaeConfig, num_latents: int) -> None:
    """However many pieces it takes them in."""
    tensors = random_codec(config)
    audio = noise(num_latents * config.hop_samples)
    expected = reference_encode(tensors, config, audio)
    latents = AudioVaeEncoder(config, tensors).encode(audio)
    assert latents.shape == (num_latents, config.latent_dim)
    assert latents.dtype == torch.float32
    assert expected.std() > 0.05
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=0)


@LAYOUTS
def test_audio_between_whole_latents_ends_in_silence(config: AudioVaeConfig) -> None:
    tensors = random_codec(config)
    audio = noise(2 * config.hop_samples + 17)
    latents = AudioVaeEncoder(config, tensors).encode(audio)
    assert len(latents) == 3
    torch.testing.assert_close(latents, reference_encode(tensors, config, audio), atol=1e-5, rtol=0)


def test_odd_strides_look_at_older_samples_as_the_original() -> None:
    """A latent of v1.5 does not know the last 290 samples of its own time; one of v1, all strides but 5 even, does."""
    encoder = AudioVaeEncoder(V15, random_codec(V15))
    audio = noise(6 * V15.hop_samples)
    changed = audio.clone()
    changed[3 * V15.hop_samples - 100 : 3 * V15.hop_samples] += 1.0  # the end of latent 2
    difference = (encoder.encode(changed) - encoder.encode(audio)).abs().amax(1)
    assert difference[:3].max() < 1e-6
    assert difference[3] > 1e-3


def test_encoder_leaves_the_decoder_and_the_variances_on_disk() -> None:
    tensors = random_codec(V15)
    AudioVaeEncoder(V15, tensors)
    encoder = {name for name in tensors.values if name.startswith("audio_vae.encoder.") and "fc_logvar" not in name}
    assert sorted(tensors.taken) == sorted(encoder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"depthwise": False}, r"depthwise' was expected to be true, but false came"),
        ({"encoder_rates": (2, 1, 6)}, r"encoder_rates' of at least 2 were expected, but 1 came"),
    ],
)
def test_configurations_that_no_checkpoint_has_are_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        AudioVaeEncoder(dataclasses.replace(V15, **change), random_codec(V15))  # type: ignore[arg-type]
