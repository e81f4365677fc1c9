"""The last minute of a web process: nobody new gets in, and who is being spoken to hears it to an end."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from weakref import WeakSet

from protocol.messages import Drain as Draining

from .admission import Admission
from .conversation import Conversation
from .endpoint import StreamEndpoint

log = logging.getLogger(__name__)

WIND_UP_AT = 0.75
"""After this share of its time an utterance ends with the segment that is being spoken."""

BREAK_OFF_AT = 0.95
"""After this share it ends wherever it is, and there is still time to say so."""

GRACE_S = 2.0
"""So much longer other web processes are waited for: they heard of it a moment later, and have goodbyes to say."""

LOOK_EVERY_S = 0.02


class Drain:
    """One web process', which `asked` asks for."""

    def __init__(
        self,
        endpoint: StreamEndpoint,
        admission: Admission,
        asked: asyncio.Event,
        *,
        limit_s: float,
        others: Sequence[asyncio.Task[None]] = (),
    ) -> None:
        """`limit_s`: how long it may take. `others`: tasks that see to the same in further web processes."""
        self._endpoint = endpoint
        self._admission = admission
        self._asked = asked
        self._limit_s = limit_s
        self._others = others
        self._ends_at = 0.0
        self._told: WeakSet[Conversation] = WeakSet()

    def ask(self) -> None:
        self._asked.set()

    async def run(self) -> None:
        """Wait until it is asked for, then until all is said."""
        await self._asked.wait()
        self._admission.draining = True
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        log.info("draining: %d sessions, at most %g s", len(self._endpoint.sessions), self._limit_s)
        self._ends_at = begun_at + self._limit_s
        self._endpoint.on_return(self._tell)
        self._tell()
        try:
            async with asyncio.timeout_at(begun_at + WIND_UP_AT * self._limit_s):
                await self._all_said()
        except TimeoutError:
            await self._cut_short(begun_at + BREAK_OFF_AT * self._limit_s, begun_at + self._limit_s)
        if self._others:
            await asyncio.wait(self._others, timeout=begun_at + self._limit_s + GRACE_S - loop.time())

    async def _cut_short(self, break_off_at: float, ends_at: float) -> None:
        self._endpoint.wind_up(at_once=False)
        try:
            async with asyncio.timeout_at(break_off_at):
                await self._all_said()
        except TimeoutError:
            self._endpoint.wind_up(at_once=True)
            try:
                async with asyncio.timeout_at(ends_at):
                    await self._all_said()
            except TimeoutError:
                log.warning("%d clients did not take their last messages", self._endpoint.num_busy)

    async def _all_said(self) -> None:
        while self._endpoint.num_busy:  # noqa: ASYNC110 - a look every now and then is cheaper than word from each
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell(self) -> None:
        """Those who have not heard of it: all, and later who has come back to a session, maybe without having heard."""
        left_s = max(0.0, self._ends_at - asyncio.get_running_loop().time())
        for conversation, session in self._endpoint.sessions:
            if conversation not in self._told:
                self._told.add(conversation)
                session.emit(Draining(deadline_ms=math.ceil(1000 * left_s)))
