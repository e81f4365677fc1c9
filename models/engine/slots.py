"""The model's slots: a free list with generations."""

from __future__ import annotations


class Slots:
    """Hands out slots, the least recently used first. A slot's generation grows at each use, so that a late patch of a
    former owner can be told from a patch of the present one."""

    def __init__(self, num_slots: int) -> None:
        self._free = list(range(num_slots - 1, -1, -1))
        self._generations = [0] * num_slots
        self._taken: set[int] = set()

    def __len__(self) -> int:
        """Slots in use."""
        return len(self._taken)

    @property
    def num_free(self) -> int:
        return len(self._free)

    def take(self) -> tuple[int, int] | None:
        """A slot and its new generation; None when all are in use."""
        if not self._free:
            return None
        slot = self._free.pop()
        self._taken.add(slot)
        self._generations[slot] += 1
        return slot, self._generations[slot]

    def give_back(self, slot: int) -> None:
        self._taken.remove(slot)
        self._free.append(slot)

    def is_current(self, slot: int, generation: int) -> bool:
        return slot in self._taken and self._generations[slot] == generation
