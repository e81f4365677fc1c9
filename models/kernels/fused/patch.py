"""Starts a patch's attention."""

from __future__ import annotations

import math

from torch import Tensor

from .launch import Launch, is_exact, next_power
from .patch_jit import attend_patch_kernel


def heads_taken(num_heads: int, num_kv_heads: int) -> list[int]:
    """Query heads of one key-value head that a program may take: few where rows are few, all where they are many."""
    group = num_heads // num_kv_heads
    return sorted({heads for heads in (1, 4, group) if group % heads == 0})


def launch(
    taken: int, qkv: Tensor, cos: Tensor, sin: Tensor, first: int, last: int, num_kv_heads: int
) -> tuple[Launch, Tensor]:
    qkv = qkv.contiguous()
    num_patches, num_tokens, num_all_heads, dim = qkv.shape
    num_heads = num_all_heads - 2 * num_kv_heads
    y = qkv.new_empty(num_patches, last - first, num_heads * dim)
    rows = next_power((last - first) * taken)
    return (
        Launch(
            kernel=attend_patch_kernel,
            grid=(num_patches, num_heads // taken),
            arguments={
                "qkv": qkv,
                "cos": cos.contiguous(),
                "sin": sin.contiguous(),
                "y": y,
                "scale": math.log2(math.e) / math.sqrt(dim),
            },
            constants={
                "TOKENS": num_tokens,
                "FIRST": first,
                "LAST": last,
                "HEADS": num_heads,
                "KV_HEADS": num_kv_heads,
                "DIM": dim,
                "HEADS_TAKEN": taken,
                "EXACT": is_exact(qkv.dtype),
                "ROWS": rows,
                "KEYS": next_power(num_tokens),
                "WIDTH": next_power(dim),
            },
            num_warps=4 if rows > 32 else 2,
        ),
        y,
    )
