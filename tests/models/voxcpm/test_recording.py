"""A voice's recording: read from any sound file, and forgotten with all that was made of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models.base import ModelError
from models.voxcpm.prompt_cache import PromptCache
from models.voxcpm.recording import forget_recording, read_recording


def tone(num_samples: int, rate_hz: int = 44_100) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(num_samples) / rate_hz)).astype(np.float32)


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


def put(voices: Path, name: str, samples: np.ndarray, rate_hz: int = 44_100) -> Path:
    (voices / name).mkdir(parents=True)
    soundfile.write(voices / name / "prompt.wav", samples, rate_hz)
    return voices / name / "prompt.wav"


def encoded(cache: Path, prompt: Path) -> None:
    """As two checkpoints do."""
    for checkpoint in ("one", "two"):
        prompts = PromptCache(cache, checkpoint)
        prompts.write(prompts.key_of_recording(read_recording(prompt)), torch.zeros(1, 2, 3))


def test_a_forgotten_recording_leaves_nothing_of_any_checkpoint_and_others_stay(tmp_path: Path) -> None:
    voices, cache = tmp_path / "voices", tmp_path / "cache"
    anna, bert = put(voices, "Anna", tone(9_000)), put(voices, "Bert", tone(9_000) / 2)
    encoded(cache, bert)
    of_bert = sorted(cache.iterdir())
    encoded(cache, anna)
    assert len(list(cache.iterdir())) == 4
    forget_recording(anna, voices=voices, cache=cache)
    assert sorted(cache.iterdir()) == of_bert


@pytest.mark.parametrize("other", ["Bert", ".new-upload"])
def test_what_another_voice_has_too_is_kept_until_that_is_gone(other: str, tmp_path: Path) -> None:
    voices, cache = tmp_path / "voices", tmp_path / "cache"
    anna, twin = put(voices, "Anna", tone(9_000)), put(voices, other, tone(9_000))
    put(voices, "another rate", tone(9_000), 22_050)
    encoded(cache, anna)
    forget_recording(anna, voices=voices, cache=cache)
    assert len(list(cache.iterdir())) == 2
    shutil.rmtree(anna.parent)
    forget_recording(twin, voices=voices, cache=cache)
    assert list(cache.iterdir()) == []


def test_a_recording_that_cannot_be_read_has_nothing_to_be_forgotten(tmp_path: Path) -> None:
    voices = tmp_path / "voices"
    anna, torn = put(voices, "Anna", tone(9_000)), put(voices, "Torn", tone(9_000))
    encoded(tmp_path / "cache", anna)
    torn.write_bytes(b"RIFF")
    forget_recording(torn, voices=voices, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    forget_recording(anna, voices=voices, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_forgetting_needs_no_torch(tmp_path: Path) -> None:
    prompt = put(tmp_path / "voices", "Anna", tone(9_000))
    encoded(tmp_path / "cache", prompt)
    code = (
        "import sys; from pathlib import Path; from models.base import ModelOptions;"
        "from models.registry import voice_preparation; voices, cache, prompt = map(Path, sys.argv[1:4]);"
        "preparation = voice_preparation(sys.argv[4], ModelOptions(voices=voices, cache=cache));"
        "preparation.forget(prompt); sys.exit('torch' in sys.modules)"
    )
    (tmp_path / "config.json").write_text("{}")
    folders = (str(tmp_path / "voices"), str(tmp_path / "cache"), str(prompt), str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code, *folders], check=False).returncode == 0
    assert list((tmp_path / "cache").iterdir()) == []
