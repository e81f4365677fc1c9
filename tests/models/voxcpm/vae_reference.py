"""A codec with random weights in the official layout, and AudioVAE written out plainly: the measure for our own.

The plain formulation is computed in float64, so that what a test measures is our own rounding alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from models.voxcpm.config import AudioVaeConfig

V15 = AudioVaeConfig(
    encoder_dim=4,
    encoder_rates=(2, 3, 6, 7, 7),
    latent_dim=16,
    decoder_dim=64,
    decoder_rates=(7, 7, 6, 3, 2),
    sample_rate=44100,
    depthwise=True,
)
V1 = AudioVaeConfig(
    encoder_dim=6,
    encoder_rates=(2, 5, 8, 8),
    latent_dim=12,
    decoder_dim=48,
    decoder_rates=(8, 8, 5, 2),
    sample_rate=16000,
    depthwise=True,
)


@dataclass(frozen=True)
class Tensors:
    """A checkpoint in memory; `taken` are the names that were asked for."""

    values: dict[str, Tensor]
    taken: list[str] = field(default_factory=list)

    def take(self, name: str) -> Tensor:
        self.taken.append(name)
        return self.values[name]


def random_codec(config: AudioVaeConfig, seed: int = 0) -> Tensors:
    """Weights whose audio is loud and yet far from saturating tanh."""
    draw = torch.Generator().manual_seed(seed)
    values: dict[str, Tensor] = {}

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    def convolution(name: str, *shape: int, num_out: int | None = None) -> None:
        gain = 0.8 + 0.4 * torch.rand((shape[0], 1, 1), generator=draw)
        values[f"{name}.weight_g"] = gain * (0.35 if ".block.3." in f"{name}." else 0.5 if shape[0] == 1 else 1.0)
        values[f"{name}.weight_v"] = normal(*shape)
        values[f"{name}.bias"] = 0.05 * normal(shape[0] if num_out is None else num_out)

    def snake(name: str, width: int) -> None:
        values[f"{name}.alpha"] = 1 + 0.3 * normal(1, width, 1)

    def unit(name: str, width: int) -> None:
        snake(f"{name}.block.0", width)
        convolution(f"{name}.block.1", width, 1, 7)
        snake(f"{name}.block.2", width)
        convolution(f"{name}.block.3", width, width, 1)

    name = "audio_vae.decoder.model"
    width, feat = config.decoder_dim, config.latent_dim
    convolution(f"{name}.0", feat, 1, 7)
    convolution(f"{name}.1", width, feat, 1)
    for i, rate in enumerate(config.decoder_rates):
        block = f"{name}.{2 + i}.block"
        snake(f"{block}.0", width)
        convolution(f"{block}.1", width, width // 2, 2 * rate, num_out=width // 2)
        width //= 2
        for j in range(2, 5):
            unit(f"{block}.{j}", width)
    last = 2 + len(config.decoder_rates)
    snake(f"{name}.{last}", width)
    convolution(f"{name}.{last + 1}", 1, width, 7)

    name, width = "audio_vae.encoder", config.encoder_dim
    convolution(f"{name}.block.0", width, 1, 7)
    for i, rate in enumerate(config.encoder_rates):
        block = f"{name}.block.{1 + i}.block"
        for j in range(3):
            unit(f"{block}.{j}", width)
        snake(f"{block}.3", width)
        convolution(f"{block}.4", 2 * width, width, 2 * rate)
        width *= 2
    for head in ("fc_mu", "fc_logvar"):
        convolution(f"{name}.{head}", feat, width, 3)
    return Tensors(values)


def _wide(tensors: Tensors) -> dict[str, Tensor]:
    return {name: value.double() for name, value in tensors.values.items()}


def _weight(values: dict[str, Tensor], name: str) -> Tensor:
    return torch._weight_norm(values[f"{name}.weight_v"], values[f"{name}.weight_g"], 0)


def _convolution(values: dict[str, Tensor], name: str, x: Tensor, *, left: int, groups: int = 1, **how: int) -> Tensor:
    return F.conv1d(F.pad(x, (left, 0)), _weight(values, name), values[f"{name}.bias"], groups=groups, **how)


def _snake(values: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    alpha = values[f"{name}.alpha"]
    return x + torch.sin(alpha * x) ** 2 / (alpha + 1e-9)


def _unit(values: dict[str, Tensor], name: str, x: Tensor, dilation: int) -> Tensor:
    y = _snake(values, f"{name}.block.0", x)
    y = _convolution(values, f"{name}.block.1", y, left=6 * dilation, groups=x.shape[1], dilation=dilation)
    return x + _convolution(values, f"{name}.block.3", _snake(values, f"{name}.block.2", y), left=0)


def reference_decode(tensors: Tensors, config: AudioVaeConfig, latents: Tensor) -> Tensor:
    """Latents [B, T, feat] -> samples [B, T * hop]."""
    values, name = _wide(tensors), "audio_vae.decoder.model"
    x = latents.double().transpose(1, 2)  # [B, feat, T]
    x = _convolution(values, f"{name}.0", x, left=6, groups=x.shape[1])
    x = _convolution(values, f"{name}.1", x, left=0)
    for i, rate in enumerate(config.decoder_rates):
        block = f"{name}.{2 + i}.block"
        x = _snake(values, f"{block}.0", x)
        x = F.conv_transpose1d(x, _weight(values, f"{block}.1"), values[f"{block}.1.bias"], stride=rate)[..., :-rate]
        for j, dilation in enumerate((1, 3, 9)):
            x = _unit(values, f"{block}.{2 + j}", x, dilation)
    last = 2 + len(config.decoder_rates)
    x = _snake(values, f"{name}.{last}", x)
    return torch.tanh(_convolution(values, f"{name}.{last + 1}", x, left=6))[:, 0].float()


def reference_encode(tensors: Tensors, config: AudioVaeConfig, audio: Tensor) -> Tensor:
    """Samples [N], zeros behind them up to a whole latent -> means [T, feat]."""
    values, name = _wide(tensors), "audio_vae.encoder"
    x = F.pad(audio.double(), (0, -len(audio) % config.hop_samples))[None, None]  # [1, 1, N]
    x = _convolution(values, f"{name}.block.0", x, left=6)
    for i, rate in enumerate(config.encoder_rates):
        block = f"{name}.block.{1 + i}.block"
        for j, dilation in enumerate((1, 3, 9)):
            x = _unit(values, f"{block}.{j}", x, dilation)
        x = _snake(values, f"{block}.3", x)
        x = _convolution(values, f"{block}.4", x, left=2 * math.ceil(rate / 2), stride=rate)
    return _convolution(values, f"{name}.fc_mu", x, left=2)[0].t().float()
