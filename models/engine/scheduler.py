"""Earliest deadline first.

A stream's deadline is the moment its listener runs dry. Who is more than its lead ahead waits; who starts is due at
once. When more streams are ready than one step takes, each session gets one row before any gets a second.
Background rows fill what is left.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from itertools import count

from .sequence import Sequence

COALESCE_S = 0.004
"""Streams that become eligible this soon are taken along: fewer, fuller steps for a few milliseconds of lead."""


class Scheduler:
    """Two heaps with lazy removal: `waiting` by the time of eligibility, `ready` by deadline. An entry whose version is
    not its sequence's is stale and skipped."""

    def __init__(self) -> None:
        self._ticket = count()
        self._waiting: list[tuple[float, int, int, Sequence]] = []
        self._ready: list[tuple[float, int, int, int, Sequence]] = []
        self._served: dict[Hashable, int] = {}  # rows of background work by session
        self._members: dict[Hashable, int] = {}

    def add(self, sequence: Sequence) -> None:
        self._members[sequence.session] = self._members.get(sequence.session, 0) + 1

    def remove(self, sequence: Sequence) -> None:
        sequence.version += 1
        left = self._members[sequence.session] - 1
        if left:
            self._members[sequence.session] = left
        else:
            del self._members[sequence.session]
            self._served.pop(sequence.session, None)

    def update(self, sequence: Sequence, now: float) -> None:
        """Place it anew: its text, its clock or its patches have changed."""
        sequence.version += 1
        if not sequence.has_work:
            return
        eligible_at = sequence.eligible_at()
        if eligible_at is None:
            return
        if eligible_at <= now + COALESCE_S:
            self._push_ready(sequence, now)
        else:
            heapq.heappush(self._waiting, (eligible_at, next(self._ticket), sequence.version, sequence))

    def select(self, now: float, max_rows: int) -> list[Sequence]:
        """Up to `max_rows` sequences for the next step, most urgent first. Call `update` for each afterwards."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now + COALESCE_S:
            _, _, version, sequence = heapq.heappop(waiting)
            if version == sequence.version:
                self._push_ready(sequence, now)
        rows: list[Sequence] = []
        passed: list[tuple[float, int, int, int, Sequence]] = []
        seen: set[Hashable] = set()
        while self._ready and len(rows) < max_rows and len(passed) < 4 * max_rows:
            entry = heapq.heappop(self._ready)
            sequence = entry[-1]
            if entry[-2] != sequence.version:
                continue
            if sequence.session in seen:
                passed.append(entry)
                continue
            seen.add(sequence.session)
            rows.append(sequence)
        for number, entry in enumerate(passed):
            if len(rows) == max_rows:
                for left in passed[number:]:
                    heapq.heappush(self._ready, left)
                break
            rows.append(entry[-1])
        for sequence in rows:
            if sequence.lead_samples is None:
                self._served[sequence.session] = self._served.get(sequence.session, 0) + 1
        return rows

    def next_wake(self) -> float | None:
        """When there is something to do: -inf now, None not before a command comes."""
        while self._ready and self._ready[0][-2] != self._ready[0][-1].version:
            heapq.heappop(self._ready)
        if self._ready:
            return float("-inf")
        while self._waiting and self._waiting[0][-2] != self._waiting[0][-1].version:
            heapq.heappop(self._waiting)
        return self._waiting[0][0] - COALESCE_S if self._waiting else None

    def _push_ready(self, sequence: Sequence, now: float) -> None:
        share = self._served.get(sequence.session, 0) if sequence.lead_samples is None else 0
        entry = (sequence.deadline(now), share, next(self._ticket), sequence.version, sequence)
        heapq.heappush(self._ready, entry)
