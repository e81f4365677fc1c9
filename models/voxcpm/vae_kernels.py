"""AudioVAE's decoder as fused kernels, each beside its plain form: steps of fixed shape, fit for a CUDA graph.

Nothing is read back and no shape depends on data. A kernel that fails on a device is replaced by its plain form for
good, which is said once in the log; so a step has to have run once before it is captured.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from .vae import AudioVaeDecoder
from .vae_form import exact_products
from .vae_layers import Dense, Depthwise, Next, ResidualUnit, Snake, ToMono, remember
from .vae_memory import Memory, offsets
from .vae_pcm import to_pcm

if TYPE_CHECKING:
    from ..kernels.fused.launch import Launch

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WHOLE_CHANNELS = 128
"""Up to so many a program holds all channels of a residual unit, and makes it in one pass.

With 256 it would move 7 MB less for a patch of v1.5, but need so many registers that a multiprocessor has half as many
warps; which of the two weighs more has not been measured yet.
"""


class VaeKernels:
    """One decoder's kernels, in its precision."""

    def __init__(self, decoder: AudioVaeDecoder, *, failed: set[str] | None = None) -> None:
        """`failed`: names of kernels that do not run here, added to as more turn out; unsaid, the decoder's."""
        self._decoder = decoder
        self._precision = decoder.precision
        self._offsets = offsets(decoder.pasts)
        self.failed = decoder.failed_kernels if failed is None else failed

    def run(self, latents: Tensor, memory: Memory) -> Tensor:
        """`AudioVaeDecoder.run`: latents [B, T, feat] -> samples [B, T * hop]."""
        with exact_products(latents.device):
            return self._run(latents, memory)

    def _run(self, latents: Tensor, memory: Memory) -> Tensor:
        decoder, blocks = self._decoder, self._decoder.blocks
        places = iter(self._offsets)
        y = self.depthwise(decoder.first, None, latents, memory, next(places))
        then = Next(snake=blocks[0].snake, offset=next(places))
        joined = self.convolution(decoder.widen, y, torch.float32, then=then, memory=memory)
        for index, block in enumerate(blocks):
            signal = self._precision.signal(index, len(blocks))
            x = self.convolution(block.up, joined, signal, memory=memory)  # [B, T * rate, C / 2]
            *early, last = block.units
            for unit in early:
                x = self.residual(unit, x, memory, next(places))
            place = next(places)
            if index + 1 < len(blocks):
                then = Next(snake=blocks[index + 1].snake, offset=next(places))
                joined = self.residual(last, x, memory, place, then=then)
            else:
                x = self.residual(last, x, memory, place)
        return self.mono(decoder.last, decoder.snake, x, memory, next(places))

    def depthwise(
        self, layer: Depthwise, around: tuple[Snake, Snake] | None, x: Tensor, memory: Memory, offset: int
    ) -> Tensor:
        """Behind and before a snake: [B, T, C] -> [B, T, C] of the products' type."""

        def plain() -> Tensor:
            past = memory.take(offset, layer.past)
            joined = around[0].remember(past, x.float()) if around else remember(past, x)
            memory.keep(offset, past)
            y = layer(joined)
            return (around[1](y) if around else y).to(self._precision.factors)

        def launch() -> tuple[Launch, Tensor]:
            from . import vae_launches

            return vae_launches.depthwise(layer, around, x, memory, offset, self._precision)

        return self._ran("depthwise", launch, plain)

    def convolution(
        self,
        layer: Dense,
        x: Tensor,
        signal: torch.dtype,
        *,
        residual: Tensor | None = None,
        then: Next | None = None,
        memory: Memory,
    ) -> Tensor:
        """[B, past + T, C] -> [B, T * upsample, C_out] of `signal`, or what the next product takes, see `Next`."""

        def plain() -> Tensor:
            y = layer(x)
            return self._handed_on(y if residual is None else y.add_(residual), signal, then, memory)

        def launch() -> tuple[Launch, Tensor]:
            from . import vae_launches

            return vae_launches.convolution(
                layer, x, self._precision, signal, residual=residual, then=then, memory=memory
            )

        return self._ran("convolution", launch, plain)

    def residual(
        self, unit: ResidualUnit, x: Tensor, memory: Memory, offset: int, *, then: Next | None = None
    ) -> Tensor:
        """[B, T, C] -> the same, or what the next product takes."""
        if unit.past[1] > MAX_WHOLE_CHANNELS:
            y = self.depthwise(unit.depthwise, (unit.first, unit.second), x, memory, offset)
            return self.convolution(unit.pointwise, y, x.dtype, residual=x, then=then, memory=memory)

        def plain() -> Tensor:
            past = memory.take(offset, unit.past)
            y = unit(x.float(), past)
            memory.keep(offset, past)
            return self._handed_on(y, x.dtype, then, memory)

        def launch() -> tuple[Launch, Tensor]:
            from . import vae_launches

            return vae_launches.residual(unit, x, memory, offset, self._precision, then=then)

        return self._ran("residual", launch, plain)

    def mono(self, layer: ToMono, snake: Snake, x: Tensor, memory: Memory, offset: int) -> Tensor:
        """[B, T, C] -> samples float32 [B, T]."""

        def plain() -> Tensor:
            past = memory.take(offset, layer.past)
            y = layer(snake.remember(past, x.float())).tanh_()
            memory.keep(offset, past)
            return y

        def launch() -> tuple[Launch, Tensor]:
            from . import vae_launches

            return vae_launches.mono(layer, snake, x, memory, offset, self._precision)

        return self._ran("mono", launch, plain)

    def to_pcm(self, audio: Tensor, volume: Tensor) -> tuple[Tensor, Tensor]:
        """`vae_pcm.to_pcm`."""

        def launch() -> tuple[Launch, tuple[Tensor, Tensor]]:
            from . import vae_launches

            return vae_launches.pcm(audio, volume)

        return self._ran("pcm", launch, lambda: to_pcm(audio, volume))

    def _handed_on(self, y: Tensor, signal: torch.dtype, then: Next | None, memory: Memory) -> Tensor:
        if then is None:
            return y.to(signal)
        past = memory.take(then.offset, (1, y.shape[2]))
        joined = then.snake.remember(past, y)
        memory.keep(then.offset, past)
        return joined.to(self._precision.factors)

    def _ran(self, name: str, launch: Callable[[], tuple[Launch, T]], plain: Callable[[], T]) -> T:
        """A compiler and a driver fail in ways of their own; whatever it is, the plain form is there."""
        if name not in self.failed:
            try:
                started, result = launch()
                started.run()
                return result
            except torch.OutOfMemoryError:
                raise  # the plain form takes more
            except Exception as error:
                self.failed.add(name)
                log.warning("the codec's kernel for %s does not run here, its plain form does: %s", name, error)
        return plain()
