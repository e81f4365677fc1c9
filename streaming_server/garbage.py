"""When a process looks for garbage, and gives back what it does not need: while nobody speaks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator

CHECK_EVERY_S = 0.25

ENOUGH = 10_000
"""So many containers more than after the last look, or it is not worth another."""

OVERDUE_S = 600.0
ENDED = 100
"""A server that is never idle looks all the same, after so long or so many connections that are over: one whose peer
broke RFC 6455 leaves some kB that only this finds. A look takes the longer the more sessions there are, and all of them
wait: so twice as many must be over."""


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """The automatic collector is off, and what exists by now is not looked at again.

    Speech leaves nothing that refers to itself: four seconds of a hundred listeners left no such object. But the
    collector walks through all that lives: with a thousand listeners a young collection took 20 to 80 ms, a full one
    190 ms, every few seconds, and all of them waited.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def collect_in_silence(
    is_silent: Callable[[], bool],
    num_over: Callable[[], int] = lambda: 0,
    num_sessions: Callable[[], int] = lambda: 0,
    give_back: Callable[[], object] = lambda: None,
    *,
    every_s: float = CHECK_EVERY_S,
    overdue_s: float = OVERDUE_S,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Look for garbage when it is silent and something has happened, or when it is overdue. Until cancelled.

    `num_over`: connections that are. `num_sessions`: those that are not. `give_back` is called in the first silence
    after a look.
    """
    looked_at, num_looked_after = clock(), num_over()
    has_looked = False
    while True:
        await asyncio.sleep(every_s)
        has_many = num_over() - num_looked_after >= max(ENDED, 2 * num_sessions())
        is_overdue = has_many or clock() - looked_at >= overdue_s
        if is_overdue or (is_silent() and gc.get_count()[0] > ENOUGH):
            gc.collect()
            looked_at, num_looked_after = clock(), num_over()
            has_looked = True
        if has_looked and is_silent():
            give_back()
            has_looked = False
