"""What all four stacks are made of: MiniCPM-4 blocks, read from a checkpoint for one device and precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels.kernels import Kernels
from ..kernels.plain import rms_norm
from .config import Stack
from .linear import Linear, make_linear
from .lora import Adapters, Lora, LowRank
from .rotation import rotation_tables
from .swiglu import SwiGLU
from .weights import Weights


class Projection:
    """A linear layer, with what the adapters add to it."""

    __slots__ = ("_linear", "_low_rank")

    def __init__(self, linear: Linear, low_rank: LowRank | None) -> None:
        self._linear = linear
        self._low_rank = low_rank

    def after_norm(self, x: Tensor, norm: Tensor, eps: float, rows: Tensor | None = None) -> Tensor:
        """y of the normalised x."""
        if self._low_rank is None or rows is None:
            return self._linear.after_norm(x, norm, eps)
        return self(rms_norm(x, norm, eps), rows)

    def __call__(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """[..., in] -> [..., out]. `rows`: each row's adapter number, shape x.shape[:-1]; None: none has one."""
        y = self._linear(x)
        if self._low_rank is not None and rows is not None:
            y += self._low_rank.delta(x, rows)
        return y

    def plus(self, x: Tensor, residual: Tensor, rows: Tensor | None = None) -> Tensor:
        """residual + y."""
        if self._low_rank is not None and rows is not None:
            return residual + self(x, rows)
        return self._linear.plus(x, residual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Makes the layers of one checkpoint, each tensor taken once."""

    weights: Weights
    device: torch.device
    dtype: torch.dtype
    kernels: Kernels
    quantize: bool = False  # int8, where the layer is large
    adapters: Adapters | None = None
    merged: Lora | None = None

    def tensor(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        return self._take(name, dtype or self.dtype).to(self.device)

    def projection(self, *names: str, bias: bool = False, quantize: bool = True) -> Projection:
        """One layer whose outputs are those of the named ones, one after the other."""
        weight = torch.cat([self._take(f"{name}.weight") for name in names])
        added = torch.cat([self._take(f"{name}.bias") for name in names]) if bias else None
        linear = make_linear(
            weight,
            added,
            device=self.device,
            dtype=self.dtype,
            quantize=self.quantize and quantize,
            kernels=self.kernels,
        )
        return Projection(linear, self.adapters.for_linear(names) if self.adapters else None)

    def swiglu(self, gate: str, up: str) -> SwiGLU:
        """The gate of a block. Adapters leave it alone."""
        weights = (self._take(f"{name}.weight") for name in (gate, up))
        return SwiGLU(*weights, device=self.device, dtype=self.dtype, quantize=self.quantize, kernels=self.kernels)

    def _take(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """In the dtype that it is used in, unless something finer is made of it first."""
        dtype = dtype or (None if self.quantize else self.dtype)
        if self.merged is None:
            return self.weights.take(name, dtype)
        merged = self.merged.merge(name, self.weights.take(name))
        return merged if dtype is None else merged.to(dtype)


class Rope:
    """Tables of LongRoPE, float32 [positions, head_dim] each (fact: the order of operations shapes them)."""

    def __init__(self, stack: Stack, num_positions: int, device: torch.device) -> None:
        dim = stack.head_dim
        inv_freq = 1.0 / (stack.rope_theta ** (torch.arange(0, dim, 2).float() / dim))
        scale = 1.0 / torch.tensor(stack.rope_factors, dtype=torch.float32)
        angles = torch.outer(torch.arange(num_positions).float(), scale) * inv_freq  # [positions, dim / 2]
        cos, sin = rotation_tables(angles, stack.rope_amplitude)
        self.cos, self.sin = cos.to(device), sin.to(device)


class Layer:
    """A block: RMSNorm, GQA attention, RMSNorm, SwiGLU. The attention itself differs by stack and is the caller's."""

    __slots__ = ("_down", "_gate", "_norm_in", "_norm_mlp", "_out", "_qkv", "_stack")

    def __init__(self, stack: Stack, load: Loader, name: str) -> None:
        attention, mlp = f"{name}.self_attn", f"{name}.mlp"
        self._stack = stack
        self._qkv = load.projection(f"{attention}.q_proj", f"{attention}.k_proj", f"{attention}.v_proj")
        self._out = load.projection(f"{attention}.o_proj")
        self._gate = load.swiglu(f"{mlp}.gate_proj", f"{mlp}.up_proj")
        self._down = load.projection(f"{mlp}.down_proj")
        self._norm_in = load.tensor(f"{name}.input_layernorm.weight")
        self._norm_mlp = load.tensor(f"{name}.post_attention_layernorm.weight")

    def mix(self, x: Tensor, rows: Tensor | None) -> Tensor:
        """x [..., hidden] -> queries, keys and values, not yet rotated: [..., heads + 2 kv_heads, dim]."""
        mixed = self._qkv.after_norm(x, self._norm_in, self._stack.rms_norm_eps, rows)
        return mixed.view(*x.shape[:-1], -1, self._stack.head_dim)

    def close(self, x: Tensor, attended: Tensor, rows: Tensor | None) -> Tensor:
        """x [..., hidden] and what its heads attended to, [..., heads * dim] -> the block's output [..., hidden]."""
        x = self._joined(x, self._out, attended, rows)
        gated = self._gate.after_norm(x, self._norm_mlp, self._stack.rms_norm_eps)  # [..., ffn]
        return self._joined(x, self._down, gated, None)

    def _joined(self, x: Tensor, layer: Projection, branch: Tensor, rows: Tensor | None) -> Tensor:
        if self._stack.residual_scale == 1.0:
            return layer.plus(branch, x, rows)
        return x + layer(branch, rows) * self._stack.residual_scale
