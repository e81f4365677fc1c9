"""Time as the device counts it: what lies between marks on its current stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch


class Marks:
    """Instants on the device's stream, in order."""

    def __init__(self) -> None:
        self._events: list[Any] = []

    def mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._events.append(event)

    def between_ms(self) -> list[float]:
        """Milliseconds from each mark to the next. Waits for the last."""
        self._events[-1].synchronize()
        return [float(before.elapsed_time(after)) for before, after in itertools.pairwise(self._events)]


def device_times_ms(work: Callable[[], None], *, num_runs: int, warm_ups: int = 3) -> Sequence[float]:
    """Milliseconds of each of some runs, one after the other without a pause."""
    for _ in range(warm_ups):
        work()
    marks = Marks()
    marks.mark()
    for _ in range(num_runs):
        work()
        marks.mark()
    return marks.between_ms()
