"""Voice prompts: a recording is read, encoded, and kept once for each checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models.base import ModelError
from models.voxcpm.prompt import encode_prompt, read_recording
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


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_recording_keeps_its_samples(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "prompt.wav", tone(3_000), 44_100, subtype=subtype)
    recording = read_recording(tmp_path / "prompt.wav")
    assert recording.rate_hz == 44_100
    np.testing.assert_allclose(recording.at(44_100), tone(3_000), atol=5e-5)


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "prompt.wav", np.stack([tone(3_000), np.zeros(3_000)], axis=1), 44_100, subtype="FLOAT")
    samples = read_recording(tmp_path / "prompt.wav").samples
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, tone(3_000) / 2, atol=1e-7)


def test_recording_at_another_rate_has_the_same_pitch(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "prompt.wav", tone(16_000, 16_000), 16_000, subtype="FLOAT")
    samples = read_recording(tmp_path / "prompt.wav").at(44_100)
    assert samples.dtype == np.float32
    assert len(samples) == 44_100
    np.testing.assert_allclose(samples[4_000:-4_000], tone(44_100)[4_000:-4_000], atol=1e-3)


def test_recording_of_thirty_seconds_is_taken_and_one_sample_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "prompt.wav"
    soundfile.write(path, np.zeros(30 * 8_000), 8_000)
    assert len(read_recording(path).samples) == 30 * 8_000
    soundfile.write(path, np.zeros(30 * 8_000 + 1), 8_000)
    with pytest.raises(ModelError, match=r"prompt\.wav: at most 30 s of speech were expected, but there is more"):
        read_recording(path)


def test_recordings_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "prompt.wav"
    with pytest.raises(ModelError, match=r"prompt\.wav: a sound file was expected, but it cannot be read"):
        read_recording(path)
    path.write_bytes(b"not sound")
    with pytest.raises(ModelError, match=r"prompt\.wav: a sound file was expected, but it cannot be read"):
        read_recording(path)
    soundfile.write(path, np.zeros(0), 8_000)
    with pytest.raises(ModelError, match=r"prompt\.wav: speech was expected, but there is not one sample"):
        read_recording(path)
    soundfile.write(path, np.array([0.0, np.nan]), 8_000, subtype="FLOAT")
    with pytest.raises(ModelError, match=r"prompt\.wav: finite samples were expected"):
        read_recording(path)
    soundfile.write(path, np.zeros((10, 9)), 8_000)
    with pytest.raises(ModelError, match=r"at most 8 channels were expected, but 8000 Hz and 9 came"):
        read_recording(path)
