"""Starts the attention over slots: one kernel, and a second that joins the splits where there are several."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .launch import Launch, cache_strides, is_exact, next_power
from .slots_jit import attend_slots_kernel, join_splits_kernel

MOST_SPLITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How the work is cut: query heads of one key-value head that a program takes, and positions of a split."""

    heads: int
    stretch: int

    def __str__(self) -> str:
        return f"{self.heads} heads, {self.stretch} positions"


def cuts(num_heads: int, num_kv_heads: int, num_positions: int, block: int) -> list[Cut]:
    """Those worth a measurement: decoding may split the context, a prefill the heads."""
    group = num_heads // num_kv_heads
    if block > 1:
        return [
            Cut(heads=heads, stretch=num_positions)
            for heads in sorted({group, max(1, group // 4)})
            if group % heads == 0
        ]
    least = next_power(-(-num_positions // MOST_SPLITS))
    stretches = {max(64, least), max(256, least)}
    whole = [num_positions]
    return [
        Cut(heads=group, stretch=stretch) for stretch in [*sorted(s for s in stretches if s < num_positions), *whole]
    ]


def launches(
    cut: Cut,
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    slots: Tensor,
    positions: Tensor,
    block: int,
    *,
    tables: tuple[Tensor, Tensor] | None = None,
) -> tuple[list[Launch], Tensor]:
    """What to run in turn, and the [N, heads * dim] that it writes.

    `tables`: with cosines and sines [N, dim], q holds the tokens' keys and values behind the queries, nothing of it
    rotated yet, and they are stored too. Of block 1 only, and a cut that takes all heads of a key-value head.
    """
    q = q.contiguous()
    num_tokens, num_heads, dim = q.shape
    _, num_kv_heads, num_positions, _ = keys.shape
    cos, sin = q, q
    if tables is not None:
        num_heads -= 2 * num_kv_heads
        cos, sin = tables
        if block != 1 or cut.heads * num_kv_heads != num_heads:
            raise ValueError(f"block {block}, {cut}: expected block 1 and all heads of a key-value head")
    splits = -(-num_positions // cut.stretch)
    y = q.new_empty(num_tokens, num_heads * dim)
    parts, state = y, y
    if splits > 1:
        parts = q.new_empty(num_tokens, num_heads, splits, dim, dtype=torch.float32)
        state = q.new_empty(num_tokens, num_heads, splits, 2, dtype=torch.float32)
    rows = next_power(block * cut.heads)
    whole = Launch(
        kernel=attend_slots_kernel,
        grid=(num_tokens // block, num_heads // cut.heads, splits),
        arguments={
            "q": q,
            "cos": cos.contiguous(),
            "sin": sin.contiguous(),
            "keys": keys,
            "values": values,
            "slots": slots,
            "positions": positions,
            "y": parts,
            "state": state,
            "scale": math.log2(math.e) / math.sqrt(dim),
        },
        constants={
            "KV_HEADS": num_kv_heads,
            "GROUP": num_heads // num_kv_heads,
            "DIM": dim,
            **cache_strides(keys, values),
            "FRESH": tables is not None,
            "BLOCK": block,
            "HEADS_TAKEN": cut.heads,
            "SPLITS": splits,
            "STRETCH": cut.stretch,
            "EXACT": is_exact(q.dtype),
            "ROWS": rows,
            "KEYS": min(64, next_power(cut.stretch)),
            "WIDTH": next_power(dim),
        },
        num_warps=8 if rows > 64 else 4,
        num_stages=2,
    )
    if splits == 1:
        return [whole], y
    join = Launch(
        kernel=join_splits_kernel,
        grid=(num_tokens, num_heads),
        arguments={"parts": parts, "state": state, "positions": positions, "y": y},
        constants={
            "HEADS": num_heads,
            "DIM": dim,
            "SPLITS": splits,
            "STRETCH": cut.stretch,
            "NUMBERS": next_power(splits, 1),
            "WIDTH": next_power(dim),
        },
        num_warps=2,
    )
    return [whole, join], y
