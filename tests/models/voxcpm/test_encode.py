"""`python -m models.voxcpm.encode`: a recording goes in, an entry of the cache comes out, one JSON line says which."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import SHAPES
from models.voxcpm.config import read_config
from models.voxcpm.encode import main
from models.voxcpm.prompt_cache import PromptCache, checkpoint_fingerprint
from models.voxcpm.recording import read_recording
from models.voxcpm.vae_encoder import AudioVaeEncoder
from models.voxcpm.weights import Weights, expected_tensors

from .vae_reference import Tensors, reference_encode


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, SHAPES["tiny"], seed=5)
    return folder


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, 20_000), 44_100)
    return path


def test_entry_holds_the_latents_of_the_recording(
    checkpoint: Path, prompt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), str(prompt), str(tmp_path / "cache")]) == 0
    said = json.loads(capsys.readouterr().out)
    config = read_config(checkpoint)
    recording = read_recording(prompt)
    cache = PromptCache(tmp_path / "cache", checkpoint_fingerprint(checkpoint))
    assert said["key"] == cache.key_of_recording(recording)
    latents = cache.read(said["key"])
    assert latents is not None
    num_patches = -(-len(recording.at(config.sample_rate)) // config.patch_samples)
    assert latents.shape == (said["num_patches"], config.patch_size, config.feat_dim)
    assert len(latents) == num_patches


def test_an_entry_that_is_there_is_not_made_again(
    checkpoint: Path, prompt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(checkpoint), str(prompt), str(tmp_path / "cache")]
    main(arguments)
    (entry,) = (tmp_path / "cache").iterdir()
    before = entry.read_bytes(), entry.stat().st_ino
    main(arguments)
    assert (entry.read_bytes(), entry.stat().st_ino) == before
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_process_prints_one_line_and_ends_with_zero(checkpoint: Path, prompt: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "models.voxcpm.encode", str(checkpoint), str(prompt), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"key", "num_patches"}
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere", "prompt.wav", "cache"], "config.json was expected"),
        (["checkpoint", "nothing.wav", "cache"], "nothing.wav: a sound file was expected"),
        (["checkpoint", "prompt.wav", "prompt.wav"], "a folder that can be written was expected"),
        (["checkpoint"], "CHECKPOINT, PROMPT and CACHE were expected, but 1 arguments came."),
    ],
)
def test_whatever_is_wrong_is_one_sentence_and_exit_code_two(
    checkpoint: Path,
    prompt: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    paths = [str(checkpoint if each == "checkpoint" else tmp_path / each) for each in arguments]
    assert main(paths) == 2
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["error"]
    assert complaint in said["error"]


def test_weights_from_disk_encode_as_the_plain_formulation(checkpoint: Path) -> None:
    config = read_config(checkpoint)
    with Weights(checkpoint, config) as weights:
        tensors = Tensors(
            {name: weights.take(name) for name in expected_tensors(config) if name.startswith("audio_vae.encoder.")}
        )
        encoder = AudioVaeEncoder(config.vae, weights)
    audio = 0.3 * torch.randn(3 * config.vae.hop_samples, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(encoder.encode(audio), reference_encode(tensors, config.vae, audio), atol=1e-5, rtol=0)
