"""The gate of a SwiGLU block."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .linear import Linear, PackedLinear, make_linear


class SwiGLU:
    """silu(x G^T) * (x U^T) for weights G and U [ffn, hidden]: x [..., hidden] -> [..., ffn].

    Packed layers apply silu and product while they write their outputs. The other kinds read x once for both (int8
    quantises it once) and then go over the result.
    """

    __slots__ = ("_first", "_second")

    def __init__(
        self, gate: Tensor, up: Tensor, *, device: torch.device | str, dtype: torch.dtype, quantize: bool = False
    ) -> None:
        self._first = make_linear(gate, device=device, dtype=dtype, quantize=quantize)
        self._second: Linear | None = None
        if isinstance(self._first, PackedLinear):
            self._second = make_linear(up, device=device, dtype=dtype)
        else:
            self._first = make_linear(torch.cat([gate, up]), device=device, dtype=dtype, quantize=quantize)

    def __call__(self, x: Tensor) -> Tensor:
        if self._second is not None:
            return self._second.times(x, self._first.silu(x))
        gate, up = self._first(x).chunk(2, dim=-1)
        return F.silu(gate).mul_(up)
