"""How the codec's kernels are started: with which tiles, for what shape, by rules rather than measurements.

Only who has a CUDA device, or triton's interpreter, imports this module.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..kernels.convolution import convolution_kernel
from ..kernels.depthwise import depthwise_kernel
from ..kernels.fused.launch import Launch, next_power, stages_that_fit
from ..kernels.mono import mono_kernel, pcm_kernel
from ..kernels.residual import residual_kernel
from .vae import Precision
from .vae_layers import Dense, Depthwise, Next, ResidualUnit, Snake, ToMono
from .vae_memory import Memory

MANY_PROGRAMS = 264
"""Two for each multiprocessor of the largest device: with fewer, smaller tiles are the faster ones."""


def depthwise(
    layer: Depthwise,
    around: tuple[Snake, Snake] | None,
    x: Tensor,
    memory: Memory,
    offset: int,
    precision: Precision,
) -> tuple[Launch, Tensor]:
    """[B, T, C] -> [B, T, C] of the products' type; `around`: the snakes before and after."""
    num_streams, num_rows, num_channels = x.shape
    y = torch.empty_like(x, dtype=precision.factors)
    rows_of_lane = -(-num_rows // layer.dilation)
    steps = 16 if rows_of_lane > 8 else 4
    lanes_per_stream = -(-rows_of_lane // steps) * layer.dilation
    width = min(128, next_power(num_channels))
    lanes = 4
    unused = layer.bias
    before, after = around or (None, None)
    launch = Launch(
        kernel=depthwise_kernel,
        grid=(-(-num_streams * lanes_per_stream // lanes), -(-num_channels // width)),
        arguments={
            "x": x,
            **_places(memory, offset),
            "taps": layer.taps,
            "bias": layer.bias,
            "alpha": before.alpha if before else unused,
            "inverse": before.inverse if before else unused,
            "next_alpha": after.alpha if after else unused,
            "next_inverse": after.inverse if after else unused,
            "y": y,
            "num_rows": num_rows,
            "num_channels": num_channels,
            "dilation": layer.dilation,
            "num_lanes": num_streams * lanes_per_stream,
            "lanes_per_stream": lanes_per_stream,
        },
        constants={
            "LANES": lanes,
            "CHANNELS": width,
            "STEPS": steps,
            "SNAKE": around is not None,
            "FAST": _is_fast(precision),
            "TF32": precision.tf32,
        },
    )
    return launch, y


def convolution(
    layer: Dense,
    x: Tensor,
    precision: Precision,
    signal: torch.dtype,
    *,
    residual: Tensor | None = None,
    then: Next | None = None,
    memory: Memory,
) -> tuple[Launch, Tensor]:
    """[B, past + T, C] of the products' type -> [B, T * upsample, C_out] of `signal`.

    With `then`, the next product's windows instead: [B, 1 + T, C_out] of the products' type.
    """
    num_streams, num_ins = x.shape[0], x.shape[2]
    num_rows = x.shape[1] - layer.past[0]
    weight, num_windows = layer.weight(), num_streams * num_rows
    num_outs, window = weight.shape
    y = (
        x.new_empty(num_streams, num_rows * layer.upsample, num_outs // layer.upsample, dtype=signal)
        if then is None
        else x.new_empty(num_streams, 1 + num_rows, num_outs)
    )
    is_narrow = precision.factors.itemsize == 2
    if num_windows <= 64:
        tile_rows, tile_outs, tile_ins, num_warps, num_stages = (
            next_power(num_windows),
            32,
            128 if is_narrow else 64,
            4,
            5,
        )
    elif num_windows * num_outs < MANY_PROGRAMS // 2 * 128 * 128:
        tile_rows, tile_outs, tile_ins, num_warps, num_stages = 64, 64, 64 if is_narrow else 32, 4, 3
    else:
        # A snake at the end needs registers.
        tile_rows, tile_outs, tile_ins = 128, 128 if then is None else 64, 64 if is_narrow else 32
        num_warps, num_stages = 8, 3
    tile_ins = min(tile_ins, next_power(window))
    num_stages = stages_that_fit((tile_rows + tile_outs) * tile_ins * precision.factors.itemsize, num_stages)
    unused = layer.bias()
    launch = Launch(
        kernel=convolution_kernel,
        grid=(-(-num_windows // tile_rows) * -(-num_outs // tile_outs),),
        arguments={
            "x": x,
            "weight": weight,
            "bias": layer.bias(),
            "residual": y if residual is None else residual,
            "y": y,
            "alpha": then.snake.alpha if then else unused,
            "inverse": then.snake.inverse if then else unused,
            **_places(memory, then.offset if then else 0),
            "num_rows": num_rows,
            "num_outs": num_outs,
            "per_stream": x.shape[1] * num_ins,
            "per_row": num_ins,
            "num_windows": num_windows,
        },
        constants={
            "WINDOW": window,
            "TILE_ROWS": tile_rows,
            "TILE_OUTS": tile_outs,
            "TILE_INS": tile_ins,
            "RESIDUAL": residual is not None,
            "JOIN": then is not None,
            "FAST": _is_fast(precision),
            "TF32": precision.tf32,
            "SPLIT": _is_split(precision),
        },
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return launch, y


def residual(
    unit: ResidualUnit,
    x: Tensor,
    memory: Memory,
    offset: int,
    precision: Precision,
    *,
    then: Next | None = None,
) -> tuple[Launch, Tensor]:
    """[B, T, C] -> the same, or with `then` [B, 1 + T, C] of the products' type. For few channels."""
    num_streams, num_rows, num_channels = x.shape
    y = x.new_empty(num_streams, 1 + num_rows, num_channels, dtype=precision.factors) if then else torch.empty_like(x)
    dilation = unit.depthwise.dilation
    lanes_per_stream = -(-num_rows // (16 * dilation)) * dilation
    num_lanes = num_streams * lanes_per_stream
    width = next_power(num_channels)
    # Two values of a row for each thread: with four, half as many warps have room.
    most_lanes = 8 if width <= 64 else 4
    is_many = num_lanes >= MANY_PROGRAMS * most_lanes
    lanes = most_lanes if is_many else 2
    is_whole = width <= 128 and precision.factors.itemsize == 2
    unused = unit.pointwise.bias()
    launch = Launch(
        kernel=residual_kernel,
        grid=(-(-num_lanes // lanes),),
        arguments={
            "x": x,
            **_places(memory, offset),
            "next_offset": then.offset if then else 0,
            "taps": unit.depthwise.taps,
            "shift": unit.depthwise.bias,
            "alpha": unit.first.alpha,
            "inverse": unit.first.inverse,
            "second_alpha": unit.second.alpha,
            "second_inverse": unit.second.inverse,
            "weight": unit.pointwise.weight(),
            "bias": unit.pointwise.bias(),
            "y": y,
            "next_alpha": then.snake.alpha if then else unused,
            "next_inverse": then.snake.inverse if then else unused,
            "num_rows": num_rows,
            "dilation": dilation,
            "num_lanes": num_lanes,
            "lanes_per_stream": lanes_per_stream,
        },
        constants={
            "CHANNELS": num_channels,
            "WIDTH": width,
            "LANES": lanes,
            "TILE_INS": width if is_whole else min(width, 64),
            "JOIN": then is not None,
            "FAST": _is_fast(precision),
            "TF32": precision.tf32,
            "SPLIT": _is_split(precision),
        },
        num_warps=8 if is_many else 4,
    )
    return launch, y


def mono(
    layer: ToMono, snake: Snake, x: Tensor, memory: Memory, offset: int, precision: Precision
) -> tuple[Launch, Tensor]:
    """[B, T, C] -> samples float32 [B, T]."""
    num_streams, num_rows, num_channels = x.shape
    y = x.new_empty(num_streams, num_rows, dtype=torch.float32)
    lanes_per_stream = -(-num_rows // 16)
    num_lanes = num_streams * lanes_per_stream
    lanes = 8 if num_lanes >= MANY_PROGRAMS * 8 else 2
    launch = Launch(
        kernel=mono_kernel,
        grid=(-(-num_lanes // lanes),),
        arguments={
            "x": x,
            **_places(memory, offset),
            "taps": layer.taps,
            "bias": layer.bias,
            "alpha": snake.alpha,
            "inverse": snake.inverse,
            "y": y,
            "num_rows": num_rows,
            "num_channels": num_channels,
            "num_lanes": num_lanes,
            "lanes_per_stream": lanes_per_stream,
        },
        constants={"LANES": lanes, "WIDTH": next_power(num_channels), "STEPS": 16, "FAST": _is_fast(precision)},
    )
    return launch, y


def pcm(audio: Tensor, volume: Tensor) -> tuple[Launch, tuple[Tensor, Tensor]]:
    """float32 [B, samples] at volumes float32 [B] -> int16 [B, samples], and whether all were numbers, bool [B]."""
    whole = torch.empty_like(audio, dtype=torch.int16)
    is_sound = torch.empty(len(audio), dtype=torch.bool, device=audio.device)
    launch = Launch(
        kernel=pcm_kernel,
        grid=(len(audio),),
        arguments={
            "audio": audio,
            "volume": volume,
            "pcm": whole,
            "is_sound": is_sound,
        },
        constants={"SAMPLES": audio.shape[1], "BLOCK": 2048},
    )
    return launch, (whole, is_sound)


def _places(memory: Memory, offset: int) -> dict[str, Tensor | int]:
    return {
        "memory": memory.values,
        "read": memory.read,
        "write": memory.write,
        "per_place": memory.values.shape[1],
        "offset": offset,
    }


def _is_fast(precision: Precision) -> bool:
    """Whether factors are so coarse that the hardware's sine is as good as any."""
    return precision.factors.itemsize == 2 or precision.tf32


def _is_split(precision: Precision) -> bool:
    """Whether float32 is multiplied as what it is, in three parts for the tensor cores."""
    return precision.factors.itemsize == 4 and not precision.tf32
