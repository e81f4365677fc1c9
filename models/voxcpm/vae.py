"""AudioVAE's decoder: latents in, samples out.

A depthwise and a 1x1 convolution; then blocks of snake, transposed convolution and three residual units, each block
half as many channels and its rate times as many rows; snake, a convolution to one channel, tanh. All of it is causal.
Source: `audio_vae.decoder.*` of the checkpoint.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..base import ModelError
from .config import AudioVaeConfig
from .vae_form import Form, exact_products
from .vae_layers import (
    Dense,
    Depthwise,
    ResidualUnit,
    Snake,
    TakesTensors,
    ToMono,
    dense,
    remember,
    residual_units,
    upsampler,
)

CHUNK_LATENTS = 16
"""As many at a time keep a CPU busy while its cache still holds their signals; 112 at once take twice as long each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What the decoder's matrix products are computed in, on a device; sums, state and all else are float32.

    `is_fused`: by the kernels. Without, by plain PyTorch, which alone is float32 to the last bit.
    `num_narrow_blocks`: in so many of the last blocks, which have most of the rows, what passes from unit to unit is
    stored as `factors` too. It costs a decibel for each.
    """

    name: str
    factors: torch.dtype
    is_fused: bool = True
    tf32: bool = False
    num_narrow_blocks: int = 0

    def signal(self, block: int, num_blocks: int) -> torch.dtype:
        """What passes from unit to unit in that block."""
        return self.factors if block >= num_blocks - self.num_narrow_blocks else torch.float32


FLOAT32 = Precision(name="float32", factors=torch.float32, is_fused=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Half as many channels and `up.upsample` times as many rows."""

    snake: Snake
    up: Dense
    units: tuple[ResidualUnit, ...]


class AudioVaeDecoder:
    """Weights of the decoder, weight norm folded. It keeps no state: memory is passed in (`pasts`)."""

    def __init__(
        self,
        config: AudioVaeConfig,
        weights: TakesTensors,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        packed: bool | None = None,
    ) -> None:
        """`dtype`: what the matrix products are computed in; all else is float32. `packed`: see `vae_form.Form`.

        With random weights the error is 39 dB below the sound in bfloat16, 115 dB in float32.
        Raises ModelError for a configuration without depthwise convolutions, which no checkpoint has.
        """
        if not config.depthwise:
            raise ModelError("'audio_vae_config.depthwise' was expected to be true, but false came.")
        self.config = config
        self.device = torch.device(device)
        self.precision = Precision(name=str(dtype).removeprefix("torch."), factors=dtype, is_fused=False)
        self.failed_kernels: set[str] = set()
        """Names of those that turned out not to run on this device, whatever the precision."""
        form = Form.on(self.device, dtype, packed=packed)
        self.is_packed = form.packed
        name = "audio_vae.decoder.model"
        self.first = Depthwise(weights, f"{name}.0", form)
        self.widen = dense(weights, f"{name}.1", form)
        self.blocks = tuple(
            Block(
                snake=Snake(weights, f"{block}.0", form),
                up=upsampler(weights, f"{block}.1", form),
                units=residual_units(weights, block, 2, form),
            )
            for block in (f"{name}.{2 + i}.block" for i in range(len(config.decoder_rates)))
        )
        last = 2 + len(config.decoder_rates)
        self.snake = Snake(weights, f"{name}.{last}", form)
        self.last = ToMono(weights, f"{name}.{last + 1}", form)
        self.pasts = [self.first.past]
        """Rows and channels of each layer's memory, in the order in which `run` takes them."""
        for block in self.blocks:
            self.pasts += [block.up.past, *(unit.past for unit in block.units)]
        self.pasts.append(self.last.past)
        self._needed = self._rows_needed()

    def cast(self, precision: Precision) -> AudioVaeDecoder:
        """The same in another precision; only the products' weights are copied. Not of one that is packed."""
        other = copy.copy(self)
        dtype, tf32 = precision.factors, precision.tf32
        other.precision = precision
        other.widen = self.widen.cast(dtype, tf32=tf32)
        other.blocks = tuple(
            Block(
                snake=block.snake,
                up=block.up.cast(dtype, tf32=tf32),
                units=tuple(unit.cast(dtype, tf32=tf32) for unit in block.units),
            )
            for block in self.blocks
        )
        return other

    @property
    def history_latents(self) -> int:
        """A sample depends on its own latent and on this many before it: 21 for v1.5, 19 for v1."""
        return self._needed[0]

    def run(self, latents: Tensor, pasts: Sequence[Tensor]) -> Tensor:
        """Go on decoding: latents [B, T, feat] -> samples [B, T * hop].

        `pasts`: for each of `self.pasts` a tensor [B, rows, channels], which holds the memory of these B streams
        before and after.
        """
        past = iter(pasts)
        with exact_products(self.device):
            x = self.widen(self.first(remember(next(past), latents)))  # [B, T, decoder_dim]
            for block in self.blocks:
                x = block.up(block.snake.remember(next(past), x))  # [B, T * rate, C / 2]
                for unit in block.units:
                    x = unit(x, next(past))
            return self.last(self.snake.remember(next(past), x)).tanh_()

    def recall(self, latents: Tensor, pasts: Sequence[Tensor]) -> None:
        """Bring `pasts`, which are zero, to where `run` would over latents [B, T, feat] from an utterance's start.

        The latents before the last `history_latents` may be left out. No layer makes more rows than the memories
        behind it are made from: a tenth of the work of `run`.
        """
        layers = iter(zip(pasts, self._needed, strict=True))

        def following(x: Tensor) -> tuple[Tensor, Tensor]:
            past, num_rows = next(layers)
            return past, x[:, -num_rows:].contiguous()

        with exact_products(self.device):
            x = self.widen(self.first(remember(*following(latents))))
            for block in self.blocks:
                x = block.up(block.snake.remember(*following(x)))
                for unit in block.units:
                    past, x = following(x)
                    x = unit(x, past)
            self.snake.remember(*following(x))

    def _rows_needed(self) -> list[int]:
        """By layer, in the order of `pasts`: the last rows of what it takes that any memory is made from."""
        needed = [self.last.past[0]]
        for block in reversed(self.blocks):
            for unit in reversed(block.units):
                needed.append(needed[-1] + unit.past[0])
            needed.append(math.ceil(needed[-1] / block.up.upsample) + block.up.past[0])
        needed.append(needed[-1] + self.first.past[0])
        return needed[::-1]

    def decode(self, latents: Tensor) -> Tensor:
        """An utterance from its start: latents [B, T, feat] -> float32 samples [B, T * hop]."""
        latents = latents.to(self.device, torch.float32)
        pasts = [latents.new_zeros(latents.shape[0], *shape) for shape in self.pasts]
        return torch.cat([self.run(piece, pasts) for piece in torch.split(latents, CHUNK_LATENTS, dim=1)], 1)
