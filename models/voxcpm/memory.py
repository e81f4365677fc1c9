"""How many slots a device has room for. All of its memory is taken at the start, and none after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..base import ModelError

GIB = 1 << 30
CONTEXT_BYTES = GIB // 2
"""What CUDA itself and its libraries take of a device (PyTorch does not count it)."""

SPARE_SHARE = 0.04
"""Of a device that is taken as a whole: for its driver, and for what others do with it."""

WORK_SHARE = 1.25
"""Graphs need more than one eager run of the largest: what they share has holes."""

MAX_SLOTS = 2048


def budget_bytes(gpu_memory: float, total_bytes: int, free_bytes: int) -> int:
    """What this process may take of a device with so much memory, of which so much is free (its own not counted).

    `gpu_memory`: GiB above 1, a share of the device up to 1, 0 for nearly all that is free. Raises ModelError.
    """
    if gpu_memory < 0:
        raise ModelError(f"GiB or a share of the device was expected for its memory, but {gpu_memory:g} came.")
    if gpu_memory == 0:
        return free_bytes - int(SPARE_SHARE * total_bytes)
    wanted = int(gpu_memory * GIB) if gpu_memory > 1 else int(gpu_memory * total_bytes)
    if wanted > free_bytes:
        raise ModelError(
            f"{wanted / GIB:.1f} GiB of free device memory were expected, but of its {total_bytes / GIB:.1f} GiB "
            f"{free_bytes / GIB:.1f} are free."
        )
    return wanted


def num_slots_within(budget: int, *, taken: int, work: int, slot: int, asked: int) -> int:
    """Slots of `slot` bytes that fit beside what is `taken` and the `work` space of a step; at most the `asked`, or
    MAX_SLOTS where that is 0. Raises ModelError when not one does, or not the asked."""
    needed = taken + int(WORK_SHARE * work) + CONTEXT_BYTES
    num_slots = (budget - needed) // slot
    if num_slots < max(1, asked):
        least = needed + max(1, asked) * slot
        raise ModelError(
            f"Device memory of {least / GIB:.1f} GiB was expected for {max(1, asked)} utterances at once, but "
            f"{budget / GIB:.1f} GiB may be taken."
        )
    return asked or min(num_slots, MAX_SLOTS)


def most_slots(
    budget: int, *, taken: int, work: Callable[[int], int], slot: int, sizes: Sequence[int], asked: int
) -> int:
    """`num_slots_within`, for steps that are made for `sizes` of rows: as many of them as that many slots need.

    `work`: the memory of a step of so many rows; it raises torch.OutOfMemoryError where even that is not there.
    """
    for rows, fewer in zip(sizes[::-1], [*sizes[-2::-1], 0], strict=True):
        try:
            num_slots = num_slots_within(budget, taken=taken, work=work(rows), slot=slot, asked=asked)
        except (torch.OutOfMemoryError, ModelError):
            if asked or not fewer:
                raise
            continue  # smaller steps leave more room
        if num_slots > fewer:
            return num_slots if rows == sizes[-1] else min(num_slots, rows)
    raise ValueError("expected at least one size")


def device_budget(device: torch.device, gpu_memory: float) -> int:
    """`budget_bytes` of a CUDA device; PyTorch will take no more than that from now on."""
    free, total = torch.cuda.mem_get_info(device)
    own = torch.cuda.memory_reserved(device)
    budget = budget_bytes(gpu_memory, total, free + own)
    torch.cuda.set_per_process_memory_fraction(min(1.0, budget / total), device)
    return budget
