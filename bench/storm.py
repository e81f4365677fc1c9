"""What those who listen notice when everybody else comes at once: `python -m bench.storm --reconnects 2000`.

A hundred listeners play while two thousand connect within four seconds: as strangers, with a `hello` each; and, at
another server, as sessions whose sockets are reset one by one and which resume at once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from .goals import Goal, tell
from .idle import SPARE_FILES, Idler, allow_files
from .report import percentiles
from .rig import a_few_at_a_time, at_server, parser_of
from .rung import SETTLE_S, SPAWN_S, Load, climb
from .server import Server
from .survivor import Survivor
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

MAX_LATENESS_P99_MS = 50.0
MARGIN_S = 0.5
"""Of the window of lateness, before and after the storm."""


@dataclass(slots=True)
class Storm:
    """What came of those who came. Whoever is refused is told when to come again, or counts as failed."""

    is_resume: bool
    within_s: float
    num_ready: int = 0
    num_refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    lasted_s: float = 0.0
    """From the first who came to the last who was answered."""
    cpu_percent: float = 0.0
    """Of a core, that this process took for it."""
    rung: dict[str, Any] = field(default_factory=dict)
    """What those who listened noticed."""

    @property
    def name(self) -> str:
        return "resumes" if self.is_resume else "strangers"


def main(argv: Sequence[str] | None = None) -> int:
    """0: who listens hardly notices, and everybody gets an answer; 1: otherwise."""
    options = _parse(argv)
    allow_files(options.reconnects + SPARE_FILES)
    storms: list[Storm] = []
    room_for_all = ["--max-sessions", str(options.reconnects + options.streams)]
    for brew, flags in ((_strangers, []), (_resumes, room_for_all)):
        work = partial(
            brew,
            num_streams=options.streams,
            num_reconnects=options.reconnects,
            within_s=options.within,
            seed=options.seed,
        )
        if (storm := at_server("storm", work, [*options.server_flags, *flags])) is None:
            return 1
        storms.append(storm)
    found = {
        "streams": options.streams,
        "reconnects": options.reconnects,
        "within_s": options.within,
        "seed": options.seed,
    }
    return tell("storm", goals(storms), found | {storm.name: summary(storm) for storm in storms}, options.output)


async def _strangers(server: Server, num_streams: int, num_reconnects: int, within_s: float, seed: int) -> Storm:
    buffer, storm = bytearray(BUFFER_BYTES), Storm(is_resume=False, within_s=within_s)
    idlers = [Idler(buffer) for _ in range(num_reconnects)]
    address = Address.of(server.url)
    await _break_out(server, storm, num_streams, [partial(each.meet, address) for each in idlers], seed)
    for idler in idlers:
        idler.reset()
    return storm


async def _resumes(server: Server, num_streams: int, num_reconnects: int, within_s: float, seed: int) -> Storm:
    buffer, storm = bytearray(BUFFER_BYTES), Storm(is_resume=True, within_s=within_s)
    survivors = [Survivor(Address.of(server.url), buffer) for _ in range(num_reconnects)]
    await a_few_at_a_time(Survivor.connect, survivors)

    async def come_back(survivor: Survivor) -> None:
        survivor.reset()
        await survivor.connect()
        if survivor.ready is None or not survivor.ready.resumed:
            raise ConnectionFailed("expected the session to be resumed, got a fresh one")

    await _break_out(server, storm, num_streams, [partial(come_back, each) for each in survivors], seed)
    for survivor in survivors:
        survivor.reset()
    return storm


async def _break_out(
    server: Server, storm: Storm, num_streams: int, comers: Sequence[Callable[[], Awaitable[object]]], seed: int
) -> None:
    """Have them come while streams are listened to. Raises LoadFailed."""
    load = Load(seconds=storm.within_s + 2 * MARGIN_S, generators=1)
    listening = asyncio.create_task(climb(server, load, num_streams))
    await asyncio.sleep(SPAWN_S + max(1.0, num_streams / 100) + SETTLE_S + MARGIN_S)
    random, begun_at, cpu_before_s = Random(seed), time.monotonic(), time.process_time()

    async def come(comer: Callable[[], Awaitable[object]], at: float) -> None:
        await asyncio.sleep(at - time.monotonic())
        came_at = time.monotonic()
        try:
            await comer()
        except ConnectionFailed as error:
            storm.num_refused += error.retry_after_s is not None
            storm.failed[str(error)] += error.retry_after_s is None
        except TimeoutError:
            storm.failed["no answer"] += 1
        else:
            storm.num_ready += 1
            storm.took_s.append(time.monotonic() - came_at)

    await asyncio.gather(*(come(comer, begun_at + random.uniform(0.0, storm.within_s)) for comer in comers))
    storm.lasted_s = time.monotonic() - begun_at
    storm.cpu_percent = round(100 * (time.process_time() - cpu_before_s) / storm.lasted_s, 1)
    storm.rung = await listening


def goals(storms: Sequence[Storm]) -> list[Goal]:
    rows = []
    for storm in storms:
        num_failed = sum(storm.failed.values())
        p99_ms, rung = storm.rung["lateness_ms"]["p99"], storm.rung
        num = storm.num_ready + storm.num_refused + num_failed
        rows += [
            Goal(
                what=f"{num} {storm.name} within {storm.within_s:g} s: p99 lateness of {rung['listeners']} streams",
                goal=f"<= {MAX_LATENESS_P99_MS:g} ms, 0 faults",
                measured="none" if p99_ms is None else f"{p99_ms:.1f} ms, {rung['faults']} faults",
                is_met=p99_ms is not None and p99_ms <= MAX_LATENESS_P99_MS and not rung["faults"],
            ),
            Goal(
                what="the same: neither let in nor told when to come again",
                goal="0",
                measured=f"{num_failed} ({storm.num_ready} let in, {storm.num_refused} told to come again)",
                is_met=num_failed == 0,
            ),
        ]
    return rows


def summary(storm: Storm) -> dict[str, Any]:
    names = ("lateness_ms", "late_frames", "faults", "fault_examples", "listeners_done", "generator_lag_ms")
    cpu = {**storm.rung["cpu_percent_of_a_core"], "who_come": storm.cpu_percent}
    return {
        "ready": storm.num_ready,
        "refused_with_retry_after": storm.num_refused,
        "refused_percent": round(100 * storm.num_refused / max(1, storm.num_ready + storm.num_refused), 1),
        "failed": {sentence: num for sentence, num in storm.failed.items() if num},
        "ready_ms": percentiles(storm.took_s),
        "lasted_s": round(storm.lasted_s, 2),
        "cpu_percent_of_a_core": cpu,
        "machine_busy_percent": storm.rung["machine"]["busy_percent"],
        "streams": {name: storm.rung[name] for name in names},
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("storm", __doc__)
    parser.add_argument("--streams", type=int, default=100, help="that are listened to")
    parser.add_argument("--reconnects", type=int, default=2000, help="connections that are opened")
    parser.add_argument("--within", type=float, default=4.0, help="seconds in which they are")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
