"""What a connection costs that says nothing: `python -m bench.idle --connections 5000`.

Each has said hello and got its `ready`; after that only pings and pongs go to and fro. Memory is the web process' own
share of pages (PSS), before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from protocol.messages import Hello

from .goals import Goal, tell
from .metrics import metrics
from .processes import pss_bytes, usage
from .report import percentiles
from .rig import a_few_at_a_time, at_server, parser_of
from .server import Server
from .websocket import BUFFER_BYTES, Address, ConnectionFailed, WebSocket

MAX_KIB_EACH = 40.0
READY_TIMEOUT_S = 30.0
SPARE_FILES = 200


@dataclass(slots=True)
class Crowd:
    """What came of it."""

    num_ready: int = 0
    handshakes_per_s: float = 0.0
    before_pss_mib: float = 0.0
    after_pss_mib: float = 0.0
    kib_each: float = 0.0
    kib_each_rss: float = 0.0
    num_kept: int = 0
    """Still connected, as both ends say, after all the pings."""
    num_pings: int = 0
    idle_cpu_percent: float = 0.0
    """Of a core, of the web process while nobody says anything."""
    ready_ms: dict[str, float | int | None] | None = None


class Idler(WebSocket):
    """Says hello, and then nothing but pongs."""

    def __init__(self, buffer: bytearray) -> None:
        super().__init__(buffer)
        self.num_pings = 0
        self.is_lost = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def meet(self, address: Address) -> float:
        """Seconds that it took. Raises ConnectionFailed, TimeoutError."""
        begun_at = time.monotonic()
        await self.connect(address)
        self.send(Hello())
        async with asyncio.timeout(READY_TIMEOUT_S):
            await self._ready
        return time.monotonic() - begun_at

    def received(self, message: dict[str, Any], at: float) -> None:
        if self._ready.done():
            return
        if message["type"] == "ready":
            self._ready.set_result(None)
        else:
            wait_ms = message.get("retry_after_ms")
            retry_after_s = None if wait_ms is None else math.ceil(wait_ms / 1000)
            self._ready.set_exception(ConnectionFailed(f"expected ready, got {message}", retry_after_s=retry_after_s))

    def pinged(self) -> None:
        self.num_pings += 1

    def lost(self) -> None:
        self.is_lost = True
        if not self._ready.done():
            self._ready.set_exception(ConnectionFailed("expected ready, the server closed the connection"))


def main(argv: Sequence[str] | None = None) -> int:
    """0: each costs little, and is kept; 1: otherwise."""
    options = _parse(argv)
    num_files = allow_files(options.connections + SPARE_FILES)
    if num_files < options.connections + SPARE_FILES:
        print(f"bench.idle: expected to be allowed more than {num_files} open files", file=sys.stderr)
        return 1
    flags = ["--max-sessions", str(options.connections + SPARE_FILES), *options.server_flags]
    work = partial(gather, num_connections=options.connections, seconds=options.seconds)
    if (crowd := at_server("idle", work, flags)) is None:
        return 1
    found = {"connections": options.connections, "seconds": options.seconds, **asdict(crowd)}
    return tell("idle", goals(crowd, options.connections), found, options.output)


def allow_files(num_files: int) -> int:
    """Raise what this process and its children may open to at least that, if it can be; what they then may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < num_files:
        soft = num_files if hard == resource.RLIM_INFINITY else min(num_files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


async def gather(server: Server, num_connections: int, seconds: float) -> Crowd:
    """Raises ConnectionFailed if somebody is not let in."""
    (pid,), address, buffer = server.processes["web"], Address.of(server.url), bytearray(BUFFER_BYTES)
    crowd, idlers = Crowd(), [Idler(buffer) for _ in range(num_connections)]
    took_s: list[float] = []
    first = Idler(buffer)
    await first.meet(address)  # what the server needs but once is there
    before, before_rss = pss_bytes(pid), usage([pid]).rss_bytes
    begun_at = time.monotonic()

    async def meet(idler: Idler) -> None:
        took_s.append(await idler.meet(address))

    await a_few_at_a_time(meet, idlers)
    crowd.num_ready = len(took_s)
    crowd.handshakes_per_s = round(num_connections / (time.monotonic() - begun_at), 1)
    crowd.ready_ms = percentiles(took_s)
    cpu_before_s = usage([pid]).cpu_s
    await asyncio.sleep(seconds)
    crowd.idle_cpu_percent = round(100 * (usage([pid]).cpu_s - cpu_before_s) / seconds, 1)
    after, after_rss = pss_bytes(pid), usage([pid]).rss_bytes
    crowd.before_pss_mib, crowd.after_pss_mib = round(before / 2**20, 1), round(after / 2**20, 1)
    crowd.kib_each = round((after - before) / 1024 / num_connections, 1)
    crowd.kib_each_rss = round((after_rss - before_rss) / 1024 / num_connections, 1)
    num_sessions = int((await metrics(server.url))["voxwire_sessions"]) - 1
    crowd.num_kept = min(num_sessions, sum(not idler.is_lost for idler in idlers))
    crowd.num_pings = sum(idler.num_pings for idler in idlers)
    for idler in (first, *idlers):
        idler.reset()
    return crowd


def goals(crowd: Crowd, num_connections: int) -> list[Goal]:
    return [
        Goal(
            what=f"{num_connections} idle connections: memory of the web process for each",
            goal=f"<= {MAX_KIB_EACH:g} KiB",
            measured=f"{crowd.kib_each:.1f} KiB",
            is_met=crowd.num_ready == num_connections and crowd.kib_each <= MAX_KIB_EACH,
        ),
        Goal(
            what="the same: kept by pings",
            goal=f"{num_connections}",
            measured=f"{crowd.num_kept}",
            is_met=crowd.num_kept == num_connections,
        ),
    ]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("idle", __doc__)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=25.0, help="that they stay; pings are 10 s apart")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
