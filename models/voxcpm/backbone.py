"""The two causal language models: packed tokens of any slots in, hidden states out, keys and values kept in slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import Stack
from .layers import Layer, Loader, Rope


@dataclass(frozen=True, slots=True)
class Span:
    """Successive tokens of one slot in a packed batch."""

    slot: int
    start: int  # position of the first
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where each token of a batch stands. Those of a block of `block` tokens belong to one slot and follow each other;
    padding stands in the scratch slot, at position 0."""

    slots: Tensor  # int64 [tokens]
    positions: Tensor  # int64 [tokens]
    block: int = 1

    @classmethod
    def of(cls, spans: Sequence[Span], num_tokens: int, *, scratch: int, device: torch.device) -> Places:
        """Spans one after the other, and padding behind them up to `num_tokens`."""
        slots = torch.cat([torch.full((span.num_tokens,), span.slot) for span in spans])
        positions = torch.cat([torch.arange(span.start, span.start + span.num_tokens) for span in spans])
        num_padding = num_tokens - len(slots)
        return cls(
            F.pad(slots, (0, num_padding), value=scratch).to(device), F.pad(positions, (0, num_padding)).to(device)
        )


class Backbone:
    """A causal stack: the base LM (`base_lm.*`) or the residual LM (`residual_lm.*`).

    Keys and values lie in [layers, slots, kv_heads, positions, dim]; what no slot has reached costs no memory on a CPU.
    """

    def __init__(self, stack: Stack, load: Loader, name: str, *, num_positions: int) -> None:
        self._stack = stack
        self._kernels = load.kernels
        self._layers = [Layer(stack, load, f"{name}.layers.{index}") for index in range(stack.num_layers)]
        self._norm = load.tensor(f"{name}.norm.weight")
        self._rope = Rope(stack, num_positions, load.device)
        self._num_positions = num_positions
        self._device, self._dtype = load.device, load.dtype
        self._keys = self._values = torch.empty(0)

    def give_slots(self, num_slots: int) -> None:
        """Make room for so many, and forget those there were."""
        stack = self._stack
        shape = (stack.num_layers, num_slots, stack.num_kv_heads, self._num_positions, stack.head_dim)
        self._keys = self._values = torch.empty(0)
        self._keys = torch.empty(shape, device=self._device, dtype=self._dtype)
        self._values = torch.empty(shape, device=self._device, dtype=self._dtype)

    @staticmethod
    def slot_bytes(stack: Stack, num_positions: int, dtype: torch.dtype) -> int:
        """Memory of one slot: 16 KiB a token for the two stacks of v1.5 in bfloat16."""
        return 2 * stack.num_layers * stack.num_kv_heads * num_positions * stack.head_dim * dtype.itemsize

    def forward(self, x: Tensor, places: Places, rows: Tensor | None = None) -> Tensor:
        """x [tokens, hidden] -> hidden states [tokens, hidden], normalised.

        `rows`: each token's adapter number. Each token sees those of its slot up to itself, cached ones included.
        """
        kernels = self._kernels
        slots, positions = places.slots, places.positions
        cos, sin = self._rope.cos[positions], self._rope.sin[positions]  # [tokens, dim]
        for layer, keys, values in zip(self._layers, self._keys, self._values, strict=True):
            mixed = layer.mix(x, rows)  # [tokens, heads + 2 kv_heads, dim]
            attended = kernels.rope_attend(mixed, cos, sin, keys, values, slots, positions, block=places.block)
            x = layer.close(x, attended, rows)
        return kernels.rms_norm(x, self._norm, self._stack.rms_norm_eps)
