"""AudioVAE's encoder: samples in, latents out. Needed only while a voice is made.

A convolution from one channel; then blocks of three residual units, snake and a strided convolution, each block twice
as many channels and one row for each of its rate; a convolution to the latents' means. The variances are not used.
Source: `audio_vae.encoder.*` of the checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..base import ModelError
from .config import AudioVaeConfig
from .vae_form import Form
from .vae_layers import Snake, TakesTensors, dense, remember, residual_units

CHUNK_LATENTS = 16
"""Encoded at a time, 0.64 s in v1.5: memory does not grow with the audio, and the cut is not heard in the latents."""


class AudioVaeEncoder:
    """Weights of the encoder, weight norm folded."""

    def __init__(
        self,
        config: AudioVaeConfig,
        weights: TakesTensors,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype`: what the matrix products are computed in; all else is float32. Raises ModelError for a
        configuration that no checkpoint has.
        """
        if not config.depthwise:
            raise ModelError("'audio_vae_config.depthwise' was expected to be true, but false came.")
        if 1 in config.encoder_rates:
            raise ModelError("'audio_vae_config.encoder_rates' of at least 2 were expected, but 1 came.")
        self.config = config
        self.device = torch.device(device)
        form = Form.on(device, dtype)
        name = "audio_vae.encoder"
        self._first = dense(weights, f"{name}.block.0", form)
        self._blocks = tuple(
            (
                residual_units(weights, block, 0, form),
                Snake(weights, f"{block}.3", form),
                # A row more than the stride of padding where the stride is odd: the weights were trained that way.
                dense(weights, f"{block}.4", form, stride=rate, num_past=rate + rate % 2),
            )
            for block, rate in ((f"{name}.block.{1 + i}.block", rate) for i, rate in enumerate(config.encoder_rates))
        )
        self._means = dense(weights, f"{name}.fc_mu", form)
        self._pasts = [self._first.past]
        for units, _, down in self._blocks:
            self._pasts += [*(unit.past for unit in units), down.past]
        self._pasts.append(self._means.past)

    def encode(self, audio: Tensor) -> Tensor:
        """Float32 samples at the model's rate [samples] -> means, float32 [T, feat], of whole latents.

        Silence is added behind up to a whole latent, as the original does; a caller who wants it in front pads first.
        """
        chunk = CHUNK_LATENTS * self.config.hop_samples
        audio = F.pad(audio.to(self.device, torch.float32), (0, -len(audio) % self.config.hop_samples))
        pasts = [torch.zeros(1, *shape, device=self.device) for shape in self._pasts]
        return torch.cat([self._run(piece.view(1, -1, 1), pasts)[0] for piece in torch.split(audio, chunk)])

    def _run(self, x: Tensor, pasts: list[Tensor]) -> Tensor:
        """Go on encoding: samples [1, N, 1] -> means [1, N / hop, feat]; `pasts` is memory, before and after."""
        past = iter(pasts)
        x = self._first(remember(next(past), x))  # [1, N, encoder_dim]
        for units, snake, down in self._blocks:
            for unit in units:
                x = unit(x, next(past))
            x = down(snake.remember(next(past), x))  # [1, N / rate, 2 C]
        return self._means(remember(next(past), x))
