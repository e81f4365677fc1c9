"""The model's slots: a free list with generations."""

from __future__ import annotations

from collections import deque


class Slots:
    """Hands out slots, the one that rested longest first. A slot's generation grows at each use, so that a late patch
    of a former owner can be told from one of the present owner."""

    def __init__(self, num_slots: int) -> None:
        self._free = deque(range(num_slots))
        self._generations = [0] * num_slots

    def __len__(self) -> int:
        """Slots in use."""
        return len(self._generations) - len(self._free)

    @property
    def num_free(self) -> int:
        return len(self._free)

    def take(self) -> tuple[int, int] | None:
        """A slot and its new generation; None when all are in use."""
        if not self._free:
            return None
        slot = self._free.popleft()
        self._generations[slot] += 1
        return slot, self._generations[slot]

    def give_back(self, slot: int) -> None:
        self._free.append(slot)
