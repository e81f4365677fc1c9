"""Who writes down what the model is about to do: so it is known what was under way when that was its end."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Protocol

from .commands import StreamKey


class Phase(IntEnum):
    """What the model is doing."""

    OPENING = 1  # of a stream, or what is done with the text that it is told
    PREFILL = 2  # a step in which at least one segment begins
    DECODE = 3  # any other step
    VOICES = 4  # they are looked for and prepared


class Fault(StrEnum):
    """What can befall an engine; the names are those of the metric's label."""

    KILLED = "killed"  # by a signal that was not ours
    EXITED = "exited"
    HUNG = "hung"  # killed by the watchdog
    RAISED = "raised"  # in a step or a command
    OUT_OF_MEMORY = "out_of_memory"  # raised for want of it
    UNSOUND = "unsound"  # one stream's patch alone failed: not a number, or nothing that can be said
    SLOW = "slow"  # a step took longer than any healthy one


class Witness(Protocol):
    """Called on the engine's thread; must be cheap. At most two steps are under way at once."""

    def begins_command(self, phase: Phase, stream: StreamKey) -> None: ...

    def ends_command(self) -> None: ...

    def begins_step(self, number: int, phase: Phase, rows: Iterable[tuple[StreamKey, int]], *, on_trial: bool) -> None:
        """Steps are counted from 1. `rows`: each stream with the index of the patch that is made for it."""

    def ends_step(self, number: int) -> None: ...

    def fault(self, kind: Fault) -> None: ...


class NoWitness:
    """For an engine whose end is the end of all who might ask."""

    def begins_command(self, phase: Phase, stream: StreamKey) -> None: ...
    def ends_command(self) -> None: ...
    def begins_step(
        self, number: int, phase: Phase, rows: Iterable[tuple[StreamKey, int]], *, on_trial: bool
    ) -> None: ...
    def ends_step(self, number: int) -> None: ...
    def fault(self, kind: Fault) -> None: ...
