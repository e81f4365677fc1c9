"""Grouped-query attention of whole tensors: what the kernels' plain forms are held against.

Heads that share a key-value head are further queries of it, so they are laid out as rows of one attention: nothing is
repeated, and a patch's nine tokens become two products of 72 rows instead of sixteen of nine. A causal mask differs by
row and keeps the usual form.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """q [batch, Tq, heads, dim], k and v [batch, Tk, kv_heads, dim] -> [batch, Tq, heads * dim]; scale 1/sqrt(dim).

    `causal`: token i of Tq sees tokens 0..i of k.
    """
    k, v = k.transpose(1, 2), v.transpose(1, 2)  # [batch, kv_heads, Tk, dim]
    if causal:
        seen = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, is_causal=True, enable_gqa=True)
        return seen.transpose(1, 2).flatten(-2)
    return attend_all(q, k, v)


def attend_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token sees all: q [batch, Tq, heads, dim], k and v [batch, kv_heads, Tk, dim] as a cache holds them ->
    [batch, Tq, heads * dim]."""
    batch, num_tokens, num_heads, dim = q.shape
    num_kv_heads = k.shape[1]
    group = num_heads // num_kv_heads
    rows = q.view(batch, num_tokens, num_kv_heads, group, dim).transpose(1, 2)
    rows = rows.reshape(batch, num_kv_heads, num_tokens * group, dim)
    seen = F.scaled_dot_product_attention(rows, k, v).view(batch, num_kv_heads, num_tokens, group, dim)
    return seen.transpose(1, 2).reshape(batch, num_tokens, num_heads * dim)
