# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
# mypy: disable-error-code="assignment, misc, index"
# ruff: noqa: RUF005
"""Device code of a whole residual unit of the codec: x + pointwise(snake(depthwise(snake(x)))) in one pass.

What lies between the depthwise convolution and the product never leaves the chip: 6 bytes for each value that is moved
less, of 16. A program holds all channels, so this is for the blocks that have few; those have nearly all the values.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .convolution import hand_on, multiplied
from .depthwise import heard, lanes, remember
from .snake import narrowed, snake


@triton.jit
def stacked(rows):
    """Sixteen [lanes, channels] -> [16 lanes, channels], the rows of a lane one after the other."""
    a = tl.join(tl.join(rows[0], rows[8]), tl.join(rows[4], rows[12]))
    b = tl.join(tl.join(rows[2], rows[10]), tl.join(rows[6], rows[14]))
    c = tl.join(tl.join(rows[1], rows[9]), tl.join(rows[5], rows[13]))
    d = tl.join(tl.join(rows[3], rows[11]), tl.join(rows[7], rows[15]))
    all_rows = tl.join(tl.join(a, b), tl.join(c, d))  # [lanes, channels, 2, 2, 2, 2]
    num_lanes: tl.constexpr = rows[0].shape[0]
    num_channels: tl.constexpr = rows[0].shape[1]
    all_rows = tl.permute(tl.reshape(all_rows, (num_lanes, num_channels, 16)), (0, 2, 1))
    return tl.reshape(all_rows, (num_lanes * 16, num_channels))


@triton.jit(do_not_specialize=["num_rows", "dilation", "num_lanes", "lanes_per_stream"])
def residual_kernel(
    x,  # [streams, rows, CHANNELS]
    memory,  # float32 [places, values]
    read,  # int64 [streams]: a place
    write,  # another
    per_place,  # values
    offset,  # of this layer's memory in a place
    next_offset,  # of the next layer's
    taps,  # float32 [7, CHANNELS]
    shift,  # float32 [CHANNELS], of the depthwise convolution
    alpha,
    inverse,
    second_alpha,
    second_inverse,
    weight,  # [CHANNELS, CHANNELS], out by in, of the type that products take
    bias,  # float32 [CHANNELS]
    y,  # as x, with JOIN [streams, 1 + rows, CHANNELS] of the type that products take
    next_alpha,  # not looked at without JOIN
    next_inverse,
    num_rows,
    dilation,
    num_lanes,
    lanes_per_stream,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,  # power of two >= CHANNELS
    LANES: tl.constexpr,
    TILE_INS: tl.constexpr,
    JOIN: tl.constexpr,
    FAST: tl.constexpr,
    TF32: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """16 rows of LANES lanes a program; `convolution_kernel` says what JOIN does."""
    is_lane, stream, start = lanes(tl.program_id(0) * LANES, num_lanes, lanes_per_stream, dilation, LANES, 16)
    read_at = tl.load(read + stream) * per_place + offset
    write_at = tl.load(write + stream) * per_place + offset
    out = tl.arange(0, WIDTH)
    is_out = out < CHANNELS
    sums = tl.zeros((LANES * 16, WIDTH), tl.float32)
    for done in range(0, CHANNELS, TILE_INS):
        channel = done + tl.arange(0, TILE_INS)
        is_channel = channel < CHANNELS
        a = tl.load(alpha + channel, mask=is_channel, other=0.0)
        inv = tl.load(inverse + channel, mask=is_channel, other=0.0)
        second_a = tl.load(second_alpha + channel, mask=is_channel, other=0.0)
        second_inv = tl.load(second_inverse + channel, mask=is_channel, other=0.0)
        moved = tl.load(shift + channel, mask=is_channel, other=0.0)
        weights = ()
        for k in tl.static_range(7):
            weights = weights + (tl.load(taps + k * CHANNELS + channel, mask=is_channel, other=0.0),)
        window = ()
        rows = ()
        for i in tl.static_range(22):
            row = heard(
                x, memory, read_at, is_lane, stream, start + (i - 6) * dilation, num_rows, CHANNELS, dilation,
                channel, a, inv, True, FAST, i < 6,
            )  # fmt: skip
            window = window + (row,)
            if i >= 6:
                made = row * weights[6][None, :] + moved[None, :]
                for k in tl.static_range(6):
                    made += window[i - 6 + k] * weights[k][None, :]
                made = snake(made, second_a[None, :], second_inv[None, :], FAST)
                rows = rows + (narrowed(made, TF32).to(weight.dtype.element_ty),)
        right = tl.load(
            weight + out[None, :] * CHANNELS + channel[:, None], mask=is_out[None, :] & is_channel[:, None], other=0.0
        )
        sums = multiplied(stacked(rows), right, sums, SPLIT)
        remember(
            x, memory, read_at, write_at, is_lane, stream, start, num_rows, CHANNELS, dilation, channel, a, inv,
            True, FAST, 16,
        )  # fmt: skip
    # The same lanes, a row of theirs for each row of the tile.
    place = tl.arange(0, LANES * 16)
    lane = tl.program_id(0) * LANES + place // 16
    within = lane % lanes_per_stream
    time = (within // dilation * 16 + place % 16) * dilation + within % dilation
    is_row = (lane < num_lanes) & (time < num_rows)
    stream = tl.minimum(lane, num_lanes - 1) // lanes_per_stream
    at = (stream * num_rows + time)[:, None] * CHANNELS + out[None, :]
    is_there = is_row[:, None] & is_out[None, :]
    sums += tl.load(bias + out, mask=is_out, other=0.0)[None, :]
    sums += tl.load(x + at, mask=is_there, other=0.0).to(tl.float32)
    if JOIN:
        from_place = tl.load(read + stream) * per_place + next_offset
        to_place = tl.load(write + stream) * per_place + next_offset
        hand_on(
            sums, next_alpha, next_inverse, y, memory, from_place, to_place, stream, time, is_row, num_rows, out,
            CHANNELS, FAST, TF32,
        )  # fmt: skip
    else:
        tl.store(y + at, sums.to(y.dtype.element_ty), mask=is_there)
