# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""Device code of a patch's attention: rotation, scores and sum of a few tokens, all in one program's registers."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rotated(row, is_row, token, cos, sin, DIM: tl.constexpr, WIDTH: tl.constexpr):
    """The vectors at `row` [rows], rotated by their tokens' angles -> [rows, WIDTH] in their own type."""
    lane = tl.arange(0, WIDTH)
    is_there = is_row[:, None] & (lane < DIM)[None, :]
    exchanged = tl.where(lane < DIM // 2, lane + DIM // 2, lane - DIM // 2)
    here = tl.load(row[:, None] + lane[None, :], mask=is_there, other=0.0)
    there = tl.load(row[:, None] + exchanged[None, :], mask=is_there, other=0.0)
    cosine = tl.load(cos + token[:, None] * DIM + lane[None, :], mask=is_there, other=0.0)
    sine = tl.load(sin + token[:, None] * DIM + lane[None, :], mask=is_there, other=0.0)
    return (here.to(tl.float32) * cosine + there.to(tl.float32) * sine).to(here.dtype)


@triton.jit
def attend_patch_kernel(
    qkv,  # [patches, TOKENS, HEADS + 2 KV_HEADS, DIM]
    cos,  # float32 [TOKENS, DIM]
    sin,
    y,  # [patches, LAST - FIRST, HEADS, DIM]
    scale,  # log2(e) / sqrt(DIM)
    TOKENS: tl.constexpr,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    HEADS_TAKEN: tl.constexpr,  # of those that share a key-value head, by one program
    EXACT: tl.constexpr,
    ROWS: tl.constexpr,  # power of two >= (LAST - FIRST) * HEADS_TAKEN
    KEYS: tl.constexpr,  # power of two >= TOKENS
    WIDTH: tl.constexpr,  # power of two >= DIM
):
    patch = tl.program_id(0).to(tl.int64)
    first_head = tl.program_id(1) * HEADS_TAKEN
    kv_head = first_head // (HEADS // KV_HEADS)
    per_token: tl.constexpr = (HEADS + 2 * KV_HEADS) * DIM
    qkv += patch * TOKENS * per_token
    precision: tl.constexpr = "ieee" if EXACT else "tf32"

    key = tl.arange(0, KEYS)
    is_key = key < TOKENS
    lane = tl.arange(0, WIDTH)
    at = qkv + key * per_token + (HEADS + kv_head) * DIM
    k = rotated(at, is_key, key, cos, sin, DIM, WIDTH)
    is_there = is_key[:, None] & (lane < DIM)[None, :]
    v = tl.load(at[:, None] + KV_HEADS * DIM + lane[None, :], mask=is_there, other=0.0)

    row = tl.arange(0, ROWS)
    is_row = row < (LAST - FIRST) * HEADS_TAKEN
    token = row // HEADS_TAKEN
    head = first_head + row % HEADS_TAKEN
    q = rotated(qkv + (FIRST + token) * per_token + head * DIM, is_row, FIRST + token, cos, sin, DIM, WIDTH)

    score = tl.dot(q, tl.trans(k), input_precision=precision) * scale
    score = tl.where(is_key[None, :], score, float("-inf"))
    share = tl.exp2(score - tl.max(score, 1)[:, None])
    total = tl.dot(share.to(v.dtype), v, input_precision=precision) / tl.sum(share, 1)[:, None]
    to = ((patch * (LAST - FIRST) + token) * HEADS + head) * DIM
    is_y = is_row[:, None] & (lane < DIM)[None, :]
    tl.store(y + to[:, None] + lane[None, :], total.to(y.dtype.element_ty), mask=is_y)
