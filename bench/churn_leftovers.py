"""What clients have left in a server: sessions, streams, and slots that nobody can have any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from protocol.messages import Start

from .churn_visitor import Guestbook, Visitor
from .metrics import metrics
from .websocket import Address

EMPTY_S = 15.0
"""So long the last ones' ends may take to arrive everywhere."""
UTTERANCES = 16
"""Of one session, as the server's default limit has it."""
REFUSED_S = 0.5
"""An engine that is out of slots says so in less."""


async def leftovers(url: str, *, patience_s: float = EMPTY_S) -> dict[str, float]:
    """Who is still there once everybody should be gone."""
    ends_at = time.monotonic() + patience_s
    while True:
        told = await metrics(url)
        left = {
            "sessions": told["voxwire_sessions"],
            "streams": told["voxwire_host_streams"],
            "listeners": told["voxwire_host_listeners"],
        }
        if not any(left.values()) or time.monotonic() > ends_at:
            return left
        await asyncio.sleep(0.1)


async def num_slots(url: str) -> int:
    return int((await metrics(url))["voxwire_engine_slots"])


async def count_free_slots(address: Address, num_slots: int, buffer: bytearray) -> int:
    """How many utterances the server takes at once that wait for their text. One more than it has slots is asked."""
    waiters: list[_Waiter] = []
    try:
        while (num_left := num_slots + 1 - _num_asked(waiters)) > 0:
            waiters.append(_Waiter(address, buffer))
            await waiters[-1].ask(min(UTTERANCES, num_left))
        await asyncio.sleep(REFUSED_S)
        return _num_asked(waiters) - sum(waiter.num_refused for waiter in waiters)
    finally:
        for waiter in waiters:
            waiter.cut()


class _Waiter(Visitor):
    """Has utterances that are not written yet."""

    def __init__(self, address: Address, buffer: bytearray) -> None:
        super().__init__(address, Random(0), buffer, Guestbook())
        self.num_asked = self.num_refused = 0

    async def ask(self, num_utterances: int) -> None:
        await self.connect(self.address)
        await self.greet(None)
        for number in range(num_utterances):
            self.send(Start(utterance=f"slot{number}"))
        self.num_asked = num_utterances

    def received(self, message: dict[str, Any], at: float) -> None:
        self.num_refused += message["type"] == "error"
        super().received(message, at)


def _num_asked(waiters: Sequence[_Waiter]) -> int:
    return sum(waiter.num_asked for waiter in waiters)
