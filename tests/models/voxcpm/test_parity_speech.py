"""Whole utterances with the same noise are those of the official implementation: latents, ends and audio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.voxcpm import Generated, VoxCPM, generate
from models.voxcpm.offline import prompt_latents

from .conftest import Oracle

TOLERANCE = 1e-3
STATE_TOLERANCE = 1e-4

SPEECHES = ("plain", "prompted", "briefly_prompted", "stopping", "hurried", "patient", "adapted", "adapted_prompted")


def _speak(model: VoxCPM, oracle: Oracle, name: str) -> Generated:
    question = oracle.speech(name)
    return generate(
        model,
        question.text,
        prompt=None if question.prompt_audio is None else (question.prompt_text, question.prompt_audio),
        noise=question.noise,
        cfg_value=question.cfg_value,
        inference_timesteps=question.num_steps,
        adapter=None if question.adapter is None else question.adapter.name,
    )


def _close(found: torch.Tensor, expected: NDArray[Any], tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=tolerance)


def _check_audio(audio: torch.Tensor, oracle: Oracle, expected: NDArray[Any]) -> None:
    assert np.std(expected) > 0.01, "silence proves nothing"
    assert np.mean(np.abs(expected) > 0.99) < 0.01, "what clips proves nothing"
    _close(audio[:: oracle.thinning], expected)


@pytest.mark.parametrize("name", SPEECHES)
def test_an_utterance_is_the_official_one(oracle: Oracle, model: VoxCPM, adapted_model: VoxCPM, name: str) -> None:
    spoken = _speak(adapted_model if oracle.speech(name).adapter else model, oracle, name)
    expected = oracle.answer(name, "latents")
    assert len(spoken.latents) == len(expected)
    assert spoken.stopped == oracle.answer(name, "stopped")
    _close(spoken.latents, expected)
    patch_samples = model.config.patch_samples
    assert len(spoken.audio) == len(expected) * patch_samples
    # After a prompt the official code cuts two patches off, also where there was one: the first patch made is lost.
    lost = patch_samples if name == "briefly_prompted" else 0
    _check_audio(spoken.audio[lost:], oracle, oracle.answer(name, "audio"))


def test_the_utterances_that_are_compared_are_long_and_end_both_ways(oracle: Oracle) -> None:
    assert len(oracle.answer("plain", "latents")) == 20
    assert not oracle.answer("plain", "stopped")
    assert 4 < len(oracle.answer("stopping", "latents")) < len(oracle.speech("stopping").noise)
    assert oracle.answer("stopping", "stopped")


def test_an_adapter_in_the_weights_speaks_as_the_official_one(oracle: Oracle) -> None:
    merged = VoxCPM(oracle.checkpoint, device=torch.device("cpu"), dtype=torch.float32, merge_adapter=oracle.adapter)
    question = oracle.speech("adapted")
    spoken = generate(merged, question.text, noise=question.noise)
    _close(spoken.latents, oracle.answer("adapted", "latents"))


def test_an_adapter_that_is_not_chosen_changes_nothing(oracle: Oracle, adapted_model: VoxCPM) -> None:
    question = oracle.speech("plain")
    spoken = generate(adapted_model, question.text, noise=question.noise[:4])
    _close(spoken.latents, oracle.answer("plain", "latents")[:4])


@pytest.mark.parametrize("name", ["prompted", "briefly_prompted"])
def test_a_prompt_has_the_official_latents(oracle: Oracle, model: VoxCPM, name: str) -> None:
    audio = oracle.speech(name).prompt_audio
    assert audio is not None
    _close(prompt_latents(model, audio), oracle.answer(name, "prompt_latents"), STATE_TOLERANCE)


@torch.inference_mode()
def test_the_official_latents_are_decoded_to_the_official_audio(oracle: Oracle, model: VoxCPM) -> None:
    latents = torch.from_numpy(oracle.answer("plain", "latents"))
    audio = model.decoder.decode(latents.flatten(0, 1)[None])[0]
    _close(audio[:: oracle.thinning], oracle.answer("plain", "audio"), STATE_TOLERANCE)


@pytest.mark.parametrize(("name", "num_exact"), [("streaming", 3), ("streaming_prompted", 1)])
def test_streamed_chunks_are_the_official_ones_as_far_as_those_are_exact(
    oracle: Oracle, model: VoxCPM, name: str, num_exact: int
) -> None:
    # The official code decodes the last three patches each time. Once there were more, a chunk lacks what it was
    # preceded by; ours never does, and is the offline audio from the first to the last.
    spoken = _speak(model, oracle, name)
    chunks = spoken.audio.view(-1, model.config.patch_samples)[:num_exact, :: oracle.thinning]
    _close(chunks, oracle.answer(name, "chunks")[:num_exact])
