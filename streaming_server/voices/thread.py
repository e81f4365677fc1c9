"""Work on the disk that is done whole or not at all, even when whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")


async def to_its_end(
    work: Callable[..., Result], *arguments: object, undo: Callable[[Result], object] | None = None
) -> Result:
    """What `work(*arguments)` returns, from a thread. A cancellation takes effect once that has ended.

    Then nobody gets the result, and `undo` is called with it.
    """
    done = asyncio.get_running_loop().run_in_executor(None, partial(work, *arguments))
    is_cancelled = False
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        if done.exception() is None and undo is not None:
            undo(done.result())
        raise asyncio.CancelledError
    return done.result()
