"""Linear layers in the form that runs fastest where they are: packed by oneDNN or int8 on a CPU, plain elsewhere.

A voice for one listener is a stream of weights: 18 rows or fewer pass through 120 M parameters nine times in 160 ms, so
what counts is how many weights per second a core takes in. `python -m bench.peers --ladder` shows what each form gives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels.kernels import Kernels
from ..kernels.plain import rms_norm

PACKED_ROWS = 18
"""Rows for which oneDNN chooses the layout of packed weights: those of one listener's solver, where most work is."""


class Linear:
    """y = x W^T + b for x [..., in_features], with what usually follows it: one pass over y where that is possible.

    This class is the plain form, for a torch without the packed one.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.out_features, self.in_features = weight.shape
        self._weight = weight
        self._bias = bias

    @property
    def num_bytes(self) -> int:
        """Memory of the weight."""
        return self._weight.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)

    def after_norm(self, x: Tensor, norm: Tensor, eps: float) -> Tensor:
        """y of the normalised x."""
        return self(rms_norm(x, norm, eps))

    def silu(self, x: Tensor) -> Tensor:
        """silu(y)."""
        return F.silu(self(x))

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        """factor * y, of equal shapes."""
        return self(x).mul_(factor)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """residual + y, of equal shapes; the residual itself stays as it is."""
        return self(x).add_(residual)


class DeviceLinear(Linear):
    """The form for CUDA, where what stands before and after a product may be one launch with it."""

    def __init__(self, weight: Tensor, bias: Tensor | None, kernels: Kernels) -> None:
        super().__init__(weight, bias)
        self._kernels = kernels

    def __call__(self, x: Tensor) -> Tensor:
        return self._kernels.linear(x, self._weight, self._bias)

    def after_norm(self, x: Tensor, norm: Tensor, eps: float) -> Tensor:
        return self._kernels.norm_linear(x, norm, eps, self._weight)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return self._kernels.linear_plus(x, self._weight, residual)

    def swiglu_after_norm(self, x: Tensor, norm: Tensor, eps: float) -> Tensor:
        """The gate of a block, where the weight is that of gate and up: [..., out_features / 2]."""
        return self._kernels.norm_swiglu(x, norm, eps, self._weight)


class PackedLinear(Linear):
    """Weights in oneDNN's blocked layout: no thread gathers them anew in each call, and what follows y is fused."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS)
        # Bound once: looking an operator up by its name takes as long as a small kernel.
        self._run = torch.ops.mkldnn._linear_pointwise.default
        self._run_with = torch.ops.mkldnn._linear_pointwise.binary

    @property
    def num_bytes(self) -> int:
        return int(torch.ops.mkldnn._nbytes(self._weight))

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self._run(x, self._weight, self._bias, "none", [], "")
        return y

    def silu(self, x: Tensor) -> Tensor:
        y: Tensor = self._run(x, self._weight, self._bias, "swish", [], "")
        return y

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        y: Tensor = self._run_with(x, factor, self._weight, self._bias, "mul")
        return y

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        y: Tensor = self._run_with(x, residual, self._weight, self._bias, "add")
        return y


class Int8Linear(Linear):
    """Weights as int8 with one scale per output, inputs as int8 with one scale per row: symmetric, no zero points.

    A scale of its own keeps a row from depending on the rows it is batched with. Sums are exact (int32).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self._scale = weight.abs().amax(1).div_(127).clamp_min_(1e-30)  # [out]
        quantized = (weight / self._scale[:, None]).round_().to(torch.int8)
        self._num_bytes = quantized.nbytes
        self._weight = torch.ops.onednn.qlinear_prepack(quantized, [PACKED_ROWS, self.in_features])
        self._zero_points = torch.zeros(self.out_features, dtype=torch.int32)
        # Without VNNI a pair of products is summed in 16 bits; with 7-bit inputs that sum cannot overflow.
        self._levels = 127 if torch.cpu._is_vnni_supported() else 63
        self._middle = self._levels + 1  # inputs travel as unsigned bytes around this one: s8 x s8 has no fast kernel
        self._run = torch.ops.onednn.qlinear_pointwise.default

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    def __call__(self, x: Tensor) -> Tensor:
        if not x.numel():
            return x.new_empty(*x.shape[:-1], self.out_features)
        dtype, x = x.dtype, x.float()
        scale = x.abs().amax(-1, keepdim=True).div_(self._levels).clamp_min_(1e-30)
        rows = (x / scale).add_(self._middle + 0.5).to(torch.uint8)  # cut off, which rounds
        y: Tensor = self._run(
            rows, 1.0, self._middle, self._weight, self._scale, self._zero_points, None, 1.0, 0, torch.float32,
            "none", [], "",
        ).mul_(scale)  # fmt: skip
        return (y if self._bias is None else y.add_(self._bias)).to(dtype)


def make_linear(
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    quantize: bool = False,
    kernels: Kernels | None = None,
) -> Linear:
    """The linear layer of `weight` [out, in] and `bias` [out], of any dtype, for inputs of `dtype` on `device`.

    A packed or int8 weight is the only copy: let go of the one that was passed. int8 is for a CPU whose torch has it;
    elsewhere `quantize` changes nothing. `kernels`: those of the device, for a layer whose neighbours may be fused.
    """
    is_cpu = torch.device(device).type == "cpu"
    if quantize and is_cpu and can_quantize():
        return Int8Linear(weight.float(), None if bias is None else bias.float())
    weight = weight.to(device, dtype)
    bias = None if bias is None else bias.to(device, dtype)
    if is_cpu and can_pack(dtype):
        return PackedLinear(weight, bias)
    if is_cpu or kernels is None:
        return Linear(weight.contiguous(), bias)
    return DeviceLinear(weight.contiguous(), bias, kernels)


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this torch, on this CPU, packs linear layers of that type. Tried, since the operators are not public."""
    return _tried(PackedLinear, dtype)


def can_quantize() -> bool:
    """Whether this torch has int8 linear layers on this CPU."""
    return _tried(Int8Linear, torch.float32)


def _tried(kind: type[Linear], dtype: torch.dtype) -> bool:
    eye = torch.eye(16, dtype=dtype)
    try:
        with torch.inference_mode():
            linear = kind(eye, None)
            return torch.allclose(linear.plus(eye, eye), 2 * eye, atol=0.02)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
