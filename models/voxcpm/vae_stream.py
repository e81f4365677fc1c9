"""AudioVAE's decoder for many streams at once, a few latents at a time.

All that a stream remembers lies in one row of one tensor, so that a step is a gather, the decoder, and a scatter,
whatever streams take part.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .vae import CHUNK_LATENTS, AudioVaeDecoder


class StreamingDecoder:
    """Slots of decoder memory: 623 KiB each for v1.5. A slot starts from silence, and so it does after `reset`."""

    def __init__(self, decoder: AudioVaeDecoder, num_slots: int) -> None:
        self._decoder = decoder
        self._num_values = sum(rows * channels for rows, channels in decoder.pasts)
        self._memory = torch.zeros(num_slots, self._num_values, device=decoder.device)

    def reset(self, slot: int) -> None:
        """Forget what the slot has heard."""
        self._memory[slot].zero_()

    def memory(self, slot: int) -> Tensor:
        """A copy of what the slot remembers: a voice's streams all start from the same."""
        return self._memory[slot].clone()

    def restore(self, slot: int, memory: Tensor) -> None:
        """Let the slot remember that, and nothing else."""
        self._memory[slot] = memory

    def step(self, slots: Sequence[int] | Tensor, latents: Tensor) -> Tensor:
        """Go on with different slots: latents [B, T, feat], T >= 1 -> float32 samples [B, T * hop].

        `slots`: [B] numbers, or an int64 tensor of them on the decoder's device, from which nothing is read back.
        """
        device = self._decoder.device
        index = slots if isinstance(slots, Tensor) else torch.tensor(slots, dtype=torch.int64, device=device)
        latents = latents.to(device, torch.float32)
        together = max(1, CHUNK_LATENTS // latents.shape[1])
        if device.type != "cpu" or len(latents) <= together:
            return self._go_on(index, latents)
        groups = zip(torch.split(index, together), torch.split(latents, together), strict=True)
        return torch.cat([self._go_on(*group) for group in groups])

    def warm(self, slot: int, latents: Tensor) -> None:
        """Let the slot hear latents [T, feat] that were spoken before, and drop the sound of them.

        No more than the decoder's last `history_latents` are looked at: nothing older reaches the next sample.
        """
        self.step([slot], latents[None, -self._decoder.history_latents :])

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
