"""Where the codec's layers are, and what their matrix products are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Where layers are, and how their matrix products are held.

    `packed`: in the layout that is fastest on a CPU, which no kernel reads and no other type is made of.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32  # of the products' factors; all else is float32
    packed: bool = True

    @classmethod
    def on(cls, device: torch.device | str, dtype: torch.dtype, *, packed: bool | None = None) -> Form:
        """`packed` unsaid: on a CPU."""
        device = torch.device(device)
        return cls(device=device, dtype=dtype, packed=device.type == "cpu" if packed is None else packed)


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """PyTorch's float32 products inside are of float32, whatever the rest of the process chose.

    A graph keeps the kernels that were chosen at its capture, so this holds for its replays too.
    """
    if device.type == "cpu":
        yield
        return
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)
