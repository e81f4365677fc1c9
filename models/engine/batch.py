"""The rows of one launch, column by column, in one piece of memory: one copy takes them to the device or back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

_ALIGNMENT = 16  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value for each row, or `shape` of them. `padding`: that of rows that nobody is in."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...] = ()
    padding: int = 0


class Batch:
    """`num_rows` rows; each column is a view [num_rows, *shape] of `memory`."""

    __slots__ = ("_columns", "_views", "memory", "num_rows")

    def __init__(self, columns: Sequence[Column], num_rows: int, device: torch.device, *, pinned: bool = False) -> None:
        self.num_rows = num_rows
        self._columns = columns
        sizes = [each.dtype.itemsize * num_rows * prod(each.shape) for each in columns]
        starts = [0]
        for size in sizes:
            starts.append(-(-(starts[-1] + size) // _ALIGNMENT) * _ALIGNMENT)
        self.memory = torch.zeros(starts[-1], dtype=torch.uint8, device=device, pin_memory=pinned)
        self._views: Mapping[str, Tensor] = {
            column.name: self.memory[start : start + size].view(column.dtype).view(num_rows, *column.shape)
            for column, start, size in zip(columns, starts, sizes, strict=False)
        }
        self.pad(0)

    def __getitem__(self, name: str) -> Tensor:
        return self._views[name]

    def pad(self, first: int) -> None:
        """Nobody is in the rows from `first` on."""
        for column in self._columns:
            self._views[column.name][first:] = column.padding
