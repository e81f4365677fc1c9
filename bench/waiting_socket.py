"""A WebSocket whose owner waits for what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .websocket import ConnectionFailed, WebSocket


class WaitingSocket(WebSocket):
    """Whoever is subclassed from it calls `tell` when `received` has changed something."""

    def __init__(self, buffer: bytearray) -> None:
        super().__init__(buffer)
        self._changed = asyncio.Event()
        self.is_lost = False

    def tell(self) -> None:
        self._changed.set()

    def lost(self) -> None:
        self.is_lost = True
        self.tell()

    async def until(self, condition: Callable[[], bool], *, silence_s: float) -> None:
        """Raises ConnectionFailed when the connection ends or has a `fault` before, TimeoutError when nothing changes
        for so long."""
        while not condition():
            if self.is_lost or self.fault:
                raise ConnectionFailed(self.fault or f"the server closed the connection, code {self.close_code}")
            self._changed.clear()
            async with asyncio.timeout(silence_s):
                await self._changed.wait()
