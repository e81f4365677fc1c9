"""The gate of the codec's precision, on a CPU, where float32 passes and bfloat16 does not."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from models.voxcpm import vae_precision
from models.voxcpm.vae import FLOAT32, AudioVaeDecoder, Precision
from models.voxcpm.vae_precision import CANDIDATES, settled, signal_to_noise_db

from .vae_reference import V15, random_codec

BFLOAT16 = Precision(name="bfloat16", factors=torch.bfloat16, is_fused=False)
FLOAT16 = Precision(name="float16", factors=torch.float16, is_fused=False)


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> AudioVaeDecoder:
    monkeypatch.setattr(vae_precision, "NUM_STREAMS", 2)
    return AudioVaeDecoder(V15, random_codec(V15), packed=False)


def test_the_first_precision_that_nobody_can_tell_from_float32_is_taken(
    decoder: AudioVaeDecoder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert settled(decoder, [BFLOAT16, FLOAT32, FLOAT16]).precision == FLOAT32
    refused, taken = [record.getMessage() for record in caplog.records]
    assert refused.startswith("the codec does not compute in bfloat16: 3")
    assert taken == "the codec computes in float32: inf dB"


def test_where_none_is_good_enough_it_is_float32(decoder: AudioVaeDecoder) -> None:
    chosen = settled(decoder, [BFLOAT16])
    assert chosen.precision == FLOAT32
    latents = torch.randn(1, 6, V15.latent_dim, generator=torch.Generator().manual_seed(1))
    assert torch.equal(chosen.decode(latents), decoder.decode(latents))


def test_the_gate_is_as_high_as_is_said(decoder: AudioVaeDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vae_precision, "MIN_SNR_DB", 35.0)
    assert settled(decoder, [BFLOAT16]).precision == BFLOAT16


def test_a_decoder_packed_for_a_cpu_stays_as_it_is() -> None:
    decoder = AudioVaeDecoder(V15, random_codec(V15))
    assert settled(decoder) is decoder


def test_a_precision_that_overflows_is_refused() -> None:
    sound = torch.ones(10)
    broken = sound.clone()
    broken[3] = torch.nan
    assert signal_to_noise_db(sound, broken) == -math.inf
    assert signal_to_noise_db(sound, sound * 1.001) == pytest.approx(60, abs=0.01)


def test_candidates_narrow_the_last_blocks_first_and_come_cheapest_first() -> None:
    all_narrow, last_narrow, wide, *rest = CANDIDATES
    assert [all_narrow.signal(block, 5) for block in range(5)] == [torch.float16] * 5
    assert [last_narrow.signal(block, 5) for block in range(5)] == [torch.float32] * 4 + [torch.float16]
    assert [wide.signal(block, 5) for block in range(5)] == [torch.float32] * 5
    assert [each.factors for each in rest] == [torch.float32, torch.float32]


def test_factors_for_tf32_are_rounded_to_what_a_tensor_core_reads() -> None:
    """It would cut the rest off; rounded, the error has no direction and is half as large."""
    decoder = AudioVaeDecoder(V15, random_codec(V15), packed=False)
    exact = decoder.blocks[1].up.weight()
    rounded = decoder.cast(CANDIDATES[3]).blocks[1].up.weight()
    assert int((rounded.view(torch.int32) & 0x1FFF).abs().max()) == 0
    assert ((rounded - exact).abs() <= exact.abs() * 2**-11).all()
    assert not torch.equal(rounded, exact)
