"""Sequences by the time at which something is due for them."""

from __future__ import annotations

import heapq
from itertools import count

from .sequence import Sequence


class Agenda:
    """A heap with lazy removal: an entry counts as long as its sequence's version is the one it was pushed with.

    Stale entries are dropped when they come to the front, and all of them whenever the heap has doubled: a stream that
    is placed anew ten times a second (playheads do that) leaves nothing behind.
    """

    __slots__ = ("_entries", "_sweep_at", "_tickets")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, int, Sequence]] = []
        self._tickets = count()  # first come first served among equals; sequences are never compared
        self._sweep_at = 64

    def __len__(self) -> int:
        """Entries, stale ones included."""
        return len(self._entries)

    def push(self, at: float, sequence: Sequence) -> None:
        heapq.heappush(self._entries, (at, next(self._tickets), sequence.version, sequence))
        if len(self._entries) > self._sweep_at:
            self._entries = [entry for entry in self._entries if entry[2] == entry[3].version]
            heapq.heapify(self._entries)
            self._sweep_at = 64 + 2 * len(self._entries)

    def first_at(self) -> float | None:
        """When the first is due; None when there is none."""
        entries = self._entries
        while entries:
            at, _, version, sequence = entries[0]
            if version == sequence.version:
                return at
            heapq.heappop(entries)
        return None

    def pop(self) -> Sequence:
        """The first. `first_at` must just have named a time."""
        return heapq.heappop(self._entries)[3]
