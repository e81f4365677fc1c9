"""Inputs to measure an operation on, of the shapes of a call: what that call itself holds may be anything.

Buffers that a graph will fill later hold no numbers yet, and a warm-up's tokens all stand at position 0, where
attention costs nothing. Weights are the call's own. The same call gives the same probe each time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PROBED_SLOTS = 64
PROBED_CONTEXT = 512
"""Positions that probed tokens see, where the cache has as many."""

Probe = tuple[object, ...]


def _like(x: Tensor) -> Tensor:
    generator = torch.Generator(x.device).manual_seed(x.numel())
    return torch.randn(x.shape, device=x.device, dtype=torch.float32, generator=generator).to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Probe:
    return _like(x), weight, eps


def swiglu(gate_up: Tensor) -> Probe:
    return (_like(gate_up),)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Probe:
    return _like(x), weight, bias


def linear_plus(x: Tensor, weight: Tensor, residual: Tensor) -> Probe:
    return _like(x), weight, _like(residual)


def norm_linear(x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Probe:
    return _like(x), norm, eps, weight


def attend_patch(qkv: Tensor, cos: Tensor, sin: Tensor, first: int, last: int, num_kv_heads: int) -> Probe:
    return _like(qkv), cos, sin, first, last, num_kv_heads


def rope_store(
    qkv: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor
) -> Probe:
    """No two tokens write the same entry: which of them stays is nobody's promise."""
    num_tokens, num_positions = len(qkv), keys.shape[2]
    num_slots = max(-(-num_tokens // num_positions), min(num_tokens, PROBED_SLOTS))
    token = torch.arange(num_tokens, device=qkv.device)
    empty = _few_slots(keys, num_slots).zero_()
    return _like(qkv), _like(cos), _like(sin), empty, empty.clone(), token % num_slots, token // num_slots


def attend_slots(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    slots: Tensor,
    positions: Tensor,
    block: int,
    *,
    most_slots: int = PROBED_SLOTS,
) -> Probe:
    num_positions = keys.shape[2]
    num_slots = min(len(q) // block, most_slots)
    token = torch.arange(len(q), device=q.device)
    begin = min(PROBED_CONTEXT, num_positions) // block * block - block
    at = (begin + token % block).clamp(0, num_positions - 1)
    few = _few_slots(keys, num_slots)
    return _like(q), _like(few), _like(few).flip(2), token // block % num_slots, at, block


def rope_attend(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    slots: Tensor,
    positions: Tensor,
    block: int,
) -> Probe:
    """Each block has a slot of its own: none reads what another is writing."""
    num_blocks = len(qkv) // block
    _, *read, _ = attend_slots(qkv, keys, values, slots, positions, block, most_slots=num_blocks)
    return _like(qkv), _like(cos), _like(sin), *read, block


PROBES: dict[str, Callable[..., Probe]] = {
    "rms_norm": rms_norm,
    "swiglu": swiglu,
    "linear": linear,
    "linear_plus": linear_plus,
    "norm_linear": norm_linear,
    "norm_swiglu": norm_linear,
    "attend_patch": attend_patch,
    "rope_store": rope_store,
    "attend_slots": attend_slots,
    "rope_attend": rope_attend,
}


def written(operation: str, probe: Probe) -> list[Tensor]:
    """Those of the inputs that the operation writes: the caches."""
    return [tensor for tensor in probe[3:5] if isinstance(tensor, Tensor)] if operation.startswith("rope_") else []


def _few_slots(cache: Tensor, num_slots: int) -> Tensor:
    return cache.new_empty(num_slots, *cache.shape[1:])
