# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
# mypy: disable-error-code="assignment, misc, index"
# ruff: noqa: RUF005
"""Device code of the codec's depthwise convolutions of seven taps, behind and before a snake, with their memory.

A lane is STEPS rows of one stream that lie `dilation` apart: its convolution is a plain one, and a row that was loaded
(and sent through the snake) once slides through all seven taps in registers. The six rows before the first are loaded
as well: from the signal, or where that has not begun, from what the slot remembers, which is a row already behind the
snake. A slot's memory is read in one place and written in another, so no program waits for any.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .snake import narrowed, snake


@triton.jit
def lanes(first, num_lanes, lanes_per_stream, dilation, LANES: tl.constexpr, STEPS: tl.constexpr):
    """Of LANES lanes from `first` on: which are there, their stream, and the row each begins with."""
    lane = first + tl.arange(0, LANES)
    within = lane % lanes_per_stream
    start = within // dilation * (STEPS * dilation) + within % dilation
    return lane < num_lanes, tl.minimum(lane, num_lanes - 1) // lanes_per_stream, start


@triton.jit
def heard(
    x, memory, read_at, is_lane, stream, time, num_rows, num_channels, dilation, channel, alpha, inverse,
    SNAKE: tl.constexpr, FAST: tl.constexpr, OLD: tl.constexpr,
):  # fmt: skip
    """Row `time` of each lane, behind the first snake: float32 [lanes, channels]. OLD: it may be of an earlier step."""
    is_channel = (channel < num_channels)[None, :]
    is_now = is_lane & (time >= 0) & (time < num_rows)
    at = (stream * num_rows + time)[:, None] * num_channels + channel[None, :]
    row = tl.load(x + at, mask=is_now[:, None] & is_channel, other=0.0).to(tl.float32)
    if SNAKE:
        row = snake(row, alpha[None, :], inverse[None, :], FAST)
    if OLD:
        at = read_at[:, None] + (time + 6 * dilation)[:, None] * num_channels + channel[None, :]
        row += tl.load(memory + at, mask=(is_lane & (time < 0))[:, None] & is_channel, other=0.0)
    return row


@triton.jit
def remember(
    x, memory, read_at, write_at, is_lane, stream, start, num_rows, num_channels, dilation, channel, alpha, inverse,
    SNAKE: tl.constexpr, FAST: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Keep the last six rows of each residue of the dilation, those that these lanes hold: 6 * dilation in all."""
    first = num_rows - 6 * dilation
    is_last = is_lane & (start + (STEPS - 1) * dilation >= first)
    if tl.max(is_last.to(tl.int32), 0) > 0:
        for i in range(-6, STEPS):
            time = start + i * dilation
            row = heard(
                x, memory, read_at, is_lane, stream, time, num_rows, num_channels, dilation, channel, alpha, inverse,
                SNAKE, FAST, True,
            )  # fmt: skip
            # Before its own rows a lane holds another's, unless they are older than the signal.
            is_kept = is_lane & (time >= first) & (time < num_rows) & ((time < 0) | (i >= 0))
            at = write_at[:, None] + (time - first)[:, None] * num_channels + channel[None, :]
            tl.store(memory + at, row, mask=is_kept[:, None] & (channel < num_channels)[None, :])


@triton.jit(do_not_specialize=["num_rows", "dilation", "num_lanes", "lanes_per_stream"])
def depthwise_kernel(
    x,  # [streams, rows, channels]
    memory,  # float32 [places, values]
    read,  # int64 [streams]: a place
    write,  # another
    per_place,  # values
    offset,  # of this layer's memory in a place
    taps,  # float32 [7, channels]
    bias,  # float32 [channels]
    alpha,  # of the snake before; not looked at without SNAKE
    inverse,
    next_alpha,  # of the snake after
    next_inverse,
    y,  # as x, of the type that products take
    num_rows,
    num_channels,
    dilation,
    num_lanes,
    lanes_per_stream,
    LANES: tl.constexpr,
    CHANNELS: tl.constexpr,  # of one program
    STEPS: tl.constexpr,
    SNAKE: tl.constexpr,
    FAST: tl.constexpr,
    TF32: tl.constexpr,
):
    """y = snake(depthwise(snake(x))), and what the next step needs to remember of it."""
    is_lane, stream, start = lanes(tl.program_id(0) * LANES, num_lanes, lanes_per_stream, dilation, LANES, STEPS)
    read_at = tl.load(read + stream) * per_place + offset
    write_at = tl.load(write + stream) * per_place + offset
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    is_channel = channel < num_channels
    a, inv, next_a, next_inv = 0.0, 0.0, 0.0, 0.0
    if SNAKE:
        a = tl.load(alpha + channel, mask=is_channel, other=0.0)
        inv = tl.load(inverse + channel, mask=is_channel, other=0.0)
        next_a = tl.load(next_alpha + channel, mask=is_channel, other=0.0)
        next_inv = tl.load(next_inverse + channel, mask=is_channel, other=0.0)
    shift = tl.load(bias + channel, mask=is_channel, other=0.0)
    weights = ()
    for k in tl.static_range(7):
        weights = weights + (tl.load(taps + k * num_channels + channel, mask=is_channel, other=0.0),)
    window = ()
    for i in tl.static_range(6 + STEPS):
        time = start + (i - 6) * dilation
        row = heard(
            x, memory, read_at, is_lane, stream, time, num_rows, num_channels, dilation, channel, a, inv,
            SNAKE, FAST, i < 6,
        )  # fmt: skip
        window = window + (row,)
        if i >= 6:
            out = row * weights[6][None, :] + shift[None, :]
            for k in tl.static_range(6):
                out += window[i - 6 + k] * weights[k][None, :]
            if SNAKE:
                out = snake(out, next_a[None, :], next_inv[None, :], FAST)
            at = (stream * num_rows + time)[:, None] * num_channels + channel[None, :]
            is_row = is_lane & (time < num_rows)
            tl.store(y + at, narrowed(out, TF32).to(y.dtype.element_ty), mask=is_row[:, None] & is_channel[None, :])
    remember(
        x, memory, read_at, write_at, is_lane, stream, start, num_rows, num_channels, dilation, channel, a, inv,
        SNAKE, FAST, STEPS,
    )  # fmt: skip
