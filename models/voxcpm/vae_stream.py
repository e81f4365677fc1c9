"""AudioVAE's decoder for many streams at once, a few latents at a time.

All that a stream remembers lies in one place of one tensor. On a CPU a step is a gather, the decoder, and a scatter,
whatever streams take part. With kernels there is neither: every layer reads and writes its part of the place, and a
slot has two places, one that is read while the other is written.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .vae import CHUNK_LATENTS, AudioVaeDecoder
from .vae_compile import compile_ahead
from .vae_kernels import VaeKernels
from .vae_memory import Memory, offsets
from .vae_pcm import to_pcm


class StreamingDecoder:
    """Slots of decoder memory: 623 KiB each for v1.5, twice that with kernels. A slot starts from silence.

    Slot `num_slots` is scratch: rows that only fill a step up name it, any number of them in one step.
    """

    def __init__(self, decoder: AudioVaeDecoder, num_slots: int) -> None:
        self._decoder = decoder
        self._kernels = VaeKernels(decoder) if decoder.precision.is_fused else None
        self._num_rows = num_slots + 1
        sides = 1 if self._kernels is None else 2
        self._memory = torch.zeros(sides * self._num_rows, offsets(decoder.pasts)[-1], device=decoder.device)
        # By slot, the place that the next step reads and the one that it writes.
        self._read = torch.arange(self._num_rows, device=decoder.device)
        self._write = self._read + (sides - 1) * self._num_rows

    @property
    def num_bytes(self) -> int:
        """Memory of the slots."""
        return self._memory.nbytes

    def reset(self, slot: int) -> None:
        """Forget what the slot has heard."""
        self._memory[slot :: self._num_rows].zero_()

    def memory(self, slot: int) -> Tensor:
        """A copy of what the slot remembers, on the device: a voice's streams all start from the same."""
        return self._memory.index_select(0, self._read[slot : slot + 1])[0]

    def restore(self, slot: int, memory: Tensor) -> None:
        """Let the slot remember that, of any device, and nothing else."""
        self._memory[slot :: self._num_rows].copy_(memory.expand(len(self._memory) // self._num_rows, -1))

    def step(self, slots: Sequence[int] | Tensor, latents: Tensor) -> Tensor:
        """Go on with different slots: latents [B, T, feat], T >= 1 -> float32 samples [B, T * hop].

        `slots`: [B] numbers, or an int64 tensor of them on the decoder's device, from which nothing is read back. With
        such a tensor and float32 latents on that device a step can be captured, once it has run with as many rows.
        """
        device = self._decoder.device
        index = slots if isinstance(slots, Tensor) else torch.tensor(slots, dtype=torch.int64, device=device)
        latents = latents.to(device, torch.float32)
        if self._kernels is not None:
            return self._fused(self._kernels, index, latents)
        together = max(1, CHUNK_LATENTS // latents.shape[1])
        if device.type != "cpu" or len(latents) <= together:
            return self._go_on(index, latents)
        groups = zip(torch.split(index, together), torch.split(latents, together), strict=True)
        return torch.cat([self._go_on(*group) for group in groups])

    @property
    def recalls(self) -> bool:
        """Whether there is `recall`: the kernels make all rows or none."""
        return self._decoder.device.type == "cpu"

    def recall(self, slot: int, latents: Tensor) -> None:
        """Let the slot remember latents [T, feat], as if it had heard them from silence on, and nothing else.

        No more than the decoder's last `history_latents` are looked at: nothing older reaches the next sample.
        """
        rows = torch.zeros_like(self._memory[:1])
        self._decoder.recall(latents[None].float(), self._views(rows))
        self._memory[slot] = rows[0]

    def compile_ahead(self, num_streams: Sequence[int], num_latents: int) -> None:
        """`vae_compile.compile_ahead`: optional, for steps that are to be captured."""
        compile_ahead(self._decoder, num_streams, num_latents)

    def to_pcm(self, audio: Tensor, volume: Tensor) -> tuple[Tensor, Tensor]:
        """`vae_pcm.to_pcm`, as a kernel where there is one."""
        return to_pcm(audio, volume) if self._kernels is None else self._kernels.to_pcm(audio, volume)

    def _fused(self, kernels: VaeKernels, index: Tensor, latents: Tensor) -> Tensor:
        memory = Memory(
            values=self._memory, read=self._read.index_select(0, index), write=self._write.index_select(0, index)
        )
        audio = kernels.run(latents.contiguous(), memory)
        self._read.index_copy_(0, index, memory.write)
        self._write.index_copy_(0, index, memory.read)
        return audio

    def _go_on(self, index: Tensor, latents: Tensor) -> Tensor:
        """A step of so many streams as run together best."""
        rows = self._memory.index_select(0, index)  # [B, values], a copy: streams never share memory
        audio = self._decoder.run(latents, self._views(rows))
        self._memory.index_copy_(0, index, rows)
        return audio

    def _views(self, rows: Tensor) -> list[Tensor]:
        """The memory of each layer [B, rows, channels], as views of `rows`."""
        sizes = [num_rows * num_channels for num_rows, num_channels in self._decoder.pasts]
        pieces = torch.split(rows, sizes, dim=1)
        return [piece.view(-1, *shape) for piece, shape in zip(pieces, self._decoder.pasts, strict=True)]
