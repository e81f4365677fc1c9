"""Notices by itself that nothing comes any more over a connection that nobody has closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from .dial import Socket

LOOKS: Final = 8
"""So many times within `silence_s` it is looked whether something was heard. Looks are counted, not seconds: a process
that stood still has not listened."""
IDLE_PING_S: Final = 60.0
"""Between pings while nothing is expected."""


async def watch(
    socket: Socket,
    *,
    silence_s: float,
    is_expecting: Callable[[], bool],
    ask: Callable[[], None],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """`ask` a silent server whether it is there, and give the socket up if it does not answer either."""
    each_s = silence_s / LOOKS
    num_reads, num_silent, asked_at = -1, 0, None
    while True:
        await sleep(each_s)
        if socket.num_reads != num_reads:
            num_reads, num_silent, asked_at = socket.num_reads, 0, None
            continue
        num_silent += 1
        if asked_at is not None:
            if num_silent >= asked_at + LOOKS // 2:
                socket.transport.abort()
                return
        elif num_silent * each_s >= (silence_s / 2 if is_expecting() else IDLE_PING_S):
            asked_at = num_silent
            ask()
