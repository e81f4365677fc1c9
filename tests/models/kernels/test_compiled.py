"""Every kernel in every configuration, compiled at the shapes of v1.5 for devices that are not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from models.kernels.fused import linear, patch, rows, slots
from models.kernels.fused.launch import SHARED_BYTES, Launch

OLDER = (80, 86, 89)
HOPPER = 90
TYPES = {torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.float32: "*fp32", torch.int64: "*i64"}
HIDDEN, FFN, HEADS, KV_HEADS, DIM = 1024, 4096, 16, 2, 64


def shaped(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """A tensor of which only the type matters."""
    return torch.empty(shape, dtype=dtype, device="meta")


def launches(num_rows: int, dtype: torch.dtype, num_positions: int) -> Iterator[Launch]:
    """All that a step of so many rows may start."""

    def of(*shape: int) -> Tensor:
        return shaped(*shape, dtype=dtype)

    x, norm = of(num_rows, HIDDEN), of(HIDDEN)
    yield rows.rms_norm(x, norm, 1e-5)[0]
    yield rows.swiglu(of(num_rows, 2 * FFN))[0]
    for tile in linear.tiles(num_rows, is_gated=False):
        qkv_size = (HEADS + 2 * KV_HEADS) * DIM
        yield linear.launch(tile, x, of(qkv_size, HIDDEN), norm=norm, eps=1e-5)[0]
        yield linear.launch(tile, of(num_rows, FFN), of(HIDDEN, FFN), residual=x)[0]
        if num_rows <= linear.FEW_ROWS:
            yield linear.launch(tile, of(num_rows, 64), of(HIDDEN, 64), bias=norm)[0]
    for tile in linear.tiles(num_rows, is_gated=True):
        yield linear.launch(tile, x, of(2 * FFN, HIDDEN), norm=norm, eps=1e-5, is_gated=True)[0]

    cache = of(8, KV_HEADS, num_positions, DIM)
    num_tokens = -(-num_rows // 16) * 16
    numbers = shaped(num_tokens, dtype=torch.int64)
    table = shaped(num_tokens, DIM, dtype=torch.float32)
    mixed = of(num_tokens, HEADS + 2 * KV_HEADS, DIM)
    yield rows.rope_store(mixed, table, table, cache, cache, numbers, numbers)[0]
    for block in (1, 16):
        for cut in slots.cuts(HEADS, KV_HEADS, num_positions, block):
            q = of(num_tokens, HEADS, DIM)
            yield from slots.launches(cut, q, cache, cache, numbers, numbers, block)[0]
            if block == 1:
                yield slots.launches(cut, mixed, cache, cache, numbers, numbers, block, tables=(table, table))[0][0]
    for num_seen, first, last in ((9, 0, 9), (5, 0, 1)):
        mixed, table = of(2, num_seen, HEADS + 2 * KV_HEADS, DIM), shaped(num_seen, DIM, dtype=torch.float32)
        for taken in patch.heads_taken(HEADS, KV_HEADS):
            yield patch.launch(taken, mixed, table, table, first, last, KV_HEADS)[0]


def shared_bytes(launch: Launch, capability: int) -> int:
    """Of the launch compiled for a device of that capability, down to machine code."""
    signature, aligned = {}, {}
    for index, name in enumerate(launch.kernel.arg_names):
        argument = launch.arguments.get(name)
        if name in launch.constants:
            signature[name] = "constexpr"
        elif isinstance(argument, Tensor):
            signature[name] = TYPES[argument.dtype]
            aligned[index,] = [["tt.divisibility", 16]]
        else:
            signature[name] = "i32" if isinstance(argument, int) else "fp32"
    source = ASTSource(launch.kernel, signature, launch.constants, aligned)
    options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert compiled.asm["cubin"]
    return int(compiled.metadata.shared)


@pytest.mark.parametrize("num_rows", [18, 1008])  # one listener's solver, and 56 listeners'
def test_every_configuration_fits_hopper_and_some_older_device(num_rows: int) -> None:
    """Every other one for an older device, these in turn: the long run takes all for all."""
    for index, launch in enumerate(launches(num_rows, torch.bfloat16, 1024)):
        assert shared_bytes(launch, HOPPER) <= SHARED_BYTES, launch
        if index % 2 == 0:
            capability = OLDER[index // 2 % len(OLDER)]
            assert shared_bytes(launch, capability) <= SHARED_BYTES, (launch, capability)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("capability", [*OLDER, HOPPER])
@pytest.mark.parametrize(
    ("num_rows", "dtype"), [*((rows, torch.bfloat16) for rows in (1, 18, 56, 1008)), (18, torch.float32)]
)
def test_every_configuration_fits_every_device(num_rows: int, dtype: torch.dtype, capability: int) -> None:
    for launch in launches(num_rows, dtype, 8192):
        assert shared_bytes(launch, capability) <= SHARED_BYTES, (launch, capability)
