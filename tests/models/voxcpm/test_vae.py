"""AudioVAE against its plain formulation (`vae_reference`)."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.base import ModelError
from models.voxcpm import vae_layers
from models.voxcpm.config import AudioVaeConfig
from models.voxcpm.vae import AudioVaeDecoder

from .vae_reference import V1, V15, Tensors, random_codec, reference_decode

LAYOUTS = pytest.mark.parametrize("config", [V1, V15], ids=["v1", "v1.5"])


@LAYOUTS
def test_decoder_gives_the_samples_of_the_plain_formulation(config: AudioVaeConfig) -> None:
    tensors = random_codec(config)
    latents = torch.randn(2, 24, config.latent_dim, generator=torch.Generator().manual_seed(1))
    expected = reference_decode(tensors, config, latents)
    audio = AudioVaeDecoder(config, tensors).decode(latents)
    assert audio.dtype == torch.float32
    assert audio.shape == (2, 24 * config.hop_samples)
    assert expected.std() > 0.1  # a comparison of silence or of saturation would show nothing
    assert (expected.abs() > 0.99).float().mean() < 0.1
    torch.testing.assert_close(audio, expected, atol=1e-5, rtol=0)


@LAYOUTS
def test_decoder_leaves_the_encoder_on_disk(config: AudioVaeConfig) -> None:
    tensors = random_codec(config)
    AudioVaeDecoder(config, tensors)
    decoder = {name for name in tensors.values if name.startswith("audio_vae.decoder.")}
    assert sorted(tensors.taken) == sorted(decoder)


def test_a_latent_is_heard_in_its_own_samples_and_after_never_before() -> None:
    decoder = AudioVaeDecoder(V15, random_codec(V15))
    latents = torch.zeros(1, 30, V15.latent_dim)
    changed = latents.clone()
    changed[:, 5] = 1.0
    difference = (decoder.decode(changed) - decoder.decode(latents)).abs()[0].view(30, V15.hop_samples).amax(1)
    assert difference[:5].max() == 0
    assert difference[5] > 0.01
    assert difference[5 + decoder.history_latents + 1 :].max() < 1e-5


def test_history_is_as_long_as_the_fact_sheet_measured() -> None:
    assert AudioVaeDecoder(V15, random_codec(V15)).history_latents == 21


def test_weights_in_bfloat16_decode_as_the_numbers_they_are() -> None:
    stored = {name: value.bfloat16() for name, value in random_codec(V1).values.items()}
    as_float = Tensors({name: value.float() for name, value in stored.items()})
    latents = torch.randn(1, 6, V1.latent_dim, generator=torch.Generator().manual_seed(2))
    audio = AudioVaeDecoder(V1, Tensors(stored)).decode(latents)
    torch.testing.assert_close(audio, reference_decode(as_float, V1, latents), atol=1e-5, rtol=0)


def test_either_sine_gives_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numpy's on few threads, torch's on many."""
    decoder = AudioVaeDecoder(V15, random_codec(V15))
    latents = torch.randn(1, 6, V15.latent_dim, generator=torch.Generator().manual_seed(1))
    audio = decoder.decode(latents)
    monkeypatch.setattr(vae_layers, "NUMPY_SINE_THREADS", 0)
    torch.testing.assert_close(decoder.decode(latents), audio, atol=1e-5, rtol=0)


def test_products_in_bfloat16_stay_near_the_default() -> None:
    """Not near enough for a default: 60 dB would be."""
    latents = torch.randn(1, 24, V15.latent_dim, generator=torch.Generator().manual_seed(1))
    tensors = random_codec(V15)
    exact = reference_decode(tensors, V15, latents)
    error = AudioVaeDecoder(V15, tensors, dtype=torch.bfloat16).decode(latents) - exact
    signal_to_noise_db = 10 * torch.log10(exact.square().sum() / error.square().sum())
    assert 35 < signal_to_noise_db < 60


def test_decoder_without_depthwise_convolutions_is_refused() -> None:
    config = dataclasses.replace(V15, depthwise=False)
    with pytest.raises(ModelError, match=r"'audio_vae_config\.depthwise' was expected to be true, but false came"):
        AudioVaeDecoder(config, random_codec(V15))


def test_a_direction_of_length_zero_is_refused_by_name() -> None:
    tensors = random_codec(V15)
    tensors.values["audio_vae.decoder.model.4.block.1.weight_v"][3] = 0
    with pytest.raises(ModelError, match=r"audio_vae\.decoder\.model\.4\.block\.1\.weight_v: .* zero"):
        AudioVaeDecoder(V15, tensors)
