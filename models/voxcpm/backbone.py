"""The two causal language models: packed tokens of any slots in, hidden states out, keys and values kept in slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .attention import attend, attend_all
from .config import Stack
from .layers import Layer, Loader, Rope, rms_norm


@dataclass(frozen=True, slots=True)
class Span:
    """Successive tokens of one slot in a packed batch. More than one begin the slot's context (a prefill)."""

    slot: int
    start: int  # position of the first
    num_tokens: int


class KvCache:
    """Keys and values [layers, slots, kv_heads, positions, dim]. What no slot has reached costs no memory on a CPU."""

    def __init__(self, stack: Stack, num_slots: int, num_positions: int, device: torch.device, dtype: torch.dtype):
        shape = (stack.num_layers, num_slots, stack.num_kv_heads, num_positions, stack.head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)


class Backbone:
    """A causal stack: the base LM (`base_lm.*`) or the residual LM (`residual_lm.*`)."""

    def __init__(self, stack: Stack, load: Loader, name: str, *, num_slots: int, num_positions: int) -> None:
        self._stack = stack
        self._layers = [Layer(stack, load, f"{name}.layers.{index}") for index in range(stack.num_layers)]
        self._norm = load.tensor(f"{name}.norm.weight")
        self._rope = Rope(stack, num_positions, load.device)
        self._cache = KvCache(stack, num_slots, num_positions, load.device, load.dtype)

    def forward(self, x: Tensor, spans: Sequence[Span], rows: Tensor | None = None) -> Tensor:
        """x [rows, hidden], all spans' tokens in a row -> hidden states [rows, hidden], normalised.

        Rows behind the last span are padding. `rows`: each token's adapter number. Each token sees those of its slot
        up to itself, cached ones included.
        """
        positions = torch.cat([torch.arange(span.start, span.start + span.num_tokens) for span in spans])
        positions = F.pad(positions, (0, len(x) - len(positions))).to(x.device)
        cos, sin = self._rope.cos[positions], self._rope.sin[positions]  # [rows, dim]
        for index, layer in enumerate(self._layers):
            q, k, v = layer.qkv(x, cos, sin, rows)  # [rows, heads, dim]
            attended = self._attend(index, q, k, v, spans)  # [rows, heads * dim]
            x = layer.close(x, attended, rows)
        return rms_norm(x, self._norm, self._stack.rms_norm_eps)

    def _attend(self, index: int, q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
        keys, values = self._cache.keys[index], self._cache.values[index]  # [slots, kv_heads, positions, dim]
        parts: list[Tensor] = []
        first = 0
        for span in spans:
            last, end = first + span.num_tokens, span.start + span.num_tokens
            own = keys[span.slot], values[span.slot]
            own[0][:, span.start : end] = k[first:last].transpose(0, 1)
            own[1][:, span.start : end] = v[first:last].transpose(0, 1)
            if span.num_tokens == 1:
                parts.append(attend_all(q[None, first:last], own[0][None, :, :end], own[1][None, :, :end])[0])
            else:
                assert span.start == 0, "several tokens at once begin a context"
                parts.append(attend(q[None, first:last], k[None, first:last], v[None, first:last], causal=True)[0])
            first = last
        if first < len(q):
            parts.append(parts[0].new_zeros(len(q) - first, parts[0].shape[1]))
        return torch.cat(parts) if len(parts) > 1 else parts[0]
