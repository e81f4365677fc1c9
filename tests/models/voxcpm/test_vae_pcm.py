"""Samples as whole numbers: as numpy rounds them."""

from __future__ import annotations

import numpy as np
import torch

from models.voxcpm.vae_pcm import to_pcm


def test_samples_are_rounded_and_cut_as_numpy_does() -> None:
    volumes = [1.0, 0.5, 1.75, 0.0]
    halves = (np.arange(-40_000, 40_000, 2, dtype=np.float32) + 0.5) / np.float32(32767)
    audio = np.stack([halves] * len(volumes))
    pcm, is_sound = to_pcm(torch.from_numpy(audio), torch.tensor(volumes))
    loud = audio * np.array([[32767 * volume] for volume in volumes], np.float32)
    assert pcm.dtype == torch.int16
    np.testing.assert_array_equal(pcm.numpy(), np.clip(np.rint(loud), -32768, 32767).astype(np.int16))
    assert is_sound.all()


def test_a_row_with_a_sample_that_is_no_number_is_told_and_its_neighbours_are_whole() -> None:
    audio = torch.full((3, 8), 0.25)
    audio[1, 7], audio[2, 0] = torch.nan, torch.inf
    pcm, is_sound = to_pcm(audio, torch.ones(3))
    assert is_sound.tolist() == [True, False, False]
    assert pcm[0].tolist() == [8192] * 8
    assert pcm[1, 7] == 0
