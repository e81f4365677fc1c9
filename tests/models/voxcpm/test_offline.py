"""The plain call: a checkpoint, a text, and its speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models.voxcpm
from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from models.base import ModelError, ModelOptions
from models.voxcpm import VoxCPM
from models.voxcpm.model import load_speech_model

PATCH_SAMPLES = 7056
PROMPT = np.sin(np.arange(9000) / 20).astype(np.float32) * 0.3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline") / "tiny"
    write_checkpoint(folder, TINY, seed=4)
    return folder


@pytest.fixture(scope="module")
def tiny(checkpoint: Path) -> VoxCPM:
    return models.voxcpm.load(checkpoint)


def test_a_text_becomes_latents_and_as_many_samples(tiny: VoxCPM) -> None:
    spoken = models.voxcpm.generate(tiny, "Hello there.", seed=3)
    num_patches = len(spoken.latents)
    assert spoken.latents.shape == (num_patches, 4, 16)
    assert spoken.audio.shape == (num_patches * PATCH_SAMPLES,)
    assert spoken.stopped == (num_patches < 6 * len(tiny.tokenizer.encode("Hello there.")) + 10)


def test_the_same_seed_says_the_same_and_another_something_else(tiny: VoxCPM) -> None:
    one, same, other = (models.voxcpm.generate(tiny, "Hello.", seed=seed, max_patches=3).audio for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one[: len(other)] - other[: len(one)]).abs().max() > 1e-3


def test_speech_goes_on_from_a_prompt_and_does_not_repeat_it(tiny: VoxCPM) -> None:
    alone = models.voxcpm.generate(tiny, "Hello.", max_patches=3)
    after = models.voxcpm.generate(tiny, "Hello.", prompt=("Well. ", PROMPT), max_patches=3)
    assert len(after.audio) == len(after.latents) * PATCH_SAMPLES
    assert (after.latents[0] - alone.latents[0]).abs().max() > 1e-3


def test_no_more_patches_are_made_than_there_is_noise_for(tiny: VoxCPM) -> None:
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((2, 16, 4), dtype=np.float32)
    assert len(models.voxcpm.generate(tiny, "Hello there.", noise=noise).latents) == 2


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"text": " \n"}, "blank"),
        ({"max_patches": 0}, "max_patches"),
        ({"inference_timesteps": 0}, "inference_timesteps"),
        ({"inference_timesteps": 1000}, "inference_timesteps"),
        ({"cfg_value": float("nan")}, "cfg_value"),
        ({"noise": np.zeros((0, 16, 4), np.float32)}, "noise"),
        ({"noise": np.zeros((2, 4, 16), np.float32)}, r"\[patches, 16, 4\]"),
        ({"prompt": ("Well.", np.zeros(0, np.float32))}, "prompt"),
        ({"prompt": ("Well.", np.zeros((2, 100), np.float32))}, "prompt"),
        ({"prompt": ("Well.", np.full(9000, np.nan, np.float32))}, "finite"),
        ({"text": "word " * 400}, "512 tokens"),
        ({"adapter": "bob"}, "bob"),
    ],
)
def test_what_cannot_be_spoken_is_refused_in_one_sentence(tiny: VoxCPM, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        models.voxcpm.generate(tiny, **{"text": "Hello.", **wrong})


@pytest.mark.parametrize("where", [{"device": "nonsense"}, {"device": "cuda:99"}, {"dtype": "float8"}])
def test_where_it_cannot_run_is_said_in_one_sentence(checkpoint: Path, where: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="was expected"):
        models.voxcpm.load(checkpoint, **where)


def test_int8_where_there_is_none_is_refused(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.voxcpm.model.can_quantize", lambda: False)
    with pytest.raises(ModelError, match="int8"):
        load_speech_model(checkpoint, ModelOptions(quantize="int8"))


def test_too_many_slots_for_the_memory_are_said_so(checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="--slots"):
        load_speech_model(checkpoint, ModelOptions(num_slots=10**12))


def test_the_package_names_what_it_exports() -> None:
    assert set(models.voxcpm.__all__) == {"Generated", "VoxCPM", "generate", "load"}
    with pytest.raises(AttributeError, match="nothing_like_it"):
        models.voxcpm.nothing_like_it  # noqa: B018
