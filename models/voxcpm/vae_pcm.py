"""The decoder's samples as whole numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def to_pcm(audio: Tensor, volume: Tensor) -> tuple[Tensor, Tensor]:
    """Samples float32 [B, samples] at each row's volume, float32 [B] -> int16, and whether all were numbers, bool [B].

    Rounded as numpy's rint does, halves to even; cut at the ends of the range. What is not a number becomes silence.
    """
    factor = (volume.double() * 32767).float()
    loud = (audio * factor[:, None]).round_().clamp_(-32768, 32767)
    is_number = torch.isfinite(audio)
    return loud.masked_fill_(~is_number, 0).to(torch.int16), is_number.all(1)
