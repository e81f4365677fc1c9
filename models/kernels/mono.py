# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
# mypy: disable-error-code="assignment, misc, index"
# ruff: noqa: RUF005
"""Device code of the codec's end: the convolution to one channel, and samples as whole numbers."""

from __future__ import annotations

import triton
import triton.language as tl

from .depthwise import heard, lanes, remember


@triton.jit(do_not_specialize=["num_rows", "num_lanes", "lanes_per_stream"])
def mono_kernel(
    x,  # [streams, rows, channels]
    memory,  # float32 [places, values]
    read,  # int64 [streams]: a place
    write,  # another
    per_place,  # values
    offset,  # of this layer's memory in a place
    taps,  # float32 [7, channels]
    bias,  # float32 [1]
    alpha,
    inverse,
    y,  # float32 [streams, rows]
    num_rows,
    num_channels,
    num_lanes,
    lanes_per_stream,
    LANES: tl.constexpr,
    WIDTH: tl.constexpr,  # power of two >= channels
    STEPS: tl.constexpr,
    FAST: tl.constexpr,
):
    """y = tanh(convolution(snake(x))). The lanes are those of a depthwise convolution, whose channels are summed."""
    is_lane, stream, start = lanes(tl.program_id(0) * LANES, num_lanes, lanes_per_stream, 1, LANES, STEPS)
    read_at = tl.load(read + stream) * per_place + offset
    write_at = tl.load(write + stream) * per_place + offset
    channel = tl.arange(0, WIDTH)
    is_channel = channel < num_channels
    a = tl.load(alpha + channel, mask=is_channel, other=0.0)
    inv = tl.load(inverse + channel, mask=is_channel, other=0.0)
    shift = tl.load(bias)
    weights = ()
    for k in tl.static_range(7):
        weights = weights + (tl.load(taps + k * num_channels + channel, mask=is_channel, other=0.0),)
    window = ()
    for i in tl.static_range(6 + STEPS):
        time = start + i - 6
        row = heard(
            x, memory, read_at, is_lane, stream, time, num_rows, num_channels, 1, channel, a, inv, True, FAST, i < 6
        )
        window = window + (row,)
        if i >= 6:
            out = row * weights[6][None, :]
            for k in tl.static_range(6):
                out += window[i - 6 + k] * weights[k][None, :]
            sample = 1.0 - 2.0 / (tl.exp(2.0 * (tl.sum(out, 1) + shift)) + 1.0)  # tanh
            tl.store(y + stream * num_rows + time, sample, mask=is_lane & (time < num_rows))
    remember(
        x, memory, read_at, write_at, is_lane, stream, start, num_rows, num_channels, 1, channel, a, inv,
        True, FAST, STEPS,
    )  # fmt: skip


@triton.jit
def pcm_kernel(
    audio,  # float32 [streams, samples]
    volume,  # float32 [streams]
    pcm,  # int16 [streams, samples]
    is_sound,  # bool [streams]
    SAMPLES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One stream a program: every sample at its volume, halves to even, and whether all of them were numbers."""
    stream = tl.program_id(0)
    # As numpy does: the factor is rounded to float32 once, and the product once.
    factor = (tl.load(volume + stream).to(tl.float64) * 32767.0).to(tl.float32)
    num_strange = tl.zeros((BLOCK,), tl.int32)
    for done in range(0, SAMPLES, BLOCK):
        at = done + tl.arange(0, BLOCK)
        is_there = at < SAMPLES
        sample = tl.load(audio + stream * SAMPLES + at, mask=is_there, other=0.0)
        is_number = tl.abs(sample) <= 3.4028234663852886e38
        num_strange += (~is_number).to(tl.int32)
        loud = tl.where(is_number, sample * factor, 0.0)
        loud = tl.minimum(tl.maximum(loud, -32768.0), 32767.0)
        whole = (loud + 12582912.0) - 12582912.0  # 1.5 * 2^23: rounds to a whole number
        tl.store(pcm + stream * SAMPLES + at, whole.to(tl.int16), mask=is_there)
    tl.store(is_sound + stream, tl.sum(num_strange, 0) == 0)
