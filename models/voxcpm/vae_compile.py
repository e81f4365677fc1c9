"""The codec's kernels compiled before they are needed: what a step starts is found out on a device without memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

from .vae import AudioVaeDecoder
from .vae_kernels import VaeKernels
from .vae_memory import Memory, offsets

if TYPE_CHECKING:
    from ..kernels.fused.ahead import Plan
    from ..kernels.fused.launch import Launch

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Planned(VaeKernels):
    """Starts nothing, and adds what would have been started to a plan."""

    def __init__(self, decoder: AudioVaeDecoder, plan: Plan) -> None:
        super().__init__(decoder)
        self._plan = plan

    def _ran(self, name: str, launch: Callable[[], tuple[Launch, T]], plain: Callable[[], T]) -> T:
        started, result = launch()
        self._plan.add(started)
        return result


def planned(decoder: AudioVaeDecoder, num_streams: Sequence[int], num_latents: int) -> Plan:
    """What steps of these numbers of streams start, down to whole numbers; its signals are of the meta device."""
    from ..kernels.fused.ahead import Plan

    plan = Plan()
    kernels = _Planned(decoder, plan)
    for num in num_streams:
        place = torch.empty(num, dtype=torch.int64, device="meta")
        memory = Memory(values=torch.empty(2, offsets(decoder.pasts)[-1], device="meta"), read=place, write=place)
        latents = torch.empty(num, num_latents, decoder.config.latent_dim, device="meta")
        kernels.to_pcm(kernels.run(latents, memory), torch.empty(num, device="meta"))
    return plan


def compile_ahead(decoder: AudioVaeDecoder, num_streams: Sequence[int], num_latents: int) -> None:
    """Compile what steps of these numbers of streams start. What fails here fails, and is handled, when it is used."""
    if decoder.device.type != "cuda" or not decoder.precision.is_fused:
        return
    index = torch.cuda.current_device() if decoder.device.index is None else decoder.device.index
    try:
        planned(decoder, num_streams, num_latents).compile(torch.device("cuda", index))
    except Exception as error:
        log.info("the codec's kernels were not compiled ahead: %s", error)
