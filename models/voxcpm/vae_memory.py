"""What the decoder remembers of each stream: every layer's last rows, all of a stream in one place of one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The places of the streams of one step: each is read in one and written in another, so nothing waits for it."""

    values: Tensor  # float32 [places, values]
    read: Tensor  # int64 [B]
    write: Tensor  # int64 [B]

    def take(self, offset: int, shape: tuple[int, int]) -> Tensor:
        """A layer's rows as a copy: [B, rows, channels]."""
        num_rows, num_channels = shape
        found = self.values[:, offset : offset + num_rows * num_channels].index_select(0, self.read)
        return found.view(-1, num_rows, num_channels)

    def keep(self, offset: int, past: Tensor) -> None:
        """The same rows for the next step."""
        rows = past.flatten(1)
        self.values[:, offset : offset + rows.shape[1]].index_copy_(0, self.write, rows)


def offsets(pasts: Sequence[tuple[int, int]]) -> list[int]:
    """Where each layer's rows begin in a place, and where the last end."""
    found = [0]
    for num_rows, num_channels in pasts:
        found.append(found[-1] + num_rows * num_channels)
    return found
