# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""Device code of what goes over rows once: the norm, the gate, and the rotation on the way into the cache."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rms_norm_kernel(x, weight, y, eps, HIDDEN: tl.constexpr, WIDTH: tl.constexpr):
    """One row of [rows, HIDDEN] a program."""
    lane = tl.arange(0, WIDTH)
    is_lane = lane < HIDDEN
    at = tl.program_id(0).to(tl.int64) * HIDDEN + lane
    wide = tl.load(x + at, mask=is_lane, other=0.0).to(tl.float32)
    root = tl.rsqrt(tl.sum(wide * wide, 0) / HIDDEN + eps)
    # Cast back before the weight, as the plain form does.
    normed = (wide * root).to(x.dtype.element_ty).to(tl.float32)
    scaled = normed * tl.load(weight + lane, mask=is_lane, other=0.0).to(tl.float32)
    tl.store(y + at, scaled.to(y.dtype.element_ty), mask=is_lane)


@triton.jit
def swiglu_kernel(gate_up, y, FFN: tl.constexpr, WIDTH: tl.constexpr):
    """WIDTH outputs of one row of [rows, FFN] a program."""
    lane = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    is_lane = lane < FFN
    row = tl.program_id(0).to(tl.int64)
    gate = tl.load(gate_up + row * 2 * FFN + lane, mask=is_lane, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * FFN + FFN + lane, mask=is_lane, other=0.0).to(tl.float32)
    tl.store(y + row * FFN + lane, (gate / (1.0 + tl.exp(-gate)) * up).to(y.dtype.element_ty), mask=is_lane)


@triton.jit
def rope_store_kernel(
    qkv,  # [tokens, HEADS + 2 KV_HEADS, DIM]
    cos,  # float32 [tokens, DIM]
    sin,
    keys,  # [slots, KV_HEADS, positions, DIM] of any strides but the last
    values,  # of the same strides
    slots,  # int64 [tokens]
    positions,
    q,  # [tokens, HEADS, DIM]
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    PER_SLOT: tl.constexpr,  # strides
    PER_HEAD: tl.constexpr,
    PER_POSITION: tl.constexpr,
    ROWS: tl.constexpr,  # power of two >= HEADS + 2 KV_HEADS
    WIDTH: tl.constexpr,  # power of two >= DIM
):
    """One token a program."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, ROWS)[:, None]
    lane = tl.arange(0, WIDTH)
    is_lane = lane < DIM
    exchanged = tl.where(lane < DIM // 2, lane + DIM // 2, lane - DIM // 2)
    is_there = (head < HEADS + 2 * KV_HEADS) & is_lane[None, :]
    row = qkv + (token * (HEADS + 2 * KV_HEADS) + head) * DIM
    here = tl.load(row + lane[None, :], mask=is_there, other=0.0)
    there = tl.load(row + exchanged[None, :], mask=is_there, other=0.0)
    cosine = tl.load(cos + token * DIM + lane, mask=is_lane, other=0.0)[None, :]
    sine = tl.load(sin + token * DIM + lane, mask=is_lane, other=0.0)[None, :]
    rotated = (here.to(tl.float32) * cosine + there.to(tl.float32) * sine).to(here.dtype)
    tl.store(q + (token * HEADS + head) * DIM + lane[None, :], rotated, mask=is_there & (head < HEADS))
    slot = tl.load(slots + token)
    position = tl.load(positions + token)
    key = head - HEADS
    entry = slot * PER_SLOT + position * PER_POSITION + lane[None, :]
    tl.store(keys + entry + key * PER_HEAD, rotated, mask=is_there & (key >= 0) & (key < KV_HEADS))
    value = key - KV_HEADS
    tl.store(values + entry + value * PER_HEAD, here, mask=is_there & (value >= 0))
