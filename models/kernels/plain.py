"""Every operation in plain PyTorch: what runs on a CPU, what the kernels are measured against, and what they fall to.

On CUDA each is of fixed shape and reads nothing back, so that a graph can capture it.
"""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

GATHERED_BYTES = 1 << 28
"""Of copied keys and of scores that `attend_slots` holds at a time on CUDA; it needs about three times as much."""


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x [..., hidden]: mean square in float32; cast back before the weight, as the original does."""
    return F.rms_norm(x, weight.shape, eps=eps) * weight


def swiglu(gate_up: Tensor) -> Tensor:
    """[..., 2 ffn] -> silu(first half) * second half, [..., ffn]."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate).mul_(up)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., in], weight [out, in] -> [..., out]."""
    return F.linear(x, weight, bias)


def linear_plus(x: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
    """residual + x W^T, both [..., out]; the residual itself stays as it is."""
    flat = torch.addmm(residual.reshape(-1, residual.shape[-1]), x.reshape(-1, x.shape[-1]), weight.t())
    return flat.view(residual.shape)


def norm_linear(x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
    """The linear layer of what `rms_norm` makes of x."""
    return linear(rms_norm(x, norm, eps), weight)


def norm_swiglu(x: Tensor, norm: Tensor, eps: float, gate_up: Tensor) -> Tensor:
    """The gate of a block, behind its norm: gate_up [2 ffn, in] -> [..., ffn]."""
    return swiglu(linear(rms_norm(x, norm, eps), gate_up))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-split rotation (GPT-NeoX) of [..., heads, dim] by float32 tables [..., dim], in float32, cast back.

    The sines carry the sign of the half they stand in, so that the halves are only exchanged.
    """
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    exchanged = torch.cat([second, first], dim=-1)
    return (wide * cos.unsqueeze(-2)).add_(exchanged.mul_(sin.unsqueeze(-2))).to(x.dtype)


def rope_store(
    qkv: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor
) -> Tensor:
    """Rotates q and k of qkv [N, heads + 2 kv_heads, dim] by cos and sin [N, dim], writes k and v into the caches
    [slots, kv_heads, positions, dim] at `slots` and `positions` (int64 [N]), and returns q [N, heads, dim]."""
    num_kv_heads = keys.shape[1]
    num_rotated = qkv.shape[1] - num_kv_heads
    rotated = rotate(qkv[:, :num_rotated], cos, sin)
    keys[slots, :, positions] = rotated[:, num_rotated - num_kv_heads :]
    values[slots, :, positions] = qkv[:, num_rotated:]
    return rotated[:, : num_rotated - num_kv_heads]


def attend_patch(qkv: Tensor, cos: Tensor, sin: Tensor, first: int, last: int, num_kv_heads: int) -> Tensor:
    """Attention of all T tokens of a row among each other, for the queries of tokens first..last-1 alone.

    qkv [rows, T, heads + 2 kv_heads, dim] not yet rotated, cos and sin [T, dim] -> [rows, last - first, heads * dim].
    """
    num_rotated = qkv.shape[2] - num_kv_heads
    num_heads = num_rotated - num_kv_heads
    rotated = rotate(qkv[:, :, :num_rotated], cos, sin)
    k, v = rotated[:, :, num_heads:].transpose(1, 2), qkv[:, :, num_rotated:].transpose(1, 2)
    return _attend_all(rotated[:, first:last, :num_heads], k, v)


def rope_attend(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    slots: Tensor,
    positions: Tensor,
    block: int,
) -> Tensor:
    """`rope_store`, then `attend_slots` with the q that it returns -> [N, heads * dim]."""
    q = rope_store(qkv, cos, sin, keys, values, slots, positions)
    return attend_slots(q, keys, values, slots, positions, block)


def attend_slots(q: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, block: int) -> Tensor:
    """Token n of q [N, heads, dim] sees cache positions 0..positions[n] -> [N, heads * dim].

    Every `block` tokens read one slot, that of the first of them. keys and values [slots, kv_heads, positions, dim];
    slots and positions int64 [N]. On a CPU the work follows the context; elsewhere its shape is fixed.
    """
    if q.device.type == "cpu":
        return _attend_runs(q, keys, values, slots, positions, block)
    return attend_gathered(q, keys, values, slots, positions, block)


def attend_gathered(q: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, block: int) -> Tensor:
    """`attend_slots` over all positions of the cache, the unseen ones masked: nothing depends on what they hold."""
    _, num_kv_heads, num_positions, dim = keys.shape
    num_tokens, num_heads, _ = q.shape
    group = num_heads // num_kv_heads
    num_blocks = num_tokens // block
    rows = (
        q.view(num_blocks, block, num_kv_heads, group, dim)
        .transpose(1, 2)
        .reshape(-1, num_kv_heads, block * group, dim)
    )
    last = positions.view(num_blocks, block)
    numbers = torch.arange(num_positions, device=q.device)
    per_block = keys[0].nbytes + 4 * num_heads * block * num_positions  # entries and scores
    size = max(1, GATHERED_BYTES // per_block)  # blocks at a time
    parts: list[Tensor] = []
    for begin in range(0, num_blocks, size):
        part = slice(begin, begin + size)
        ends = last[part].repeat_interleave(group, dim=1)[:, None, :, None]  # [blocks, 1, block * group, 1]
        chosen = slots[::block][part]
        scores = (
            rows[part] @ keys[chosen].transpose(2, 3)
        ).float() * dim**-0.5  # [blocks, kv, block * group, positions]
        weights = scores.masked_fill_(numbers > ends, -torch.inf).softmax(dim=-1).to(q.dtype)
        # A weight of nought times what was never written may be no number.
        reached = numbers[:, None] <= ends.amax(dim=2, keepdim=True)  # [blocks, 1, positions, 1]
        parts.append(weights @ values[chosen].where(reached, values.new_zeros(())))
    seen = torch.cat(parts).view(num_blocks, num_kv_heads, block, group, dim)
    return seen.transpose(1, 2).reshape(num_tokens, num_heads * dim)


def _attend_runs(q: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, block: int) -> Tensor:
    """Successive tokens of one slot at a time, over as much of its cache as they see."""
    by_token = slots[::block].repeat_interleave(block).tolist()
    ends: list[int] = positions.tolist()
    parts: list[Tensor] = []
    first = 0
    for slot, run in groupby(by_token):
        last = first + sum(1 for _ in run)
        own = ends[first:last]
        end = max(own) + 1
        k, v = keys[slot, :, :end], values[slot, :, :end]  # [kv_heads, end, dim]
        queries = q[first:last]
        if min(own) + 1 == end:
            parts.append(_attend_all(queries[None], k[None], v[None])[0])
        else:
            causal = own == list(range(end))
            mask = None if causal else torch.arange(end) <= positions[first:last, None]
            seen = F.scaled_dot_product_attention(
                queries.transpose(0, 1)[None], k[None], v[None], attn_mask=mask, is_causal=causal, enable_gqa=True
            )
            parts.append(seen[0].transpose(0, 1).flatten(-2))
        first = last
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _attend_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token sees all: q [batch, Tq, heads, dim], k and v [batch, kv_heads, Tk, dim] -> [batch, Tq, heads * dim].

    Heads that share a key-value head are laid out as rows of one attention: nothing is repeated, and a patch's nine
    tokens become two products of 72 rows instead of sixteen of nine.
    """
    batch, num_tokens, num_heads, dim = q.shape
    num_kv_heads = k.shape[1]
    group = num_heads // num_kv_heads
    rows = q.reshape(batch, num_tokens, num_kv_heads, group, dim).transpose(1, 2)
    rows = rows.reshape(batch, num_kv_heads, num_tokens * group, dim)
    seen = F.scaled_dot_product_attention(rows, k, v).view(batch, num_kv_heads, num_tokens, group, dim)
    return seen.transpose(1, 2).reshape(batch, num_tokens, num_heads * dim)
