# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""Device code of the codec's dense convolutions: a product over windows, which are read where they overlap."""

from __future__ import annotations

import triton
import triton.language as tl

from .snake import narrowed, snake


@triton.jit
def multiplied(left, right, sums, SPLIT: tl.constexpr):
    """sums + left right. SPLIT: float32 as three products of TF32, which keeps all but the last bits of it."""
    if SPLIT:
        return tl.dot(left, right, sums, input_precision="tf32x3")
    else:
        return tl.dot(left, right, sums, input_precision="tf32")


@triton.jit
def hand_on(
    value, alpha, inverse, joined, memory, read_at, write_at, stream, time, is_row, num_rows, out, num_outs,
    FAST: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """Send rows, float32 [tile, outs], through the next layer's snake into its input: joined [streams, 1 + rows, outs].

    What that layer remembers of the step before goes in front, and the last row is kept for the step after.
    """
    is_out = (out < num_outs)[None, :]
    a = tl.load(alpha + out, mask=out < num_outs, other=0.0)[None, :]
    inv = tl.load(inverse + out, mask=out < num_outs, other=0.0)[None, :]
    value = snake(value, a, inv, FAST)
    at = (stream * (num_rows + 1) + time + 1)[:, None] * num_outs + out[None, :]
    tl.store(joined + at, narrowed(value, TF32).to(joined.dtype.element_ty), mask=is_row[:, None] & is_out)
    is_edge = is_row & ((time == 0) | (time == num_rows - 1))
    if tl.max(is_edge.to(tl.int32), 0) > 0:
        is_last = (is_row & (time == num_rows - 1))[:, None] & is_out
        tl.store(memory + write_at[:, None] + out[None, :], value, mask=is_last)
        is_first = (is_row & (time == 0))[:, None] & is_out
        old = tl.load(memory + read_at[:, None] + out[None, :], mask=is_first, other=0.0)
        tl.store(joined + at - num_outs, narrowed(old, TF32).to(joined.dtype.element_ty), mask=is_first)


@triton.jit(do_not_specialize=["num_rows", "num_windows"])
def convolution_kernel(
    x,  # [streams, past + rows, ins], of the type that products take
    weight,  # [outs, WINDOW], of the same
    bias,  # float32 [outs]
    residual,  # [streams, rows, outs]; not looked at without RESIDUAL
    y,  # [streams, rows, outs], with JOIN [streams, 1 + rows, outs]
    alpha,  # of the next layer's snake; this and what follows not looked at without JOIN
    inverse,
    memory,  # float32 [places, values]
    read,  # int64 [streams]: a place
    write,  # another
    per_place,
    offset,  # of the next layer's memory in a place
    num_rows,
    num_outs,
    per_stream,  # strides of x
    per_row,
    num_windows,  # streams * rows
    WINDOW: tl.constexpr,  # values: those of one row, or of two that lie side by side
    TILE_ROWS: tl.constexpr,
    TILE_OUTS: tl.constexpr,
    TILE_INS: tl.constexpr,
    RESIDUAL: tl.constexpr,
    JOIN: tl.constexpr,
    FAST: tl.constexpr,
    TF32: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """y = bias + weight * window (+ residual)."""
    # Eight tiles of rows go over the outputs together, so that both sides come from the cache.
    tiles_of_rows = tl.cdiv(num_windows, TILE_ROWS)
    per_group = 8 * tl.cdiv(num_outs, TILE_OUTS)
    group = tl.program_id(0) // per_group
    in_group = tl.program_id(0) % per_group
    group_rows = tl.minimum(tiles_of_rows - group * 8, 8)
    row = (group * 8 + in_group % group_rows) * TILE_ROWS + tl.arange(0, TILE_ROWS)
    out = in_group // group_rows * TILE_OUTS + tl.arange(0, TILE_OUTS)
    is_row = row < num_windows
    row = tl.minimum(row, num_windows - 1)  # those past the end are computed and thrown away
    stream, time = row // num_rows, row % num_rows
    value = tl.arange(0, TILE_INS)
    x_at = x + (stream * per_stream + time * per_row)[:, None] + value[None, :]
    weight_at = weight + tl.minimum(out, num_outs - 1)[None, :] * WINDOW + value[:, None]
    sums = tl.zeros((TILE_ROWS, TILE_OUTS), tl.float32)
    for done in range(0, WINDOW, TILE_INS):
        is_value = value < WINDOW - done
        left = tl.load(x_at + done, mask=is_value[None, :], other=0.0)
        right = tl.load(weight_at + done, mask=is_value[:, None], other=0.0)
        sums = multiplied(left, right, sums, SPLIT)
    is_out = out < num_outs
    sums += tl.load(bias + out, mask=is_out, other=0.0)[None, :]
    at = row[:, None] * num_outs + out[None, :]
    is_there = is_row[:, None] & is_out[None, :]
    if RESIDUAL:
        sums += tl.load(residual + at, mask=is_there, other=0.0).to(tl.float32)
    if JOIN:
        read_at = tl.load(read + stream) * per_place + offset
        write_at = tl.load(write + stream) * per_place + offset
        hand_on(
            sums, alpha, inverse, y, memory, read_at, write_at, stream, time, is_row, num_rows, out, num_outs,
            FAST, TF32,
        )  # fmt: skip
    else:
        tl.store(y + at, sums.to(y.dtype.element_ty), mask=is_there)
