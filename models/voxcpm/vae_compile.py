"""The codec's kernels compiled before they are needed, side by side: one after the other they take half a minute.

What a step starts is found out on a device without memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from .vae import AudioVaeDecoder
from .vae_kernels import VaeKernels
from .vae_memory import Memory, offsets

if TYPE_CHECKING:
    from ..kernels.fused.launch import Launch

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Plan(VaeKernels):
    """Starts nothing, and keeps what would have been started."""

    def __init__(self, decoder: AudioVaeDecoder) -> None:
        super().__init__(decoder)
        self.launches: list[Launch] = []

    def _ran(self, name: str, launch: Callable[[], tuple[Launch, T]], plain: Callable[[], T]) -> T:
        started, result = launch()
        self.launches.append(started)
        return result


def planned(decoder: AudioVaeDecoder, num_streams: int, num_latents: int) -> list[Launch]:
    """What a step of that shape starts, down to whole numbers, in order; its signals are of the meta device."""
    plan = _Plan(decoder)
    place = torch.empty(num_streams, dtype=torch.int64, device="meta")
    memory = Memory(values=torch.empty(2, offsets(decoder.pasts)[-1], device="meta"), read=place, write=place)
    latents = torch.empty(num_streams, num_latents, decoder.config.latent_dim, device="meta")
    plan.to_pcm(plan.run(latents, memory), torch.empty(num_streams, device="meta"))
    return plan.launches


def compile_ahead(decoder: AudioVaeDecoder, num_streams: Sequence[int], num_latents: int) -> None:
    """Compile what steps of these numbers of streams start. What fails here fails, and is handled, when it is used."""
    if decoder.device.type != "cuda" or not decoder.precision.is_fused:
        return
    try:
        launches = list(_different(launch for each in num_streams for launch in planned(decoder, each, num_latents)))
        device = torch.cuda.current_device() if decoder.device.index is None else decoder.device.index
        begin = partial(torch.cuda.set_device, device)
        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="compile", initializer=begin) as pool:
            list(pool.map(_compile, launches))
    except Exception as error:
        log.info("the codec's kernels were not compiled ahead: %s", error)


def _different(launches: Iterator[Launch]) -> Iterator[Launch]:
    """Each program once; a number matters to the compiler by whether 16 divides it."""
    seen = set()
    for launch in launches:
        kinds = [
            str(argument.dtype) if isinstance(argument, torch.Tensor) else argument % 16 == 0
            for argument in launch.arguments.values()
        ]
        key = (launch.kernel, launch.num_warps, launch.num_stages, *launch.constants.items(), *kinds)
        if key not in seen:
            seen.add(key)
            yield launch


def _compile(launch: Launch) -> None:
    launch.kernel.warmup(
        **launch.arguments,
        **launch.constants,
        grid=launch.grid,
        num_warps=launch.num_warps,
        num_stages=launch.num_stages,
    )
