"""What befalls a soak: links that break, engines that die or hang, and visitors who behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from random import Random

from protocol.messages import AudioFormat, Ping, Start

from .fault_proxy import Conditions, FaultProxy
from .idle import Idler
from .server import Server
from .soak_ledger import Ledger
from .survivor import Survivor
from .texts import Texts
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

NUM_STORMERS = 50
NUM_PINGS = 3000
NUM_GARBAGE = 20
HELD_S = 6.0
"""Longer than a client bears silence for."""

SLOW_S = 4.0
SHUT_S = 1.5
DEAF_S = 3.0
STOPPED_S = 12.0
"""After that an engine may go on that nobody has ended, as the watchdog should have."""


class Trouble:
    """All that can be made of it. `doors`: bad links by which some listeners come."""

    def __init__(self, server: Server, doors: Mapping[str, FaultProxy], ledger: Ledger, random: Random) -> None:
        self.kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "connections reset": self._reset,
            "link half-open": self._hold,
            "link slow": self._slow,
            "link closed": self._shut,
            "link swallows": self._swallow,
            "engine killed": self._kill_engine,
            "engine stopped": self._stop_engine,
            "flood": self._flood,
            "garbage": self._garbage,
            "reconnect storm": self._storm,
            "deaf client": self._deaf,
        }
        if len(server.processes["web"]) > 1:
            self.kinds["web process killed"] = self._kill_worker
        self._server = server
        self._address = Address.of(server.url)
        self._buffer = bytearray(BUFFER_BYTES)
        self._doors = doors
        self._ledger = ledger
        self._random = random
        self._round: list[str] = []

    async def make(self) -> None:
        """The next fault: all kinds in turn, in an order of their own each time."""
        if not self._round:
            self._round = self._random.sample(sorted(self.kinds), len(self.kinds))
        await self.kinds[self._round.pop()]()

    def _door(self) -> tuple[str, FaultProxy]:
        return self._random.choice(sorted(self._doors.items()))

    async def _reset(self) -> None:
        name, proxy = self._door()
        with self._ledger.fault("connections reset", name):
            proxy.reset_all()

    async def _hold(self) -> None:
        name, proxy = self._door()
        with self._ledger.fault("link half-open", name):
            proxy.hold()
            try:
                await asyncio.sleep(HELD_S)
            finally:
                proxy.release()

    async def _slow(self) -> None:
        """Too slow for PCM: what is queued for its listeners grows until the link is itself again."""
        name, proxy = self._door()
        with self._ledger.fault("link slow", name):
            proxy.down = Conditions(delay_ms=100, jitter_ms=100, bits_per_s=1_000_000)
            try:
                await asyncio.sleep(SLOW_S)
            finally:
                proxy.down = Conditions()

    async def _shut(self) -> None:
        name, proxy = self._door()
        with self._ledger.fault("link closed", name):
            proxy.refuse()
            proxy.reset_all()
            try:
                await asyncio.sleep(SHUT_S)
            finally:
                await proxy.admit()

    async def _swallow(self) -> None:
        """Bytes go nowhere, and then the connections are reset: they would make no sense any more."""
        name, proxy = self._door()
        with self._ledger.fault("link swallows", name):
            proxy.up = proxy.down = Conditions(is_black_hole=True)
            try:
                await asyncio.sleep(SHUT_S)
            finally:
                proxy.reset_all()
                proxy.up = proxy.down = Conditions()

    async def _kill_engine(self) -> None:
        with self._ledger.fault("engine killed"):
            _signal(self._random.choice(self._server.processes["engine"] or [0]), signal.SIGKILL)
            await asyncio.sleep(1.0)

    async def _stop_engine(self) -> None:
        with self._ledger.fault("engine stopped"):
            pid = self._random.choice(self._server.processes["engine"] or [0])
            _signal(pid, signal.SIGSTOP)
            ends_at = time.monotonic() + STOPPED_S
            while time.monotonic() < ends_at and pid in self._server.processes["engine"]:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            _signal(pid, signal.SIGCONT)

    async def _kill_worker(self) -> None:
        with self._ledger.fault("web process killed"):
            others = [pid for pid in self._server.processes["web"] if pid != self._server.pid]
            _signal(self._random.choice(others or [0]), signal.SIGKILL)
            await asyncio.sleep(1.0)

    async def _flood(self) -> None:
        with self._ledger.fault("flood"):
            async for idler in self._let_in(1):
                for _ in range(NUM_PINGS):
                    idler.send(Ping())
                await asyncio.sleep(2.0)

    async def _garbage(self) -> None:
        with self._ledger.fault("garbage"):
            for _ in range(NUM_GARBAGE // 2):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(self._address.host, self._address.port)
                    writer.write(self._random.randbytes(500))
                    writer.close()
            async for idler in self._let_in(NUM_GARBAGE // 2):
                for _ in range(30):
                    idler.send_bytes(self._random.randbytes(self._random.randrange(100)))
            await asyncio.sleep(0.2)

    async def _storm(self) -> None:
        with self._ledger.fault("reconnect storm"):
            async for _ in self._let_in(NUM_STORMERS):
                pass

    async def _deaf(self) -> None:
        with self._ledger.fault("deaf client"):
            deaf = Survivor(self._address, self._buffer, lead_ms=60_000, audio=AudioFormat())
            with contextlib.suppress(ConnectionFailed, TimeoutError):
                await deaf.connect(receive_buffer_bytes=4096)
                deaf.stop_reading()
                text = "".join(Texts("en", 1).sentence() for _ in range(5))
                deaf.say(Start(utterance="u", seed=1, language="en", text=text, end=True))
                await asyncio.sleep(DEAF_S)
            deaf.reset()

    async def _let_in(self, num: int) -> AsyncIterator[Idler]:
        """Those who said hello, or were refused; they vanish afterwards."""
        idlers = [Idler(self._buffer) for _ in range(num)]
        try:
            await asyncio.gather(*(idler.meet(self._address) for idler in idlers), return_exceptions=True)
            for idler in idlers:
                yield idler
        finally:
            for idler in idlers:
                idler.reset()


def _signal(pid: int, number: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
