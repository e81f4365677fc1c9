"""Which precision the decoder computes in on a device: the cheapest that nobody can tell from float32.

That depends on the weights, so it is measured at the start, against float32 with the same weights and latents: a few
streams, in steps as they come later, through the very kernels. A kernel that computes nonsense is found out here too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from .vae import FLOAT32, AudioVaeDecoder, Precision
from .vae_compile import compile_ahead
from .vae_stream import StreamingDecoder

log = logging.getLogger(__name__)

MIN_SNR_DB = 60.0
"""Sound over error. bfloat16 gives 39 dB; 60 dB is under what 16-bit samples of a quiet recording carry in noise."""

CANDIDATES = (
    Precision(name="float16", factors=torch.float16, num_narrow_blocks=99),
    Precision(
        name="float16, the signal of all blocks but the last float32", factors=torch.float16, num_narrow_blocks=1
    ),
    Precision(name="float16, the signal float32", factors=torch.float16),
    Precision(name="TF32", factors=torch.float32, tf32=True),
    Precision(name="float32 in three products of TF32", factors=torch.float32),
)
"""From the cheapest on. With random weights of v1.5 the first three give 58, 60.5 and 61 dB (computed on a CPU)."""

NUM_STREAMS = 16
"""So many that the tiles of a full step are tried."""

NUM_LATENTS = 40
"""Twice what a sample depends on."""

STEP_LATENTS = 4


@torch.inference_mode()
def settled(decoder: AudioVaeDecoder, candidates: Sequence[Precision] = CANDIDATES) -> AudioVaeDecoder:
    """The decoder in the first of these precisions that is as good as float32, else in float32.

    Expects a decoder in float32; one that is packed, as on a CPU, stays as it is.
    """
    if decoder.is_packed:
        return decoder
    if decoder.device.type == "cuda":
        with torch.cuda.device(decoder.device):
            return _settled(decoder, candidates)
    return _settled(decoder, candidates)


def _settled(decoder: AudioVaeDecoder, candidates: Sequence[Precision]) -> AudioVaeDecoder:
    exact = decoder.cast(FLOAT32)
    draw = torch.Generator().manual_seed(0)
    latents = torch.randn(NUM_STREAMS, NUM_LATENTS, decoder.config.latent_dim, generator=draw).to(decoder.device)
    expected = _heard(exact, latents)
    for precision in candidates:
        cast = decoder.cast(precision)
        compile_ahead(cast, [NUM_STREAMS], STEP_LATENTS)
        snr_db = signal_to_noise_db(expected, _heard(cast, latents))
        if snr_db >= MIN_SNR_DB:
            log.info("the codec computes in %s: %.1f dB", precision.name, snr_db)
            return cast
        log.info("the codec does not compute in %s: %.1f dB, %.0f are needed", precision.name, snr_db, MIN_SNR_DB)
    log.info("the codec computes in float32, by plain PyTorch")
    return exact


def signal_to_noise_db(expected: Tensor, got: Tensor) -> float:
    """How far the error lies below the sound; minus infinity where something is not a number."""
    error = (got.double() - expected.double()).square().sum()
    ratio = expected.double().square().sum() / error
    return float(10 * torch.log10(ratio)) if bool(torch.isfinite(error)) else -torch.inf


def _heard(decoder: AudioVaeDecoder, latents: Tensor) -> Tensor:
    stream = StreamingDecoder(decoder, len(latents))
    slots = torch.arange(len(latents), device=decoder.device)
    return torch.cat([stream.step(slots, piece) for piece in torch.split(latents, STEP_LATENTS, dim=1)], 1)
