# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""Device code of the attention over slots, split along the context where few tokens would leave the device idle.

A split is a fixed stretch of positions, whatever the context: those that the context does not reach end at once, and a
token's result does not depend on who else is in the batch.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .patch_jit import rotated


@triton.jit
def attend_slots_kernel(
    q,  # [tokens, KV_HEADS * GROUP, DIM]; FRESH: qkv [tokens, KV_HEADS * (GROUP + 2), DIM], not yet rotated
    cos,  # float32 [tokens, DIM], where FRESH
    sin,
    keys,  # [slots, KV_HEADS, positions, DIM] of any strides but the last
    values,  # of the same strides
    slots,  # int64 [tokens]; a block reads the slot of its first token
    positions,
    y,  # [tokens, heads, DIM]; SPLITS > 1: float32 [tokens, heads, SPLITS, DIM], not yet divided
    state,  # SPLITS > 1: float32 [tokens, heads, SPLITS, 2], the largest score (times log2 e) and the sum
    scale,  # log2(e) / sqrt(DIM)
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    PER_SLOT: tl.constexpr,  # strides of the caches
    PER_HEAD: tl.constexpr,
    PER_POSITION: tl.constexpr,
    FRESH: tl.constexpr,  # of BLOCK 1: keys and values of the tokens themselves come with q, and are stored here
    BLOCK: tl.constexpr,  # tokens
    HEADS_TAKEN: tl.constexpr,  # of GROUP, by one program
    SPLITS: tl.constexpr,
    STRETCH: tl.constexpr,  # positions of a split
    EXACT: tl.constexpr,
    ROWS: tl.constexpr,  # power of two >= BLOCK * HEADS_TAKEN
    KEYS: tl.constexpr,  # positions at a time
    WIDTH: tl.constexpr,  # power of two >= DIM
):
    split = tl.program_id(2)
    first_token = tl.program_id(0).to(tl.int64) * BLOCK
    row = tl.arange(0, ROWS)
    is_row = row < BLOCK * HEADS_TAKEN
    token = first_token + row // HEADS_TAKEN
    position = tl.load(positions + token, mask=is_row, other=0)
    reach = tl.max(position, 0) + 1
    begin = split * STRETCH
    if begin >= reach:
        return
    # Entries of the cache that a row sees, and that any sees: a token of its own is not there yet.
    limit = position + (0 if FRESH else 1)
    end = reach - (1 if FRESH else 0)

    first_head = tl.program_id(1) * HEADS_TAKEN
    slot = tl.load(slots + first_token)
    kv_head = first_head // GROUP
    cache = slot * PER_SLOT + kv_head.to(tl.int64) * PER_HEAD
    lane = tl.arange(0, WIDTH)
    is_lane = lane < DIM
    to = token * (KV_HEADS * GROUP) + first_head + row % HEADS_TAKEN  # of [tokens, heads]
    is_q = is_row[:, None] & is_lane[None, :]
    precision: tl.constexpr = "ieee" if EXACT else "tf32"
    own = q + first_token * (KV_HEADS * (GROUP + 2) * DIM)
    if FRESH:
        query = rotated(own + (first_head + row % HEADS_TAKEN) * DIM, is_row, token, cos, sin, DIM, WIDTH)
    else:
        query = tl.load(q + to[:, None] * DIM + lane[None, :], mask=is_q, other=0.0)

    # Finite, so that a row which sees nothing of this split stays a number.
    largest = tl.full((ROWS,), -1e30, tl.float32)
    weight_sum = tl.zeros((ROWS,), tl.float32)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for at in range(begin, tl.minimum(end, begin + STRETCH), KEYS):
        number = at + tl.arange(0, KEYS)
        # What was never written may be no number, and would spoil the sum even at a weight of nought.
        is_entry = (number < end)[:, None] & is_lane[None, :]
        entry = cache + number.to(tl.int64)[:, None] * PER_POSITION + lane[None, :]
        key = tl.load(keys + entry, mask=is_entry, other=0.0)
        score = tl.dot(query, tl.trans(key), input_precision=precision) * scale
        score = tl.where(number[None, :] < limit[:, None], score, float("-inf"))
        larger = tl.maximum(largest, tl.max(score, 1))
        shrink = tl.exp2(largest - larger)
        share = tl.exp2(score - larger[:, None])
        weight_sum = weight_sum * shrink + tl.sum(share, 1)
        value = tl.load(values + entry, mask=is_entry, other=0.0)
        total = tl.dot(share.to(value.dtype), value, total * shrink[:, None], input_precision=precision)
        largest = larger

    if FRESH:
        is_last = begin + STRETCH >= reach
        own += (KV_HEADS * GROUP + kv_head) * DIM
        exchanged = tl.where(lane < DIM // 2, lane + DIM // 2, lane - DIM // 2)
        here = tl.load(own + lane, mask=is_lane, other=0.0)
        there = tl.load(own + exchanged, mask=is_lane, other=0.0).to(tl.float32)
        cosine = tl.load(cos + first_token * DIM + lane, mask=is_lane, other=0.0)
        sine = tl.load(sin + first_token * DIM + lane, mask=is_lane, other=0.0)
        key = (here.to(tl.float32) * cosine + there * sine).to(here.dtype)
        value = tl.load(own + KV_HEADS * DIM + lane, mask=is_lane, other=0.0)
        entry = cache + (reach - 1) * PER_POSITION + lane
        tl.store(keys + entry, key, mask=is_lane & is_last)
        tl.store(values + entry, value, mask=is_lane & is_last)
        score = tl.sum(query.to(tl.float32) * key.to(tl.float32)[None, :], 1) * scale
        score = tl.where(is_last, score, float("-inf"))
        larger = tl.maximum(largest, score)
        shrink = tl.exp2(largest - larger)
        share = tl.exp2(score - larger)
        weight_sum = weight_sum * shrink + share
        total = total * shrink[:, None] + share[:, None] * value.to(tl.float32)[None, :]
        largest = larger

    if SPLITS == 1:
        total = total / weight_sum[:, None]
        tl.store(y + to[:, None] * DIM + lane[None, :], total.to(y.dtype.element_ty), mask=is_q)
    else:
        part = to * SPLITS + split
        tl.store(y + part[:, None] * DIM + lane[None, :], total, mask=is_q)
        tl.store(state + part * 2, largest, mask=is_row)
        tl.store(state + part * 2 + 1, weight_sum, mask=is_row)


@triton.jit
def join_splits_kernel(
    parts,  # float32 [tokens, HEADS, SPLITS, DIM]
    state,  # float32 [tokens, HEADS, SPLITS, 2]
    positions,  # int64 [tokens]
    y,  # [tokens, HEADS, DIM]
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    SPLITS: tl.constexpr,
    STRETCH: tl.constexpr,
    NUMBERS: tl.constexpr,  # power of two >= SPLITS
    WIDTH: tl.constexpr,
):
    """One head of one token a program: splits behind its position were not computed, and are not read."""
    token = tl.program_id(0).to(tl.int64)
    row = token * HEADS + tl.program_id(1)
    number = tl.arange(0, NUMBERS)
    is_part = number <= tl.load(positions + token) // STRETCH
    at = row * SPLITS + number
    largest = tl.load(state + at * 2, mask=is_part, other=-1e30)
    weight_sum = tl.load(state + at * 2 + 1, mask=is_part, other=0.0)
    shrink = tl.exp2(largest - tl.max(largest, 0))
    lane = tl.arange(0, WIDTH)
    is_lane = lane < DIM
    part = tl.load(parts + at[:, None] * DIM + lane[None, :], mask=is_part[:, None] & is_lane[None, :], other=0.0)
    total = tl.sum(part * shrink[:, None], 0) / tl.sum(weight_sum * shrink, 0)
    tl.store(y + row * DIM + lane, total.to(y.dtype.element_ty), mask=is_lane)
