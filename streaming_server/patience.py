"""How long an utterance waits for its writer: a pause speaks what is whole, a long one the rest, silence ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from .jobs import tell_nobody

ABANDON_FACTOR = 2
"""A writer who pauses this many text time-outs will not finish the word that is held back."""
RECHECK_S = 1.0
"""While there is something to hear, silence of the writer is looked at this often."""


class Written(Protocol):
    """What is being waited for."""

    @property
    def pending(self) -> bool: ...
    def pause(self) -> None: ...
    def flush(self) -> None: ...


class Patience:
    """One timer an utterance. `give_up` is called at most once, and only while `is_quiet` says that nothing sounds."""

    def __init__(
        self,
        written: Written,
        *,
        pause_s: float | None,
        idle_s: float,
        is_quiet: Callable[[], bool],
        give_up: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`pause_s` None: a pause of the writer means nothing."""
        self._written = written
        self._pause_s = pause_s
        self._idle_s = idle_s
        self._is_quiet = is_quiet
        self._give_up = give_up
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._touched_at = clock()
        self._timer: asyncio.TimerHandle | None = None
        self._arm(min(idle_s, pause_s or idle_s))

    def touch(self) -> None:
        """Text has come."""
        self._touched_at = self._clock()

    def close(self) -> None:
        """Nobody is told any more, and may go."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_quiet, self._give_up = lambda: True, tell_nobody

    def _arm(self, delay_s: float) -> None:
        self._timer = self._loop.call_later(max(0.001, delay_s), self._on_time)

    def _on_time(self) -> None:
        quiet_s = self._clock() - self._touched_at
        if quiet_s >= self._idle_s:
            if self._is_quiet():
                self._give_up()
            else:
                self._arm(RECHECK_S)
            return
        left_s = self._idle_s - quiet_s
        pause_s = self._pause_s
        if pause_s is None:
            self._arm(left_s)
        elif quiet_s < pause_s:
            self._arm(min(left_s, pause_s - quiet_s))
        elif not self._written.pending:
            self._arm(min(left_s, pause_s))
        elif quiet_s < ABANDON_FACTOR * pause_s:
            self._written.pause()
            self._arm(min(left_s, ABANDON_FACTOR * pause_s - quiet_s))
        else:
            self._written.flush()
            self._arm(min(left_s, pause_s))
