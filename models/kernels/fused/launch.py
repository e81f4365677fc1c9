"""One start of a kernel, as a value: it can be run on a device, or compiled for one that is not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SHARED_BYTES = 96 * 1024
"""Of shared memory that a kernel may need: what every device since sm_80 has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """`kernel[grid](**arguments, **constants)`: the constants are compiled in."""

    kernel: Any  # of triton.jit, which has no types
    grid: tuple[int, ...]
    arguments: dict[str, Tensor | int | float]
    constants: dict[str, int | bool | None]
    num_warps: int = 4
    num_stages: int = 1

    def run(self) -> None:
        self.kernel[self.grid](**self.arguments, **self.constants, num_warps=self.num_warps, num_stages=self.num_stages)


def stages_that_fit(bytes_per_stage: int, most: int, *, beside: int = 0) -> int:
    """Depth of the pipeline: of shared memory `beside` bytes are taken otherwise. At least 1."""
    return max(1, min(most, (SHARED_BYTES - beside) // bytes_per_stage))


def next_power(number: int, least: int = 16) -> int:
    """The power of two that holds `number`; a tensor core's tile has no side under 16."""
    return max(least, 1 << (number - 1).bit_length())


def is_exact(dtype: torch.dtype) -> bool:
    """Whether products are of float32, which no tensor core may shorten."""
    return dtype == torch.float32


def cache_strides(keys: Tensor, values: Tensor) -> dict[str, int]:
    """Constants that tell a kernel where an entry of [slots, kv_heads, positions, dim] lies, in either cache."""
    if keys.stride() != values.stride() or keys.stride(3) != 1:
        raise ValueError(f"strides {keys.stride()} and {values.stride()}: expected equal ones, and 1 the last")
    per_slot, per_head, per_position, _ = keys.stride()
    return {"PER_SLOT": per_slot, "PER_HEAD": per_head, "PER_POSITION": per_position}
