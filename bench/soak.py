"""Listeners, and a fault every two seconds: `python -m bench.soak --minutes 10 --listeners 200`.

It ends with a ledger: every accepted utterance ended whole (all its samples compared), whole after its connection was
lost, cancelled, or with an error that says so. None is silent, none is wrong, and nothing is left of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from .churn import MAX_GROWTH, SETTLED_S, Sample, memory_of
from .churn_leftovers import count_free_slots, leftovers
from .fault_proxy import FaultProxy
from .metrics import metrics
from .processes import usage
from .report import table, write
from .rig import at_server, parser_of
from .server import Server
from .soak_faults import Trouble
from .soak_ledger import Ledger
from .soak_listener import Guest
from .websocket import BUFFER_BYTES, Address

NUM_DOORS = 6
DOOR_SHARE = 0.3
"""So many of the listeners come by links that break; the others' troubles are the server's."""

SAMPLE_EVERY_S = 1.0
PEACE_S = 1.0
"""Without a fault, at the end."""

EMPTY_S = 10.0
"""So long the last ends may take to arrive everywhere, beyond the time for which a lost session is kept."""


@dataclass(slots=True)
class Soak:
    """What came of it. `base` and `left`: what the server held before and after."""

    ledger: Ledger = field(default_factory=Ledger)
    samples: list[Sample] = field(default_factory=list)
    base: dict[str, float] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)
    slots: int = 0
    free_slots: int = 0
    counters: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """0: all is accounted for, and nothing is left; 1: otherwise."""
    options = _parse(argv)
    flags = ["--resume-ms", str(options.resume_ms), "--workers", str(options.workers), *options.server_flags]
    if (soak := at_server("soak", partial(run, options=options), flags)) is None:
        return 1
    verdict = judged(soak)
    print(table(rows(soak.ledger)), end="\n\n")
    print(table([{"role": role, **row} for role, row in memory_of(soak.samples).items()]), end="\n\n")
    for example in soak.ledger.examples:
        print(example)
    print(f"{sum(soak.ledger.ends.values())} accepted utterances, {dict(soak.ledger.ends)}: {verdict}")
    print(write("soak", summary(soak, verdict, options), options.output), file=sys.stderr)
    return 0 if verdict == "ok" else 1


async def run(server: Server, options: argparse.Namespace) -> Soak:
    """Listeners for so long, then until the last of them is served."""
    seconds, num_listeners, seed = 60 * options.minutes, options.listeners, options.seed
    soak, address, empty_s = Soak(), Address.of(server.url), options.resume_ms / 1000 + EMPTY_S
    ledger, random = soak.ledger, Random(seed)
    url = f"ws://{address.host}:{address.port}"
    await _all_serve(server)
    async with asyncio.TaskGroup() as warming_up:  # what a web process needs but once is there
        for _ in range(options.workers):
            warming_up.create_task(Guest(url, "", Random(0), Ledger()).visit(0.0))
    await leftovers(server.url, patience_s=empty_s)
    soak.base = await holdings(server)
    async with contextlib.AsyncExitStack() as stack:
        doors = {
            f"door {number}": await stack.enter_async_context(FaultProxy(address.host, address.port, seed=number))
            for number in range(1, NUM_DOORS + 1)
        }
        begun_at = time.monotonic()
        ends_at = begun_at + seconds

        async def come_and_go(number: int) -> None:
            own = Random(1000 * seed + number)
            door = f"door {1 + number % NUM_DOORS}" if number < DOOR_SHARE * num_listeners else ""
            way_in = f"ws://{address.host}:{doors[door].port}" if door else url
            await asyncio.sleep(own.uniform(0.0, min(2.0, seconds / 4)))
            while time.monotonic() < ends_at:
                await Guest(way_in, door, own, ledger).visit(ends_at)
                await asyncio.sleep(own.uniform(0.0, 0.5))

        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(_look(server, soak, begun_at))
            async with asyncio.TaskGroup() as visits:
                for number in range(num_listeners):
                    visits.create_task(come_and_go(number))
                trouble = Trouble(server, doors, ledger, random)
                while time.monotonic() < ends_at - PEACE_S:
                    visits.create_task(trouble.make())
                    await asyncio.sleep(options.every)
            looking.cancel()
    soak.seconds = time.monotonic() - begun_at
    await leftovers(server.url, patience_s=empty_s)
    soak.left = await _settled(server, soak.base, empty_s)
    _sample(server, soak, begun_at)
    soak.counters = await metrics(server.url)
    soak.slots = int(soak.counters["voxwire_engine_slots"])
    soak.free_slots = await count_free_slots(address, soak.slots, bytearray(BUFFER_BYTES))
    return soak


async def _all_serve(server: Server) -> None:
    """It is ready when its first web process is."""
    while True:
        if not (await metrics(server.url))["voxwire_workers_unheard"]:
            return
        await asyncio.sleep(0.1)


async def holdings(server: Server) -> dict[str, float]:
    """What the server has that could be left behind."""
    told = await metrics(server.url)
    pids = server.processes["web"]
    return {
        "sessions": told["voxwire_sessions"],
        "streams": told["voxwire_host_streams"],
        "tasks": told["voxwire_tasks"],
        "files": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids),
    }


async def _settled(server: Server, base: dict[str, float], patience_s: float) -> dict[str, float]:
    """What there is more than before, when the last connections have had time to go."""
    ends_at = time.monotonic() + patience_s
    while True:
        now = await holdings(server)
        more = {name: num - base[name] for name, num in now.items() if num > base[name]}
        if not more or time.monotonic() > ends_at:
            return more
        await asyncio.sleep(0.1)


async def _look(server: Server, soak: Soak, begun_at: float) -> None:
    while True:
        _sample(server, soak, begun_at)
        await asyncio.sleep(SAMPLE_EVERY_S)


def _sample(server: Server, soak: Soak, begun_at: float) -> None:
    pids = server.processes
    files = dict.fromkeys(pids, 0)
    for role in pids:
        for pid in pids[role]:
            with contextlib.suppress(OSError):  # an engine that has just been killed
                files[role] += len(os.listdir(f"/proc/{pid}/fd"))
    soak.samples.append(Sample(time.monotonic() - begun_at, {role: usage(pids[role]) for role in pids}, files))


def judged(soak: Soak) -> str:
    """`ok`, or what is wrong, the gravest first. Memory is judged where it has had the time to show."""
    ledger = soak.ledger
    if ledger.num_bad or ledger.live:
        return f"{ledger.num_bad} utterances silent or wrong, {len(ledger.live)} without an end"
    if not ledger.ends["complete"]:
        return "nothing was heard"
    if soak.left:
        return f"left behind: {', '.join(f'{num:g} {name}' for name, num in soak.left.items())}"
    if soak.free_slots != soak.slots:
        return f"{soak.slots - soak.free_slots} slots are not free"
    if soak.counters.get("voxwire_internal_errors_total"):
        return f"{soak.counters['voxwire_internal_errors_total']:g} internal errors"
    if soak.seconds >= 2 * SETTLED_S:
        growth = memory_of(soak.samples)["web"]["growth"]
        if growth > MAX_GROWTH:
            return f"the web process grew by a factor of {growth}"
    return "ok"


def rows(ledger: Ledger) -> list[dict[str, object]]:
    """By kind of fault, how those ended that met it."""
    names = sorted({end for ends in ledger.by_fault.values() for end in ends})
    return [
        {"fault": kind, "times": num, **{name: ledger.by_fault[kind][name] for name in names}}
        for kind, num in sorted(ledger.faults.items())
    ]


def summary(soak: Soak, verdict: str, options: argparse.Namespace) -> dict[str, Any]:
    ledger = soak.ledger
    return {
        "minutes": options.minutes,
        "listeners": options.listeners,
        "fault_every_s": options.every,
        "workers": options.workers,
        "resume_ms": options.resume_ms,
        "seed": options.seed,
        "verdict": verdict,
        "seconds": round(soak.seconds, 1),
        "clients": ledger.num_clients,
        "resumes": ledger.num_resumes,
        "samples_compared": ledger.num_samples,
        "opus_packets": ledger.num_packets,
        "accepted_by_end": dict(ledger.ends),
        "not_accepted": dict(ledger.refused),
        "clients_not_let_in": dict(ledger.not_let_in),
        "faults": dict(ledger.faults),
        "ends_by_fault": {kind: dict(ends) for kind, ends in sorted(ledger.by_fault.items())},
        "examples": ledger.examples,
        "sentences": ledger.sentences,
        "base": soak.base,
        "left": soak.left,
        "slots": soak.slots,
        "free_slots": soak.free_slots,
        "memory": memory_of(soak.samples),
        "server_counters": {name: num for name, num in soak.counters.items() if name.endswith("_total") and num},
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("soak", __doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--listeners", type=int, default=200, help="at a time")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two faults")
    parser.add_argument("--resume-ms", type=int, default=8_000, help="for which the server keeps a lost session")
    parser.add_argument("--workers", type=int, default=1, help="web processes")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
