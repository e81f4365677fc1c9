"""The gate of a SwiGLU block."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..kernels.kernels import Kernels
from ..kernels.plain import rms_norm
from .linear import DeviceLinear, Linear, PackedLinear, make_linear


class SwiGLU:
    """silu(x G^T) * (x U^T) for weights G and U [ffn, hidden]: x [..., hidden] -> [..., ffn].

    Packed layers apply silu and product while they write their outputs. The other kinds read x once for both (int8
    quantises it once) and then go over the result, on CUDA in the same launch where that is faster.
    """

    __slots__ = ("_first", "_second")

    def __init__(
        self,
        gate: Tensor,
        up: Tensor,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        quantize: bool = False,
        kernels: Kernels | None = None,
    ) -> None:
        self._first = make_linear(gate, device=device, dtype=dtype, quantize=quantize, kernels=kernels)
        self._second: Linear | None = None
        if isinstance(self._first, PackedLinear):
            self._second = make_linear(up, device=device, dtype=dtype)
        else:
            both = torch.cat([gate, up])
            self._first = make_linear(both, device=device, dtype=dtype, quantize=quantize, kernels=kernels)

    def after_norm(self, x: Tensor, norm: Tensor, eps: float) -> Tensor:
        """The gate of the normalised x."""
        if isinstance(self._first, DeviceLinear):
            return self._first.swiglu_after_norm(x, norm, eps)
        return self(rms_norm(x, norm, eps))

    def __call__(self, x: Tensor) -> Tensor:
        if self._second is not None:
            return self._second.times(x, self._first.silu(x))
        gate, up = self._first(x).chunk(2, dim=-1)
        return F.silu(gate).mul_(up)
