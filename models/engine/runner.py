"""Runs programs: work of fixed shapes on one device, given in batches.

A program is made for some numbers of rows (its sizes); a launch of fewer is padded. On CUDA every size is one graph,
recorded at the start: a launch is a copy in, a graph and a copy out, none of which the host waits for, so a second
launch may follow before the first is over. On a CPU a launch is a call, over when it returns, and any size will do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from .batch import Batch, Column
from .graphs import Graphs

log = logging.getLogger(__name__)

NOT_YET = 255
"""In a byte of an early column: the device has not written it."""

POLL_S = 2e-5

BUFFERS = 2
"""Launches of a program and size that may be under way at once, if it tells something; the next waits."""

SILENT_BUFFERS = 16
"""The same of a program that tells nothing: a crowd's contexts are read by several launches of one size."""


class Program(Protocol):
    """Work on tensors that stay where they are. `sizes`: what it is made for, ascending; empty for any.

    `early`: a column of `told`, bytes other than `NOT_YET`, that is known long before the rest.
    """

    @property
    def name(self) -> str: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def given(self) -> Sequence[Column]: ...
    @property
    def told(self) -> Sequence[Column]: ...
    @property
    def early(self) -> str | None: ...

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        """Fill `told` from `given`, on the device; call `tell_early` once the early column is written."""


class Refused(Exception):
    """A launch of a shape that nothing was recorded for."""


class Launch:
    """A program under way."""

    __slots__ = ("_early", "_event", "_told", "num_rows")

    def __init__(self, told: Batch, num_rows: int, early: Tensor | None, event: torch.cuda.Event | None) -> None:
        self.num_rows = num_rows
        self._told = told
        self._early = early
        self._event = event

    @property
    def is_done(self) -> bool:
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def early(self) -> Tensor:
        """The early column, [num_rows] on the host, until the next launch. Waits for no more than it."""
        early = self._early
        assert early is not None
        while bool((early == NOT_YET).any()):  # of padding, too: what comes later would look like the next launch's
            if self.is_done and bool((early == NOT_YET).any()):
                raise RuntimeError("a launch ended without telling its early column")
            time.sleep(POLL_S)
        return early[: self.num_rows]

    def told(self) -> Batch:
        """What it tells, on the host, until the second next launch of this program and size. Waits for the device."""
        if self._event is not None:
            self._event.synchronize()
            self._event = None
        return self._told


class _Station:
    """One program at one size: its buffers and its graph."""

    __slots__ = ("early", "events", "given", "given_by_host", "is_tried", "replay", "told", "told_to_host", "turn")

    def __init__(self, program: Program, size: int, device: torch.device) -> None:
        on_host = device.type == "cpu"
        host = torch.device("cpu")
        self.given = Batch(program.given, size, device)
        self.told = Batch(program.told, size, device)
        num_buffers = BUFFERS if program.told else SILENT_BUFFERS
        self.given_by_host = [self.given] if on_host else self._pinned(program.given, size, host, num_buffers)
        self.told_to_host = [self.told] if on_host else self._pinned(program.told, size, host, num_buffers)
        self.early: Tensor | None = None
        if program.early:
            column = self.told[program.early]
            self.early = column if on_host else torch.zeros(column.shape, dtype=column.dtype, pin_memory=True)
        self.events: list[torch.cuda.Event | None] = [None]
        if not on_host:
            self.events = [torch.cuda.Event() for _ in range(num_buffers)]  # type: ignore[no-untyped-call]
        self.replay: Callable[[], None] | None = None
        self.is_tried = False
        self.turn = 0

    @staticmethod
    def _pinned(columns: Sequence[Column], size: int, host: torch.device, num_buffers: int) -> list[Batch]:
        return [Batch(columns, size, host, pinned=True) for _ in range(num_buffers)]


class Runner:
    """The programs of one model. `num_refused` counts launches of shapes that are not there."""

    def __init__(self, programs: Sequence[Program], device: torch.device) -> None:
        self._device = device
        self._programs = {program.name: program for program in programs}
        self._stations: dict[tuple[str, int], _Station] = {}
        self._graphs = Graphs(device) if device.type == "cuda" else None
        # Events and graphs go to the current device, which each thread has for itself.
        self._here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        self._is_ready = False
        self.num_refused = 0

    def prepare(self, progress: Callable[[str], None], *, recorded: bool = True) -> None:
        """Run every size once, and record it on CUDA. After this no shape is new there.

        `recorded` False: only run; for what is measured meanwhile, or a probe of how much memory it takes.
        """
        shapes = [(program, size) for program in self._programs.values() for size in program.sizes]
        with self._here:
            for program, size in sorted(shapes, key=lambda shape: -shape[1]):  # programs of a size in their order
                progress(f"{'records' if recorded else 'tries'} {program.name} for {size} rows")
                self._prepare(program, self._station(program.name, size), recorded=recorded)
        self._is_ready = recorded

    def size(self, name: str, num_rows: int) -> int:
        """What a launch of so many rows is padded to. Raises Refused."""
        sizes = self._programs[name].sizes
        if not sizes:
            return num_rows
        for size in sizes:
            if size >= num_rows:
                return size
        self.num_refused += 1
        log.error("no %s of %d rows is there, at most %d", name, num_rows, sizes[-1])
        raise Refused(f"at most {sizes[-1]} rows of {name} were expected, but {num_rows} came")

    def batch(self, name: str, num_rows: int) -> Batch:
        """The rows of the next launch, to be filled; those beyond `num_rows` are padding."""
        station = self._station(name, self.size(name, num_rows))
        turn = station.turn % len(station.given_by_host)
        event = station.events[turn]
        if event is not None and self._programs[name].given:
            event.synchronize()  # its last copy in may not be over; usually it is by so many launches
        batch = station.given_by_host[turn]
        batch.pad(num_rows)
        return batch

    def launch(self, name: str, batch: Batch, num_rows: int) -> Launch:
        """Start it for a batch that was just got by `batch` and filled."""
        program, station = self._programs[name], self._station(name, batch.num_rows)
        turn = station.turn % len(station.given_by_host)
        station.turn += 1
        told, event = station.told_to_host[turn], station.events[turn]
        if event is None:
            self._run(program, station)
            return Launch(told, num_rows, station.early, None)
        if station.early is not None:
            station.early.fill_(NOT_YET)
        with self._here:
            station.given.memory.copy_(batch.memory, non_blocking=True)
            if station.replay is None:
                self._refuse_eager(name, batch.num_rows)
                self._run(program, station)
            else:
                station.replay()
            told.memory.copy_(station.told.memory, non_blocking=True)
            event.record()
        return Launch(told, num_rows, station.early, event)

    def replay(self, name: str, size: int) -> None:
        """Once more with what it was given last; the device is not waited for. For benches."""
        station = self._stations[name, size]
        assert station.replay is not None, "nothing is recorded"
        station.replay()

    def eager(self, name: str, size: int) -> None:
        """The same without its graph, on the same buffers. For benches and checks."""
        self._run(self._programs[name], self._stations[name, size])

    def told(self, name: str, size: int) -> Batch:
        """What the last run of that size has told, on the device. For benches and checks."""
        return self._stations[name, size].told

    def _prepare(self, program: Program, station: _Station, *, recorded: bool) -> None:
        work = partial(self._run, program, station)
        if self._graphs is None:
            work()
            return
        if not (recorded and station.is_tried):
            self._graphs.try_out(work)
            station.is_tried = True
        if recorded:
            station.replay = self._graphs.record(work)

    def _station(self, name: str, size: int) -> _Station:
        station = self._stations.get((name, size))
        if station is None:
            station = self._stations[name, size] = _Station(self._programs[name], size, self._device)
        return station

    def _run(self, program: Program, station: _Station) -> None:
        graphs, early = self._graphs, station.early
        if graphs is None or early is None or program.early is None:
            program.run(station.given, station.told, _tell_nobody)
            return
        told = station.told[program.early]
        try:
            program.run(station.given, station.told, lambda: graphs.copy_beside(early, told))
        finally:
            graphs.join()  # a recording that fails ends in peace only when nothing is beside it

    def _refuse_eager(self, name: str, size: int) -> None:
        if self._is_ready:
            self.num_refused += 1
            raise Refused(f"a recorded shape of {name} was expected, but {size} rows came")


def _tell_nobody() -> None:
    """On a CPU the early column is told with the rest."""
