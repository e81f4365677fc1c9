"""AudioVAE's decoder: latents in, samples out.

A depthwise and a 1x1 convolution; then blocks of snake, transposed convolution and three residual units, each block
half as many channels and its rate times as many rows; snake, a convolution to one channel, tanh. All of it is causal.
Source: `audio_vae.decoder.*` of the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..base import ModelError
from .config import AudioVaeConfig
from .vae_layers import Depthwise, Snake, TakesTensors, ToMono, dense, remember, residual_units, upsampler

CHUNK_LATENTS = 16
"""As many at a time keep a CPU busy while its cache still holds their signals; 112 at once take twice as long each."""


class AudioVaeDecoder:
    """Weights of the decoder, weight norm folded. It keeps no state: memory is passed in (`pasts`)."""

    def __init__(
        self,
        config: AudioVaeConfig,
        weights: TakesTensors,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype`: what the matrix products are computed in; all else is float32.

        With random weights the error is 39 dB below the sound in bfloat16, 115 dB in float32.
        Raises ModelError for a configuration without depthwise convolutions, which no checkpoint has.
        """
        if not config.depthwise:
            raise ModelError("'audio_vae_config.depthwise' was expected to be true, but false came.")
        self.config = config
        self.device = torch.device(device)
        name = "audio_vae.decoder.model"
        self._first = Depthwise(weights, f"{name}.0", self.device)
        self._widen = dense(weights, f"{name}.1", self.device, dtype)
        self._blocks = tuple(
            (
                Snake(weights, f"{block}.0", self.device),
                upsampler(weights, f"{block}.1", self.device, dtype),
                residual_units(weights, block, 2, self.device, dtype),
            )
            for block in (f"{name}.{2 + i}.block" for i in range(len(config.decoder_rates)))
        )
        last = 2 + len(config.decoder_rates)
        self._snake = Snake(weights, f"{name}.{last}", self.device)
        self._last = ToMono(weights, f"{name}.{last + 1}", self.device)
        self.pasts = [self._first.past]
        """Rows and channels of each layer's memory, in the order in which `run` takes them."""
        for _, up, units in self._blocks:
            self.pasts += [up.past, *(unit.past for unit in units)]
        self.pasts.append(self._last.past)

    @property
    def history_latents(self) -> int:
        """A sample depends on its own latent and on this many before it: 21 for v1.5, 19 for v1."""
        latents, rows_per_latent = float(self._first.past[0]), 1
        for (_, up, units), rate in zip(self._blocks, self.config.decoder_rates, strict=True):
            latents += up.past[0] / rows_per_latent
            rows_per_latent *= rate
            latents += sum(unit.past[0] for unit in units) / rows_per_latent
        return math.ceil(latents + self._last.past[0] / rows_per_latent)

    def run(self, latents: Tensor, pasts: Sequence[Tensor]) -> Tensor:
        """Go on decoding: latents [B, T, feat] -> samples [B, T * hop].

        `pasts`: for each of `self.pasts` a tensor [B, rows, channels], which holds the memory of these B streams
        before and after.
        """
        past = iter(pasts)
        x = self._widen(self._first(remember(next(past), latents)))  # [B, T, decoder_dim]
        for snake, up, units in self._blocks:
            x = up(snake.remember(next(past), x))  # [B, T * rate, C / 2]
            for unit in units:
                x = unit(x, next(past))
        return self._last(self._snake.remember(next(past), x)).tanh_()

    def decode(self, latents: Tensor) -> Tensor:
        """An utterance from its start: latents [B, T, feat] -> float32 samples [B, T * hop]."""
        latents = latents.to(self.device, torch.float32)
        pasts = [latents.new_zeros(latents.shape[0], *shape) for shape in self.pasts]
        return torch.cat([self.run(piece, pasts) for piece in torch.split(latents, CHUNK_LATENTS, dim=1)], 1)
